"""Tables with answers: the rows of a file as they are, and columns added to them.

The file is read and written row by row, so that memory does not grow with it.
"""

import contextlib
import csv
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from lstm_zoo import families
from lstm_zoo.data import headers, tables
from lstm_zoo.data.headers import Column, shown
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.files import atomic_write, user_path

INPUTS = (*tables.SUFFIXES, ".txt")
ERROR = "error"  # the column of the reason why a row has no answer


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        line: its line in the file.
        value: what the column of inputs has; None if the row has no such key.
        fields: all of its values by column.
    """

    line: int
    value: Any
    fields: dict[str, Any]


class Inputs(NamedTuple):
    """A table that is being read.

    Attributes:
        path: its file.
        names: its columns; their positions, from 1, if it has no header.
        has_header: whether the columns have names.
        delimiter: between two fields of a .csv file.
        rows: the rows.
    """

    path: Path
    names: list[str]
    has_header: bool
    delimiter: str
    rows: Iterator[Row]


def check_paths(source: str | os.PathLike, target: str | os.PathLike) -> tuple[Path, Path]:
    """Check that a table can be read, and that one with answers can be written.

    Args:
        source: the file to read.
        target: the file to write; an existing one is replaced.

    Returns:
        Both paths.

    Raises:
        CallError: if they can't.

    Example:

    >>> check_paths("none.csv", "answers.csv")
    Traceback (most recent call last):
    lstm_zoo.errors.CallError: none.csv: no such file.
    """
    source, target = user_path(source), user_path(target)
    if not source.is_file():
        found = "a folder, not a file" if source.is_dir() else "no such file"
        raise CallError(f"{source}: {found}.")
    for path, known in ((source, INPUTS), (target, tables.SUFFIXES)):
        if path.suffix.lower() not in known:
            raise CallError(f"{path}: expected a file named {', '.join(known)}.")
    if target.exists() and not target.is_file():
        raise CallError(f"{target}: not a file; name the file to write.")
    if not target.resolve().parent.is_dir():
        raise CallError(f"{target}: the folder does not exist; can't write answers there.")
    if target.exists() and target.samefile(source):
        raise CallError(f"{target}: the file of the inputs; name another one for the answers.")
    return source, target


def input_column(config: Mapping[str, Any], name: str | int | None = None) -> Column:
    """Return the column of a table that has the inputs of `predict`.

    Args:
        config: a run's `config.json`.
        name: its name, or its position (from 1) in a file without a header; None for the run's, or
            else the usual ones.

    Example:

    >>> input_column(lstm_zoo.load("runs/multi30k").config).names[:2]
    ('en', 'English')
    """
    package, settings = families.module(config["family"]), config["settings"]
    setting = next(iter(package.COLUMNS), "")
    usual = {setting: package.input_names(settings)}
    (column,) = headers.wanted(usual, {setting: name}, settings)
    return column


def read(path: Path, column: Column) -> Inputs:
    """Open a table with a column of inputs; of a .txt file, each line is an input.

    Args:
        path: a .csv, .tsv, .jsonl or .txt file.
        column: the column of the inputs.

    Returns:
        The table; its rows raise a DataError where the file is malformed.

    Raises:
        CallError: if a column is given for a .txt file.
        DataError: if the file is malformed, or has no such column.

    Example:

    >>> _ = Path("reviews.csv").write_text("id,text\\n7,good\\n")
    >>> inputs = read(Path("reviews.csv"), Column(("text",)))
    >>> [*inputs.rows]
    [Row(line=2, value='good', fields={'id': '7', 'text': 'good'})]
    """
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        return _read_objects(path, column)
    if suffix == ".txt":
        headers.refuse([column], f"{path}, a text file,")
        name = column.usual[0]
        texts = tables.all_lines(path) if path.stat().st_size else ()
        rows = (Row(line, text, {name: text}) for line, text in enumerate(texts, 1))
        return Inputs(path, [name], True, ",", rows)
    table = tables.open_table(path, [column])
    names = table.header or [str(position) for position in range(1, table.width + 1)]
    if len({*names}) < len(names):
        raise DataError(f"{path}: several columns have the same name: {shown(names)}.")
    (index,) = table.indices
    rows = (
        Row(line, fields[index], dict(zip(names, fields, strict=True)))
        for line, fields in table.rows
    )
    delimiter = table.delimiter if suffix == ".csv" else ","
    return Inputs(path, names, table.header is not None, delimiter, rows)


def _read_objects(path: Path, column: Column) -> Inputs:
    objects = tables.objects(path)
    first = next(objects, (1, {}))
    # A name that the first row lacks is a mistake; others without it get no answer.
    names = [*first[1]]
    tables.locate_keys(names, [column], f"{path}:{first[0]}")

    def rows() -> Iterator[Row]:
        for line, fields in itertools.chain([first], objects):
            found = tables.find([*fields], column.names, f"{path}:{line}")
            value = None if found is None else fields[[*fields][found]]
            yield Row(line, value, fields)

    return Inputs(path, names, True, ",", rows())


def check_names(place: Path | str, names: Iterable[str], added: Sequence[str]) -> None:
    """Check that no column of a table has the name of one that is added.

    Args:
        place: the table's file, or a line of it.
        names: its columns.
        added: the columns that are added.

    Raises:
        DataError: if one has, naming it.

    Example:

    >>> check_names("a.csv", ["text", "Error"], ["predicted", "error"])
    Traceback (most recent call last):
    lstm_zoo.errors.DataError: a.csv: it has a column named error, as the answers have; rename it.
    """
    known = {name.strip().casefold() for name in names}
    if taken := [name for name in added if name.casefold() in known]:
        raise DataError(
            f"{place}: it has a column named {taken[0]}, as the answers have; rename it."
        )


@contextlib.contextmanager
def writing(
    path: Path, inputs: Inputs, names: Sequence[str]
) -> Iterator[Callable[[Row, Mapping[str, Any]], None]]:
    """Write a table with answers; the file appears at the end of the block, if it has no error.

    A .csv file has the delimiter of the .csv file that it is made of. None is an empty field.

    Args:
        path: the .csv, .tsv or .jsonl file to write.
        inputs: the table that is read.
        names: the columns that are added.

    Yields:
        A function that writes a row and its values of `names`. It raises a DataError if the file's
        format can't hold them.

    Example:

    >>> rows = iter([Row(2, "good", {"text": "good"})])
    >>> table = Inputs(Path("reviews.csv"), ["text"], True, ",", rows)
    >>> with writing(Path("answers.csv"), table, ["predicted"]) as write:
    ...     for row in table.rows:
    ...         write(row, {"predicted": "pos"})
    >>> Path("answers.csv").read_text().splitlines()
    ['text,predicted', 'good,pos']
    """
    options = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
    suffix = path.suffix.lower()
    with atomic_write(path) as temporary, temporary.open("w", **options) as file:
        if suffix == ".jsonl":
            yield _object_writer(file, inputs.path, names)
            return
        columns = [*inputs.names, *names]
        if suffix == ".csv":
            # A field with a line end is quoted if it has a character of the writer's own line ends.
            lines = _Lines(file)
            writer = csv.writer(lines, delimiter=inputs.delimiter, lineterminator="\r\n")
            write_fields = writer.writerow
        else:
            write_fields = _line_writer(file)
        if inputs.has_header:
            write_fields(columns)

        def write(row: Row, answer: Mapping[str, Any]) -> None:
            if unknown := row.fields.keys() - inputs.names:
                raise DataError(
                    f"{inputs.path}:{row.line}: the key {min(unknown)} is not in the first line, "
                    f"whose keys are the columns of {path.name}; write a .jsonl file."
                )
            values = {**row.fields, **answer}
            try:
                write_fields([_field(values.get(name)) for name in columns])
            except ValueError as error:
                raise DataError(f"{inputs.path}:{row.line}: {error}") from error

        yield write


class _Lines:
    """Writes lines that end with a carriage return and a line feed without the first."""

    def __init__(self, file: TextIO):
        self.file = file

    def write(self, line: str) -> None:
        self.file.write(line.removesuffix("\r\n") + "\n")


def _object_writer(
    file: TextIO, source: Path, names: Sequence[str]
) -> Callable[[Row, Mapping[str, Any]], None]:
    def write(row: Row, answer: Mapping[str, Any]) -> None:
        check_names(f"{source}:{row.line}", row.fields, names)
        # A lone surrogate, which UTF-8 can't encode, becomes a JSON escape.
        file.write(json.dumps({**row.fields, **answer}, ensure_ascii=False) + "\n")

    return write


def _line_writer(file: TextIO) -> Callable[[Sequence[str]], None]:
    def write(fields: Sequence[str]) -> None:
        for field in fields:
            if "\t" in field or "\n" in field or "\r" in field:
                raise ValueError(
                    f"a .tsv file can't hold the tab or line break in {field[:60]!r}; write a .csv "
                    "or .jsonl file."
                )
        file.write("\t".join(fields) + "\n")

    return write


def _field(value: Any) -> str:
    """Format a JSON value as a field of a table."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
