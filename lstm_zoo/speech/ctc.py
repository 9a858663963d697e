"""The CTC loss (Graves et al. 2006)."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from lstm_zoo import compat
from lstm_zoo.speech.labels import BLANK


@keras.saving.register_keras_serializable("lstm_zoo")
class CTCLoss(keras.losses.Loss):
    """The negative log-likelihood of transcripts in nats; padding is ignored.

    Targets are those of `pack_targets`; logits are `(batch, frames, vocabulary)`. As
    in any Keras loss, the default reduction is the mean over the batch.

    Example:

    >>> targets = pack_targets([np.array([1, 2])], [3])
    >>> float(CTCLoss()(targets, np.zeros((1, 3, 4), "float32"))).__round__(4)
    2.5494
    """

    def __init__(self, name: str = "ctc_loss", dtype: str = "float32", **options: Any):
        # Not Keras's default float type, to which Keras casts the logits, and the targets too:
        # float32 is exact up to 2**24.
        super().__init__(name=name, dtype=dtype, **options)

    def __call__(
        self, targets: tf.Tensor, logits: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> tf.Tensor:
        # Without a mask of frames, such as Keras's Dense keeps, by which Keras would multiply.
        return super().__call__(targets, tf.identity(logits), sample_weight)

    def call(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        targets = tf.cast(targets, tf.int32)
        return negative_log_likelihood(logits, targets[:, 1], targets[:, 2:], targets[:, 0])


def pack_targets(
    labels: Sequence[np.ndarray], num_frames: Sequence[int], most: int = 0
) -> np.ndarray:
    """Pack transcripts and lengths into one array, since a Keras loss takes one.

    Args:
        labels: the label ids of each row, without blanks.
        num_frames: the number of valid frames of each row's logits; see
            `lstm_zoo.speech.model.output_lengths`.
        most: pad as if there were a transcript of this many labels too.

    Returns:
        int32 `(batch, 2 + max_labels)`: the number of labels, the number of frames, and the labels,
        padded with 0.

    Example:

    >>> pack_targets([np.array([5, 6]), np.array([7])], [9, 4])
    array([[2, 9, 5, 6],
           [1, 4, 7, 0]], dtype=int32)
    """
    targets = np.zeros((len(labels), 2 + max([most, *map(len, labels)])), np.int32)
    for target, row, frames in zip(targets, labels, num_frames, strict=True):
        target[:2] = len(row), frames
        target[2 : 2 + len(row)] = row
    return targets


def feasible(num_frames: int, labels: np.ndarray) -> bool:
    """Return whether CTC has an alignment of a transcript; without one, the loss is infinite.

    An alignment needs a frame for each label, and a blank between equal ones.

    Args:
        num_frames: the number of valid frames of the logits.
        labels: the label ids, `(labels,)`.

    Example:

    >>> feasible(3, np.array([1, 2, 2])), feasible(4, np.array([1, 2, 2]))
    (False, True)
    """
    labels = np.asarray(labels)
    return len(labels) + int(np.sum(labels[1:] == labels[:-1])) <= num_frames


def negative_log_likelihood(
    logits: tf.Tensor, num_frames: tf.Tensor, labels: tf.Tensor, num_labels: tf.Tensor
) -> tf.Tensor:
    """Compute the CTC loss of each row.

    Args:
        logits: float32 `(batch, frames, vocabulary)`.
        num_frames: int32 `(batch,)`, the valid frames; the others are ignored.
        labels: int32 `(batch, max_labels)`.
        num_labels: int32 `(batch,)`.

    Returns:
        float32 `(batch,)`, in nats; infinite, with a gradient of 0, for rows with too few frames.

    Example:

    >>> frames, labels, num_labels = tf.constant([3]), tf.constant([[1, 2]]), tf.constant([2])
    >>> negative_log_likelihood(tf.zeros([1, 3, 4]), frames, labels, num_labels).numpy().round(4)
    array([2.5494], dtype=float32)
    """
    labels = tf.pad(labels, [[0, 0], [0, 1]])  # at least one column
    valid = tf.sequence_mask(num_labels, tf.shape(labels)[1])
    repeats = tf.logical_and(valid[:, 1:], labels[:, 1:] == labels[:, :-1])
    needed = num_labels + tf.reduce_sum(tf.cast(repeats, tf.int32), axis=1)
    enough = needed <= num_frames

    # The kernel fails for a row without labels or with too few frames: such a row gets one label
    # as a placeholder, and its loss is replaced below.
    usable = tf.logical_and(enough, num_labels > 0)
    placeholder = tf.one_hot(tf.zeros_like(num_labels), tf.shape(labels)[1], dtype=tf.int32)
    labels = tf.where(usable[:, tf.newaxis], labels, placeholder)
    valid = tf.sequence_mask(tf.where(usable, num_labels, 1), tf.shape(labels)[1])
    losses = compat.ctc_loss(
        tf.SparseTensor(
            tf.where(valid),
            tf.boolean_mask(labels, valid) - 1,
            tf.shape(labels, out_type=tf.int64),
        ),
        tf.roll(logits, -1, axis=-1),  # the kernel's blank is the last class
        tf.maximum(num_frames, 1),
    )
    # An empty transcript has one alignment: blanks.
    blanks = tf.nn.log_softmax(logits)[..., BLANK]  # (batch, frames)
    valid_frames = tf.sequence_mask(num_frames, tf.shape(logits)[1])
    all_blank = -tf.reduce_sum(tf.where(valid_frames, blanks, 0.0), axis=1)
    losses = tf.where(num_labels > 0, losses, all_blank)
    # A division by zero, not a constant: under `tf.debugging.enable_check_numerics`, an infinite
    # constant is an error even where no row is infinite.
    return tf.where(enough, losses, 1.0) / tf.cast(enough, losses.dtype)
