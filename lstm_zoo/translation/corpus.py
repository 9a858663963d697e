"""Read sentence pairs from a file per language, or from a table's columns."""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_zoo import families
from lstm_zoo.data import columns, headers, rows, splits, tables
from lstm_zoo.data.arrays import take
from lstm_zoo.data.rows import Source
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.files import user_path
from lstm_zoo.printing import log
from lstm_zoo.translation import languages

SUFFIXES = (".txt", *tables.SUFFIXES)
# The usual names of columns, besides those of the languages.
COLUMNS = {"source_column": ("source", "src"), "target_column": ("target", "tgt", "trg")}
GROUPS = ("group",)
FIELDS = ("sources", "targets", "places", "groups")  # of a corpus
CHECKED = 10_000  # rows that decide what columns without names are
EXPECTED = (
    "a prefix with a file per language (multi30k/train for train.de and train.en), a "
    "tab-separated .tsv or .txt with two or more columns, or a .csv or .jsonl that names them"
)


@dataclass(frozen=True)
class Corpus(families.Corpus):
    """Sentence pairs, and the rows that could not be used.

    Attributes:
        sources: the source sentences, none empty; like the other columns a list, or
            `lstm_zoo.data.arrays.Texts`, which are on disk.
        targets: their translations, none empty.
        places: the file and line of each pair, such as `train.de:7`.
        skipped: a (place, reason) for each skipped row.
        skipped_rows: the number of each skipped row in the data, from 0.
        groups: the group of each pair, "" for none; empty if no pair has one.
    """

    sources: Sequence[str]
    targets: Sequence[str]
    places: Sequence[str]
    groups: Sequence[str] = ()
    skipped: Sequence[tuple[str, str]] = ()
    skipped_rows: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def columns(self) -> tuple[Sequence[str], ...]:
        """(sources, targets), and groups if there are some, in the form that `read` accepts."""
        return (self.sources, self.targets, *([self.groups] if self.groups else []))

    @property
    def identity(self) -> tuple[Sequence[str], Sequence[str]]:
        """The columns that the corpus's fingerprint is computed from."""
        return self.sources, self.targets

    def take(self, indices: Sequence[int] | np.ndarray) -> "Corpus":
        """Return the pairs of these indices, without the skipped rows."""
        columns = (self.sources, self.targets, self.places, self.groups)
        return Corpus(*(take(column, indices) for column in columns))

    def split(self, fraction: float, seed: int) -> tuple["Corpus", "Corpus"]:
        """Split into (rest, fraction), with no sentence of either language in both sets."""
        contents = splits.connect(*map(splits.content_hashes, (self.sources, self.targets)))
        rest, held_out = splits.split(contents, [""] * len(self), fraction, seed, self.groups)
        return self.take(rest), self.take(held_out)

    def overlap(self, held_out: "Corpus") -> int:
        """Count the held-out pairs whose source is also a source here."""
        return splits.overlap(self.sources, held_out.sources)


def read(
    data: Any,
    source: str | None = None,
    target: str | None = None,
    strict: bool = False,
    given: Mapping[str, Any] | None = None,
    fallback: Mapping[str, Any] | None = None,
    cache: Path | None = None,
) -> Corpus:
    """Read sentence pairs; the layout is detected.

    Args:
        data: one of
            a prefix such as `multi30k/train`, of a file per language (`train.de`, `train.en`);
            a tab-separated `.tsv` or `.txt`: a header that names both languages chooses the
            columns, else the source is in the first and the target in the second;
            a `.csv` or `.jsonl` that names both languages;
            sequences (sources, targets) or (sources, targets, groups) of equal length, such as
            columns of a pandas DataFrame; a pair with a missing side (None, NaN, pandas' NA) is
            skipped.
        source: the code of the source language, as in the file's suffix or the header.
        target: the code of the target language.
        strict: whether a pair without text on one side is an error; otherwise it is skipped.
        given: the settings `source_column` and `target_column`, which choose a table's columns, see
            `lstm_zoo.data.headers.wanted`; and `group_column`, without which no groups are read.
        fallback: names to prefer to the usual ones where none is given.
        cache: the folder of prepared examples, for large files; see `lstm_zoo.data.rows`. None for
            lists.

    Returns:
        The pairs, in file order.

    Raises:
        CallError: if the data or a language's file does not exist, or a column is given for data
            without columns.
        DataError: if the data is malformed or has no usable pair, or columns without a header are
            certainly not sentences of these languages; the message names the line or column.

    Example:

    >>> read((["ein Hund", ""], ["a dog", "nothing"])).sources
    ['ein Hund']
    """
    wanted = headers.wanted(_usual_names(source, target), given, fallback)
    wanted, optional = headers.with_group(wanted, GROUPS, given)
    if isinstance(data, (str, os.PathLike)):
        path = user_path(data)
        name = str(path)
        found = _rows_of_path(path, source, target, wanted, optional)
        origin = cache and Source(path, ("translation", source, target, wanted, optional), cache)
    else:
        name, origin = "the given data", None
        headers.refuse(wanted, "data in memory")
        found = _rows_of_columns(data, grouped=bool(optional))
    columns, *skipped = rows.gather(
        map(_check, found),
        FIELDS,
        "both",
        strict=strict,
        texts=("sources", "targets"),
        source=origin,
    )
    if not len(columns[0]):
        reason = f" ({len(skipped[0])} rows were skipped)" if skipped[0] else ""
        raise DataError(f"{name}: no pair of sentences{reason}. Expected {EXPECTED}.")
    *columns, groups = columns
    return Corpus(*columns, groups if any(groups) else [], *skipped)


