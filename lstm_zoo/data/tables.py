"""Rows of .tsv, .csv and .jsonl files, UTF-8 with or without a byte order mark."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lstm_zoo.errors import DataError

SUFFIXES = (".tsv", ".csv", ".jsonl")


def read_rows(
    path: Path, required: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[str, list[Any]]]:
    """Read some columns of a table, in the order of the file.

    TSV has no quoting; CSV is the csv module's; both have a header. Empty lines don't count.

    Args:
        path: a file whose name ends in one of `SUFFIXES`.
        required: the columns that must be there. One of several names is spelled `text/sentence`;
            the first that is there is taken.
        optional: columns, in the same spelling, that need not be there.

    Yields:
        A row's place, such as `train.tsv:7`, and its values: those of `required`, then those of
        `optional`. They are strings, None where an optional column is missing; in .jsonl they are
        whatever JSON has.

    Raises:
        DataError: if the file is malformed or lacks a column, naming the file and the line.
    """
    names = [name.split("/") for name in (*required, *optional)]
    if path.suffix.lower() == ".jsonl":
        yield from _rows_of_jsonl(path, names, required)
        return
    rows = _lines_of_tsv(path) if path.suffix.lower() == ".tsv" else _lines_of_csv(path)
    _, header = next(rows, (1, []))
    found = [next((name for name in some if name in header), None) for some in names]
    missing = [name for name, there in zip(required, found, strict=False) if there is None]
    if missing:
        raise DataError(
            f"{path}:1: no column named {_spell(missing, ' or ')} in the header. "
            f"Expected {_spell(required)}; found: {', '.join(header) or 'nothing'}."
        )
    places = [None if name is None else header.index(name) for name in found]
    for line, fields in rows:
        if len(fields) != len(header):
            raise DataError(
                f"{path}:{line}: {len(fields)} fields; expected {len(header)}, as in the header."
            )
        yield f"{path}:{line}", [None if place is None else fields[place] for place in places]


def decode(path: Path) -> str:
    """Return a file's text.

    Raises:
        DataError: if it is not UTF-8, naming the line.
    """
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}:{line}: byte 0x{data[error.start]:02x} is not UTF-8; expected UTF-8."
        ) from error


def all_lines(path: Path) -> list[str]:
    """Read the lines of a text, the empty ones too.

    Lines end in LF or CRLF only: the text may hold the other line ends of Unicode.
    """
    return [line.removesuffix("\r") for line in decode(path).removesuffix("\n").split("\n")]


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read the lines of a text that are not empty, with their numbers from 1."""
    return ((number, line) for number, line in enumerate(all_lines(path), 1) if line)


def _lines_of_tsv(path: Path) -> Iterator[tuple[int, list[str]]]:
    return ((number, line.split("\t")) for number, line in lines(path))


def _lines_of_csv(path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(decode(path), newline=""), strict=True)
    while True:
        # The default limit refuses texts past 131,072 characters. It is the whole process's, so it
        # is another one only while a row is read.
        limit = csv.field_size_limit(2**31 - 1)
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{path}:{reader.line_num}: not valid CSV: {error}.") from error
        finally:
            csv.field_size_limit(limit)
        if fields is None:
            return
        if fields:  # not an empty line
            yield reader.line_num, fields


def _rows_of_jsonl(
    path: Path, names: list[list[str]], required: Sequence[str]
) -> Iterator[tuple[str, list[Any]]]:
    for number, line in lines(path):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place}: not valid JSON: {error}.") from error
        if not isinstance(row, dict) or any(
            row.keys().isdisjoint(some) for some in names[: len(required)]
        ):
            raise DataError(f"{place}: expected an object with the keys {_spell(required)}.")
        yield place, [next((row[name] for name in some if name in row), None) for some in names]


def _spell(names: Sequence[str], joint: str = " and ") -> str:
    """Spell column names for a message: `path and text (or sentence)`."""
    spelled = []
    for name in names:
        first, *others = name.split("/")
        spelled.append(f"{first} (or {' or '.join(others)})" if others else first)
    return joint.join(spelled)
