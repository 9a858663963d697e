"""The pipeline of a trained classifier: from raw texts to labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from lstm_zoo import pipeline
from lstm_zoo.data import batching, columns
from lstm_zoo.sentiment import corpus, metrics, plots
from lstm_zoo.sentiment.model import build_sentiment
from lstm_zoo.text import tokenizers
from lstm_zoo.training import report


class Classification(NamedTuple):
    """A prediction: the most probable label, its probability, and those of all classes by name."""

    label: str
    probability: float
    probabilities: dict[str, float]

    def __str__(self) -> str:
        return f"{self.label}\t{self.probability:.4f}"


class Pipeline(pipeline.Pipeline):
    """A trained text classifier, as `lstm_zoo.train` and `lstm_zoo.load` return it.

    Attributes:
        run: the run's directory.
        model: the `keras.Model`, from ids to logits.
        tokenizer: from texts to ids and back.
        classes: the class names, in the order of the logits.
        config: the run's `config.json`.
    """

    build = staticmethod(build_sentiment)

    @property
    def classes(self) -> list[str]:
        """The class names, in the order of the logits."""
        return self._task.classes

    @property
    def card(self) -> dict[str, Any]:
        """The entries of an export's card: the classes, in the order of the logits."""
        return {"classes": self.classes}

    # Never compiled by XLA: stock TF Serving can't run a function that must be.
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")], jit_compile=False)
    def classify(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classify a batch of texts in the graph; `predict` and a SavedModel run this function.

        Args:
            text: string tensor `(batch,)`; any bytes.

        Returns:
            `label` string `(batch,)`; `probability` float32 `(batch,)`; `probabilities` float32
            `(batch, classes)`; `classes` string `(batch, classes)`, the same in every row.
        """
        ids = tokenizers.pad(self.tokenizer.tokenize(text), self.config["settings"]["max_length"])
        probabilities = tf.nn.softmax(self.model(ids))  # (batch, classes)
        classes = tf.constant(self.classes)
        return {
            "label": tf.gather(classes, tf.argmax(probabilities, axis=-1)),
            "probability": tf.reduce_max(probabilities, axis=-1),
            "probabilities": probabilities,
            "classes": tf.tile(classes[tf.newaxis], [tf.shape(ids)[0], 1]),
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

    def predict(self, texts: Sequence[str | bytes], batch_size: int = 64) -> list[Classification]:
        """Classify texts.

        Args:
            texts: the texts, str or UTF-8 bytes, such as a list or a column of a pandas DataFrame;
                may be empty.
            batch_size: texts per batch; it does not change the results.

        Returns:
            A `Classification` for each text, in order.

        Raises:
            CallError: if `texts` is one text, a table or a mapping rather than a sequence of texts.
            DataError: if one of them is no text; the message has its index.

        Example:

        >>> classifier = lstm_zoo.load("runs/imdb")
        >>> predictions = classifier.predict(["a great story", "The plot was dull."])
        >>> [prediction.label for prediction in predictions]
        ['pos', 'neg']
        """
        texts = columns.check_texts(
            texts, 'predict takes a list of texts, such as [text] or frame["text"]'
        )
        probabilities = self._probabilities(texts, batch_size)
        return [
            Classification(
                label=self.classes[row.argmax()],
                probability=float(row.max()),
                probabilities=dict(zip(self.classes, map(float, row), strict=True)),
            )
            for row in probabilities
        ]

    def evaluate(
        self,
        data: Any,
        *,
        strict: bool = False,
        batch_size: int = 64,
        text_column: str | int | None = None,
        label_column: str | int | None = None,
    ) -> dict[str, Any]:
        """Evaluate the classifier on labelled texts.

        Args:
            data: a path or a pair (texts, labels); see `lstm_zoo.sentiment.corpus.read`.
            strict: whether a row without a text or a label is an error; it is skipped otherwise.
            batch_size: texts per batch; it does not change the results.
            text_column: the texts' column in a table: its name, or its position (from 1) in a file
                without a header; None for the run's, or else `text`.
            label_column: the labels' column, likewise.

        Returns:
            `accuracy`, `macro_f1`, `classes` and `confusion`, as
            `lstm_zoo.sentiment.metrics.classification` returns them; the numbers of `examples` and
            `skipped` rows; and `predictions`, a dict for each row of the data, skipped ones
            included, as `lstm_zoo.pipeline.prediction_rows` returns them, with `text`, `label`,
            `predicted`, `probability` and, for each class, its probability, such as `p(pos)`.

        Raises:
            CallError: if there is no such data.
            DataError: if it is malformed, or a label is not one of the training classes.

        Example:

        >>> texts, labels = ["a great story", "The plot was dull."], ["pos", "neg"]
        >>> scores = lstm_zoo.load("runs/imdb").evaluate((texts, labels))
        >>> scores["examples"], scores["confusion"]
        (2, [[1, 0], [0, 1]])
        """
        given = {"text_column": text_column, "label_column": label_column}
        labelled = corpus.read(data, strict, given, fallback=self.config["settings"])
        examples = self._task.encode(labelled)
        report.warn_of_unknown(self._task, "evaluation", examples.unknown)
        probabilities = self._probabilities(labelled.texts, batch_size)
        predicted = probabilities.argmax(axis=1)
        names = [f"p({name})" for name in self.classes]
        return {
            **metrics.classification(examples.targets, predicted, self.classes),
            "examples": len(labelled),
            "skipped": len(labelled.skipped),
            "predictions": pipeline.prediction_rows(
                labelled,
                [
                    {
                        "text": text,
                        "label": label,
                        "predicted": self.classes[index],
                        "probability": row[index],
                        **dict(zip(names, row, strict=True)),
                    }
                    for text, label, index, row in zip(
                        labelled.texts,
                        labelled.labels,
                        predicted,
                        probabilities.tolist(),
                        strict=True,
                    )
                ],
            ),
        }

    @staticmethod
    def report(scores: Mapping[str, Any]) -> str:
        """Format the result of `evaluate` as a table."""
        width = max(8, *map(len, scores["classes"]))
        lines = [
            f"accuracy {scores['accuracy']:.4f}  macro F1 {scores['macro_f1']:.4f}  "
            f"({scores['examples']:,} examples, {scores['skipped']:,} skipped)",
            f"{'class':{width}}  precision  recall      f1  support",
        ]
        for name, row in scores["classes"].items():
            lines.append(
                f"{name:{width}}     {row['precision']:.4f}  {row['recall']:.4f}  {row['f1']:.4f}"
                f"  {row['support']:7,}"
            )
        return "\n".join(lines)

    def draw(self, data: Any, scores: Mapping[str, Any], directory: Path) -> None:
        """Write the confusion matrix that `evaluate` returned to `confusion.png`."""
        plots.draw_confusion(scores["confusion"], self.classes, directory / "confusion.png")

    def _probabilities(self, texts: Sequence[str | bytes], batch_size: int) -> np.ndarray:
        encoded = tokenizers.as_bytes(texts)
        probabilities = np.zeros((len(encoded), len(self.classes)), dtype=np.float32)
        # Batches of similar length, so that a long text does not pad short ones.
        for indices in batching.sorted_batches(np.array([*map(len, encoded)]), batch_size):
            batch = tf.constant([encoded[index] for index in indices])
            probabilities[indices] = self.classify(batch)["probabilities"].numpy()
        return probabilities
