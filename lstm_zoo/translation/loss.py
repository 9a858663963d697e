"""The loss: cross-entropy with label smoothing, without padding."""

from typing import Any

import keras
import tensorflow as tf

from lstm_zoo.text.tokenizers import PADDING


@keras.saving.register_keras_serializable("lstm_zoo")
class SmoothedCrossEntropy(keras.losses.Loss):
    """Cross-entropy with label smoothing (Szegedy et al. 2016), averaged over non-padding ids.

    Args:
        smoothing: the probability spread uniformly over the vocabulary, from 0 to 1.

    Example:

    >>> loss = SmoothedCrossEntropy(0.0)
    >>> round(float(loss(tf.constant([[1, 0]]), tf.zeros((1, 2, 4)))), 4)  # ln 4; id 0 is padding
    1.3863
    """

    def __init__(self, smoothing: float = 0.0, name: str = "smoothed_cross_entropy"):
        super().__init__(name=name, dtype="float32")
        self.smoothing = smoothing

    def __call__(
        self, targets: tf.Tensor, logits: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Return the mean loss of the ids that are not padding.

        Keras's own reduction would average over padding too. As in any Keras loss, weights do not
        change what the sum is divided by, and each of several replicas returns its share.

        Args:
            targets: as in `per_token`.
            logits: as in `per_token`.
            sample_weight: the weight of each row, `(batch,)`, or of each id, `(batch, time)`.

        Returns:
            A float32 scalar, in nats.
        """
        targets, logits = tf.cast(targets, tf.int32), tf.cast(logits, tf.float32)
        losses = self.per_token(targets, logits)
        if sample_weight is not None:
            weights = tf.cast(sample_weight, tf.float32)
            losses *= weights[:, tf.newaxis] if weights.shape.rank == 1 else weights
        count = tf.math.count_nonzero(targets, dtype=tf.float32)
        mean = tf.reduce_sum(losses) / tf.maximum(count, 1)
        return mean / tf.distribute.get_strategy().num_replicas_in_sync

    def per_token(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Return the loss of each id, 0 for padding.

        Args:
            targets: integer ids `(batch, time)`, padded with 0.
            logits: float `(batch, time, vocabulary)`.

        Returns:
            Float `(batch, time)`, in nats.
        """
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        if self.smoothing:
            # The mean of -log p over the vocabulary, without materializing log p.
            uniform = tf.reduce_logsumexp(logits, axis=-1) - tf.reduce_mean(logits, axis=-1)
            losses = (1 - self.smoothing) * losses + self.smoothing * uniform
        return tf.where(targets != PADDING, losses, 0)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "smoothing": self.smoothing}
