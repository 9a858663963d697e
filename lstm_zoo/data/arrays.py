"""Many arrays of different lengths in a few flat ones, in memory or memory-mapped; so texts too."""

import bisect
import hashlib
import itertools
import operator
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 4_096  # arrays that an iteration finds at once


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
        self.rows, self._longest = rows, longest

    @classmethod
    def concatenate(cls, arrays: Sequence[np.ndarray]) -> "Arrays":
        """Return arrays of one type and of equal other axes as a sequence in memory."""
        if not len(arrays):
            return cls([])
        return cls([(np.concatenate(arrays), offsets_of([len(array) for array in arrays]))])

    def __len__(self) -> int:
        return self._starts[-1] if self.rows is None else len(self.rows)

    def __getitem__(self, index: int) -> np.ndarray:
        index = range(len(self))[operator.index(index)]  # raises IndexError
        row = index if self.rows is None else int(self.rows[index])
        shard = bisect.bisect_right(self._starts, row) - 1
        values, offsets = self._shards[shard]
        start, stop = map(int, offsets[row - self._starts[shard] :][:2])
        if self._longest is not None:
            stop = min(stop, start + self._longest)
        return values[start:stop]

    def __iter__(self) -> Iterator[np.ndarray]:
        return self.slices(self.values)

    def slices(self, values: Sequence[Any]) -> Iterator[Any]:
        """Yield the part of each array, in order, of sequences that are like `values`."""
        for start in range(0, len(self), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(self)))
            rows = rows if self.rows is None else self.rows[rows]
            shards = np.searchsorted(self._starts, rows, "right") - 1
            bounds = np.zeros((2, len(rows)), np.int64)
            for shard in np.unique(shards):
                chosen = shards == shard
                local, offsets = rows[chosen] - self._starts[shard], self._shards[shard][1]
                bounds[:, chosen] = offsets[local], offsets[local + 1]
            if self._longest is not None:
                bounds[1] = np.minimum(bounds[1], bounds[0] + self._longest)
            for shard, first, stop in zip(shards.tolist(), *bounds.tolist(), strict=True):
                yield values[shard][first:stop]

    def __add__(self, other: "Arrays") -> "Arrays":
        """Return these arrays and the others after them; their values are not copied."""
        rows = [
            np.arange(len(arrays)) if arrays.rows is None else arrays.rows
            for arrays in (self, other)
        ]
        rows[1] = rows[1] + self._starts[-1]
        return Arrays([*self._shards, *other._shards], np.concatenate(rows), self._longest)

    @property
    def values(self) -> list[np.ndarray]:
        """The values of all shards, each `(items, ...)`."""
        return [values for values, _ in self._shards]

    @property
    def lengths(self) -> np.ndarray:
        """The length of each array, int32 `(length,)`."""
        found = [np.diff(offsets.astype(np.int64)) for _, offsets in self._shards]
        lengths = np.concatenate([np.zeros(0, np.int32), *found]).astype(np.int32)
        lengths = lengths if self.rows is None else lengths[self.rows]
        return lengths if self._longest is None else np.minimum(lengths, self._longest)

    def take(self, indices: Sequence[int] | np.ndarray) -> "Arrays":
        """Return the arrays of these indices; their values are not copied."""
        indices = np.asarray(indices, np.int64)
        rows = indices if self.rows is None else self.rows[indices]
        return Arrays(self._shards, rows, self._longest)

    def cut(self, longest: int) -> "Arrays":
        """Return the arrays, each cut to its first `longest` items."""
        limit = longest if self._longest is None else min(longest, self._longest)
        return Arrays(self._shards, self.rows, limit)


class Texts(Sequence[str]):
    """A column of texts in flat arrays on disk, with what was computed when it was written.

    Args:
        arrays: the UTF-8 bytes of each text, without the prefix.
        key: a fingerprint of the whole column.
        folder: the folder of prepared examples that the column is in.
        prefix: what all texts start with.
        hashes: the column's `lstm_zoo.data.splits.content_hashes`, uint64 `(column,)`; None if
            there are none.

    Example:

    >>> texts = Texts(Arrays.concatenate([np.frombuffer(b"good", np.uint8)] * 2), "key", Path("."))
    >>> [*texts], texts[1], [*texts[1:]]
    (['good', 'good'], 'good', ['good'])
    """

    def __init__(
        self,
        arrays: Arrays,
        key: str,
        folder: Path,
        prefix: str = "",
        hashes: np.ndarray | None = None,
    ):
        self._arrays, self._key, self.folder = arrays, key, folder
        self._prefix, self._hashes = prefix, hashes

    def __len__(self) -> int:
        return len(self._arrays)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return self.take(range(*index.indices(len(self))))
        return self._prefix + str(self._arrays[index], "utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        # Views of the memory: slices of arrays cost more.
        for data in self._arrays.slices([*map(memoryview, self._arrays.values)]):
            yield self._prefix + str(data, "utf-8", "surrogatepass")

    def __add__(self, other: "Texts") -> "Texts":
        """Return these texts and the others after them."""
        key = hashlib.sha256(f"{self.key} {other.key}".encode()).hexdigest()
        return Texts(self._arrays + other._arrays, key, self.folder)

    @property
    def key(self) -> str:
        """A fingerprint of these texts: 64 hexadecimal digits."""
        rows = b"" if self._arrays.rows is None else self._arrays.rows.tobytes()
        return hashlib.sha256(self._key.encode() + rows).hexdigest()

    @property
    def hashes(self) -> np.ndarray:
        """The `lstm_zoo.data.splits.content_hashes` of these texts, uint64 `(texts,)`."""
        rows = self._arrays.rows
        return self._hashes if rows is None else self._hashes[rows]

    def take(self, indices: Sequence[int] | np.ndarray) -> "Texts":
        """Return the texts of these indices; they stay on disk."""
        arrays = self._arrays.take(indices)
        return Texts(arrays, self._key, self.folder, self._prefix, self._hashes)


def take(column: Sequence[Any], indices: Sequence[int] | np.ndarray) -> Sequence[Any]:
    """Return the values of a column at some indices, as a list or, from the disk, as `Texts`.

    Args:
        column: a list, or `Texts`; an empty one stays empty.
        indices: the indices.

    Example:

    >>> take(["a", "b", "c"], [2, 0])
    ['c', 'a']
    """
    if isinstance(column, Texts):
        return column.take(indices)
    return [column[index] for index in indices] if column else []


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
