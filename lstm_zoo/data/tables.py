"""Rows of .tsv, .csv and .jsonl files, UTF-8 with or without a byte order mark."""

import contextlib
import csv
import io
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lstm_zoo.errors import DataError

SUFFIXES = (".tsv", ".csv", ".jsonl")
_FIELD_LIMIT = threading.Lock()


def read_rows(
    path: Path, required: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[str, list[Any]]]:
    """Read some columns of a table, in the order of the file.

    TSV has no quoting; CSV follows the csv module; both need a header. Empty lines are skipped.

    Args:
        path: a file with one of `SUFFIXES`.
        required: the names of required columns. `text/sentence` gives alternatives, the first of
            which is preferred.
        optional: the names of optional columns, in the same format.

    Yields:
        The row's place, such as `train.tsv:7`, and its values: those of `required`, then those of
        `optional`, None for a missing column. Values are strings; in .jsonl, any JSON values.

    Raises:
        DataError: if the file is malformed or lacks a column; the message names the file and the
            line.

    Example:

    >>> _ = Path("train.tsv").write_text("label\\ttext\\npos\\tgood\\n")
    >>> list(read_rows(Path("train.tsv"), ["text/sentence"], ["speaker"]))
    [('train.tsv:2', ['good', None])]
    """
    names = [name.split("/") for name in (*required, *optional)]
    if path.suffix.lower() == ".jsonl":
        yield from _rows_of_jsonl(path, names, required)
        return
    rows = _lines_of_tsv(path) if path.suffix.lower() == ".tsv" else _lines_of_csv(path)
    _, header = next(rows, (1, []))
    found = [next((name for name in given if name in header), None) for given in names]
    missing = [name for name, match in zip(required, found, strict=False) if match is None]
    if missing:
        raise DataError(
            f"{path}:1: no column named {_format_names(missing, ' or ')} in the header. "
            f"Expected {_format_names(required)}; found: {', '.join(header) or 'nothing'}."
        )
    columns = [None if name is None else header.index(name) for name in found]
    for line, fields in rows:
        if len(fields) != len(header):
            raise DataError(
                f"{path}:{line}: {len(fields)} fields; expected {len(header)}, as in the header."
            )
        yield f"{path}:{line}", [None if column is None else fields[column] for column in columns]


def decode(path: Path) -> str:
    """Read a UTF-8 file, with or without a byte order mark.

    Raises:
        DataError: if it is not UTF-8; the message names the file and the line.
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
    """Read the lines of a file, empty ones included.

    Only LF and CRLF end a line; Unicode's other line ends stay in the text.

    Raises:
        DataError: if it is not UTF-8; the message names the file and the line.

    Example:

    >>> _ = Path("a.txt").write_bytes(b"one\\r\\n\\ntwo\\n")
    >>> all_lines(Path("a.txt"))
    ['one', '', 'two']
    """
    return [line.removesuffix("\r") for line in decode(path).removesuffix("\n").split("\n")]


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read the lines of a file that are not empty, with their numbers from 1.

    Raises:
        DataError: if it is not UTF-8; the message names the file and the line.

    Example:

    >>> _ = Path("a.txt").write_bytes(b"one\\r\\n\\ntwo\\n")
    >>> list(lines(Path("a.txt")))
    [(1, 'one'), (3, 'two')]
    """
    return ((number, line) for number, line in enumerate(all_lines(path), 1) if line)


def _lines_of_tsv(path: Path) -> Iterator[tuple[int, list[str]]]:
    return ((number, line.split("\t")) for number, line in lines(path))


def _lines_of_csv(path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(decode(path), newline=""), strict=True)
    while True:
        try:
            with _long_fields():
                fields = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{path}:{reader.line_num}: not valid CSV: {error}.") from error
        if fields is None:
            return
        if fields:  # not an empty line
            yield reader.line_num, fields


@contextlib.contextmanager
def _long_fields() -> Iterator[None]:
    """Let the csv module read fields of any length, for the block.

    Its limit, which rejects texts above 131,072 characters, is global to the process: it is raised
    only while a row is read, by one thread at a time.
    """
    with _FIELD_LIMIT:
        limit = csv.field_size_limit(2**31 - 1)
        try:
            yield
        finally:
            csv.field_size_limit(limit)


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
            row.keys().isdisjoint(given) for given in names[: len(required)]
        ):
            raise DataError(f"{place}: expected an object with the keys {_format_names(required)}.")
        yield place, [next((row[name] for name in given if name in row), None) for given in names]


def _format_names(names: Sequence[str], joint: str = " and ") -> str:
    """Format column names for a message: `path and text (or sentence)`."""
    formatted = []
    for name in names:
        first, *others = name.split("/")
        formatted.append(f"{first} (or {' or '.join(others)})" if others else first)
    return joint.join(formatted)
