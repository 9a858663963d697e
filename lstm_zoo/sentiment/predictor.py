"""Answers of a trained classifier, by TensorFlow or ONNX Runtime: labels from raw texts."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_zoo import families, pipeline
from lstm_zoo.data import batching, columns
from lstm_zoo.sentiment import corpus
from lstm_zoo.sentiment.labelling import MultiLabel, SingleLabel
from lstm_zoo.text.vocabulary import as_bytes
from lstm_zoo.training import report

EVALUATED = 2_048  # texts between two steps of the progress bar
# The scores of a report, and what they are called there.
SUMMARY = {
    "accuracy": "accuracy",
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "subset_accuracy": "subset accuracy",
    "ece": "ECE",
}
UNKNOWN_REASON = (
    "words that are rare in the training data (min_count, vocabulary_size), or not in them; "
    "tokens=pieces has no unknown tokens, and languages written without spaces need it"
)


class Classification(NamedTuple):
    """A prediction: the most probable label, its probability, and those of all classes by name.

    The label is empty if the probability is below the `min_probability` of `predict`. With
    `multi_label`, `label` has all labels of the text, with "|" between, and `probability` is that
    of these labels and no others, as if they were independent.
    """

    label: str
    probability: float
    probabilities: dict[str, float]

    def __str__(self) -> str:
        return f"{self.label}\t{self.probability:.4f}"


class Predictor(pipeline.Predictor):
    """Labels of raw texts: what a classifier's answers are made of, and how they are evaluated.

    `lstm_zoo.sentiment.pipeline.Pipeline` and `lstm_zoo.sentiment.runtime.Pipeline` compute the
    probabilities.

    Attributes:
        labelling: what depends on whether a text has one label or several.
        classes: the class names, in the order of the logits.
    """

    shown_columns = ("text", "label", "predicted", "probability")
    labelling: SingleLabel | MultiLabel

    @property
    def classes(self) -> list[str]:
        """The class names, in the order of the logits."""
        return self.labelling.classes

    @property
    def card(self) -> dict[str, Any]:
        """The entries of an export's card: the classes, and how logits become probabilities.

        `classes` are in the order of the logits; probabilities are the `activation` (softmax or
        sigmoid) of the logits divided by `temperature`. With `multi_label`, labels are the classes
        whose probability is `threshold` or more.
        """
        return {"classes": self.classes, **self.labelling.card}

    @property
    def answer_names(self) -> list[str]:
        """The columns of a prediction in a table, as `evaluate` names them."""
        return ["predicted", "probability", *(f"p({name})" for name in self.classes)]

    @staticmethod
    def answer_fields(answer: Classification) -> list[Any]:
        """Return the values of `answer_names` of a prediction."""
        return [answer.label, answer.probability, *answer.probabilities.values()]

    def predict(
        self,
        texts: Sequence[str | bytes],
        batch_size: int = 64,
        min_probability: float | None = None,
    ) -> list[Classification]:
        """Classify texts.

        Args:
            texts: the texts, str or UTF-8 bytes, such as a list or a column of a pandas DataFrame;
                may be empty.
            batch_size: texts per batch; it does not change the results.
            min_probability: the probability, in 0..1, below which a text is left unanswered: its
                label is empty. With `multi_label`, it replaces the threshold. None for none.

        Returns:
            A `Classification` for each text, in order.

        Raises:
            CallError: if `texts` is one text, a table or a mapping rather than a sequence of texts,
                or `min_probability` is not from 0 to 1.
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
        labels, confidences = self.labelling.predict(probabilities, min_probability)
        return [
            Classification(label, confidence, dict(zip(self.classes, row, strict=True)))
            for label, confidence, row in zip(
                labels, confidences.tolist(), probabilities.tolist(), strict=True
            )
        ]

    def evaluate(
        self,
        data: Any,
        *,
        strict: bool = False,
        batch_size: int = 64,
        min_probability: float | None = None,
        text_column: str | int | None = None,
        label_column: str | int | None = None,
    ) -> dict[str, Any]:
        """Evaluate the classifier on labelled texts.

        Args:
            data: a path or a pair (texts, labels); see `lstm_zoo.sentiment.corpus.read`.
            strict: whether a row without a text or a label is an error; it is skipped otherwise.
            batch_size: texts per batch; it does not change the results.
            min_probability: as for `predict`.
            text_column: the texts' column in a table: its name, or its position (from 1) in a file
                without a header; None for the run's, or else `text`.
            label_column: the labels' column, likewise.

        Returns:
            `accuracy`, `macro_f1`, `classes` and `confusion`, as
            `lstm_zoo.sentiment.metrics.classification` returns them, of all texts; `ece`, the
            expected calibration error, and the bins of which it is the mean, `reliability`, as
            `lstm_zoo.sentiment.calibration` computes them; with `min_probability`, that value,
            `coverage`, the share of the texts that are answered, and `answered_accuracy`, the
            accuracy of these (None if there are none). With `multi_label`, `micro_f1`, `macro_f1`,
            `subset_accuracy` and `classes`, as `lstm_zoo.sentiment.metrics.multi_label` returns
            them, the `threshold`, and `ece` and `reliability` of the labels that are given (None
            and empty if none is). Then the numbers of `examples` and `skipped` rows; and
            `predictions`, a dict for each row of the data, skipped ones included, as
            `lstm_zoo.pipeline.prediction_rows` returns them, with `text`, `label`, `predicted`,
            `probability` and, for each class, its probability, such as `p(pos)`.

        Raises:
            CallError: if there is no such data, or `min_probability` is not from 0 to 1.
            DataError: if it is malformed, or a label is not one of the training classes.

        Example:

        >>> texts, labels = ["a great story", "The plot was dull."], ["pos", "neg"]
        >>> scores = lstm_zoo.load("runs/imdb").evaluate((texts, labels))
        >>> scores["examples"], scores["confusion"]
        (2, [[1, 0], [0, 1]])
        """
        given = {"text_column": text_column, "label_column": label_column}
        settings, labelling = self.config["settings"], self.labelling
        labelled = corpus.read(
            data, strict, given, fallback=settings, multi_label=settings["multi_label"]
        )
        targets = labelled.targets(self.classes)
        report.warn_of_unknown(UNKNOWN_REASON, "evaluation", self._unknown_share(labelled.texts))
        probabilities = np.concatenate(
            [
                self._probabilities(texts, batch_size)
                for texts in pipeline.chunks(labelled.texts, EVALUATED)
            ]
        )
        predicted, confidences = labelling.predict(probabilities, min_probability)
        names = [f"p({name})" for name in self.classes]
        return {
            **labelling.evaluate(probabilities, targets, min_probability),
            "examples": len(labelled),
            "skipped": len(labelled.skipped),
            "predictions": pipeline.prediction_rows(
                labelled,
                [
                    {
                        "text": text,
                        "label": label,
                        "predicted": answer,
                        "probability": confidence,
                        **dict(zip(names, row, strict=True)),
                    }
                    for text, label, answer, confidence, row in zip(
                        labelled.texts,
                        labelling.names(targets),
                        predicted,
                        confidences.tolist(),
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
        metrics = (
            f"{text} {scores[key]:.4f}"
            for key, text in SUMMARY.items()
            if scores.get(key) is not None
        )
        counts = f"({scores['examples']:,} examples, {scores['skipped']:,} skipped)"
        lines = [
            "  ".join([*metrics, counts]),
            *_format_selective(scores),
            f"{'class':{width}}  precision  recall      f1  support",
        ]
        for name, row in scores["classes"].items():
            lines.append(
                f"{name:{width}}     {row['precision']:.4f}  {row['recall']:.4f}  {row['f1']:.4f}"
                f"  {row['support']:7,}"
            )
        return "\n".join(lines)

    @staticmethod
    def tables(scores: Mapping[str, Any]) -> list[families.Table]:
        """Return the table of the classes, in the order of the logits."""
        rows = [
            (number, name, row["precision"], row["recall"], row["f1"], row["support"])
            for number, (name, row) in enumerate(scores["classes"].items(), 1)
        ]
        header = ("number", "class", "precision", "recall", "F1", "examples")
        note = (
            "Precision: the share of the answers with this class that are right. Recall: the share "
            "of the class's examples that are found. F1: their harmonic mean."
        )
        if "threshold" in scores:
            note += (
                f" A text's labels are the classes of probability {scores['threshold']:.4g} or "
                "more. Unless min_probability is given, this threshold is the best one for the "
                "validation data, whose scores are thus a little too good."
            )
        return [families.Table("Classes", header, rows, note)]

    def draw(
        self, data: Any, scores: Mapping[str, Any], title: str, directory: Path, **columns: Any
    ) -> dict[str, str]:
        """Draw `reliability.png`, and the confusion matrix or the classes' scores.

        They are `confusion.png`, and with `multi_label` `classes.png`.
        """
        from lstm_zoo.sentiment import plots

        confusion, classes, reliability = "confusion.png", "classes.png", "reliability.png"
        if "confusion" in scores:
            plots.draw_confusion(scores["confusion"], self.classes, title, directory / confusion)
            captions = {
                confusion: "The confusion matrix: a row for each true class, a column for each "
                "predicted one. The diagonal is right; a dark cell off it is a class that is taken "
                "for another. A number on an axis is a class of that number in the table of "
                "classes."
            }
        else:
            plots.draw_classes(scores["classes"], title, directory / classes)
            captions = {
                classes: "The scores of each class, with its number of examples. Precision: how "
                "many of the label's answers are right; recall: how many of its examples have it. "
                "A number on the axis is a class of that number in the table of classes."
            }
        if not scores["reliability"]:  # of several labels, none is given
            return captions
        # A training has no error of the validation data, which fitted the temperature.
        error = scores.get("ece")
        plots.draw_reliability(scores["reliability"], error, title, directory / reliability)
        answers = "answers" if "confusion" in scores else "given labels"
        return {
            **captions,
            reliability: f"How often {answers} are right, by their probability, and how many "
            f"{answers} there are of each. On the dotted line a probability means what it says; "
            f"below it, {answers} are too sure. Bars are 95 % intervals.",
        }

    def score_prediction(self, prediction: Mapping[str, Any]) -> float:
        """Return how good a row of `evaluate`'s predictions is."""
        return self.labelling.score_prediction(prediction)

    def _probabilities(self, texts: Sequence[str | bytes], batch_size: int) -> np.ndarray:
        encoded = as_bytes(texts)
        probabilities = np.zeros((len(encoded), len(self.classes)), dtype=np.float32)
        # Batches of similar length, so that a long text does not pad short ones.
        for indices in batching.sorted_batches(np.array([*map(len, encoded)]), batch_size):
            probabilities[indices] = self._compute([encoded[index] for index in indices])
        return probabilities

    @abstractmethod
    def _compute(self, texts: list[bytes]) -> np.ndarray:
        """Return the probabilities of a batch of texts, float32 `(batch, classes)`."""

    @abstractmethod
    def _unknown_share(self, texts: Sequence[str]) -> float:
        """Return the share of texts' tokens that are unknown, from 0 to 1."""


def _format_selective(scores: Mapping[str, Any]) -> list[str]:
    """Format how many texts `min_probability` leaves, and how many of them are right."""
    if "min_probability" not in scores:
        return []
    accuracy = scores["answered_accuracy"]
    right = "none to be right" if accuracy is None else f"accuracy {accuracy:.4f}"
    return [
        f"answered with probability {scores['min_probability']:g} or more: "
        f"{scores['coverage']:.2%} of the examples, {right}"
    ]
