"""What a classifier of one label for each text and one of several differ in.

The first has a softmax over the classes, the second a sigmoid for each class and a threshold. Both
hold no state but the class names and the calibration. This module imports no TensorFlow: its
methods for training and for graphs do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lstm_zoo.errors import CallError
from lstm_zoo.runtime.numerics import softmax
from lstm_zoo.sentiment import calibration, metrics
from lstm_zoo.sentiment.calibration import Calibration
from lstm_zoo.sentiment.corpus import SEPARATOR

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class SingleLabel:
    """One label for each text.

    Args:
        classes: the class names, in the order of the logits.
        calibration: what turns logits into answers.
    """

    directions: ClassVar = {"accuracy": "max", "macro_f1": "max"}
    monitor = "accuracy"
    summary_metrics = ("accuracy", "macro_f1")
    activation = "softmax"

    def __init__(self, classes: Sequence[str], calibration: Calibration):
        self.classes, self.calibration = classes, calibration

    @property
    def card(self) -> dict[str, Any]:
        """How logits become probabilities: the activation of logits divided by the temperature."""
        return {"activation": self.activation, "temperature": self.calibration.temperature}

    def loss(self) -> keras.losses.Loss:
        """Return the loss on (targets, logits)."""
        import keras

        return keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float32")

    def baseline_score(self, targets: np.ndarray) -> float:
        """Return the accuracy of answers that ignore the text: the share of the largest class."""
        return float(np.bincount(targets).max() / len(targets))

    def baseline_loss(self, targets: np.ndarray) -> float:
        """Return the loss of answers that ignore the text: the classes' shares."""
        from scipy.special import entr

        return float(entr(np.bincount(targets) / len(targets)).sum())

    def scores(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """Compute the metrics of logits."""
        return metrics.classification(targets, logits.argmax(axis=1), self.classes)

    def fit(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Fit what `calibration.json` keeps, on validation data."""
        return {"temperature": calibration.fit_temperature(logits, targets)}

    def probabilities(self, logits: tf.Tensor) -> tf.Tensor:
        """Return calibrated probabilities of the classes, `(batch, classes)`, in the graph."""
        import tensorflow as tf

        return tf.nn.softmax(logits / self.calibration.temperature)

    def numpy_probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Return what `probabilities` does, of an array."""
        return softmax(logits / np.float32(self.calibration.temperature))

    def answers(self, probabilities: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return a signature's answers to probabilities, in the graph."""
        import tensorflow as tf

        return {
            "label": tf.gather(tf.constant(self.classes), tf.argmax(probabilities, axis=-1)),
            "probability": tf.reduce_max(probabilities, axis=-1),
        }

    def score_prediction(self, prediction: Mapping[str, Any]) -> float:
        """Return the probability of a row's class; negated if it is not the true one.

        Of a text that is left unanswered, it is the most probable class.
        """
        predicted = prediction["predicted"] or max(
            self.classes, key=lambda name: prediction[f"p({name})"]
        )
        return _signed(prediction, predicted)

    def names(self, targets: np.ndarray) -> list[str]:
        """Return the label of each text."""
        return [self.classes[index] for index in targets]

    def predict(
        self, probabilities: np.ndarray, min_probability: float | None
    ) -> tuple[list[str], np.ndarray]:
        """Return the label of each text and its probability.

        The label is "" if the probability is below the minimum.
        """
        highest = probabilities.max(axis=1)
        answered = highest >= _checked(min_probability, 0.0)
        labels = self.names(probabilities.argmax(axis=1))
        return [
            label if is_answered else ""
            for label, is_answered in zip(labels, answered, strict=True)
        ], highest

    def evaluate(
        self, probabilities: np.ndarray, targets: np.ndarray, min_probability: float | None
    ) -> dict[str, Any]:
        """Compute the metrics of probabilities, and how good they are."""
        least = None if min_probability is None else _checked(min_probability, 0.0)
        confidences, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
        bins = calibration.reliability(confidences, correct)
        scores = {
            **self.scores(probabilities, targets),
            "ece": calibration.expected_calibration_error(bins),
            "reliability": bins,
        }
        if least is None:
            return scores
        answered = confidences >= least
        return {
            **scores,
            "min_probability": least,
            "coverage": float(answered.mean()),
            "answered_accuracy": float(correct[answered].mean()) if answered.any() else None,
        }


class MultiLabel:
    """Several labels for each text, or none; `SingleLabel` describes the methods.

    Targets are 1 for each true class, else 0, float32 `(texts, classes)`.
    """

    directions: ClassVar = {"micro_f1": "max", "macro_f1": "max", "subset_accuracy": "max"}
    monitor = "micro_f1"
    summary_metrics = ("micro_f1", "macro_f1", "subset_accuracy")
    activation = "sigmoid"

    def __init__(self, classes: Sequence[str], calibration: Calibration):
        self.classes, self.calibration = classes, calibration

    @property
    def card(self) -> dict[str, Any]:
        """Also the threshold: the labels are the classes of at least this probability."""
        return {"activation": self.activation, **self.calibration._asdict()}

    def loss(self) -> keras.losses.Loss:
        """Return the loss on (targets, logits), a mean over the classes."""
        import keras

        return keras.losses.BinaryCrossentropy(from_logits=True, dtype="float32")

    def baseline_score(self, targets: np.ndarray) -> float:
        """Return the best micro F1 of the same labels for all texts: the most frequent ones."""
        counts = np.sort(targets.sum(axis=0))[::-1]
        answers = len(targets) * np.arange(1, len(counts) + 1)
        return float((2 * np.cumsum(counts) / (answers + counts.sum())).max())

    def baseline_loss(self, targets: np.ndarray) -> float:
        """Return the loss of answers that ignore the text: the shares of each class."""
        from scipy.special import entr

        shares = targets.mean(axis=0)
        return float((entr(shares) + entr(1 - shares)).mean())

    def scores(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """Compute the metrics of logits, with the threshold that is best for them."""
        probabilities = expit(logits)
        threshold = calibration.fit_threshold(probabilities, targets)
        return metrics.multi_label(targets, probabilities >= threshold, self.classes)

    def fit(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        temperature = calibration.fit_temperature(logits, targets)
        threshold = calibration.fit_threshold(expit(logits / temperature), targets)
        return {"temperature": temperature, "threshold": threshold}

    def probabilities(self, logits: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        return tf.sigmoid(logits / self.calibration.temperature)

    def numpy_probabilities(self, logits: np.ndarray) -> np.ndarray:
        return expit(logits / np.float32(self.calibration.temperature))

    def answers(self, probabilities: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return `labels`, string `(batch,)`: those of each text, with "|" between."""
        import tensorflow as tf

        parts = tf.constant([SEPARATOR + name for name in self.classes])
        parts = tf.where(probabilities >= self.calibration.threshold, parts, "")
        joined = tf.strings.reduce_join(parts, axis=-1)
        return {"labels": tf.strings.regex_replace(joined, "^[|]", "")}

    def score_prediction(self, prediction: Mapping[str, Any]) -> float:
        return _signed(prediction, prediction["predicted"])

    def names(self, targets: np.ndarray) -> list[str]:
        return [
            SEPARATOR.join(self.classes[index] for index in np.flatnonzero(row)) for row in targets
        ]

    def predict(
        self, probabilities: np.ndarray, min_probability: float | None
    ) -> tuple[list[str], np.ndarray]:
        """Return the labels of each text, "" for none, and the probability that all are right.

        It is that of these labels and no others, as if they were independent. The minimum replaces
        the threshold.
        """
        chosen = probabilities >= _checked(min_probability, self.calibration.threshold)
        decisions = np.where(chosen, probabilities, 1 - probabilities)
        return self.names(chosen), np.prod(decisions, axis=1)

    def evaluate(
        self, probabilities: np.ndarray, targets: np.ndarray, min_probability: float | None
    ) -> dict[str, Any]:
        """Compute the metrics of probabilities, and how good those of the given labels are.

        Of all classes, most probabilities are near 0 and would hide the others. Without a label
        there is no calibration error, None.
        """
        threshold = _checked(min_probability, self.calibration.threshold)
        chosen = probabilities >= threshold
        bins = calibration.reliability(probabilities[chosen], targets[chosen] > 0)
        return {
            **metrics.multi_label(targets, chosen, self.classes),
            "ece": calibration.expected_calibration_error(bins) if bins else None,
            "reliability": bins,
            "threshold": threshold,
        }


LABELLINGS = {False: SingleLabel, True: MultiLabel}  # by the setting `multi_label`


def expit(logits: np.ndarray) -> np.ndarray:
    """Return the logistic function, as SciPy does.

    Example:

    >>> expit(np.array([-1e9, 0.0, 1e9])).tolist()
    [0.0, 0.5, 1.0]
    """
    powers = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1, powers) / (1 + powers)


def check_classes(classes: Any) -> None:
    """Check that a run's classes are a list of texts.

    Raises:
        ValueError: if they are not.

    Example:

    >>> check_classes(["neg", "pos"])
    """
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError("the classes are not a list of texts.")


def _signed(prediction: Mapping[str, Any], predicted: str) -> float:
    sign = 1 if predicted == prediction["label"] else -1
    return sign * prediction["probability"]


def _checked(min_probability: float | None, default: float) -> float:
    """Return a minimum probability, or the default for None.

    Raises:
        CallError: if it is not from 0 to 1.
    """
    if min_probability is None:
        return default
    if not 0 <= min_probability <= 1:  # also for NaN
        raise CallError(f"min_probability is from 0 to 1. Received: {min_probability}")
    return float(min_probability)
