"""Masked steps: moved behind the valid ones before a loop, and restored after it."""

import tensorflow as tf


def valid_steps_first(sequences: tf.Tensor, mask: tf.Tensor, go_backwards: bool) -> tf.Tensor:
    """Move the valid steps of each row to its front, in the order in which they are read.

    Args:
        sequences: `(batch, time, features)`.
        mask: boolean `(batch, time)`, true at valid steps, which may be anywhere.
        go_backwards: whether the rows are read from their ends.

    Returns:
        A tensor like `sequences`, undefined past the valid steps of a row.

    Example:

    >>> row = tf.constant([[[1], [2], [3]]])
    >>> valid_steps_first(row, tf.constant([[True, True, False]]), True)[0, :2, 0].numpy().tolist()
    [2, 1]
    """

    def sort_steps():
        x, m = sequences, mask
        if go_backwards:
            x, m = tf.reverse(x, [1]), tf.reverse(m, [1])
        order = tf.argsort(tf.cast(m, tf.int32), axis=1, direction="DESCENDING", stable=True)
        return tf.gather(x, order, batch_dims=1)

    def use_lengths():
        if not go_backwards:
            return sequences
        return tf.reverse_sequence(sequences, lengths(mask), seq_axis=1)

    # Padding is nearly always on the right, where no sorting is needed.
    return tf.cond(_is_right_padded(mask), use_lengths, sort_steps)


def restore_step_order(
    outputs: tf.Tensor, mask: tf.Tensor, go_backwards: bool, zero_output_for_mask: bool
) -> tf.Tensor:
    """Undo `valid_steps_first` for a loop's outputs, and set the masked steps as Keras does.

    Args:
        outputs: `(batch, time, units)`, the valid steps first.
        mask: as in `valid_steps_first`.
        go_backwards: as in `valid_steps_first`. The results are in the order of reading, as in
            Keras.
        zero_output_for_mask: whether masked steps have zeros rather than the output of the last
            valid step before them (zeros before the first).

    Returns:
        A tensor like `outputs`.

    Example:

    >>> row = tf.constant([[[1], [2], [0]]])
    >>> mask = tf.constant([[True, True, False]])
    >>> restore_step_order(row, mask, False, False)[0, :, 0].numpy().tolist()
    [1, 2, 2]
    """

    def gather_steps():
        m = tf.reverse(mask, [1]) if go_backwards else mask
        position = tf.cumsum(tf.cast(m, tf.int32), axis=1) - 1  # of the last valid step so far
        kept = tf.logical_and(m, position >= 0) if zero_output_for_mask else position >= 0
        restored = tf.gather(outputs, tf.maximum(position, 0), batch_dims=1)
        return tf.where(kept[..., tf.newaxis], restored, 0)

    def use_lengths():
        valid = mask[..., tf.newaxis]
        if go_backwards:  # the padding is read first, where it has zeros in either case
            kept = tf.where(valid, outputs, 0)
            return tf.reverse(tf.reverse_sequence(kept, lengths(mask), seq_axis=1), [1])
        if zero_output_for_mask:
            return tf.where(valid, outputs, 0)
        last = tf.gather(outputs, tf.maximum(lengths(mask) - 1, 0), batch_dims=1)
        last = tf.where(tf.reduce_any(mask, axis=1, keepdims=True), last, 0)
        return tf.where(valid, outputs, last[:, tf.newaxis])

    return tf.cond(_is_right_padded(mask), use_lengths, gather_steps)


def lengths(mask: tf.Tensor) -> tf.Tensor:
    """Count the valid steps of each row.

    Args:
        mask: boolean `(batch, time)`.

    Returns:
        int32 `(batch,)`.

    Example:

    >>> lengths(tf.constant([[True, True, False], [False, True, False]])).numpy().tolist()
    [2, 1]
    """
    return tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)


def _is_right_padded(mask: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all(mask == tf.sequence_mask(lengths(mask), tf.shape(mask)[1]))
