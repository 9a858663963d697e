"""A linear classifier of n-grams, to stand beside a recurrent network."""

from typing import Any

import keras
from keras import ops

from lstm_zoo.text.tokenizers import PADDING

FACTOR = 1_000_003  # of the hash: a prime, so that no usual number of buckets shares a divisor
# Scores grow by an optimizer's steps of fixed size, and those of rare n-grams by few: without a
# gain, the network beside has learned the texts by heart before they count.
GAIN = 16.0
# The share of the texts that n-grams answer alone in training: they take fewer passes than
# a network does.
ALONE = 1 / 3


@keras.saving.register_keras_serializable("lstm_zoo")
class NgramScores(keras.layers.Layer):
    """Scores each class by the n-grams of a text, whatever their order.

    The logits are `GAIN` times the sum of a score for each n-gram over the root of their number.
    N-grams share a table's rows by a hash (Weinberger et al. 2009).

    It takes int32 ids `(batch, time)`, padded on the right with 0, to `(batch, num_classes)`.

    Args:
        num_classes: the number of classes.
        length: the tokens of the longest n-grams; 2 for single tokens and pairs.
        buckets: the rows of the table.
        dropout: the share of n-grams dropped in training.
        seed: an integer, or None for one drawn from Keras's.

    Example:

    >>> NgramScores(2, 2, 1_000)(ops.convert_to_tensor([[5, 6, 0]])).numpy().tolist()
    [[0.0, 0.0]]
    """

    def __init__(
        self,
        num_classes: int,
        length: int,
        buckets: int,
        dropout: float = 0.0,
        seed: int | None = None,
        **options: Any,
    ):
        super().__init__(**options)
        self.num_classes = num_classes
        self.length = length
        self.buckets = buckets
        self.seed = seed
        self.dropout = keras.layers.Dropout(dropout, seed=seed, name="dropout")

    def build(self, shape: tuple) -> None:
        self.table = self.add_weight(
            shape=(self.buckets, self.num_classes), initializer="zeros", name="table"
        )

    def call(self, ids: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        ids = ops.cast(ids, "int64")
        hashed, rows, real = ops.zeros_like(ids), [], []
        for number in range(self.length):
            # The n-grams that begin at each token: those one shorter, and the token after.
            token = ops.pad(ids, [[0, 0], [0, number]])[:, number:]
            hashed = hashed * FACTOR % self.buckets + token
            rows.append(hashed % self.buckets)
            real.append(ops.cast(token != PADDING, self.compute_dtype))
        rows = ops.stack(rows, axis=2)
        real = ops.stack(real, axis=2)  # (batch, time, length)
        count = ops.sum(real, axis=(1, 2))
        kept = ops.expand_dims(self.dropout(real, training=training), 3)
        scores = ops.take(ops.convert_to_tensor(self.table), rows, axis=0)
        total = ops.sum(scores * kept, axis=(1, 2))  # (batch, num_classes)
        return GAIN * total / ops.sqrt(ops.maximum(ops.expand_dims(count, 1), 1.0))

    def compute_output_shape(self, shape: tuple) -> tuple:
        return shape[0], self.num_classes

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "length": self.length,
            "buckets": self.buckets,
            "dropout": self.dropout.rate,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable("lstm_zoo")
class MeanOrOne(keras.layers.Layer):
    """Averages the logits of a network and of n-grams; in training, each text has those of one.

    Trained on their sum, n-grams know the training texts by heart so soon that a network beside
    them learns nothing. So of each text, drawn anew each time, one of them answers alone, the
    n-grams with the probability `ALONE` (after Neverova et al. 2016, ModDrop).

    It takes both logits `(batch, num_classes)`, the network's first.

    Args:
        seed: an integer, or None for one drawn from Keras's.
    """

    def __init__(self, seed: int | None = None, **options: Any):
        super().__init__(**options)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(
        self, network: keras.KerasTensor, ngrams: keras.KerasTensor, training: bool = False
    ) -> keras.KerasTensor:
        # Not `network + ngrams`: of an empty batch, Keras takes the one for a bias of the other.
        both = ops.stack([network, ngrams])
        if not training:
            return ops.mean(both, axis=0)
        drawn = keras.random.uniform((ops.shape(network)[0], 1), seed=self.seed_generator)
        return ops.where(drawn < ALONE, both[1], both[0])

    def compute_output_shape(self, network_shape: tuple, ngrams_shape: tuple) -> tuple:
        return network_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}
