"""Batches of examples of similar length: right padding, seeded shuffling."""

from collections.abc import Sequence

import numpy as np

POOL = 50  # batches sorted by length together: little padding, and still well shuffled


def count(examples: int, batch_size: int) -> int:
    """Return the number of batches in an epoch."""
    return -(-examples // batch_size)


def shuffled_batches(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list:
    """Cut an epoch into batches of similar length, in random order.

    Args:
        lengths: the length of each example.
        batch_size: examples a batch; the last of a pool may hold fewer.
        seed: the training's seed.
        epoch: the number of the epoch; each has an order of its own, the same in every run.

    Returns:
        A list of int64 index arrays in which each example stands once.
    """
    generator = np.random.default_rng((seed, epoch))
    order = generator.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), POOL * batch_size):
        pool = order[start : start + POOL * batch_size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += np.split(pool, range(batch_size, len(pool), batch_size))
    return [batches[index] for index in generator.permutation(len(batches))]


def sorted_batches(lengths: np.ndarray, batch_size: int) -> list:
    """Cut examples into batches by length, the longest first: for prediction.

    Args:
        lengths: the length of each example.
        batch_size: examples a batch.

    Returns:
        A list of int64 index arrays in which each example stands once.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    return np.split(order, range(batch_size, len(order), batch_size)) if len(order) else []


def pad(sequences: Sequence[np.ndarray]) -> np.ndarray:
    """Pad integer sequences on the right with 0.

    Args:
        sequences: one-dimensional arrays.

    Returns:
        An int32 array `(batch, time)` of at least one time step.
    """
    width = max([1, *map(len, sequences)])
    padded = np.zeros((len(sequences), width), dtype=np.int32)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return padded
