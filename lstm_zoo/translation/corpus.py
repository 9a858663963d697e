"""Readers of sentence pairs: a file per language, and tab-separated columns."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lstm_zoo import families
from lstm_zoo.data import splits, tables
from lstm_zoo.errors import CallError, DataError

SUFFIXES = (".tsv", ".txt")
EXPECTED = (
    "a prefix with a file per language (multi30k/train for train.de and train.en), or a "
    "tab-separated .tsv or .txt of two columns or more"
)


@dataclass(frozen=True)
class Corpus(families.Corpus):
    """Sentences with their translations, and the rows that could not be used.

    Attributes:
        sources: the sentences, none of them empty.
        targets: a translation for each, none of them empty.
        places: where each pair comes from, such as `train.de:7`.
        skipped: a (place, reason) for each row left out.
    """

    sources: list[str]
    targets: list[str]
    places: list[str]
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def columns(self) -> tuple[list[str], list[str]]:
        """The sentences and their translations, as `read` takes a pair."""
        return self.sources, self.targets

    @property
    def identity(self) -> tuple[list[str], list[str]]:
        """What tells one corpus from another."""
        return self.columns

    def take(self, indices: Sequence[int] | np.ndarray) -> "Corpus":
        """Return the rows of these indices; what was skipped stays behind."""
        columns = (self.sources, self.targets, self.places)
        return Corpus(*([column[i] for i in indices] for column in columns))

    def split(self, fraction: float, seed: int) -> tuple["Corpus", "Corpus"]:
        """Cut a share off, so that no sentence of either language is in both parts."""
        groups = splits.duplicate_groups(*self.columns)
        rest, cut_off = splits.split(groups, [""] * len(self), fraction, seed)
        return self.take(rest), self.take(cut_off)

    def overlap(self, held_out: "Corpus") -> int:
        """Count the held-out pairs whose source is among these too."""
        return splits.overlap(self.sources, held_out.sources)


def read(
    data: Any, source: str | None = None, target: str | None = None, strict: bool = False
) -> Corpus:
    """Read sentence pairs, recognising their layout by what it is.

    Args:
        data: a prefix such as `multi30k/train` with a file per language beside it (`train.de`,
            `train.en`); a tab-separated `.tsv` or `.txt`, whose header may name the languages, and
            which without one has the source in the first column and the target in the second; or a
            pair of equally long sequences (sources, targets).
        source: the code of the language to translate from, as in the file's suffix or the header.
        target: the code of the language to translate to.
        strict: whether a pair that can't be used (a side without text) is an error, not skipped.

    Returns:
        The pairs, in the order of the files.

    Raises:
        CallError: if there is no such data, or a prefix lacks the languages.
        DataError: if the data is malformed or has no usable pair, naming the file and the line.

    Example:

    >>> read((["ein Hund", ""], ["a dog", "nothing"])).sources
    ['ein Hund']
    """
    if isinstance(data, (str, os.PathLike)):
        name = os.fspath(data)
        rows = _rows_of_path(Path(data), source, target)
    else:
        name = "the given data"
        rows = _rows_of_pair(data)
    corpus = Corpus([], [], [])
    for place, *sides in rows:
        missing = [
            side for side, text in zip(("source", "target"), sides, strict=True) if not text.strip()
        ]
        if missing and strict:
            raise DataError(f"{place}: no {missing[0]}; expected both (without strict, skipped).")
        if missing:
            corpus.skipped.append((place, f"no {missing[0]}"))
        else:
            corpus.sources.append(sides[0])
            corpus.targets.append(sides[1])
            corpus.places.append(place)
    if not len(corpus):
        skipped = f" ({len(corpus.skipped)} rows were skipped)" if corpus.skipped else ""
        raise DataError(f"{name}: no pair of sentences{skipped}. Expected {EXPECTED}.")
    return corpus


def _rows_of_pair(data: Any) -> Iterator[tuple[str, str, str]]:
    try:
        sources, targets = data
        if isinstance(sources, str) or isinstance(targets, str):
            raise TypeError
        sources, targets = list(sources), list(targets)
    except (TypeError, ValueError):
        raise CallError(
            "Data is a path or a pair of sequences (sources, targets). "
            f"Received: {type(data).__name__}"
        ) from None
    if len(sources) != len(targets):
        raise DataError(f"{len(sources)} sources but {len(targets)} targets; expected pairs.")
    for index, sides in enumerate(zip(sources, targets, strict=True)):
        wrong = [side for side in sides if not isinstance(side, str)]
        if wrong:
            raise DataError(f"pair {index}: expected two str. Received: {type(wrong[0]).__name__}")
        yield f"row {index}", *sides


def _rows_of_path(
    path: Path, source: str | None, target: str | None
) -> Iterator[tuple[str, str, str]]:
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise CallError(f"{path}: not a known kind of corpus. Expected {EXPECTED}.")
        return _rows_of_table(path, source, target)
    there = sorted(
        file.name.removeprefix(f"{path.name}.")
        for file in (path.parent.iterdir() if path.parent.is_dir() else ())
        if file.is_file() and file.name.startswith(f"{path.name}.")
    )
    if path.is_dir() or not there:
        raise CallError(f"{path}: no file {path.name}.LANGUAGE there. Expected {EXPECTED}.")
    missing = [code for code in (source, target) if code not in there]
    if missing:
        asked = " and ".join(
            f"{side} {code}" if code else f"no {side}"
            for side, code in (("source", source), ("target", target))
        )
        raise CallError(
            f"{path}: source and target are the suffixes of two files. Found: {', '.join(there)}; "
            f"asked for: {asked}."
        )
    return _rows_of_files(*(path.with_name(f"{path.name}.{code}") for code in (source, target)))


def _rows_of_files(source: Path, target: Path) -> Iterator[tuple[str, str, str]]:
    sides = [tables.all_lines(path) for path in (source, target)]
    if len(sides[0]) != len(sides[1]):
        raise DataError(
            f"{source} has {len(sides[0]):,} lines, {target} {len(sides[1]):,}; expected as many, "
            "a sentence and its translation in lines of one number."
        )
    for number, (text, translation) in enumerate(zip(*sides, strict=True), 1):
        yield f"{source}:{number}", text, translation


def _rows_of_table(
    path: Path, source: str | None, target: str | None
) -> Iterator[tuple[str, str, str]]:
    columns = (0, 1)
    for position, (number, line) in enumerate(tables.lines(path)):
        fields = line.split("\t")
        if position == 0 and {source, target} <= set(fields):
            columns = (fields.index(source), fields.index(target))
            continue
        if len(fields) <= max(columns):
            raise DataError(
                f"{path}:{number}: {len(fields)} columns; expected {max(columns) + 1} at least, "
                "with tabs between."
            )
        yield f"{path}:{number}", *(fields[column] for column in columns)
