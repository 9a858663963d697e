"""The rows of a corpus as columns: lists, or, of a large corpus, texts on disk.

What is on disk is found by the next training, which then reads no row.
"""

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from lstm_zoo.data import prepared, splits
from lstm_zoo.data.arrays import Arrays, Texts
from lstm_zoo.errors import DataError
from lstm_zoo.files import find_damage, write_checksums
from lstm_zoo.printing import progress_bar

IN_MEMORY = 50_000  # rows; columns of more are on disk, if they are from files
BLOCK = 8_192  # rows written at once
FORMAT = 1  # raised when equal files give other columns than before
INDEX = "index.json"


class Rows(NamedTuple):
    """The rows of a corpus.

    Attributes:
        columns: each column of the rows that can be used: lists, or `Texts`, which are on disk.
        skipped: a (place, reason) for each of the others.
        skipped_rows: their numbers in the data, from 0.
    """

    columns: list[Sequence[Any]]
    skipped: list[tuple[str, str]]
    skipped_rows: list[int]


class Source(NamedTuple):
    """Files that rows are read from, and where they are kept.

    Attributes:
        path: a file, a folder, or what the files' names start with, before a dot.
        settings: what decides how they are read; its `repr` must tell different ones apart.
        folder: the folder of prepared examples.
    """

    path: Path
    settings: tuple
    folder: Path

    @property
    def key(self) -> str:
        """A fingerprint of the settings and of each file's path, size and modification time."""
        digest = hashlib.sha256(repr((FORMAT, str(self.path), self.settings)).encode())
        for path in self._files():
            with contextlib.suppress(OSError):  # such as a link to nothing
                status = os.stat(path)
                name = f"{os.path.realpath(path)}:{status.st_size}:{status.st_mtime_ns}\n"
                digest.update(name.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def _files(self) -> Iterator[str | Path]:
        if self.path.is_dir():
            for folder, folders, names in os.walk(self.path, followlinks=True):
                folders.sort()
                yield from (os.path.join(folder, name) for name in sorted(names))
        elif self.path.is_file():
            yield self.path
        else:
            names = sorted(os.listdir(self.path.parent))
            yield from (
                self.path.parent / name for name in names if name.startswith(f"{self.path.name}.")
            )


def gather(
    rows: Iterable[tuple[str, Sequence[Any]]],
    names: Sequence[str],
    expected: str,
    *,
    strict: bool = False,
    texts: Sequence[str] = (),
    source: Source | None = None,
) -> Rows:
    """Gather rows as columns.

    Args:
        rows: for each row the reason why it can't be used, "" if it can, and its fields. Where the
            columns are on disk already, no row is read.
        names: the names of the fields, `places` among them: where a row is, such as `train.tsv:7`.
        expected: what a row must have, for the message of an error.
        strict: whether a row that can't be used is an error, rather than skipped.
        texts: the fields whose content decides splits.
        source: where the rows are from, if more than `IN_MEMORY` are to be kept on disk; all fields
            are str then. None for lists.

    Returns:
        The columns, in the order of `names`.

    Raises:
        DataError: with `strict`, for the first row that can't be used; if a file changes while it
            is read.

    Example:

    >>> gather([("", ("good", "row 0")), ("no text", ("", "row 1"))], ["texts", "places"], "a text")
    Rows(columns=[['good'], ['row 0']], skipped=[('row 1', 'no text')], skipped_rows=[1])
    """

    def refuse(place: str, reason: str) -> DataError:
        return DataError(f"{place}: {reason}; expected {expected} (without strict it is skipped).")

    folder = None
    if source is not None:
        key = source.key
        folder = source.folder / f"rows-{key[:16]}"
        if (found := _load(folder, names, key)) is not None:
            if strict and found.skipped:
                raise refuse(*found.skipped[0])
            return found

    found = Rows([[] for _ in names], [], [])
    place_index = names.index("places")

    def usable() -> Iterator[Sequence[Any]]:
        bar = progress_bar(rows, "reading", unit=" rows", delay=1)
        for number, (reason, fields) in enumerate(bar):
            if not reason:
                yield fields
                continue
            if strict:
                raise refuse(fields[place_index], reason)
            found.skipped.append((fields[place_index], reason))
            found.skipped_rows.append(number)

    left = usable()
    _append(found.columns, itertools.islice(left, IN_MEMORY if folder else None))
    if (following := next(left, None)) is None:
        return found
    more = itertools.chain(zip(*found.columns, strict=True), [following], left)
    found = found._replace(columns=[])  # they are not kept in memory
    with prepared.writing(folder) as staging:
        prefix = _write(staging, more, names, texts, str(source.path))
        index = {
            "key": key,
            "prefix": prefix,
            "skipped": found.skipped,
            "skipped_rows": found.skipped_rows,
        }
        (staging / INDEX).write_text(json.dumps(index), encoding="utf-8")
        write_checksums(staging)
        if source.key != key:
            raise DataError(f"{source.path}: changed while it was read.")
    found = _load(folder, names, key)
    if found is None:
        raise DataError(f"{folder}: can't be read back after it was written.")
    return found


def _append(columns: Sequence[list[Any]], rows: Iterable[Sequence[Any]]) -> None:
    for row in rows:
        for column, value in zip(columns, row, strict=True):
            column.append(value)


def _write(
    folder: Path,
    rows: Iterator[Sequence[str]],
    names: Sequence[str],
    texts: Sequence[str],
    path: str,
) -> str:
    """Write columns: their UTF-8 bytes, where each value ends, and the hashes of texts.

    Returns:
        What all places start with: the path, if they name it; the column of places is without it.
    """
    prefix, totals = None, [0] * len(names)
    with contextlib.ExitStack() as stack:

        def create(name: str) -> BinaryIO:
            return stack.enter_context((folder / name).open("wb"))

        values = [create(f"{name}.uint8") for name in names]
        offsets = [create(f"{name}.int64") for name in names]
        hashes = {name: create(f"{name}.uint64") for name in texts}
        for file in offsets:
            file.write(bytes(8))  # 0
        while block := [*itertools.islice(rows, BLOCK)]:
            for index, column in enumerate(zip(*block, strict=True)):
                name = names[index]
                if name == "places":
                    if prefix is None:
                        prefix = os.path.commonprefix([column[0], path])
                    column = [place[len(prefix) :] for place in column]
                encoded = [value.encode("utf-8", "surrogatepass") for value in column]
                values[index].write(b"".join(encoded))
                ends = totals[index] + np.cumsum([*map(len, encoded)], dtype=np.int64)
                offsets[index].write(ends.data)
                totals[index] = int(ends[-1])
                if name in hashes:
                    hashes[name].write(splits.content_hashes(column).data)
    return prefix


def _load(folder: Path, names: Sequence[str], key: str) -> Rows | None:
    """Return the rows that `_write` wrote; None if they are missing or damaged."""
    if find_damage(folder) != []:
        return None
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    if index["key"] != key:
        return None
    columns = []
    for name in names:
        hashes = folder / f"{name}.uint64"
        arrays = Arrays(
            [
                (
                    prepared.memory_map(folder / f"{name}.uint8", "uint8"),
                    prepared.memory_map(folder / f"{name}.int64", "int64"),
                )
            ]
        )
        columns.append(
            Texts(
                arrays,
                f"{key} {name}",
                folder.parent,
                index["prefix"] if name == "places" else "",
                prepared.memory_map(hashes, "uint64") if hashes.exists() else None,
            )
        )
    return Rows(columns, [*map(tuple, index["skipped"])], index["skipped_rows"])
