"""Read sentence pairs from a file per language, or from tab-separated columns."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lstm_zoo import families
from lstm_zoo.data import columns, splits, tables
from lstm_zoo.errors import CallError, DataError

SUFFIXES = (".tsv", ".txt")
EXPECTED = (
    "a prefix with a file per language (multi30k/train for train.de and train.en), or a "
    "tab-separated .tsv or .txt with two or more columns"
)


@dataclass(frozen=True)
class Corpus(families.Corpus):
    """Sentence pairs, and the rows that could not be used.

    Attributes:
        sources: the source sentences, none empty.
        targets: their translations, none empty.
        places: the file and line of each pair, such as `train.de:7`.
        skipped: a (place, reason) for each skipped row.
        skipped_rows: the number of each skipped row in the data, from 0.
    """

    sources: list[str]
    targets: list[str]
    places: list[str]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    skipped_rows: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def columns(self) -> tuple[list[str], list[str]]:
        """(sources, targets), in the form that `read` accepts."""
        return self.sources, self.targets

    @property
    def identity(self) -> tuple[list[str], list[str]]:
        """The columns that the corpus's fingerprint is computed from."""
        return self.columns

    def take(self, indices: Sequence[int] | np.ndarray) -> "Corpus":
        """Return the pairs of these indices, without the skipped rows."""
        columns = (self.sources, self.targets, self.places)
        return Corpus(*([column[i] for i in indices] for column in columns))

    def split(self, fraction: float, seed: int) -> tuple["Corpus", "Corpus"]:
        """Split into (rest, fraction), with no sentence of either language in both sets."""
        groups = splits.duplicate_groups(*self.columns)
        rest, held_out = splits.split(groups, [""] * len(self), fraction, seed)
        return self.take(rest), self.take(held_out)

    def overlap(self, held_out: "Corpus") -> int:
        """Count the held-out pairs whose source is also a source here."""
        return splits.overlap(self.sources, held_out.sources)


def read(
    data: Any, source: str | None = None, target: str | None = None, strict: bool = False
) -> Corpus:
    """Read sentence pairs; the layout is detected.

    Args:
        data: one of
            a prefix such as `multi30k/train`, of a file per language (`train.de`, `train.en`);
            a tab-separated `.tsv` or `.txt`: a header that names both languages chooses the
            columns, else the source is in the first and the target in the second;
            a pair of sequences (sources, targets) of equal length, such as columns of a pandas
            DataFrame; a pair with a missing side (None, NaN, pandas' NA) is skipped.
        source: the code of the source language, as in the file's suffix or the header.
        target: the code of the target language.
        strict: whether a pair without text on one side is an error; otherwise it is skipped.

    Returns:
        The pairs, in file order.

    Raises:
        CallError: if the data or a language's file does not exist.
        DataError: if the data is malformed or has no usable pair; the message names the line.

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
    for number, (place, *sides) in enumerate(rows):
        missing = [
            side for side, text in zip(("source", "target"), sides, strict=True) if not text.strip()
        ]
        if missing and strict:
            raise DataError(
                f"{place}: no {missing[0]}; expected both (without strict, the pair is skipped)."
            )
        if missing:
            corpus.skipped.append((place, f"no {missing[0]}"))
            corpus.skipped_rows.append(number)
        else:
            corpus.sources.append(sides[0])
            corpus.targets.append(sides[1])
            corpus.places.append(place)
    if not len(corpus):
        skipped = f" ({len(corpus.skipped)} rows were skipped)" if corpus.skipped else ""
        raise DataError(f"{name}: no pair of sentences{skipped}. Expected {EXPECTED}.")
    return corpus


def _rows_of_pair(data: Any) -> Iterator[tuple[str, str, str]]:
    pairs = zip(*columns.read_columns(data, ("sources", "targets")), strict=True)
    for index, (source, target) in enumerate(pairs):
        yield (
            f"row {index}",
            columns.text_of(source, f"source {index}"),
            columns.text_of(target, f"target {index}"),
        )


def _rows_of_path(
    path: Path, source: str | None, target: str | None
) -> Iterator[tuple[str, str, str]]:
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise CallError(f"{path}: not a supported corpus format. Expected {EXPECTED}.")
        return _rows_of_table(path, source, target)
    languages = sorted(
        file.name.removeprefix(f"{path.name}.")
        for file in (path.parent.iterdir() if path.parent.is_dir() else ())
        if file.is_file() and file.name.startswith(f"{path.name}.")
    )
    if path.is_dir() or not languages:
        raise CallError(f"{path}: no file {path.name}.LANGUAGE found. Expected {EXPECTED}.")
    missing = [code for code in (source, target) if code not in languages]
    if missing:
        requested = " and ".join(
            f"{side} {code}" if code else f"no {side}"
            for side, code in (("source", source), ("target", target))
        )
        raise CallError(
            f"{path}: source and target must be suffixes of files. Found: {', '.join(languages)}; "
            f"requested: {requested}."
        )
    return _rows_of_files(*(path.with_name(f"{path.name}.{code}") for code in (source, target)))


def _rows_of_files(source: Path, target: Path) -> Iterator[tuple[str, str, str]]:
    sides = [tables.all_lines(path) for path in (source, target)]
    if len(sides[0]) != len(sides[1]):
        raise DataError(
            f"{source} has {len(sides[0]):,} lines, {target} {len(sides[1]):,}; expected equal "
            "numbers, a sentence and its translation on the same line."
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
                f"{path}:{number}: {len(fields)} columns; expected at least {max(columns) + 1}, "
                "separated by tabs."
            )
        yield f"{path}:{number}", *(fields[column] for column in columns)
