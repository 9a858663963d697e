"""Pooling over time: one vector from the outputs of all time steps."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from lstm_zoo.settings import pooling


@keras.saving.register_keras_serializable("lstm_zoo")
class Pooling(keras.layers.Layer):
    """Pools the outputs of a recurrent layer over the valid time steps.

    It is called with the outputs `(batch, time, width)`, the layer's last hidden state in each
    direction, a list of `(batch, units)`, and a boolean mask `(batch, time)`, true at valid steps,
    at least one in each row. It returns `(batch, pooled width)`: `width` for each kind.

    Args:
        kinds: one or more of `lstm_zoo.settings.POOLINGS` with "+" between, such as "mean+max":
            concatenated.

    Example:

    >>> sequence, mask = tf.constant([[[1.0], [3.0], [9.0]]]), tf.constant([[True, True, False]])
    >>> Pooling("mean+max")(sequence, [tf.constant([[3.0]])], mask).numpy().tolist()
    [[2.0, 3.0]]
    """

    def __init__(self, kinds: str, **options: Any):
        super().__init__(**options)
        try:
            self.kinds = pooling(kinds)
        except ValueError as error:
            raise ValueError(f"kinds takes {error}. Received: {kinds!r}") from error
        self.supports_masking = True  # the outputs' own mask ends here

    def compute_mask(self, *arguments: Any) -> None:
        return None

    def call(
        self,
        sequence: keras.KerasTensor,
        last_states: Sequence[keras.KerasTensor],
        valid: keras.KerasTensor,
    ) -> keras.KerasTensor:
        vectors = []
        for kind in self.kinds.split("+"):
            vectors += last_states if kind == "last" else [_reduce(kind, sequence, valid)]
        return ops.concatenate(vectors, axis=-1) if len(vectors) > 1 else vectors[0]

    def compute_output_spec(
        self,
        sequence: keras.KerasTensor,
        last_states: Sequence[keras.KerasTensor],
        valid: keras.KerasTensor,
    ) -> keras.KerasTensor:
        width = 0
        for kind in self.kinds.split("+"):
            parts = last_states if kind == "last" else [sequence]
            width += sum(part.shape[-1] for part in parts)
        return keras.KerasTensor((sequence.shape[0], width), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kinds": self.kinds}


def _reduce(kind: str, sequence: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    valid = ops.expand_dims(mask, -1)  # (batch, time, 1)
    if kind == "max":
        # Keras's max needs `initial` for an empty batch. It is below every output of a recurrent
        # layer, sums of a few residuals included, and each row has a valid step: never the result.
        lowest = -100.0
        return ops.max(ops.where(valid, sequence, lowest), axis=1, initial=lowest)
    weights = ops.cast(valid, sequence.dtype)
    return ops.sum(sequence * weights, axis=1) / ops.sum(weights, axis=1)
