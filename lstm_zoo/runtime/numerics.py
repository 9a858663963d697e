"""NumPy functions that decoders share."""

import numpy as np


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return the log probabilities of the last axis, float32.

    Example:

    >>> np.exp(log_softmax(np.zeros((1, 2)))).round(6).tolist()
    [[0.5, 0.5]]
    """
    shifted = np.asarray(logits, np.float32) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities of the last axis, float32.

    Example:

    >>> softmax(np.zeros((1, 2))).tolist()
    [[0.5, 0.5]]
    """
    powers = np.exp(np.asarray(logits, np.float32) - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def top_k(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest values of each row, descending, and their places.

    Args:
        values: floats `(rows, columns)`.
        count: how many of each row, at most the number of columns.

    Example:

    >>> top_k(np.array([[1.0, 3.0, 2.0]]), 2)
    (array([[3., 2.]]), array([[1, 2]]))
    """
    if count < values.shape[1]:
        places = np.argpartition(values, -count, axis=1)[:, -count:]
        places.sort(axis=1)  # of equal values, the first is first
    else:
        places = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    found = np.take_along_axis(values, places, 1)
    order = np.argsort(-found, axis=1, kind="stable")
    return np.take_along_axis(found, order, 1), np.take_along_axis(places, order, 1)
