"""The columns of a table that a family reads: by name, by position, or by their usual names."""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lstm_zoo.errors import CallError, DataError
from lstm_zoo.printing import shorten
from lstm_zoo.settings import AUTO


class Column(NamedTuple):
    """A column to read.

    Attributes:
        usual: the names that it may have in a header, the preferred one first.
        setting: the setting that names it, such as `text_column`; "" if there is none.
        given: the setting's value: a name, or a position from 1 in a file without a header; None
            if it was not given.
        fallback: the name or position to prefer to the usual ones if none is given, such as a
            run's; or None.
    """

    usual: tuple[str, ...]
    setting: str = ""
    given: str | None = None
    fallback: str | None = None

    def __str__(self) -> str:
        first, *others = self.names
        return f"{first} (or {' or '.join(others)})" if others else first

    @property
    def names(self) -> tuple[str, ...]:
        """The names to look for in a header, the preferred one first."""
        if self.given is not None:
            return (self.given,)
        preferred = () if self.fallback is None else (self.fallback,)
        return tuple(dict.fromkeys((*preferred, *self.usual)))

    @property
    def position(self) -> int | None:
        """The position in a file without a header, from 0; None if there is only a name."""
        name = self.fallback if self.given is None else self.given
        return int(name) - 1 if name is not None and name.isdecimal() and int(name) else None


def wanted(
    usual: Mapping[str, Sequence[str]],
    given: Mapping[str, Any] | None = None,
    fallback: Mapping[str, Any] | None = None,
) -> list[Column]:
    """Return the columns that a family reads.

    Args:
        usual: for each setting that names a column, the column's usual names.
        given: the values of these settings; None, or no value, for those not given.
        fallback: names to prefer to the usual ones, such as a run's, in the same way.

    Returns:
        A column for each setting, in the order of `usual`.

    Example:

    >>> [column] = wanted({"text_column": ["text"]}, fallback={"text_column": "review"})
    >>> column.names
    ('review', 'text')
    """

    def value(table: Mapping[str, Any] | None, setting: str) -> str | None:
        name = (table or {}).get(setting)
        return None if name is None else str(name)

    return [
        Column(tuple(names), setting, value(given, setting), value(fallback, setting))
        for setting, names in usual.items()
    ]


def with_group(
    columns: Sequence[Column], usual: Sequence[str], given: Mapping[str, Any] | None
) -> tuple[list[Column], list[Column]]:
    """Add the column of the rows' groups to those that a family reads.

    Args:
        columns: the family's columns.
        usual: the group column's usual names.
        given: the settings, of which `group_column` is read; without it there are no groups.

    Returns:
        The required columns and the optional ones: the group column is the last of either, or of
        neither.

    Example:

    >>> columns = wanted({"text_column": ["text"], "label_column": ["label"]})
    >>> required, optional = with_group(columns, ["group"], {"group_column": "auto"})
    >>> len(required), optional[0].names
    (2, ('group',))
    """
    name = (given or {}).get("group_column")
    if name is None:
        return [*columns], []
    if name != AUTO:
        return [*columns, Column(tuple(usual), "group_column", str(name))], []
    taken = {str(column.given).casefold() for column in columns}
    return [*columns], [Column(tuple(name for name in usual if name not in taken))]


def refuse(columns: Sequence[Column], data: str) -> None:
    """Refuse columns that were given for data without columns to choose from.

    Args:
        columns: the columns.
        data: what the data is, for the message.

    Raises:
        CallError: if a column was given.
    """
    given = [column.setting for column in columns if column.given is not None]
    if given:
        raise CallError(f"{' and '.join(given)} has no effect: {data} has no columns to choose.")


def fix(columns: Sequence[Column], names: Sequence[str] | None = None) -> str:
    """Format the settings that choose columns, for a message that says how to fix it.

    Args:
        columns: the columns.
        names: the names to choose; None for a placeholder.

    Example:

    >>> fix(wanted({"text_column": ["text"], "label_column": ["label"]}), ["2", "1"])
    '--text-column 2 --label-column 1'
    """
    names = ["NAME"] * len(columns) if names is None else names
    return " ".join(
        f"--{column.setting.replace('_', '-')} {shlex.quote(name)}"
        for column, name in zip(columns, names, strict=True)
        if column.setting
    )


def locate(header: Sequence[str], columns: Sequence[Column], place: str) -> list[int] | None:
    """Find columns in a header by their names; case and spaces around them do not matter.

    Args:
        header: the fields of the first line.
        columns: the columns.
        place: the line's place, for the message.

    Returns:
        The index of each column; None if one is missing.

    Raises:
        DataError: if two columns have the same name.

    Example:

    >>> locate(["id", "Label", "Text"], wanted({"text_column": ["text"]}), "train.csv:1")
    [2]
    """
    found = [find(header, column.names, place) for column in columns]
    return None if None in found else found


