"""Batches of examples of similar length, with seeded shuffling and right padding.

An epoch of 100 million examples is one array of 32-bit indices, sorted in place, so that every
worker can hold the whole order: `tests/benchmarks/sim_scale.py` measures it.
"""

from collections.abc import Sequence

import numpy as np

from lstm_zoo.settings import check_integer

POOL = 50  # batches sorted by length together: little padding, still well shuffled
CHUNK = 2**20  # examples looked at together
BAND = 6 * 2**20  # examples sorted together; more are split into
PARTS = 4


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
    counts = _count_lengths(lengths).tolist()
    sizes, start, length, reached = [], 0, len(counts), 0
    while start < len(lengths):
        while reached <= start:  # the examples that are at least as long
            length -= 1
            reached += counts[length]
        limit = max(1, batch_tokens // max(1, length))
        power = 2 ** (limit.bit_length() - 1)
        size = power + power // 2 if limit >= power + power // 2 else power
        sizes.append(min(size, len(lengths) - start))
        start += size
    return sizes


class Batches(Sequence):
    """The batches of an epoch: int64 index arrays `(batch,)`, each made when it is asked for.

    Args:
        order: the indices of the examples, batch after batch.
        ends: the number of examples up to the end of each batch.
        numbers: the numbers of the batches, in the order of the epoch.

    Example:

    >>> batches = Batches(np.array([4, 3, 5, 6], np.int32), np.array([2, 4]), np.array([1, 0]))
    >>> [batch.tolist() for batch in batches]
    [[5, 6], [4, 3]]
    """

    def __init__(self, order: np.ndarray, ends: np.ndarray, numbers: np.ndarray):
        self._order, self._ends, self._numbers = order, ends, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int | slice) -> "np.ndarray | Batches":
        if isinstance(index, slice):
            return Batches(self._order, self._ends, self._numbers[index])
        number = self._numbers[index]
        start = self._ends[number - 1] if number else 0
        return self._order[start : self._ends[number]].astype(np.int64)


