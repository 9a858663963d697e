"""Keras's call of cuDNN, with the padding cut off, for batches of any size.

cuDNN leaves the gradient of padded inputs uninitialized (9.19 on an H100: numbers from 1e-246 to
9e-97; it may be NaN), in stock Keras's layers too. From there it would reach the layers below, and
the norm of all gradients.
"""

import tensorflow as tf

from lstm_zoo import compat


def run(
    layer: compat.LoopOverride,
    sequences: tf.Tensor,
    initial_state: list[tf.Tensor],
    mask: tf.Tensor | None,
    training: bool,
) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
    """Run an LSTM or a GRU on cuDNN.

    Args:
        layer: one of lstm_zoo's layers that has no obstacle to cuDNN.
        sequences: the inputs, `(batch, time, features)`.
        initial_state: the states, `(batch, units)` each.
        mask: boolean `(batch, time)`, true at valid steps, which come first in each row, at least
            one; None where all are.
        training: whether dropout is applied.

    Returns:
        The last output `(batch, units)`, all outputs `(batch, time, units)`, zeros at padding, and
        the list of last states. Padding has no gradient, neither of the inputs nor of the outputs.
    """
    # cuDNN takes no empty batch: it computes a row of zeros in its place.
    rows = tf.shape(sequences)[0]
    missing = tf.cast(tf.equal(rows, 0), rows.dtype)
    sequences, *initial_state = (
        _with_rows(tensor, missing) for tensor in (sequences, *initial_state)
    )
    if mask is not None:
        mask = _with_rows(tf.cast(mask, tf.bool), missing, True)
        valid = mask[..., tf.newaxis]
        # Not a product with the mask, which would keep a NaN.
        sequences = tf.where(valid, sequences, 0)
    last, outputs, states = layer.keras_loop(sequences, initial_state, mask, training)
    if mask is not None and layer.return_sequences:  # else Keras returns the last output only
        if layer.go_backwards:
            valid = tf.reverse(valid, [1])
        outputs = tf.where(valid, outputs, 0)
    return last[:rows], outputs[:rows], [state[:rows] for state in states]


def _with_rows(tensor: tf.Tensor, number: tf.Tensor, value: bool | float = 0) -> tf.Tensor:
    """Append rows of a constant to a batch."""
    return tf.pad(tensor, [[0, number], *[[0, 0]] * (tensor.shape.rank - 1)], constant_values=value)
