"""A linear n-gram classifier, to average with a recurrent network."""

from typing import Any

import keras
from keras import ops

from lstm_zoo.text.tokenizers import PADDING

HASH_FACTOR = 1_000_003  # a prime: no usual number of buckets shares a divisor with it
# AdamW's steps have a fixed size, and the scores of rare n-grams get few of them. Without a gain,
# the network memorizes the training texts before the n-grams have an effect.
GAIN = 16.0
# The probability that a training text gets the logits of the n-grams, not of the network: n-grams
# need fewer epochs.
NGRAM_PROBABILITY = 1 / 3


@keras.saving.register_keras_serializable("lstm_zoo")
class NgramScores(keras.layers.Layer):
    """Class logits from a bag of n-grams.

    The logits are `GAIN` times the sum of the n-grams' scores over the square root of their number.
    N-grams are hashed to the rows of one table of scores (Weinberger et al. 2009).

    The input is int32 ids `(batch, time)`, right-padded with 0; the output is
    `(batch, num_classes)`.

    Args:
        num_classes: the number of classes.
        length: the maximum length of an n-gram; 2 for unigrams and bigrams.
        buckets: the rows of the table.
        dropout: the share of n-grams dropped in training.
        seed: an integer, or None for one drawn by Keras.

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
        self.dropout = keras.layers.Dropout(
            dropout, seed=seed, dtype=self.dtype_policy, name="dropout"
        )

    def build(self, shape: tuple) -> None:
        self.table = self.add_weight(
            shape=(self.buckets, self.num_classes), initializer="zeros", name="table"
        )

    def call(self, ids: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        ids = ops.cast(ids, "int64")
        hashed, rows, valid = ops.zeros_like(ids), [], []
        for number in range(self.length):
            # The n-grams that start at each token extend those one token shorter.
            token = ops.pad(ids, [[0, 0], [0, number]])[:, number:]
            hashed = hashed * HASH_FACTOR % self.buckets + token
            rows.append(hashed % self.buckets)
            valid.append(ops.cast(token != PADDING, self.compute_dtype))
        rows = ops.stack(rows, axis=2)
        valid = ops.stack(valid, axis=2)  # (batch, time, length)
        count = ops.sum(valid, axis=(1, 2))
        kept = ops.expand_dims(self.dropout(valid, training=training), 3)
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
    """Mean of the logits of a network and of n-grams; in training, one of the two per text.

    Trained on their sum, n-grams memorize the training texts before the network learns anything.
    Therefore each training text randomly gets the logits of one of the two, those of the n-grams
    with probability `NGRAM_PROBABILITY` (after ModDrop, Neverova et al. 2016).

    The inputs are the logits of the network and of the n-grams, both `(batch, num_classes)`.

    Args:
        seed: an integer, or None for one drawn by Keras.

    Example:

    >>> MeanOrOne()(ops.ones((1, 2)), ops.zeros((1, 2))).numpy().tolist()
    [[0.5, 0.5]]
    """

    def __init__(self, seed: int | None = None, **options: Any):
        super().__init__(**options)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(
        self, network: keras.KerasTensor, ngrams: keras.KerasTensor, training: bool = False
    ) -> keras.KerasTensor:
        # Not `network + ngrams`: with an empty batch, Keras takes one for a bias of the other.
        both = ops.stack([network, ngrams])
        if not training:
            return ops.mean(both, axis=0)
        drawn = keras.random.uniform(
            (ops.shape(network)[0], 1), dtype="float32", seed=self.seed_generator
        )
        return ops.where(drawn < NGRAM_PROBABILITY, both[1], both[0])

    def compute_output_shape(self, network_shape: tuple, ngrams_shape: tuple) -> tuple:
        return network_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}
