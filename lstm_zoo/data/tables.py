"""Tables: .tsv, .csv and .jsonl files, UTF-8 with or without a byte order mark."""

import contextlib
import csv
import itertools
import json
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from lstm_zoo.data.headers import (
    Column,
    find,
    fix,
    join,
    locate,
    missing,
    positions,
    repeats,
    shown,
)
from lstm_zoo.errors import DataError

SUFFIXES = (".tsv", ".csv", ".jsonl")
DELIMITERS = ",;\t|"  # of .csv
SAMPLE = 20  # rows from which the delimiter of a .csv without a header is found
ROWS = 256  # of a .csv, read at once
QUICK = 2**26  # bytes of a file that is read within a second
_FIELD_LIMIT = threading.Lock()


def read_rows(
    path: Path, required: Sequence[Column], optional: Sequence[Column] = ()
) -> Iterator[tuple[str, list[Any]]]:
    """Read some columns of a table, in the order of the file.

    A .csv file follows the csv module, with the one of `DELIMITERS` with which its header has the
    required columns. Files but .csv and .jsonl are tab-separated, without quoting. The first line
    is a header, unless positions are given for all required columns. Empty lines are skipped.

    Args:
        path: the file.
        required: the required columns.
        optional: the optional columns.

    Yields:
        The row's place, such as `train.tsv:7`, and its values: those of `required`, then those of
        `optional`, None for a missing column. Values are strings; in .jsonl, any JSON values.

    Raises:
        DataError: if the file is malformed or lacks a column; the message names the file and the
            line.

    Example:

    >>> _ = Path("train.tsv").write_text("label\\ttext\\npos\\tgood\\n")
    >>> list(read_rows(Path("train.tsv"), [Column(("text", "sentence"))], [Column(("speaker",))]))
    [('train.tsv:2', ['good', None])]
    """
    if path.suffix.lower() == ".jsonl":
        yield from _rows_of_jsonl(path, required, optional)
        return
    table = open_table(path, required, optional)
    for line, fields in table.rows:
        values = [None if index is None else fields[index] for index in table.indices]
        yield f"{path}:{line}", values


class Table(NamedTuple):
    """A .csv or .tsv file that is being read.

    Attributes:
        header: the names of all columns; None if the file has no header.
        width: the number of columns.
        indices: the index of each required and each optional column; None for a missing one.
        delimiter: between two fields.
        rows: the line of each row, and all of its fields.
    """

    header: list[str] | None
    width: int
    indices: list[int | None]
    delimiter: str
    rows: Iterator[tuple[int, list[str]]]


def open_table(path: Path, required: Sequence[Column], optional: Sequence[Column] = ()) -> Table:
    """Open a .csv or tab-separated file, as `read_rows` reads it, with all of its columns.

    Args:
        path: the file.
        required: the required columns.
        optional: the optional columns.

    Returns:
        The table; its rows raise a DataError where the file is malformed.

    Raises:
        DataError: if the file is malformed or lacks a column.

    Example:

    >>> _ = Path("train.csv").write_text("label;text\\npos;good\\n")
    >>> table = open_table(Path("train.csv"), [Column(("text", "sentence"))])
    >>> table.header, table.indices, [*table.rows]
    (['label', 'text'], [1], [(2, ['pos', 'good'])])
    """
    is_csv = path.suffix.lower() == ".csv"
    delimiter, rows = _rows_of_csv(path, required) if is_csv else ("\t", rows_of_tsv(path))
    (first, header), *others = [*itertools.islice(rows, 2)] or [(1, [])]
    place = f"{path}:{first}"
    indices = locate(header, required, place)
    found = [find(header, column.names, place) for column in optional]
    positioned = all(column.position is not None for column in required)
    if positioned and others and repeats(header, others[0][1], required, place):
        indices = None
    rows, names = itertools.chain(others, rows), header
    if indices is None:
        indices, found = positions(header, required, place), [None] * len(optional)
        rows, names = itertools.chain([(first, header)], rows), None
    rows = _checked(path, rows, first, len(header), is_csv)
    return Table(names, len(header), indices + found, delimiter, rows)


