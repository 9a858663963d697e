"""Columns in memory: the lists, arrays and series that Python callers pass.

pandas is not a dependency: what it passes is recognized by its behaviour.
"""

import os
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from lstm_zoo.errors import CallError, DataError


def to_list(values: Any, expected: str) -> list[Any]:
    """Return a column as a list.

    Args:
        values: a sequence or a one-dimensional array, such as a pandas Series.
        expected: what is right, for the error's message.

    Raises:
        CallError: if it is one text or path, a mapping, a set, or a table, whose elements are not
            what they seem: of a DataFrame and a dict, iteration gives the names of the columns.

    Example:

    >>> to_list(range(3), "predict takes a list of texts")
    [0, 1, 2]
    """
    received = type(values).__name__
    shape = getattr(values, "shape", None)
    if shape is not None and len(shape) != 1:
        raise CallError(f"{expected}. Received: {received} of shape {tuple(shape)}")
    if isinstance(values, (str, bytes, os.PathLike, Mapping, set, frozenset)):
        raise CallError(f"{expected}. Received: {received}")
    try:
        return [*values]
    except TypeError:
        raise CallError(f"{expected}. Received: {received}") from None


def read_columns(data: Any, names: Sequence[str], optional: Sequence[str] = ()) -> list[list[Any]]:
    """Return data in memory as columns of one length.

    Args:
        data: a sequence of columns.
        names: the names of the columns, in the plural.
        optional: the names of columns that may follow.

    Raises:
        CallError: if the data is not such columns.
        DataError: if their lengths differ.

    Example:

    >>> read_columns((["good", "bad"], (1, 0)), ["texts", "labels"])
    [['good', 'bad'], [1, 0]]
    """
    frame = ", ".join(f'frame["{name.removesuffix("s")}"]' for name in names)
    expected = f"Data is a path or columns ({', '.join(names)}), such as ({frame})"
    given = to_list(data, expected)
    if not len(names) <= len(given) <= len(names) + len(optional):
        raise CallError(
            f"{expected}; tuple(zip(*rows)) makes columns of rows. "
            f"Received: {type(data).__name__} of {len(given)} elements"
        )
    columns = [to_list(column, expected) for column in given]
    for name, column in zip((*names, *optional), columns, strict=False):
        if len(column) != len(columns[0]):
            raise DataError(
                f"{len(columns[0])} {names[0]} but {len(column)} {name}; expected one for each."
            )
    return columns


def is_missing(value: Any) -> bool:
    """Return whether a value stands for none: None, NaN, or pandas' NA and NaT.

    Example:

    >>> [is_missing(value) for value in (None, float("nan"), "", 0)]
    [True, True, False, False]
    """
    if value is None:
        return True
    # NaN and NaT differ from themselves; compared with itself, NA gives NA, which has no truth.
    differs = value != value
    return bool(differs) if isinstance(differs, (bool, np.bool_)) else differs is value


def text_of(value: Any, name: str) -> str:
    """Return a text of a corpus; "" for a missing one, which a reader skips.

    Args:
        value: the value.
        name: what it is and its index, for the error's message, such as "text 3".

    Raises:
        DataError: if it is no text.

    Example:

    >>> text_of("good", "text 0"), text_of(None, "text 1")
    ('good', '')
    """
    if isinstance(value, str):
        return value
    if is_missing(value):
        return ""
    raise DataError(f"{name}: expected a str. Received: {type(value).__name__}")


def label_of(value: Any, name: str) -> str:
    """Return the name of a label; "" for a missing one, which a reader skips.

    A whole number has the same name as an integer and as a float, since one missing label makes
    pandas turn all integers of a column into floats.

    Args:
        value: the value: a str or a number.
        name: what it is and its index, for the error's message, such as "label 3".

    Raises:
        DataError: if it is something else.

    Example:

    >>> [label_of(value, "label 0") for value in ("pos", 3, 3.0, 0.5, True, float("nan"))]
    ['pos', '3', '3', '0.5', 'True', '']
    """
    if isinstance(value, str):
        return value
    if is_missing(value):
        return ""
    if not isinstance(value, (Real, np.bool_)):
        raise DataError(f"{name}: expected a str or a number. Received: {type(value).__name__}")
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def check_texts(values: Any, expected: str) -> list[str | bytes]:
    """Return the texts that a caller wants predictions for.

    Args:
        values: the texts; as for `to_list`.
        expected: as for `to_list`.

    Raises:
        CallError: as `to_list`.
        DataError: if one is neither a str nor bytes; the message has its index.

    Example:

    >>> check_texts(["good", b"bad"], "predict takes a list of texts")
    ['good', b'bad']
    """
    texts = to_list(values, expected)
    for index, text in enumerate(texts):
        if not isinstance(text, (str, bytes)):
            received = repr(text) if is_missing(text) else type(text).__name__
            raise DataError(f"text {index}: expected a str or bytes. Received: {received}")
    return texts
