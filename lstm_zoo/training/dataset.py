"""The training batches: their order, and the `tf.data` pipeline that produces them."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from lstm_zoo.data import batching
from lstm_zoo.training import process


class BatchOrder(keras.callbacks.Callback):
    """The order of the examples: random, and determined by the seed and the epoch.

    As a callback, it follows the epochs.

    Args:
        lengths: the number of time steps of each example, `(examples,)`.
        settings: `seed`, `batch_size` and `batch_tokens`; the latter, if not None, decides.

    Attributes:
        epoch: the number of the epoch, from 0.
        step: the number of the epoch's first step that is not done yet, from 0.

    Example:

    >>> settings = {"seed": 0, "batch_size": 2, "batch_tokens": None}
    >>> order = BatchOrder(np.array([3, 1, 4, 1, 5]), settings)
    >>> order.steps, sorted(np.concatenate(order.batches()).tolist())
    (3, [0, 1, 2, 3, 4])
    """

    def __init__(self, lengths: np.ndarray, settings: Mapping[str, Any]):
        super().__init__()
        self.lengths, self.seed, self.epoch, self.step = lengths, settings["seed"], 0, 0
        self.batch_size = settings["batch_size"]
        self.batch_tokens = settings["batch_tokens"]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.step = 0  # only the first epoch of a resumed training begins within it

    @functools.cached_property
    def steps(self) -> int:
        """The number of batches of an epoch, the same for every epoch."""
        if self.batch_tokens:
            return len(batching.token_sizes(self.lengths, self.batch_tokens))
        return batching.count(len(self.lengths), self.batch_size)

    def batches(self) -> batching.Batches:
        """Return the batches of the current epoch: arrays of indices, `(batch,)`."""
        if self.batch_tokens:
            return batching.token_batches(self.lengths, self.batch_tokens, self.seed, self.epoch)
        return batching.shuffled_batches(self.lengths, self.batch_size, self.seed, self.epoch)


def make_dataset(
    order: BatchOrder, make_batch: Callable[[np.ndarray, np.random.Generator], tuple]
) -> tf.data.Dataset:
    """Return a dataset that yields the batches of the current epoch each time it is iterated.

    Args:
        order: the order of the examples.
        make_batch: makes a batch from indices `(batch,)` and the batch's random generator. The
            first two axes of its arrays, batch and time, may vary.

    Returns:
        The dataset.
    """

    def generate() -> Iterator[tuple]:
        process.keep_freed_memory()  # here, since creating the iterator sets M_TRIM_THRESHOLD
        for step, indices in enumerate(order.batches()[order.step :], order.step):
            # One for each batch, so that a training can go on from any of them.
            yield make_batch(indices, np.random.default_rng((order.seed, order.epoch, step, 1)))

    def specify(array: np.ndarray) -> tf.TensorSpec:
        return tf.TensorSpec([*[None] * min(array.ndim, 2), *array.shape[2:]], array.dtype)

    example = make_batch(np.arange(1), np.random.default_rng(0))
    dataset = tf.data.Dataset.from_generator(
        generate, output_signature=tf.nest.map_structure(specify, example)
    )
    return dataset.prefetch(4)
