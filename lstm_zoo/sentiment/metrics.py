"""Classification metrics."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def classification(references: np.ndarray, predictions: np.ndarray, classes: Sequence[str]) -> dict:
    """Compute accuracy, macro F1, and precision, recall and F1 of each class.

    Args:
        references: indices of the true classes, integers `(examples,)`.
        predictions: indices of the predicted classes, integers `(examples,)`.
        classes: the class names, by index.

    Returns:
        `accuracy` and `macro_f1` (the mean over the classes that occur in either array), both in
        0..1; `classes`: `precision`, `recall`, `f1` and `support` by class name; and
        `confusion`: counts as nested lists, `(true classes, predicted classes)`.

    Example:

    >>> classification(np.array([0, 1, 1]), np.array([0, 1, 0]), ["neg", "pos"])["macro_f1"]
    0.6666666666666666
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    labels = np.arange(len(classes))
    scores = precision_recall_fscore_support(
        references, predictions, labels=labels, zero_division=0
    )
    occurs = np.union1d(references, predictions)
    return {
        "accuracy": float(np.mean(references == predictions)),
        "macro_f1": float(np.mean(scores[2][occurs])),
        "classes": _by_class(classes, scores),
        "confusion": confusion_matrix(references, predictions, labels=labels).tolist(),
    }


def multi_label(references: np.ndarray, predictions: np.ndarray, classes: Sequence[str]) -> dict:
    """Compute F1, subset accuracy, and precision, recall and F1 of each class.

    Args:
        references: whether each class is true, booleans `(examples, classes)`.
        predictions: whether each is predicted, likewise.
        classes: the class names.

    Returns:
        `micro_f1` (of all decisions together), `macro_f1` (the mean over the classes that occur in
        either array) and `subset_accuracy` (the share of examples with exactly the true classes),
        all in 0..1; and `classes`: `precision`, `recall`, `f1` and `support` by class name.

    Example:

    >>> references, predictions = np.array([[1, 0], [1, 1]]), np.array([[1, 0], [1, 0]])
    >>> scores = multi_label(references, predictions, ["art", "new"])
    >>> scores["micro_f1"], scores["macro_f1"], scores["subset_accuracy"]
    (0.8, 0.5, 0.5)
    """
    from sklearn.metrics import precision_recall_fscore_support

    references, predictions = references.astype(bool), predictions.astype(bool)
    scores = precision_recall_fscore_support(references, predictions, zero_division=0)
    occurs = (references | predictions).any(axis=0)
    positives = references.sum() + predictions.sum()
    return {
        "micro_f1": float(2 * (references & predictions).sum() / max(positives, 1)),
        "macro_f1": float(np.mean(scores[2][occurs])) if occurs.any() else 0.0,
        "subset_accuracy": float(np.mean((references == predictions).all(axis=1))),
        "classes": _by_class(classes, scores),
    }


def _by_class(classes: Sequence[str], scores: tuple) -> dict[str, dict[str, Any]]:
    """Name what scikit-learn returned for each class."""
    return {
        name: {
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
            "support": int(support),
        }
        for name, precision, recall, f1, support in zip(classes, *scores, strict=True)
    }
