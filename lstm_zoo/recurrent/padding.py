"""Masked steps: out of the loop's way before it, and back in their places after it."""

import tensorflow as tf


def real_steps_first(sequences: tf.Tensor, mask: tf.Tensor, backwards: bool) -> tf.Tensor:
    """Move the real steps of each row to its front, in the order in which they are to be read.

    Args:
        sequences: `(batch, time, features)`.
        mask: boolean `(batch, time)`, true on the real steps, wherever they are.
        backwards: whether the rows are read from their ends.

    Returns:
        A tensor like `sequences`; what stands past the real steps of a row has no meaning.

    Example:

    >>> row = tf.constant([[[1], [2], [3]]])
    >>> real_steps_first(row, tf.constant([[True, True, False]]), True)[0, :2, 0].numpy().tolist()
    [2, 1]
    """

    def by_order():
        x, m = (tf.reverse(t, [1]) for t in (sequences, mask)) if backwards else (sequences, mask)
        order = tf.argsort(tf.cast(m, tf.int32), axis=1, direction="DESCENDING", stable=True)
        return tf.gather(x, order, batch_dims=1)

    def by_length():
        if not backwards:
            return sequences
        return tf.reverse_sequence(sequences, lengths(mask), seq_axis=1)

    # Nearly always the padding is on the right, where nothing need be sorted.
    return tf.cond(_is_right_padded(mask), by_length, by_order)


def steps_in_place(
    outputs: tf.Tensor, mask: tf.Tensor, backwards: bool, zero_padding: bool
) -> tf.Tensor:
    """Undo `real_steps_first` for a loop's outputs, and give the masked steps theirs, as Keras.

    Args:
        outputs: `(batch, time, units)`, the real steps first.
        mask: as `real_steps_first` had it.
        backwards: likewise. The results are then in the order of reading, as Keras's are.
        zero_padding: whether a masked step has zeros, not the last real step's output (zeros
            before the first).

    Returns:
        A tensor like `outputs`.

    Example:

    >>> row = tf.constant([[[1], [2], [0]]])
    >>> mask = tf.constant([[True, True, False]])
    >>> steps_in_place(row, mask, False, False)[0, :, 0].numpy().tolist()
    [1, 2, 2]
    """

    def by_order():
        m = tf.reverse(mask, [1]) if backwards else mask
        position = tf.cumsum(tf.cast(m, tf.int32), axis=1) - 1  # of the last real step so far
        shown = tf.logical_and(m, position >= 0) if zero_padding else position >= 0
        placed = tf.gather(outputs, tf.maximum(position, 0), batch_dims=1)
        return tf.where(shown[..., tf.newaxis], placed, 0)

    def by_length():
        real = mask[..., tf.newaxis]
        if backwards:  # the padding, read first, has zeros either way
            kept = tf.where(real, outputs, 0)
            return tf.reverse(tf.reverse_sequence(kept, lengths(mask), seq_axis=1), [1])
        if zero_padding:
            return tf.where(real, outputs, 0)
        last = tf.gather(outputs, tf.maximum(lengths(mask) - 1, 0), batch_dims=1)
        last = tf.where(tf.reduce_any(mask, axis=1, keepdims=True), last, 0)
        return tf.where(real, outputs, last[:, tf.newaxis])

    return tf.cond(_is_right_padded(mask), by_length, by_order)


def lengths(mask: tf.Tensor) -> tf.Tensor:
    """Count the real steps of each row: int32 `(batch,)`."""
    return tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)


def _is_right_padded(mask: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all(mask == tf.sequence_mask(lengths(mask), tf.shape(mask)[1]))
