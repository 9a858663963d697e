"""From a vector for each time step to one for the sequence."""

from collections.abc import Sequence

import keras
from keras import ops

POOLINGS = ("last", "mean", "max")


def check_pooling(kinds: str) -> None:
    """Make sure that a pooling is one or more of `POOLINGS`, each once, with + between.

    Raises:
        ValueError: if it is not.
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
    """Make one vector of the time steps; padding never counts.

    Args:
        kinds: one or more of `POOLINGS` with "+" between, such as "mean+max": concatenated.
        sequence: the outputs of a recurrent layer, `(batch, time, width)`.
        last_states: its last hidden state of each direction, `(batch, units)` each.
        mask: boolean `(batch, time)`, true on the real steps, one at least in each row.

    Returns:
        A tensor `(batch, pooled width)`: `width` for each kind.
    """
    vectors = []
    for kind in kinds.split("+"):
        vectors += last_states if kind == "last" else [_reduce(kind, sequence, mask)]
    return ops.concatenate(vectors, axis=-1) if len(vectors) > 1 else vectors[0]


def _reduce(kind: str, sequence: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    real = ops.expand_dims(mask, -1)  # (batch, time, 1)
    if kind == "max":
        # `initial`, without which Keras refuses the empty batch, is below anything that recurrent
        # layers put out, residuals of a few included; a row has a real step, so it never wins.
        lowest = -100.0
        return ops.max(ops.where(real, sequence, lowest), axis=1, initial=lowest)
    weights = ops.cast(real, sequence.dtype)
    return ops.sum(sequence * weights, axis=1) / ops.sum(weights, axis=1)
