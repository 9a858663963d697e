"""Classification metrics."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support


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
    labels = np.arange(len(classes))
    scores = precision_recall_fscore_support(
        references, predictions, labels=labels, zero_division=0
    )
    occurs = np.union1d(references, predictions)
    return {
        "accuracy": float(np.mean(references == predictions)),
        "macro_f1": float(np.mean(scores[2][occurs])),
        "classes": {
            name: {
                "precision": float(precision),
                "recall": float(recall),
                "f1": float(f1),
                "support": int(support),
            }
            for name, precision, recall, f1, support in zip(classes, *scores, strict=True)
        },
        "confusion": confusion_matrix(references, predictions, labels=labels).tolist(),
    }
