"""SpecAugment (Park et al. 2019) without time warping, which the authors found to add little."""

from typing import Any

import keras
from keras import ops

MASK_FILLS = ("zero", "mean")
TIME_SHARE = 0.2  # maximum share of a row's frames per time mask, so that words remain


@keras.saving.register_keras_serializable("lstm_zoo")
class SpecAugment(keras.layers.Layer):
    """Mask random bands of frames and of features of each row, in training only.

    Inputs are features `(batch, frames, num_features)` and their lengths `(batch,)`; time masks
    cover valid frames only.

    Args:
        time_masks: the number of time masks.
        time_mask_width: the maximum width of a time mask, in frames; it is also limited to a fifth
            of the row's length.
        frequency_masks: the number of frequency masks.
        frequency_mask_width: the maximum width of a frequency mask, in features.
        fill: the masked value: "zero" (the mean of normalized features), or "mean" for the mean of
            each feature over the row's valid frames.
        seed: a seed; None for a random one from Keras's generator.

    Example:

    >>> features = tf.random.normal([2, 50, 40])
    >>> layer = SpecAugment(2, 10, 2, 8)
    >>> layer(features, tf.constant([50, 30]), training=True).shape
    TensorShape([2, 50, 40])
    """

    def __init__(
        self,
        time_masks: int,
        time_mask_width: int,
        frequency_masks: int,
        frequency_mask_width: int,
        fill: str = "zero",
        seed: int | None = None,
        **options: Any,
    ):
        super().__init__(**options)
        self.time_masks = time_masks
        self.time_mask_width = time_mask_width
        self.frequency_masks = frequency_masks
        self.frequency_mask_width = frequency_mask_width
        self.fill = fill
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(
        self, features: keras.KerasTensor, lengths: keras.KerasTensor, training: bool = False
    ) -> keras.KerasTensor:
        if not training:
            return features
        batch, frames, num_features = ops.shape(features)
        lengths = ops.cast(ops.expand_dims(lengths, 1), "float32")
        max_width = ops.minimum(float(self.time_mask_width), ops.floor(TIME_SHARE * lengths))
        in_time = self._bands(batch, self.time_masks, max_width, lengths, frames)
        size = ops.full((batch, 1), float(num_features), dtype="float32")
        max_width = ops.minimum(float(self.frequency_mask_width), size)
        in_frequency = self._bands(batch, self.frequency_masks, max_width, size, num_features)
        masked = ops.logical_or(ops.expand_dims(in_time, 2), ops.expand_dims(in_frequency, 1))
        if self.fill == "zero":
            return ops.where(masked, ops.zeros_like(features), features)
        valid = ops.expand_dims(ops.arange(frames, dtype="float32") < lengths, 2)
        # In float32, in which the lengths are: float16 holds no large sums.
        total = ops.sum(ops.where(valid, ops.cast(features, "float32"), 0.0), axis=1, keepdims=True)
        mean = total / ops.expand_dims(ops.maximum(lengths, 1.0), 2)  # (batch, 1, num_features)
        mean = ops.cast(mean, features.dtype)
        # Frequency masks span all frames; padding is left unchanged.
        return ops.where(ops.logical_and(masked, valid), mean, features)

    def _bands(
        self,
        batch: int,
        count: int,
        max_width: keras.KerasTensor,
        lengths: keras.KerasTensor,
        size: int,
    ) -> keras.KerasTensor:
        """Draw bands; return a mask of the positions in any of them, boolean `(batch, size)`."""
        draws = keras.random.uniform((2, batch, count), dtype="float32", seed=self.seed_generator)
        widths = ops.floor(draws[0] * (max_width + 1))
        starts = ops.expand_dims(ops.floor(draws[1] * (lengths - widths + 1)), 2)
        positions = ops.arange(size, dtype="float32")
        inside = ops.logical_and(
            positions >= starts, positions < starts + ops.expand_dims(widths, 2)
        )
        return ops.any(inside, axis=1)

    def compute_output_shape(self, features_shape: tuple, lengths_shape: tuple) -> tuple:
        return features_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "time_masks": self.time_masks,
            "time_mask_width": self.time_mask_width,
            "frequency_masks": self.frequency_masks,
            "frequency_mask_width": self.frequency_mask_width,
            "fill": self.fill,
            "seed": self.seed,
        }
