"""Pooling over time: one vector from the outputs of all time steps."""

from collections.abc import Sequence

import keras
from keras import ops

POOLINGS = ("last", "mean", "max")


def check_pooling(kinds: str) -> None:
    """Check that a pooling is one or more of `POOLINGS`, each once, with + between.

    Raises:
        ValueError: if it is not.

    Example:

    >>> check_pooling("mean+max")
    >>> check_pooling("sum")
    Traceback (most recent call last):
    ValueError: pooling is one or more of last, mean, max, each once, ... Received: 'sum'
    """
    names = str(kinds).split("+")
    if len(set(names)) < len(names) or not set(names) <= set(POOLINGS):
        raise ValueError(
            f"pooling is one or more of {', '.join(POOLINGS)}, each once, with + between. "
            f"Received: {kinds!r}"
        )


def pool(
    kinds: str,
    sequence: keras.KerasTensor,
    last_states: Sequence[keras.KerasTensor],
    mask: keras.KerasTensor,
) -> keras.KerasTensor:
    """Pool the outputs of a recurrent layer over the valid time steps.

    Args:
        kinds: one or more of `POOLINGS` with "+" between, such as "mean+max": concatenated.
        sequence: the outputs of a recurrent layer, `(batch, time, width)`.
        last_states: its last hidden state in each direction, `(batch, units)` each.
        mask: boolean `(batch, time)`, true at valid steps, at least one in each row.

    Returns:
        A tensor `(batch, pooled width)`: `width` for each kind.

    Example:

    >>> sequence = tf.constant([[[1.0], [3.0], [9.0]]])
    >>> pool("mean+max", sequence, [], tf.constant([[True, True, False]])).numpy().tolist()
    [[2.0, 3.0]]
    """
    vectors = []
    for kind in kinds.split("+"):
        vectors += last_states if kind == "last" else [_reduce(kind, sequence, mask)]
    return ops.concatenate(vectors, axis=-1) if len(vectors) > 1 else vectors[0]


def _reduce(kind: str, sequence: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    valid = ops.expand_dims(mask, -1)  # (batch, time, 1)
    if kind == "max":
        # Keras's max needs `initial` for an empty batch. It is below every output of a recurrent
        # layer, sums of a few residuals included, and each row has a valid step: never the result.
        lowest = -100.0
        return ops.max(ops.where(valid, sequence, lowest), axis=1, initial=lowest)
    weights = ops.cast(valid, sequence.dtype)
    return ops.sum(sequence * weights, axis=1) / ops.sum(weights, axis=1)
