"""Batches of examples of similar length, with seeded shuffling and right padding."""

from collections.abc import Sequence

import numpy as np

POOL = 50  # batches sorted by length together: little padding, still well shuffled


def count(examples: int, batch_size: int) -> int:
    """Return the number of batches of a given size.

    Example:

    >>> count(10, batch_size=4)
    3
    """
    return -(-examples // batch_size)


def token_sizes(lengths: np.ndarray, batch_tokens: int) -> list[int]:
    """Return batch sizes for examples sorted by length, the longest first.

    Args:
        lengths: the length of each example, in any order.
        batch_tokens: the maximum number of time steps of a batch, padding included. A longer
            example is a batch by itself.

    Returns:
        The number of examples in each batch. There are few different sizes (powers of two and their
        1.5-fold), since XLA compiles a training step for each.

    Example:

    >>> token_sizes(np.array([4, 4, 2, 2, 2, 2, 2]), batch_tokens=8)
    [2, 4, 1]
    """
    descending = np.sort(lengths)[::-1]
    sizes, start = [], 0
    while start < len(descending):
        limit = max(1, batch_tokens // max(1, int(descending[start])))
        power = 2 ** (limit.bit_length() - 1)
        size = power + power // 2 if limit >= power + power // 2 else power
        sizes.append(min(size, len(descending) - start))
        start += size
    return sizes


def shuffled_batches(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list:
    """Split an epoch into batches of similar length, in random order.

    Args:
        lengths: the length of each example.
        batch_size: examples per batch; the last of a pool may have fewer.
        seed: the seed of the training.
        epoch: the number of the epoch. Seed and epoch decide the order.

    Returns:
        A list of int64 index arrays, which contain each example once.

    Example:

    >>> batches = shuffled_batches(np.array([3, 1, 4, 1, 5]), 2, seed=0, epoch=1)
    >>> sorted(map(len, batches)), sorted(np.concatenate(batches).tolist())
    ([1, 2, 2], [0, 1, 2, 3, 4])
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
    """Split an epoch into batches of similar length and number of time steps, in random order.

    Args:
        lengths: the length of each example.
        batch_tokens: the maximum number of time steps of a batch; see `token_sizes`.
        seed: the seed of the training.
        epoch: the number of the epoch. Seed and epoch decide the order.

    Returns:
        A list of int64 index arrays, which contain each example once. Every epoch has the same
        number of batches, of the same sizes.

    Example:

    >>> batches = token_batches(np.array([3, 1, 4, 1, 5]), 8, seed=0, epoch=1)
    >>> sorted(map(len, batches)), sorted(np.concatenate(batches).tolist())
    ([1, 2, 2], [0, 1, 2, 3, 4])
    """
    generator = np.random.default_rng((seed, epoch))
    order = generator.permutation(len(lengths))  # breaks ties of length
    order = order[np.argsort(-lengths[order], kind="stable")]
    batches = np.split(order, np.cumsum(token_sizes(lengths, batch_tokens))[:-1])
    return [batches[index] for index in generator.permutation(len(batches))]


def sorted_batches(lengths: np.ndarray, batch_size: int, batch_steps: int | None = None) -> list:
    """Split examples into batches by length, the longest first, for prediction.

    Args:
        lengths: the length of each example.
        batch_size: the maximum number of examples of a batch.
        batch_steps: the maximum number of time steps of a batch, padding included; a longer
            example is a batch by itself. None for no limit.

    Returns:
        A list of int64 index arrays, which contain each example once.

    Example:

    >>> [batch.tolist() for batch in sorted_batches([3, 1, 4, 1, 5], 2)]
    [[4, 2], [0, 1], [3]]
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


def pad(
    sequences: Sequence[np.ndarray], first: int | None = None, last: int | None = None
) -> np.ndarray:
    """Pad integer sequences on the right with 0.

    Args:
        sequences: integer arrays `(time,)`.
        first: an integer to put before each sequence; None for none.
        last: an integer to put after each sequence; None for none.

    Returns:
        An int32 array `(batch, time)` of at least one time step.

    Example:

    >>> pad([np.array([4, 5]), np.array([6])]).tolist()
    [[4, 5], [6, 0]]
    >>> pad([np.array([4, 5]), np.array([6])], first=2, last=3).tolist()
    [[2, 4, 5, 3], [2, 6, 3, 0]]
    """
    start = int(first is not None)
    width = start + max([0, *map(len, sequences)]) + int(last is not None)
    padded = np.zeros((len(sequences), max(1, width)), dtype=np.int32)
    if first is not None:
        padded[:, 0] = first
    for row, sequence in zip(padded, sequences, strict=True):
        stop = start + len(sequence)
        row[start:stop] = sequence
        if last is not None:
            row[stop] = last
    return padded
