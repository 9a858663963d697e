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

UNDECLARED = object()  # stands for a neutral value where none is declared


class Needs(NamedTuple):
    """What a setting needs of others to have an effect.

    names: the other settings.
    met: tells from their values, in this order, whether it has one.
    text: what to do, for the error.
    """

    names: tuple[str, ...]
    met: Callable[..., bool]
    text: str


class Setting(NamedTuple):
    """One setting.

    default: its value where none is given; None, where the variant has one, for the variant's.
    read: from a value, or its spelling, to the value; raises ValueError.
    help: a line of help.
    neutral: the value that means "as before there was this setting". Unlike the default it never
        changes: a run made before has it, and a recipe's digest leaves it out.
    metavar: what the help calls the value of the setting's own option, such as N for `--seed N`;
        None where there is none, and only `--set` reaches it.
    needs: where it has an effect; None for everywhere.
    """

    default: Any
    read: Callable[[Any], Any]
    help: str
    neutral: Any = UNDECLARED
    metavar: str | None = None
    needs: Needs | None = None


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


def with_sizes(
    settings: Mapping[str, Any], variants: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Give the settings that stand at None, for the variant's, the variant's values.

    Args:
        settings: a value for every setting, `variant` among them.
        variants: a family's table: variant → size → value.

    Returns:
        The settings, in their order.

    Example:

    >>> with_sizes({"variant": "tiny", "units": None}, {"tiny": {"units": (32,)}})
    {'variant': 'tiny', 'units': (32,)}
    """
    row = variants[settings["variant"]]
    return {name: row.get(name) if value is None else value for name, value in settings.items()}


def refuse_ineffective(
    table: Mapping[str, Setting],
    settings: Mapping[str, Any],
    variants: Mapping[str, Mapping[str, Any]],
) -> None:
    """Make sure that every setting that was chosen has an effect beside the others.

    What counts is a value that differs from the default, not that it was given: recipes and
    `config.json` give every setting.

    Args:
        table: the known settings.
        settings: a value for every name of the table.
        variants: the family's table: variant → size → value.

    Raises:
        CallError: if some have none, naming each and the settings that it needs.

    Example:

    >>> table = {
    ...     "variant": Setting("base", str, ""),
    ...     "ngrams": Setting(0, integer(0), ""),
    ...     "buckets": Setting(9, integer(1), "", needs=Needs(("ngrams",), bool, "set ngrams")),
    ... }
    >>> refuse_ineffective(table, {"variant": "base", "ngrams": 0, "buckets": 99}, {"base": {}})
    Traceback (most recent call last):
    lstm_zoo.errors.CallError: buckets=99 has no effect with ngrams=0: set ngrams.
    """
    defaults = {name: setting.default for name, setting in table.items()}
    standard = with_sizes({**defaults, "variant": settings["variant"]}, variants)
    chosen = with_sizes(settings, variants)
    refused = []
    for name, setting in table.items():
        if setting.needs is None or chosen[name] == standard[name]:
            continue
        others = {other: chosen[other] for other in setting.needs.names}
        if not setting.needs.met(*others.values()):
            found = " and ".join(f"{other}={format_value(v)}" for other, v in others.items())
            refused.append(
                f"{name}={format_value(chosen[name])} has no effect with {found}: "
                f"{setting.needs.text}."
            )
    if refused:
        raise CallError(" ".join(refused))


def before(table: Mapping[str, Setting]) -> dict[str, Any]:
    """Return the values of a run that was made before the settings of a table were.

    Example:

    >>> before({"speed": Setting(0.1, number(0), "", neutral=0.0), "seed": Setting(1, str, "")})
    {'speed': 0.0, 'seed': 1}
    """
    return {
        name: setting.default if setting.neutral is UNDECLARED else setting.neutral
        for name, setting in table.items()
    }


def format_value(value: Any) -> str:
    """Write a value as `--set` reads it.

    Example:

    >>> format_value((64, 64)), format_value(True), format_value(None)
    ('64,64', 'true', 'none')
    """
    if isinstance(value, (bool, type(None))):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


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
    values = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    text = str(value).lower()
    if text not in values:
        raise ValueError("true or false")
    return values[text]


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
    "epochs": Setting(10, integer(1), "the maximum number of epochs", metavar="N"),
    "batch_size": Setting(
        32,
        integer(1),
        "examples a step",
        metavar="N",
        needs=Needs(
            ("batch_tokens",), lambda tokens: tokens is None, "set batch_tokens=none to use it"
        ),
    ),
    "batch_tokens": Setting(
        None,
        optional(integer(1)),
        "time steps a step, padding included; none: batch_size examples",
        neutral=None,
    ),
    "learning_rate": Setting(0.002, number(0), "AdamW's peak learning rate", metavar="F"),
    "warmup": Setting(0.1, number(0, 1), "share of the steps in which the rate climbs to its peak"),
    "weight_decay": Setting(0.01, number(0), "AdamW's decay of all weights but biases"),
    "epsilon": Setting(1e-7, number(0), "AdamW's epsilon"),
    "clip_norm": Setting(1.0, number(0), "global-norm clipping of the gradients; 0: none"),
    "average_epochs": Setting(
        1,
        integer(1),
        "evaluate and keep the mean weights of so many last epochs; 1: no averaging",
        neutral=1,
    ),
    "patience": Setting(5, integer(1), "epochs without a better score before training stops"),
    "seed": Setting(
        0, integer(0), "decides splits, initial weights, order and dropout", metavar="N"
    ),
}