def _checked(
    path: Path, rows: Iterator[tuple[int, list[str]]], first: int, width: int, is_csv: bool
) -> Iterator[tuple[int, list[str]]]:
    """Check that all rows of a table have as many fields as its first line."""
    for line, fields in rows:
        if len(fields) != width:
            hint = (
                "A field with a delimiter or a quote in it needs quotes."
                if is_csv
                else "Tabs, line breaks and quotes in a field need quoting, which a file named "
                ".csv has; its delimiter is found."
            )
            raise DataError(
                f"{path}:{line}: {len(fields)} fields; expected {width}, as in line {first}. {hint}"
            )
        yield line, fields


def decode(path: Path) -> str:
    """Read a UTF-8 file, with or without a byte order mark.

    Raises:
        DataError: if it is not UTF-8; the message names the file and the line.
    """
    with _opened(path, newline="") as file:
        return file.read()


def is_quick(path: Path) -> bool:
    """Return whether the first row of a path is read at once: of no folder, nor of a large file.

    A .tsv file is read as a whole first, to find out whether it is quoted.

    Example:

    >>> is_quick(Path("none.tsv"))
    False
    """
    return path.is_file() and path.stat().st_size <= QUICK


def all_lines(path: Path) -> Iterator[str]:
    """Read the lines of a file one by one, empty ones included.

    Only LF and CRLF end a line; Unicode's other line ends stay in the text.

    Raises:
        DataError: if it is not UTF-8; the message names the file and the line.

    Example:

    >>> _ = Path("a.txt").write_bytes(b"one\\r\\n\\ntwo\\n")
    >>> list(all_lines(Path("a.txt")))
    ['one', '', 'two']
    """
    line = None
    with _opened(path, newline="\n") as file:
        for line in file:
            yield line.removesuffix("\n").removesuffix("\r")
    if line is None:
        yield ""  # an empty file has one line, as one without a line end


@contextlib.contextmanager
def _opened(path: Path, newline: str) -> Iterator[TextIO]:
    """Open a UTF-8 file, with or without a byte order mark, for the block to read.

    Raises:
        DataError: if the block finds that it is not UTF-8.
    """
    with path.open("rb") as file:
        start = file.read(2)
    if start in (b"\xff\xfe", b"\xfe\xff") or b"\0" in start:
        raise DataError(
            f"{path}: UTF-16, as it seems; expected UTF-8. Save it as UTF-8, such as with "
            "iconv -f UTF-16 -t UTF-8."
        )
    try:
        with path.open(encoding="utf-8-sig", newline=newline) as file:
            yield file
    except UnicodeDecodeError as error:
        # No character of UTF-8 but a line feed has its byte.
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    line.decode()
                except UnicodeDecodeError as error_of_line:
                    byte = line[error_of_line.start]
                    raise DataError(
                        f"{path}:{number}: byte 0x{byte:02x} is not UTF-8; expected UTF-8. "
                        "Save it as UTF-8, such as with iconv -f ENCODING -t UTF-8."
                    ) from error
        raise DataError(f"{path}: changed while it was read.") from error


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


