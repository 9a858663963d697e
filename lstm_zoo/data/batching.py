"""Batches of examples of similar length: right padding, seeded shuffling."""

from collections.abc import Sequence

import numpy as np

POOL = 50  # batches sorted by length together: little padding, and still well shuffled


def count(examples: int, batch_size: int) -> int:
    """Return the number of batches of a size."""
    return -(-examples // batch_size)


def token_sizes(lengths: np.ndarray, batch_tokens: int) -> list[int]:
    """Cut examples that stand in order of length, the longest first, by what a batch may hold.

    Args:
        lengths: the length of each example, in any order.
        batch_tokens: time steps that a batch may hold, padding included; one example that is
            longer is a batch of its own.

    Returns:
        The number of examples in each batch. They are of few kinds (of one leading binary digit or
        two), since XLA compiles a training step anew for each.
    """
    descending = np.sort(lengths)[::-1]
    sizes, start = [], 0
    while start < len(descending):
        most = max(1, batch_tokens // max(1, int(descending[start])))
        power = 2 ** (most.bit_length() - 1)
        size = power + power // 2 if most >= power + power // 2 else power
        sizes.append(min(size, len(descending) - start))
        start += size
    return sizes


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


def token_batches(lengths: np.ndarray, batch_tokens: int, seed: int, epoch: int) -> list:
    """Cut an epoch into batches of similar length and about as many time steps, in random order.

    Args:
        lengths: the length of each example.
        batch_tokens: time steps that a batch may hold, as `token_sizes` takes it.
        seed: the training's seed.
        epoch: the number of the epoch; each has an order of its own, the same in every run.

    Returns:
        As `shuffled_batches`. Every epoch has as many batches, of the same sizes.
    """
    generator = np.random.default_rng((seed, epoch))
    order = generator.permutation(len(lengths))  # which decides among those of one length
    order = order[np.argsort(-lengths[order], kind="stable")]
    batches = np.split(order, np.cumsum(token_sizes(lengths, batch_tokens))[:-1])
    return [batches[index] for index in generator.permutation(len(batches))]


def sorted_batches(lengths: np.ndarray, batch_size: int, batch_steps: int | None = None) -> list:
    """Cut examples into batches by length, the longest first: for prediction.

    Args:
        lengths: the length of each example.
        batch_size: examples a batch, at the most.
        batch_steps: time steps that a batch may hold, padding included; one example that is longer
            is a batch of its own. None for no bound.

    Returns:
        A list of int64 index arrays in which each example stands once.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    batches = []
    while len(order):
        size = batch_size
        if batch_steps is not None:
            size = max(1, min(size, batch_steps // max(1, int(lengths[order[0]]))))
        batches.append(order[:size])
        order = order[size:]
    return batches


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
