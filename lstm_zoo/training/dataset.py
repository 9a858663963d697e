"""The training batches: their order, and the `tf.data` pipeline that makes them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from lstm_zoo.data import batching
from lstm_zoo.training import process


class Order(keras.callbacks.Callback):
    """The order of the examples: each epoch's own, the same in every run of a seed."""

    def __init__(self, lengths: np.ndarray, settings: Mapping[str, Any]):
        super().__init__()
        self.lengths, self.seed, self.epoch = lengths, settings["seed"], 0
        self.batch_size = settings["batch_size"]
        self.batch_tokens = settings["batch_tokens"]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    @property
    def steps(self) -> int:
        """The number of batches, the same in every epoch."""
        if self.batch_tokens:
            return len(batching.token_sizes(self.lengths, self.batch_tokens))
        return batching.count(len(self.lengths), self.batch_size)

    def batches(self) -> list[np.ndarray]:
        """The batches of the epoch at hand."""
        if self.batch_tokens:
            return batching.token_batches(self.lengths, self.batch_tokens, self.seed, self.epoch)
        return batching.shuffled_batches(self.lengths, self.batch_size, self.seed, self.epoch)


def make_dataset(
    order: Order, make_batch: Callable[[np.ndarray, np.random.Generator], tuple]
) -> tf.data.Dataset:
    """A dataset whose every pass follows `order` as it stands when the pass begins.

    `make_batch` takes indices and a generator, each epoch's own. Of its arrays, however nested,
    the first two axes, batch and time, are open.
    """

    def generate() -> Iterator[tuple]:
        process.keep_freed_memory()  # here, since it must come after what TensorFlow does against it
        generator = np.random.default_rng((order.seed, order.epoch, 1))
        for indices in order.batches():
            yield make_batch(indices, generator)

    def specify(array: np.ndarray) -> tf.TensorSpec:
        return tf.TensorSpec([*[None] * min(array.ndim, 2), *array.shape[2:]], array.dtype)

    example = make_batch(np.arange(1), np.random.default_rng(0))
    dataset = tf.data.Dataset.from_generator(
        generate, output_signature=tf.nest.map_structure(specify, example)
    )
    return dataset.apply(tf.data.experimental.assert_cardinality(order.steps)).prefetch(4)