def rows_of_tsv(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Read the fields of a tab-separated file, with the numbers of their lines; no quoting.

    Raises:
        DataError: if it is not UTF-8, or its fields are quoted as in CSV.

    Example:

    >>> _ = Path("a.tsv").write_text("one\\ttwo\\n")
    >>> list(rows_of_tsv(Path("a.tsv")))
    [(1, ['one', 'two'])]
    """
    if number := _quoting(lines(path)):
        raise DataError(
            f"{path}:{number}: fields are quoted as in CSV, but a tab-separated file has no "
            "quoting: the quotes would stay in the texts. Name the file .csv; its delimiter is "
            "found."
        )
    return ((number, line.split("\t")) for number, line in lines(path))


def _quoting(rows: Iterator[tuple[int, str]]) -> int | None:
    """Return the first line that proves that a table's fields are quoted as in CSV, if they are.

    A proof is a header in quotes, or a field in quotes with doubled quotes inside of it; no field
    of the table may have a quote elsewhere.
    """
    is_quoted = re.compile(r'"(?:[^"]|"")*"').fullmatch
    first, header = next(rows, (0, ""))
    proof = first if all(map(is_quoted, header.split("\t"))) and "\t" in header else None
    for number, line in itertools.chain([(first, header)], rows):
        if '"' not in line:
            continue
        for field in line.split("\t"):
            if '"' in field and not is_quoted(field):
                return None
            if proof is None and '""' in field[1:-1]:
                proof = number
    return proof


def _rows_of_csv(
    path: Path, columns: Sequence[Column]
) -> tuple[str, Iterator[tuple[int, list[str]]]]:
    """Return the delimiter of a .csv file that suits the columns, and all of its rows."""
    positioned = all(column.position is not None for column in columns)
    headers, fitting, errors = [], [], []
    for delimiter in DELIMITERS:
        rows = _parse_csv(path, delimiter)
        try:
            line, header = first = next(rows, (1, []))
            rest = [*itertools.islice(rows, SAMPLE)] if positioned else []
        except DataError as error:
            errors.append(error)
            continue
        if locate(header, columns, f"{path}:{line}"):
            return delimiter, itertools.chain([first], rest, rows)
        headers.append(first)
        if positioned and len(header) > 1 and all(len(row) == len(header) for _, row in rest):
            fitting.append((delimiter, itertools.chain([first], rest, rows)))
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise DataError(
            f"{path}: fields may be separated by several of {' '.join(map(repr, DELIMITERS))}; "
            "expected a header that names the columns, or a .tsv."
        )
    if not headers:
        raise errors[0]
    if [column.position for column in columns] == [0] and all(len(row) == 1 for _, row in headers):
        return DELIMITERS[0], _parse_csv(path, DELIMITERS[0])  # a list of texts
    line, header = max(headers, key=lambda row: len(row[1]))
    raise missing(header, columns, f"{path}:{line}")


def _parse_csv(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    with _opened(path, newline="") as file:
        reader = csv.reader(file, strict=True, delimiter=delimiter)
        while True:
            rows, problem = [], None
            with _long_fields():
                try:
                    for fields in itertools.islice(reader, ROWS):
                        rows.append((reader.line_num, fields))
                except csv.Error as error:
                    problem = error
            yield from (row for row in rows if row[1])  # not an empty line
            if problem:
                raise DataError(f"{path}:{reader.line_num}: not valid CSV: {problem}.") from problem
            if len(rows) < ROWS:
                return


@contextlib.contextmanager
def _long_fields() -> Iterator[None]:
    """Let the csv module read fields of any length, for the block.

    Its limit, which rejects texts above 131,072 characters, is global to the process: it is raised
    only while rows are read, by one thread at a time.
    """
    with _FIELD_LIMIT:
        limit = csv.field_size_limit(2**31 - 1)
        try:
            yield
        finally:
            csv.field_size_limit(limit)


def _rows_of_jsonl(
    path: Path, required: Sequence[Column], optional: Sequence[Column]
) -> Iterator[tuple[str, list[Any]]]:
    known, indices = None, None
    for number, row in objects(path):
        place, keys, values = f"{path}:{number}", [*row], [*row.values()]
        if keys != known:  # most rows have the keys of the row before
            known, indices = keys, locate_keys(keys, required, place)
            indices += [find(keys, column.names, place) for column in optional]
        yield place, [None if index is None else values[index] for index in indices]


def locate_keys(keys: Sequence[str], required: Sequence[Column], place: str) -> list[int]:
    """Find columns in the keys of a .jsonl file's object, as `locate` does.

    Raises:
        DataError: if one is missing.

    Example:

    >>> locate_keys(["id", "text"], [Column(("text",))], "train.jsonl:1")
    [1]
    """
    indices = locate(keys, required, place)
    if indices is None:
        raise DataError(
            f"{place}: expected an object with the keys {join(required)}; "
            f"found: {shown(keys)}. Choose others by {fix(required)}."
        )
    return indices


def objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read the objects of a .jsonl file, with the numbers of their lines; empty lines are skipped.

    Raises:
        DataError: if a line is not valid JSON, or no object.

    Example:

    >>> _ = Path("a.jsonl").write_text('{"text": "good"}\\n')
    >>> list(objects(Path("a.jsonl")))
    [(1, {'text': 'good'})]
    """
    for number, line in lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{number}: not valid JSON: {error}.") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: expected a JSON object; found: {shown([line])}.")
        yield number, row
