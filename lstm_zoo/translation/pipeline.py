"""The translation pipeline: from texts to translations."""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from lstm_zoo import pipeline
from lstm_zoo.text.tokenizers import as_bytes
from lstm_zoo.translation import corpus, decoding
from lstm_zoo.translation.model import build_translation
from lstm_zoo.translation.predictor import Predictor

SERVED_BEST = 5  # maximum translations of the signature `n_best`; at most the beam width


class Pipeline(Predictor, pipeline.Pipeline):
    """A trained translator.

    `lstm_zoo.train` and `lstm_zoo.load` return one.

    Attributes:
        run: the run's directory.
        model: the `keras.Model`, from source and target ids to logits.
        tokenizer: the tokenizers, `source` and `target`.
        config: the run's `config.json`.
    """

    build = staticmethod(build_translation)

    @functools.cached_property
    def _translator(self) -> Callable[..., Callable[[tf.Tensor], decoding.Translated]]:
        """From a beam width and the number of translations to the function that translates."""
        make = functools.partial(
            decoding.translator,
            self.model,
            self.tokenizer.target,
            length_penalty=self.config["settings"]["length_penalty"],
        )
        return functools.cache(make)

    # Not compiled by XLA: TF Serving's release does not run functions that must be.
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")], jit_compile=False)
    def translate(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Translate raw texts: the default signature of a SavedModel export.

        Args:
            text: string tensor `(batch,)`, any bytes.

        Returns:
            `translation` string `(batch,)` and `score` float32 `(batch,)`.
        """
        found = self._translator(self.beam_width)(self.source_ids(text))
        return {"translation": found.texts[:, 0], "score": found.scores[:, 0]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")], jit_compile=False)
    def translate_n_best(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the best translations of raw texts: the signature `n_best` of an export.

        Args:
            text: string tensor `(batch,)`, any bytes.

        Returns:
            `translations` string `(batch, n)` and `scores` float32 `(batch, n)`, best first. n is
            `SERVED_BEST` or `beam_width`, the smaller. Where fewer were found, "" and -inf.
        """
        translate = self._translator(self.beam_width, min(SERVED_BEST, self.beam_width))
        found = translate(self.source_ids(text))
        return {"translations": found.texts, "scores": found.scores}

    @property
    def signatures(self) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        """The functions of a SavedModel export by signature name."""
        return {"serving_default": self.translate, "n_best": self.translate_n_best}

    @property
    def probes(self) -> dict[str, list[dict[str, tf.Tensor]]]:
        """Inputs of each signature to compare an export's outputs with the pipeline's on."""
        texts = ["", "a", "A dog runs.", b"\xff\x00", "\U0001f600", "\u05e9\u05dc", "b " * 500]
        batches = [{"text": tf.constant(batch, tf.string)} for batch in ([], [""], texts)]
        return {"serving_default": batches, "n_best": batches}

    def source_ids(self, texts: tf.Tensor) -> tf.Tensor:
        """Tokenize source texts, eagerly or in a graph.

        Args:
            texts: string tensor `(batch,)`, any bytes.

        Returns:
            int32 ids `(batch, time)`, each row ending with the end token, padded with 0.
        """
        max_length = self.config["settings"]["max_length"]
        return decoding.source_ids(self.tokenizer.source, texts, max_length)

    def _source_ids(self, texts: Sequence[str | bytes]) -> np.ndarray:
        return self.source_ids(tf.constant(as_bytes(texts))).numpy()

    def _translate(
        self, ids: np.ndarray, width: int, n_best: int
    ) -> tuple[Sequence[Sequence[bytes]], np.ndarray]:
        found = self._translator(width, n_best)(tf.constant(ids))
        return found.texts.numpy(), found.scores.numpy()

    def _cross_entropies(self, pairs: corpus.Corpus) -> tuple[np.ndarray, np.ndarray]:
        examples = self._task.encode(pairs, training=False)
        return self._task.cross_entropies(self.model, examples, np.arange(len(examples)))
