"""Many arrays of different lengths in a few flat ones, in memory or memory-mapped."""

import bisect
import itertools
import operator
from collections.abc import Iterator, Sequence

import numpy as np


class Arrays(Sequence[np.ndarray]):
    """A sequence of arrays that differ in their first axis, such as the token ids of each text.

    They are views of flat arrays: an array costs its values and 4 bytes, and nothing is read of
    memory-mapped values before an array is used.

    Args:
        shards: for each shard the values of its arrays, one after the other, `(items, ...)`, and
            their offsets, integers `(arrays + 1,)`.
        rows: the indices of the arrays of this sequence, int64 `(length,)`; None for all.
        longest: the length to which arrays are cut; None for no limit.

    Example:

    >>> arrays = Arrays.concatenate([np.array([4, 5, 6]), np.array([7])])
    >>> len(arrays), arrays[0].tolist(), arrays.lengths.tolist()
    (2, [4, 5, 6], [3, 1])
    >>> [row.tolist() for row in arrays.take([1, 0]).cut(2)]
    [[7], [4, 5]]
    """

    def __init__(
        self,
        shards: Sequence[tuple[np.ndarray, np.ndarray]],
        rows: np.ndarray | None = None,
        longest: int | None = None,
    ):
        self._shards = [*shards]
        counts = (len(offsets) - 1 for _, offsets in self._shards)
        self._starts = [*itertools.accumulate(counts, initial=0)]
        self._rows, self._longest = rows, longest

    @classmethod
    def concatenate(cls, arrays: Sequence[np.ndarray]) -> "Arrays":
        """Return arrays of one type and of equal other axes as a sequence in memory."""
        if not len(arrays):
            return cls([])
        return cls([(np.concatenate(arrays), offsets_of([len(array) for array in arrays]))])

    def __len__(self) -> int:
        return self._starts[-1] if self._rows is None else len(self._rows)

    def __getitem__(self, index: int) -> np.ndarray:
        index = range(len(self))[operator.index(index)]  # raises IndexError
        row = index if self._rows is None else int(self._rows[index])
        shard = bisect.bisect_right(self._starts, row) - 1
        values, offsets = self._shards[shard]
        start, stop = map(int, offsets[row - self._starts[shard] :][:2])
        if self._longest is not None:
            stop = min(stop, start + self._longest)
        return values[start:stop]

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(self.__getitem__, range(len(self)))

    @property
    def lengths(self) -> np.ndarray:
        """The length of each array, int32 `(length,)`."""
        found = [np.diff(offsets.astype(np.int64)) for _, offsets in self._shards]
        lengths = np.concatenate([np.zeros(0, np.int32), *found]).astype(np.int32)
        lengths = lengths if self._rows is None else lengths[self._rows]
        return lengths if self._longest is None else np.minimum(lengths, self._longest)

    def take(self, indices: Sequence[int] | np.ndarray) -> "Arrays":
        """Return the arrays of these indices; their values are not copied."""
        indices = np.asarray(indices, np.int64)
        rows = indices if self._rows is None else self._rows[indices]
        return Arrays(self._shards, rows, self._longest)

    def cut(self, longest: int) -> "Arrays":
        """Return the arrays, each cut to its first `longest` items."""
        limit = longest if self._longest is None else min(longest, self._longest)
        return Arrays(self._shards, self._rows, limit)


def offsets_of(lengths: Sequence[int]) -> np.ndarray:
    """Return where arrays of these lengths start in their concatenation, and where it ends.

    Returns:
        The smallest unsigned integers that hold them, at least 32 bits, `(arrays + 1,)`.

    Example:

    >>> offsets_of([3, 1]).tolist()
    [0, 3, 4]
    """
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return offsets.astype(np.uint32 if offsets[-1] < 2**32 else np.int64)
