"""Settings: one flat namespace of names, what each one takes, and its default.

A family's settings and those of training are tables of `Setting`; the keywords of
`lstm_zoo.train` and the command line's `--set NAME=VALUE` both end here.
"""

import difflib
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from lstm_zoo.errors import CallError


class Setting(NamedTuple):
    """One setting: its default, how a value is read, and a line of help."""

    default: Any
    read: Callable[[Any], Any]  # from a value or its spelling; raises ValueError
    help: str


def resolve(table: Mapping[str, Setting], given: Mapping[str, Any]) -> dict[str, Any]:
    """Give every setting of a table its value.

    Args:
        table: the known settings.
        given: values, or their spellings, by name.

    Returns:
        A value for every name of the table, the default where none was given.

    Raises:
        CallError: on an unknown name, listing the known ones, or a value that can't be read.
    """
    values = {name: setting.default for name, setting in table.items()}
    for name, value in given.items():
        if name not in table:
            close = difflib.get_close_matches(name, table, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise CallError(f"No setting is named {name!r}.{hint} Known: {', '.join(table)}.")
        try:
            values[name] = table[name].read(value)
        except (ValueError, TypeError) as error:
            raise CallError(f"{name} takes {error}. Received: {value!r}") from error
    return values


def integer(minimum: int) -> Callable[[Any], int]:
    """Read an integer of at least `minimum`."""

    def read(value: Any) -> int:
        with_error = ValueError(f"an integer of at least {minimum}")
        if isinstance(value, (bool, float)):
            raise with_error
        try:
            number = int(value)
        except (ValueError, TypeError):
            raise with_error from None
        if not minimum <= number < 2**32:  # the most that a seed may be
            raise with_error
        return number

    return read


def number(minimum: float, below: float = float("inf")) -> Callable[[Any], float]:
    """Read a number from `minimum` up to, but without, `below`."""

    def read(value: Any) -> float:
        bound = "" if below == float("inf") else f" and below {below:g}"
        with_error = ValueError(f"a number of at least {minimum:g}{bound}")
        if isinstance(value, bool):
            raise with_error
        try:
            result = float(value)
        except (ValueError, TypeError):
            raise with_error from None
        if not minimum <= result < below:  # also false for NaN
            raise with_error
        return result

    return read


def boolean(value: Any) -> bool:
    """Read true or false."""
    spellings = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    spelling = str(value).lower()
    if spelling not in spellings:
        raise ValueError("true or false")
    return spellings[spelling]


def choice(*names: str) -> Callable[[Any], str]:
    """Read one of some names."""

    def read(value: Any) -> str:
        if value not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return value

    return read


def integers(value: Any) -> tuple[int, ...]:
    """Read positive integers: a sequence, or numbers with commas between."""
    parts = value.split(",") if isinstance(value, str) else value
    parts = (parts,) if hasattr(parts, "__index__") else parts
    try:
        return tuple(integer(1)(part) for part in parts)
    except (ValueError, TypeError):
        raise ValueError("positive integers with commas between, such as 128,128") from None


def language(value: Any) -> str:
    """Read the code of a language, such as de or pt_BR."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z]+([-_][A-Za-z0-9]+)*", value):
        raise ValueError("the code of a language, such as de or pt_BR")
    return value


def path(value: Any) -> str:
    """Read a path, and make it absolute; it is checked where it is used."""
    return os.path.abspath(value)


def optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Read `none` (or Python's None) as None, and anything else as `read` does."""
    return lambda value: None if value is None or value == "none" else read(value)


def with_variant(
    variants: Mapping[str, Mapping[str, Any]], variant: str, sizes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the row of a variant with some of its entries replaced.

    Args:
        variants: a family's table: variant → size → value.
        variant: the row's name.
        sizes: entries that replace the row's.

    Returns:
        A value for every size of the row.

    Raises:
        CallError: on an unknown variant or size, listing the known ones.
    """
    if variant not in variants:
        raise CallError(f"variant is one of {', '.join(variants)}. Received: {variant!r}")
    row = variants[variant]
    unknown = [name for name in sizes if name not in row]
    if unknown:
        raise CallError(f"Unknown argument {unknown[0]!r}. Known: {', '.join(row)}.")
    return {**row, **sizes}


def check_integer(name: str, value: Any, minimum: int) -> None:
    """Make sure that an argument is an integer of at least `minimum`.

    Raises:
        CallError: if it is not, naming the argument.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < minimum:
        raise CallError(f"{name} takes integers of at least {minimum}. Received: {value!r}")


def positive_integers(name: str, values: Any) -> tuple[int, ...]:
    """Return one integer or several, none below 1, as a tuple.

    Raises:
        CallError: if they are not, or there is none, naming the argument.
    """
    values = (values,) if hasattr(values, "__index__") else tuple(values)
    good = [hasattr(v, "__index__") and not isinstance(v, bool) and v > 0 for v in values]
    if not good or not all(good):
        raise CallError(f"{name} takes positive integers. Received: {values!r}")
    return tuple(int(value) for value in values)


# Of every family's training.
TRAINING = {
    "epochs": Setting(10, integer(1), "passes over the training part at the most"),
    "batch_size": Setting(32, integer(1), "examples a step"),
    "learning_rate": Setting(0.002, number(0), "AdamW's rate at its peak"),
    "warmup": Setting(0.1, number(0, 1), "share of the steps in which the rate climbs to its peak"),
    "weight_decay": Setting(0.01, number(0), "AdamW's decay of all weights but biases"),
    "epsilon": Setting(1e-7, number(0), "AdamW's floor under the size of a gradient"),
    "clip_norm": Setting(1.0, number(0), "the gradients' joint norm is cut to this; 0: not"),
    "patience": Setting(5, integer(1), "epochs without a better score before training stops"),
    "seed": Setting(0, integer(0), "decides splits, initial weights, order and dropout"),
}
