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

    def __init__(self, smoothing: float = 0.0, name: str = "smoothed_cross_entropy", **options):
        # Keras would average over padding too, so `call` does the reduction itself.
        super().__init__(name=name, reduction=None, **options)
        self.smoothing = smoothing

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

    def call(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        targets = tf.cast(targets, tf.int32)
        count = tf.math.count_nonzero(targets, dtype=logits.dtype)
        return tf.reduce_sum(self.per_token(targets, logits)) / tf.maximum(count, 1)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["reduction"]
        return {**config, "smoothing": self.smoothing}
