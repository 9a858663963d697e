"""Word dropout."""

from typing import Any

import keras
from keras import ops

from lstm_zoo.text.tokenizers import PADDING, UNKNOWN


@keras.saving.register_keras_serializable("lstm_zoo")
class WordDropout(keras.layers.Layer):
    """Word dropout: replaces tokens by the unknown token in training (Bowman et al. 2016).

    Padding is kept. The input and the output are integer ids of any shape.

    Args:
        rate: the share of tokens replaced, at least 0 and below 1.
        seed: an integer, or None for one drawn by Keras.

    Example:

    >>> ids = ops.convert_to_tensor([[4, 5, 0]])
    >>> WordDropout(0.999)(ids).numpy().tolist()
    [[4, 5, 0]]
    >>> WordDropout(0.999, seed=1)(ids, training=True).numpy().tolist()
    [[1, 1, 0]]
    """

    def __init__(self, rate: float, seed: int | None = None, **options: Any):
        super().__init__(**options)
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, ids: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        if not training or not self.rate:
            return ids
        dropped = (
            keras.random.uniform(ops.shape(ids), dtype="float32", seed=self.seed_generator)
            < self.rate
        )
        return ops.where(ops.logical_and(dropped, ids != PADDING), UNKNOWN, ids)

    def compute_output_shape(self, shape: tuple) -> tuple:
        return shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