def check(data: str | os.PathLike, settings: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Check a path: whether it is there, its format and columns, and its first row.

    Args:
        data: the path.
        settings: the settings of a run.
        given: columns that replace the run's.

    Raises:
        CallError: if the path does not exist or its format is unknown.
        DataError: if its first row is malformed, or has no such column.

    Example:

    >>> check("none.tsv", {}, {})
    Traceback (most recent call last):
    lstm_zoo.errors.CallError: none.tsv: no ...
    """
    path = user_path(data)
    source, target = settings.get("source"), settings.get("target")
    wanted = headers.wanted(_usual_names(source, target), given, settings)
    found = _rows_of_path(path, source, target, wanted, [])
    # Rows of pairs without names log how they are understood, once.
    if tables.is_quick(path) and path.suffix.lower() in (".csv", ".jsonl"):
        next(found, None)


class _Row(NamedTuple):
    place: str
    source: str
    target: str
    group: str = ""


def _check(row: _Row) -> tuple[str, tuple[str, ...]]:
    """Return why a pair can't be used, "" if it can, and its fields as in a corpus."""
    missing = "" if row.source.strip() else "no source"
    missing = missing or ("" if row.target.strip() else "no target")
    return missing, (row.source, row.target, row.place, row.group)


def _rows_of_columns(data: Any, grouped: bool) -> Iterator[_Row]:
    given = columns.read_columns(data, ("sources", "targets"), ("groups",))
    for index, (source, target, *group) in enumerate(zip(*given, strict=True)):
        yield _Row(
            f"row {index}",
            columns.text_of(source, f"source {index}"),
            columns.text_of(target, f"target {index}"),
            columns.label_of(*group, f"group {index}") if group and grouped else "",
        )


def _usual_names(source: str | None, target: str | None) -> dict[str, tuple[str, ...]]:
    """Return the names that the columns of two languages may have, for each setting."""
    return {
        setting: (*languages.names(code), *usual)
        for (setting, usual), code in zip(COLUMNS.items(), (source, target), strict=True)
    }


def _rows_of_path(
    path: Path,
    source: str | None,
    target: str | None,
    wanted: Sequence[headers.Column],
    optional: Sequence[headers.Column],
) -> Iterator[_Row]:
    if path.is_file():
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES:
            raise CallError(f"{path}: not a supported corpus format. Expected {EXPECTED}.")
        chosen = any((column.given or column.fallback) is not None for column in wanted)
        if chosen or suffix in (".csv", ".jsonl"):
            return _rows_of_named(path, wanted, optional)
        return _rows_of_table(path, source, target, wanted, optional)
    headers.refuse(wanted, f"{path}, a file per language,")
    codes = sorted(
        file.name.removeprefix(f"{path.name}.")
        for file in (path.parent.iterdir() if path.parent.is_dir() else ())
        if file.is_file() and file.name.startswith(f"{path.name}.")
    )
    if path.is_dir() or not codes:
        raise CallError(f"{path}: no file {path.name}.LANGUAGE found. Expected {EXPECTED}.")
    missing = [code for code in (source, target) if code not in codes]
    if missing:
        requested = " and ".join(
            f"{side} {code}" if code else f"no {side}"
            for side, code in (("source", source), ("target", target))
        )
        raise CallError(
            f"{path}: source and target must be suffixes of files. Found: {', '.join(codes)}; "
            f"requested: {requested}."
        )
    return _rows_of_files(*(path.with_name(f"{path.name}.{code}") for code in (source, target)))


def _rows_of_files(source: Path, target: Path) -> Iterator[_Row]:
    sides = [tables.all_lines(path) for path in (source, target)]
    for number, (text, translation) in enumerate(itertools.zip_longest(*sides), 1):
        if text is None or translation is None:
            counts = [sum(1 for _ in tables.all_lines(path)) for path in (source, target)]
            raise DataError(
                f"{source} has {counts[0]:,} lines, {target} {counts[1]:,}; expected equal "
                "numbers, a sentence and its translation on the same line."
            )
        yield _Row(f"{source}:{number}", text, translation)


def _rows_of_named(
    path: Path, wanted: Sequence[headers.Column], optional: Sequence[headers.Column]
) -> Iterator[_Row]:
    """Read the columns that are named by a header or by the settings."""
    for place, row in tables.read_rows(path, wanted, optional):
        source, target, *group = ("" if value is None else value for value in row)
        if not isinstance(source, str) or not isinstance(target, str):
            raise DataError(f"{place}: expected {headers.join(wanted[:2])} to be strings.")
        yield _Row(place, source, target, *(columns.label_of(g, f"{place}: group") for g in group))


def _rows_of_table(
    path: Path,
    source: str | None,
    target: str | None,
    wanted: Sequence[headers.Column],
    optional: Sequence[headers.Column],
) -> Iterator[_Row]:
    """Read tab-separated columns: those that a header names, else the first two."""
    lines = tables.rows_of_tsv(path)
    first = [*itertools.islice(lines, CHECKED)]
    if first and _is_header(path, first, source, target, wanted):
        yield from _rows_of_named(path, wanted, optional)
        return
    for number, fields in first:
        _check_width(path, number, fields)
    if first:
        _check_order(path, [fields for _, fields in first], source, target, wanted)
    for number, fields in itertools.chain(first, lines):
        _check_width(path, number, fields)
        yield _Row(f"{path}:{number}", fields[0], fields[1])


def _check_width(path: Path, number: int, fields: Sequence[str]) -> None:
    if len(fields) < 2:
        raise DataError(
            f"{path}:{number}: {len(fields)} columns; expected at least 2, separated by tabs."
        )


def _is_header(
    path: Path,
    rows: Sequence[tuple[int, list[str]]],
    source: str | None,
    target: str | None,
    wanted: Sequence[headers.Column],
) -> bool:
    """Return whether the first row is a header that names both columns.

    Raises:
        DataError: if it is a header that does not.
    """
    (number, first), *others = rows[:2]
    place = f"{path}:{number}"
    if others and headers.repeats(first, others[0][1], wanted, place):
        return False
    if headers.locate(first, wanted, place):
        return True
    named = [field for field in first if field.strip().casefold() in languages.full_names()]
    coded = [field for field in first if field.strip() in languages.LANGUAGES]
    # A row of a word list may be "it" and "es", two codes.
    if not {source, target} & {*coded, None}:
        coded = []
    found = max(named, coded, key=len)
    if len(found) < 2:
        return False
    sides = f"{source or 'no source'} and {target or 'no target'}"
    raise DataError(
        f"{place}: {' and '.join(found)} seem to be a header, but {sides} were requested. Choose "
        f"the columns by {headers.fix(wanted, found[:2])}; if the line is a pair of sentences, by "
        "positions, from 1."
    )


def _check_order(
    path: Path,
    rows: Sequence[Sequence[str]],
    source: str | None,
    target: str | None,
    wanted: Sequence[headers.Column],
) -> None:
    """Check that the first two columns may be the sources and the targets, and print this order.

    Raises:
        DataError: if they certainly are not.
    """
    width = min(map(len, rows))
    texts = [[fields[index] for fields in rows] for index in range(width)]
    whole = [*map(headers.unlikely_text, texts)]
    # Below the first row, which may be a header, if there are enough rows to say so.
    below = [headers.unlikely_text(column[1:]) for column in texts] if len(rows) > 2 else whole
    has_header = any(b in ("numbers", "URLs") and not w for w, b in zip(whole, below, strict=True))
    unlikely = [w or b for w, b in zip(whole, below, strict=True)]
    if has_header or any(unlikely[:2]):
        likely = [index for index, found in enumerate(unlikely) if not found][:2]
        names = [rows[0][index] if has_header else str(index + 1) for index in likely]
        choice = headers.fix(wanted, names if len(names) == 2 else None)
        index = 0 if unlikely[0] else 1
        reason = (
            f"column {index + 1} has {unlikely[index]}; without a header, the "
            f"{('source', 'target')[index]} is expected there"
            if unlikely[index]
            else "the first line seems to be a header that names no language"
        )
        raise DataError(f"{path}: {reason}. Choose the columns by {choice}.")
    if languages.is_swapped(*texts[:2], source, target):
        raise DataError(
            f"{path}: column 1 is in {target} and column 2 in {source}; without a header, the "
            f"source, {source}, is expected in column 1. Choose the columns by "
            f"{headers.fix(wanted, ['2', '1'])}."
        )
    log(
        f"{path}: no header names the languages: column 1 is the source"
        f"{f' ({source})' if source else ''}, column 2 the target{f' ({target})' if target else ''}"
    )