def find(header: Sequence[str], names: Sequence[str], place: str) -> int | None:
    """Find the first of some names in a header, as `locate` does; None if it has none of them."""
    folded = [name.strip().casefold() for name in header]
    for fields, given in ((header, names), (folded, [name.strip().casefold() for name in names])):
        for name in given:
            if name in fields:
                if fields.count(name) > 1:
                    raise DataError(
                        f"{place}: several columns are named {name!r}; expected different names."
                    )
                return fields.index(name)
    return None


def repeats(
    header: Sequence[str], row: Sequence[str], columns: Sequence[Column], place: str
) -> bool:
    """Return whether a header has its columns' names in the next row too: both are rows of data.

    Such as the codes of two languages, in columns of their own.

    Example:

    >>> columns = wanted({"source_column": ["de"], "target_column": ["en"]})
    >>> repeats(["de", "en", "ein Hund"], ["de", "en", "eine Katze"], columns, "pairs.tsv:1")
    True
    """
    found = locate(header, columns, place)
    return bool(found) and max(found) < len(row) and all(row[i] == header[i] for i in found)


def positions(row: Sequence[str], columns: Sequence[Column], place: str) -> list[int]:
    """Return the indices of columns that are given by position, in a file without a header.

    Args:
        row: the fields of the first line.
        columns: the columns.
        place: the line's place, for the message.

    Raises:
        DataError: if a column is not given by position, or has one that is not there, or the line
            is a header.

    Example:

    >>> columns = wanted({"text_column": ["text"]}, {"text_column": 2})
    >>> positions(["pos", "Good."], columns, "train.tsv:1")
    [1]
    """
    found = [column.position for column in columns]
    if None in found:
        raise missing(row, columns, place)
    if max(found) >= len(row):
        raise DataError(f"{place}: no column {max(found) + 1}; found {len(row)}: {shown(row)}.")
    usual = {name.casefold() for column in columns for name in column.usual}
    names = [row[index] for index in found if row[index].strip().casefold() in usual]
    if len(names) == len(found):
        raise DataError(
            f"{place}: {' and '.join(map(repr, names))} seem to be a header; positions are for "
            f"files without one. Choose by name: {fix(columns, names)}."
        )
    return found


def missing(header: Sequence[str], columns: Sequence[Column], place: str) -> DataError:
    """Return the error for a header without one of the columns."""
    absent = [column for column in columns if find(header, column.names, place) is None]
    message = (
        f"{place}: no column named {join(absent, ' or ')} in the header. Expected {join(columns)}; "
        f"found: {shown(header)}."
    )
    if any(name.startswith('"') for name in header):
        message += " Fields in quotes need a file named .csv; its delimiter is found."
    elif len(header) == 1 and re.search("[,;|]", header[0]):
        message += " Fields that are not separated by tabs need a file named .csv."
    elif choice := fix(columns):
        message += f" Choose others by {choice}; without a header, NAME is a position, from 1."
    return DataError(message)


def shown(names: Sequence[str]) -> str:
    """Format names of columns, or the fields of the first line, for a message."""
    return ", ".join([*map(shorten, names[:12]), *["…"] * (len(names) > 12)]) or "nothing"


def join(columns: Sequence[Column], joint: str = " and ") -> str:
    """Join the names of columns for a message: `path and text (or sentence)`."""
    return joint.join(map(str, columns))


def unlikely_text(values: Sequence[str]) -> str:
    """Return what the values of a column are, if they can't be sentences.

    It is meant for columns that are guessed by position. Empty values do not count.

    Args:
        values: the column's values.

    Returns:
        Such as "numbers", for a message; "" if the values may be sentences.

    Example:

    >>> unlikely_text(["1.25", "0.8"]), unlikely_text(["de", "de"]), unlikely_text(["one", "two"])
    ('numbers', "'de' in every row", '')
    """
    values = [value for value in values if value.strip()]
    if not values:
        return ""
    if all(map(_is_number, values)):
        return "numbers"
    if all(re.match(r"\s*(\w+://|www\.)", value) for value in values):
        return "URLs"
    if len(values) > 1 and all(value == values[0] for value in values):
        return f"{shorten(values[0])!r} in every row"
    return ""


def _is_number(text: str) -> bool:
    """Return whether a text is a number, or digits with punctuation, such as a date."""
    try:
        float(text)
    except ValueError:
        return not re.search(r"[^\W\d_]", text) and re.search(r"\d", text) is not None
    return True
