"""The pipeline of a trained classifier: from raw texts to labels."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from lstm_zoo import pipeline
from lstm_zoo.sentiment.labelling import MultiLabel, SingleLabel
from lstm_zoo.sentiment.model import build_sentiment
from lstm_zoo.sentiment.predictor import Predictor
from lstm_zoo.text import encoding, tokenizers


class Pipeline(Predictor, pipeline.Pipeline):
    """A trained text classifier, as `lstm_zoo.train` and `lstm_zoo.load` return it.

    Attributes:
        run: the run's directory.
        model: the `keras.Model`, from ids to logits.
        tokenizer: from texts to ids.
        classes: the class names, in the order of the logits.
        config: the run's `config.json`.
    """

    build = staticmethod(build_sentiment)

    @property
    def labelling(self) -> SingleLabel | MultiLabel:
        """What depends on whether a text has one label or several: the task's."""
        return self._task.labelling

    # Never compiled by XLA: stock TF Serving can't run a function that must be.
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")], jit_compile=False)
    def classify(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classify a batch of texts in the graph; `predict` and a SavedModel run this function.

        Args:
            text: string tensor `(batch,)`; any bytes.

        Returns:
            `label` string `(batch,)`; `probability` float32 `(batch,)`; `probabilities` float32
            `(batch, classes)`; `classes` string `(batch, classes)`, the same in every row. With
            `multi_label`, `labels` instead of `label` and `probability`: string `(batch,)`, those
            of each text with "|" between.
        """
        ids = tokenizers.pad(self.tokenizer.tokenize(text), self.config["settings"]["max_length"])
        probabilities = self.labelling.probabilities(self.model(ids))  # (batch, classes)
        classes = tf.constant([self.classes])
        return {
            **self.labelling.answers(probabilities),
            "probabilities": probabilities,
            "classes": tf.tile(classes, [tf.shape(ids)[0], 1]),
        }

    @property
    def probes(self) -> dict[str, list[dict[str, tf.Tensor]]]:
        """Inputs of each signature to compare an export with this pipeline on."""
        batches = [[], [""], ["", "x"], ["good", b"\xff\xfe", "\x00", "word " * 2_000, "\u202e"]]
        return {"serving_default": [{"text": tf.constant(batch, tf.string)} for batch in batches]}

    @property
    def signatures(self) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        """The served functions by name."""
        return {"serving_default": self.classify}

    def _compute(self, texts: list[bytes]) -> np.ndarray:
        return self.classify(tf.constant(texts))["probabilities"].numpy()

    def _unknown_share(self, texts: Sequence[str]) -> float:
        max_length = self.config["settings"]["max_length"]
        return encoding.unknown_share(encoding.encode(self.tokenizer, texts, max_length))
