"""CTC (Graves et al. 2006): the loss on true lengths."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from lstm_zoo import compat

BLANK = 0


@keras.saving.register_keras_serializable("lstm_zoo")
class CTCLoss(keras.losses.Loss):
    """The negative log-likelihood of transcripts, in nats, over true lengths only.

    It takes targets as `pack_targets` makes them, and logits `(batch, frames, vocabulary)` without
    a Keras mask. As any Keras loss, it is the mean over the rows by default.

    Example:

    >>> targets = pack_targets([np.array([1, 2])], [3])
    >>> float(CTCLoss()(targets, np.zeros((1, 3, 4), "float32"))).__round__(4)
    2.5494
    """

    def call(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        targets = tf.cast(targets, tf.int32)  # Keras has made them floats, exact up to 2**24
        return negative_log_likelihood(logits, targets[:, 1], targets[:, 2:], targets[:, 0])


def pack_targets(labels: Sequence[np.ndarray], num_frames: Sequence[int]) -> np.ndarray:
    """Put transcripts and lengths into the one array that a Keras loss can be given.

    Args:
        labels: the label ids of each row, none of them 0.
        num_frames: the true number of frames of each row's logits; see
            `lstm_zoo.speech.model.output_lengths`.

    Returns:
        int32 `(batch, 2 + max_labels)`: the number of labels, the number of frames, the labels,
        padded with 0.

    Example:

    >>> pack_targets([np.array([5, 6]), np.array([7])], [9, 4])
    array([[2, 9, 5, 6],
           [1, 4, 7, 0]], dtype=int32)
    """
    targets = np.zeros((len(labels), 2 + max(map(len, labels), default=0)), np.int32)
    for target, row, frames in zip(targets, labels, num_frames, strict=True):
        target[:2] = len(row), frames
        target[2 : 2 + len(row)] = row
    return targets


def feasible(num_frames: int, labels: np.ndarray) -> bool:
    """Tell whether a transcript fits into its frames: one a label, one more between equal ones.

    Args:
        num_frames: the true number of frames of the logits.
        labels: the label ids, `(labels,)`.

    Returns:
        Whether CTC has an alignment; without one, the loss is infinite.

    Example:

    >>> feasible(3, np.array([1, 2, 2])), feasible(4, np.array([1, 2, 2]))
    (False, True)
    """
    labels = np.asarray(labels)
    return len(labels) + int(np.sum(labels[1:] == labels[:-1])) <= num_frames


def negative_log_likelihood(
    logits: tf.Tensor, num_frames: tf.Tensor, labels: tf.Tensor, num_labels: tf.Tensor
) -> tf.Tensor:
    """Compute the loss of each row.

    Args:
        logits: float32 `(batch, frames, vocabulary)`.
        num_frames: int32 `(batch,)`, the true lengths; what is beyond them does not count.
        labels: int32 `(batch, max_labels)`.
        num_labels: int32 `(batch,)`.

    Returns:
        float32 `(batch,)`, in nats; infinity, with no gradient, where the frames are too few.
    """
    labels = tf.pad(labels, [[0, 0], [0, 1]])  # so that it has a column
    real = tf.sequence_mask(num_labels, tf.shape(labels)[1])
    repeats = tf.logical_and(real[:, 1:], labels[:, 1:] == labels[:, :-1])
    needed = num_labels + tf.reduce_sum(tf.cast(repeats, tf.int32), axis=1)
    enough = needed <= num_frames

    # The kernel refuses a batch for a row without labels, and one without enough frames: in their
    # place it is given one label, and its answer is not used.
    usable = tf.logical_and(enough, num_labels > 0)
    stand_in = tf.one_hot(tf.zeros_like(num_labels), tf.shape(labels)[1], dtype=tf.int32)
    labels = tf.where(usable[:, tf.newaxis], labels, stand_in)
    real = tf.sequence_mask(tf.where(usable, num_labels, 1), tf.shape(labels)[1])
    losses = compat.ctc_loss(
        tf.SparseTensor(
            tf.where(real),
            tf.boolean_mask(labels, real) - 1,
            tf.shape(labels, out_type=tf.int64),
        ),
        tf.roll(logits, -1, axis=-1),  # the kernel's blank is the last class
        tf.maximum(num_frames, 1),
    )
    # Without labels there is one alignment: blanks.
    blanks = tf.nn.log_softmax(logits)[..., BLANK]  # (batch, frames)
    within = tf.sequence_mask(num_frames, tf.shape(logits)[1])
    silence = -tf.reduce_sum(tf.where(within, blanks, 0.0), axis=1)
    losses = tf.where(num_labels > 0, losses, silence)
    return tf.where(enough, losses, np.inf)
