"""SpecAugment (Park et al. 2019) as a layer: masks over time and over features, in training only.

It is without the warp, which the authors found to add little.
"""

from typing import Any

import keras
from keras import ops

MASK_FILLS = ("zero", "mean")
TIME_SHARE = 0.2  # the most of a row that one mask of frames may cover, so that words remain


@keras.saving.register_keras_serializable("lstm_zoo")
class SpecAugment(keras.layers.Layer):
    """Sets random bands of frames and of features to their mean, drawn for each row.

    It takes features `(batch, frames, num_features)` and their true lengths `(batch,)`; masks of
    frames lie within them.

    Args:
        time_masks: how many masks of frames.
        time_mask_width: the most frames of each; and never more than a fifth of the row's.
        frequency_masks: how many masks of features.
        frequency_mask_width: the most features of each.
        fill: "zero", the mean of features that are normalised; or "mean" for the mean of each
            feature over the row's own frames.
        seed: an integer, or None for one drawn from Keras's.
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
        widest = ops.minimum(float(self.time_mask_width), ops.floor(TIME_SHARE * lengths))
        in_time = self._bands(batch, self.time_masks, widest, lengths, frames)
        size = ops.full((batch, 1), float(num_features))
        widest = ops.minimum(float(self.frequency_mask_width), size)
        in_frequency = self._bands(batch, self.frequency_masks, widest, size, num_features)
        masked = ops.logical_or(ops.expand_dims(in_time, 2), ops.expand_dims(in_frequency, 1))
        if self.fill == "zero":
            return ops.where(masked, ops.zeros_like(features), features)
        real = ops.expand_dims(ops.arange(frames, dtype="float32") < lengths, 2)
        total = ops.sum(ops.where(real, features, 0.0), axis=1, keepdims=True)
        mean = total / ops.expand_dims(ops.maximum(lengths, 1.0), 2)  # (batch, 1, num_features)
        # Padding stays: a mask of features goes through all frames.
        return ops.where(ops.logical_and(masked, real), mean, features)

    def _bands(
        self,
        batch: int,
        count: int,
        widest: keras.KerasTensor,
        lengths: keras.KerasTensor,
        size: int,
    ) -> keras.KerasTensor:
        """Draw bands: whether each place is in one of its row's, `(batch, size)`."""
        draws = keras.random.uniform((2, batch, count), seed=self.seed_generator)
        widths = ops.floor(draws[0] * (widest + 1))
        starts = ops.expand_dims(ops.floor(draws[1] * (lengths - widths + 1)), 2)
        places = ops.arange(size, dtype="float32")
        inside = ops.logical_and(places >= starts, places < starts + ops.expand_dims(widths, 2))
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