def shuffled_batches(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> Batches:
    """Split an epoch into batches of similar length, in random order.

    Args:
        lengths: the length of each example.
        batch_size: examples per batch; the last of a pool may have fewer.
        seed: the seed of the training.
        epoch: the number of the epoch. Seed and epoch decide the order.

    Returns:
        The batches, which contain each example once.

    Example:

    >>> batches = shuffled_batches(np.array([3, 1, 4, 1, 5]), 2, seed=0, epoch=1)
    >>> sorted(map(len, batches)), sorted(np.concatenate(batches).tolist())
    ([1, 2, 2], [0, 1, 2, 3, 4])
    """
    generator = np.random.default_rng((seed, epoch))
    order, lengths = _permutation(len(lengths), generator), np.asarray(lengths)
    for start in range(0, len(order), POOL * batch_size):
        pool = order[start : start + POOL * batch_size]  # a view
        pool[:] = pool[np.argsort(lengths[pool], kind="stable")]
    batches = count(len(order), batch_size)
    ends = np.minimum(np.arange(1, batches + 1) * batch_size, len(order))
    return Batches(order, ends, generator.permutation(batches))


def token_batches(lengths: np.ndarray, batch_tokens: int, seed: int, epoch: int) -> Batches:
    """Split an epoch into batches of similar length and number of time steps, in random order.

    Args:
        lengths: the length of each example.
        batch_tokens: the maximum number of time steps of a batch; see `token_sizes`.
        seed: the seed of the training.
        epoch: the number of the epoch. Seed and epoch decide the order.

    Returns:
        The batches, which contain each example once. Every epoch has the same number of batches,
        of the same sizes.

    Example:

    >>> batches = token_batches(np.array([3, 1, 4, 1, 5]), 8, seed=0, epoch=1)
    >>> sorted(map(len, batches)), sorted(np.concatenate(batches).tolist())
    ([1, 2, 2], [0, 1, 2, 3, 4])
    """
    generator = np.random.default_rng((seed, epoch))
    order = _permutation(len(lengths), generator)  # breaks ties of length
    _sort_descending(order, np.asarray(lengths), _count_lengths(lengths))
    ends = np.cumsum(token_sizes(lengths, batch_tokens), dtype=np.int64)
    return Batches(order, ends, generator.permutation(len(ends)))


def _permutation(examples: int, generator: np.random.Generator) -> np.ndarray:
    """Return what `generator.permutation(examples)` does, in 32 bits if they suffice."""
    order = np.arange(examples, dtype=np.int32 if examples < 2**31 else np.int64)
    generator.shuffle(order)
    return order


def _count_lengths(lengths: np.ndarray) -> np.ndarray:
    """Return how many examples have each length, from 0 to the longest."""
    counts = np.zeros(int(np.max(lengths, initial=0)) + 1, dtype=np.int64)
    for start in range(0, len(lengths), CHUNK):
        counts += np.bincount(lengths[start : start + CHUNK], minlength=len(counts))
    return counts


def _sort_descending(
    order: np.ndarray, lengths: np.ndarray, counts: np.ndarray, shortest: int = 0
) -> None:
    """Sort indices in place by length, the longest first; those of one length keep their order.

    A sort of all at once would need several times the memory of `order`. So they are split into
    parts by length, the shortest first: they move to the end, which the others leave free.

    Args:
        order: the indices of all examples of some lengths, changed.
        lengths: the length of each example.
        counts: how many of them have each length, from `shortest` on.
        shortest: the least length.
    """
    if len(counts) == 1:
        return
    if len(order) <= BAND:
        keys = shortest + len(counts) - 1 - lengths[order].astype(np.int32)
        keys = keys.astype(np.min_scalar_type(len(counts)))  # 8 and 16 bits sort fast
        order[:] = order[np.argsort(keys, kind="stable")]
        return
    ends, first = np.cumsum(counts), 0  # `first`: the least length that is left
    while first < len(counts):
        end = counts[first:].sum()
        limit = np.searchsorted(ends, len(order) - end + len(order) // PARTS, side="right")
        stop = max(first + 1, int(limit))
        start = end - counts[first:stop].sum()
        if start:
            _move_to_end(order[:end], lengths, shortest + stop)
        _sort_descending(order[start:end], lengths, counts[first:stop], shortest + first)
        first = stop


def _move_to_end(order: np.ndarray, lengths: np.ndarray, below: int) -> None:
    """Move the indices of examples shorter than `below` to the end; both keep their order."""
    shorter, end = [], 0
    for start in range(0, len(order), CHUNK):
        chunk = order[start : start + CHUNK]
        is_shorter = lengths[chunk] < below
        shorter.append(chunk[is_shorter])
        longer = chunk[~is_shorter]
        order[end : end + len(longer)] = longer
        end += len(longer)
    for chunk in shorter:
        order[end : end + len(chunk)] = chunk
        end += len(chunk)


def sorted_batches(lengths: np.ndarray, batch_size: int, batch_steps: int | None = None) -> list:
    """Split examples into batches by length, the longest first, for prediction.

    Args:
        lengths: the length of each example.
        batch_size: the maximum number of examples of a batch.
        batch_steps: the maximum number of time steps of a batch, padding included; a longer
            example is a batch by itself. None for no limit.

    Returns:
        A list of int64 index arrays, which contain each example once.

    Raises:
        CallError: if `batch_size` is no positive integer.

    Example:

    >>> [batch.tolist() for batch in sorted_batches([3, 1, 4, 1, 5], 2)]
    [[4, 2], [0, 1], [3]]
    """
    check_integer("batch_size", batch_size, 1)
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
    sequences: Sequence[np.ndarray],
    first: int | None = None,
    last: int | None = None,
    *,
    longest: int = 0,
) -> np.ndarray:
    """Pad integer sequences on the right with 0.

    Args:
        sequences: integer arrays `(time,)`.
        first: an integer to put before each sequence; None for none.
        last: an integer to put after each sequence; None for none.
        longest: pad as if there were a sequence of this length too, such as one of another
            replica's.

    Returns:
        An int32 array `(batch, time)` of at least one time step.

    Example:

    >>> pad([np.array([4, 5]), np.array([6])]).tolist()
    [[4, 5], [6, 0]]
    >>> pad([np.array([4, 5]), np.array([6])], first=2, last=3).tolist()
    [[2, 4, 5, 3], [2, 6, 3, 0]]
    """
    start = int(first is not None)
    width = start + max([longest, *map(len, sequences)]) + int(last is not None)
    padded = np.zeros((len(sequences), max(1, width)), dtype=np.int32)
    if first is not None:
        padded[:, 0] = first
    for row, sequence in zip(padded, sequences, strict=True):
        stop = start + len(sequence)
        row[start:stop] = sequence
        if last is not None:
            row[stop] = last
    return padded
