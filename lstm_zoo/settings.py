"""Settings: one flat namespace of names, each with a parser, a default and a line of help.

A family's settings and those of training are tables of `Setting`. They parse the keyword arguments
of `lstm_zoo.train` and the command line's `--set NAME=VALUE`.
"""

import difflib
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from lstm_zoo.errors import CallError
from lstm_zoo.files import user_path

UNDECLARED = object()  # the neutral value of a setting that declares none
AUTO = "auto"  # of `group_column`: by its usual names; else: by the number of examples
# The limits of settings, which a run's `config.json` must keep too: see docs/security.md.
MAX_INTEGER = 2**32 - 1  # of NumPy's global seed
MAX_WIDTH = 2**14  # of a layer
MAX_LAYERS = 64
MAX_TOKENS = 100_000  # of a text, which tokenizers cut to as many characters
MAX_VOCABULARY = 2_000_000
MAX_BEAM_WIDTH = 1_000
POOLINGS = ("last", "mean", "max")  # over time
# Those of `lstm_zoo.recurrent`, which imports TensorFlow.
CELLS = ("lstm", "gru", "simple_rnn")
STRATEGIES = ("auto", "none", "mirrored", "multi-worker")  # of training


class Needs(NamedTuple):
    """The condition under which a setting has an effect.

    Attributes:
        names: the other settings that it depends on.
        met: takes their values, in this order, and returns whether the setting has an effect.
        text: the end of the error message: the reason, or what to do.
    """

    names: tuple[str, ...]
    met: Callable[..., bool]
    text: str


class Setting(NamedTuple):
    """One setting.

    Attributes:
        default: its value where none is given. None takes the variant's value, where it has one.
        read: parses a value or its text form, and raises ValueError for a bad one.
        help: a line of help.
        neutral: the value that acts as if the setting did not exist. Unlike the default, it never
            changes: runs made before the setting was added have it, and digests of recipes omit it.
        metavar: the placeholder in the help of the setting's own option, such as N for `--seed N`;
            None for a setting that has no option, and is set by `--set`.
        needs: the condition under which it has an effect; None for always.
        inherited: whether a family's setting that is not given is that of the run from which the
            training starts (`init_from`): not if it is of the data, or the path of a file.
        by_examples: for a setting that may be `AUTO`, returns its value for a number of training
            examples.
    """

    default: Any
    read: Callable[[Any], Any]
    help: str
    neutral: Any = UNDECLARED
    metavar: str | None = None
    needs: Needs | None = None
    inherited: bool = True
    by_examples: Callable[[int], Any] | None = None


def resolve(table: Mapping[str, Setting], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value for every setting of a table.

    Args:
        table: the known settings.
        given: values, or their text forms, by name.

    Returns:
        A value for every name of the table; the default where none is given.

    Raises:
        CallError: if a name is unknown, listing the known ones, or a value is bad.

    Example:

    >>> resolve({"units": Setting((8,), integers, "")}, {"units": "64,32"})
    {'units': (64, 32)}
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


def sized(
    table: Mapping[str, Setting], settings: Mapping[str, Any], examples: int
) -> dict[str, Any]:
    """Replace the settings that are `AUTO`, and follow the number of training examples.

    Args:
        table: the known settings.
        settings: a value for every name of the table.
        examples: the number of training examples.

    Example:

    >>> table = {"batch_size": Setting(AUTO, str, "", by_examples=lambda examples: examples // 9)}
    >>> sized(table, {"batch_size": AUTO}, 900), sized(table, {"batch_size": 32}, 900)
    ({'batch_size': 100}, {'batch_size': 32})
    """
    return {
        name: table[name].by_examples(examples)
        if value == AUTO and table[name].by_examples
        else value
        for name, value in settings.items()
    }


def with_sizes(
    settings: Mapping[str, Any], variants: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Replace the settings that are None by the variant's values.

    Args:
        settings: a value for every setting, `variant` among them.
        variants: the family's table: variant → setting → value.

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
    """Refuse settings whose value has no effect, given the other settings.

    Only values that differ from the default (or the variant's value), and from the neutral value,
    are refused: recipes and `config.json` pass every setting.

    Args:
        table: the known settings.
        settings: a value for every name of the table.
        variants: the family's table: variant → setting → value.

    Raises:
        CallError: if a value has no effect, naming the setting and those that it depends on.

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
    if refused := ineffective(table, settings, variants):
        raise CallError(" ".join(refused.values()))


def ineffective(
    table: Mapping[str, Setting],
    settings: Mapping[str, Any],
    variants: Mapping[str, Mapping[str, Any]],
) -> dict[str, str]:
    """Return the settings that `refuse_ineffective` refuses, and why.

    Args:
        table, settings, variants: as there.

    Returns:
        A sentence by the setting's name.
    """
    defaults = {name: setting.default for name, setting in table.items()}
    defaults = with_sizes({**defaults, "variant": settings["variant"]}, variants)
    chosen = with_sizes(settings, variants)
    found = {}
    for name, setting in table.items():
        # A neutral value acts as if the setting did not exist.
        if setting.needs is None or chosen[name] in (defaults[name], setting.neutral):
            continue
        others = {other: chosen[other] for other in setting.needs.names}
        if not setting.needs.met(*others.values()):
            with_these = " and ".join(f"{other}={format_value(v)}" for other, v in others.items())
            found[name] = (
                f"{name}={format_value(chosen[name])} has no effect with {with_these}: "
                f"{setting.needs.text}."
            )
    return found


def neutral_values(table: Mapping[str, Setting]) -> dict[str, Any]:
    """Return the values that a run has of settings which were added after it was made.

    Args:
        table: the known settings.

    Returns:
        The neutral value of each setting that declares one; all runs have the others.

    Example:

    >>> neutral_values({"speed": Setting(0.1, number(0), "", neutral=0.0)})
    {'speed': 0.0}
    """
    return {
        name: setting.neutral
        for name, setting in table.items()
        if setting.neutral is not UNDECLARED
    }


def format_value(value: Any) -> str:
    """Format a value as `--set` reads it.

    Example:

    >>> format_value((64, 64)), format_value(True), format_value(None)
    ('64,64', 'true', 'none')
    """
    if isinstance(value, (bool, type(None))):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def integer(minimum: int, maximum: int = MAX_INTEGER) -> Callable[[Any], int]:
    """Return a function that reads an integer from `minimum` to `maximum`.

    Example:

    >>> integer(1)("12")
    12
    """

    def read(value: Any) -> int:
        bad = ValueError(f"an integer of at least {minimum} and at most {maximum}")
        if isinstance(value, bool) or not (isinstance(value, str) or hasattr(value, "__index__")):
            raise bad
        try:
            number = int(value)
        except (ValueError, TypeError):
            raise bad from None
        if not minimum <= number <= maximum:
            raise bad
        return number

    return read


def number(minimum: float, below: float = float("inf")) -> Callable[[Any], float]:
    """Return a function that reads a finite number of at least `minimum` and less than `below`.

    Example:

    >>> number(0, below=1)("0.5")
    0.5
    """

    def read(value: Any) -> float:
        bound = "" if below == float("inf") else f" and below {below:g}"
        bad = ValueError(f"a number of at least {minimum:g}{bound}")
        if isinstance(value, bool):
            raise bad
        try:
            result = float(value)
        except (ValueError, TypeError, OverflowError):
            raise bad from None
        if not minimum <= result < below:  # also false for NaN
            raise bad
        return result

    return read


def boolean(value: Any) -> bool:
    """Read true or false."""
    values = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    text = str(value).lower()
    if text not in values:
        raise ValueError("true or false")
    return values[text]


boolean.choices = ("true", "false")


def choices(read: Callable[[Any], Any]) -> tuple[str, ...]:
    """Return the values that a setting's reader takes, as far as they can be listed.

    Example:

    >>> choices(optional(choice("lstm", "gru"))), choices(integer(1))
    (('lstm', 'gru'), ())
    """
    return getattr(read, "choices", ())


def choice(*names: str) -> Callable[[Any], str]:
    """Return a function that reads one of the names."""

    def read(value: Any) -> str:
        if value not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return value

    read.choices = names
    return read


def integers(value: Any) -> tuple[int, ...]:
    """Read the widths of layers: one, a sequence, or text with commas between them."""
    items = value.split(",") if isinstance(value, str) else value
    items = (items,) if hasattr(items, "__index__") else items
    bad = ValueError(
        f"at most {MAX_LAYERS} positive integers of at most {MAX_WIDTH}, with commas between, "
        "such as 128,128"
    )
    try:
        widths = tuple(integer(1, MAX_WIDTH)(item) for item in items)
    except (ValueError, TypeError):
        raise bad from None
    if not 1 <= len(widths) <= MAX_LAYERS:
        raise bad
    return widths


def pooling(value: Any) -> str:
    """Read one or more of `POOLINGS`, each once, with + between, such as mean+max."""
    names = str(value).split("+")
    if len(set(names)) < len(names) or not set(names) <= set(POOLINGS):
        raise ValueError(f"one or more of {', '.join(POOLINGS)}, each once, with + between")
    return value


def language(value: Any) -> str:
    """Read a language code, such as de or pt_BR."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z]+([-_][A-Za-z0-9]+)*", value):
        raise ValueError("a language code, such as de or pt_BR")
    return value


def column(value: Any) -> str:
    """Read a column's name in a table's header, or its position, from 1, without a header."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        value = str(value)
    if not isinstance(value, str) or not value.strip() or value == "0":
        raise ValueError("a column's name, or without a header its position, from 1")
    return value


def column_setting(help: str) -> Setting:
    """Return the setting of a table's column; None finds it by the header."""
    return Setting(None, optional(column), help, neutral=None, metavar="NAME", inherited=False)


def group_setting(*usual: str) -> Setting:
    """Return the setting of the column of a table's groups; None splits without groups.

    Args:
        *usual: the names of the column that `AUTO` finds.
    """
    return Setting(
        AUTO,
        optional(column),
        "the column of groups (speakers, documents, films …), likewise: a split keeps each on one "
        f"side; auto: {' or '.join(usual)}, if there is one; none: no groups",
        neutral=None,
        metavar="NAME",
        inherited=False,
    )


def sample_setting(needs: Needs | None = None) -> Setting:
    """Return the setting of the number of texts that SentencePiece learns from."""
    return Setting(
        200_000,
        optional(integer(1)),
        "maximum number of texts, drawn by seed, that pieces are learned from; none: all",
        neutral=None,
        needs=needs,
    )


def path(value: Any) -> str:
    """Read a path and make it absolute. Whether it exists is checked where it is used."""
    if not os.fspath(value):
        raise ValueError("a path, not an empty text")
    return os.path.abspath(user_path(value))


def optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function that reads `none` (or None) as None, and anything else with `read`."""

    def read_optional(value: Any) -> Any:
        return None if value is None or value == "none" else read(value)

    read_optional.choices = choices(read)
    return read_optional


def automatic(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function that keeps `AUTO`, and reads anything else with `read`."""

    def read_automatic(value: Any) -> Any:
        return value if value == AUTO else read(value)

    read_automatic.choices = (AUTO, *choices(read))
    return read_automatic


def network_sizes(
    table: Mapping[str, Setting],
    variants: Mapping[str, Mapping[str, Any]],
    /,
    variant: str = "base",
    **sizes: Any,
) -> dict[str, Any]:
    """Return the sizes of a network: a variant's, some of them replaced.

    Args:
        table: the family's settings, the sizes among them.
        variants: the family's table: variant → size → value.
        variant: its name.
        **sizes: values that replace the variant's, unless they are None.

    Returns:
        A value for every size of the variant.

    Raises:
        CallError: (a ValueError) if the variant or a size is unknown, listing the known ones, or a
            value is bad.

    Example:

    >>> from lstm_zoo import speech
    >>> network_sizes(speech.SETTINGS, speech.VARIANTS, "tiny", cell="gru", units=16)["units"]
    (16,)
    """
    if variant not in variants:
        raise CallError(f"variant is one of {', '.join(variants)}. Received: {variant!r}")
    row = variants[variant]
    unknown = [name for name in sizes if name not in row]
    if unknown:
        raise CallError(f"Unknown argument {unknown[0]!r}. Known: {', '.join(row)}.")
    found = resolve({name: table[name] for name in row}, {**row, **sizes})
    return {name: row[name] if value is None else value for name, value in found.items()}


def check_integer(name: str, value: Any, minimum: int, maximum: int | None = None) -> None:
    """Check that an argument is an integer of at least `minimum`, and at most `maximum` if given.

    Raises:
        CallError: if it is not, naming the argument.
    """
    valid = hasattr(value, "__index__") and not isinstance(value, bool) and value >= minimum
    if not valid or (maximum is not None and value > maximum):
        bound = "" if maximum is None else f" and at most {maximum}"
        raise CallError(f"{name} takes integers of at least {minimum}{bound}. Received: {value!r}")


def check_strategy(name: Any) -> None:
    """Check the name of a training's strategy.

    Raises:
        CallError: if it is none of `STRATEGIES`.
    """
    if name not in STRATEGIES:
        raise CallError(f"strategy is one of {', '.join(STRATEGIES)}. Received: {name!r}")


# The settings of training. A family's setting of the same name replaces one.
TRAINING = {
    "epochs": Setting(10, integer(1, 1_000_000), "maximum number of epochs", metavar="N"),
    "batch_size": Setting(
        32,
        integer(1, 1_000_000),
        "examples per training step",
        metavar="N",
        needs=Needs(
            ("batch_tokens",), lambda tokens: tokens is None, "set batch_tokens=none to use it"
        ),
    ),
    "batch_tokens": Setting(
        None,
        optional(integer(1)),
        "time steps per training step, padding included; none: batch_size examples",
        neutral=None,
    ),
    "accumulate": Setting(
        1,
        integer(1, 64),
        "chunks of a batch, computed one after another in less memory, with the gradient of all",
        neutral=1,
        needs=Needs(
            ("accumulate", "batch_size", "batch_tokens"),
            lambda count, size, tokens: tokens is not None or count <= size,
            "set it to batch_size or less",
        ),
    ),
    "precision": Setting(
        "float32",
        choice("float32", "mixed_bfloat16", "mixed_float16"),
        "mixed: products in 16 bits, for GPUs with tensor cores; weights and loss in float32",
        neutral="float32",
    ),
    "learning_rate": Setting(0.002, number(0), "peak learning rate of AdamW", metavar="F"),
    "warmup": Setting(0.1, number(0, 1), "share of all steps in which the learning rate rises"),
    "schedule": Setting(
        "cosine",
        choice("cosine", "linear", "inverse_sqrt", "constant"),
        "learning rate after the warmup: cosine or linear falls to 0 at the last of the epochs; "
        "inverse_sqrt falls as 1/sqrt(step), and constant stays, for a number of epochs that is "
        "not known before",
        neutral="cosine",
    ),
    "weight_decay": Setting(0.01, number(0), "AdamW's weight decay, of all weights but biases"),
    "epsilon": Setting(1e-7, number(0), "AdamW's epsilon"),
    "clip_norm": Setting(1.0, number(0), "global-norm gradient clipping; 0: none"),
    "average_epochs": Setting(
        1,
        integer(1, 1_000),
        "evaluate and save the mean weights of this many last epochs; 1: no mean",
        neutral=1,
    ),
    "layer_decay": Setting(
        None,
        optional(number(0, 1)),
        "learning rate of a layer over that of the layer above it; none: the same for all",
        neutral=None,
    ),
    "freeze": Setting(
        0,
        integer(0, 1_000_000),
        "epochs until the next lower layer is trained too, from the top down; 0: all at once",
        neutral=0,
    ),
    "patience": Setting(
        5,
        integer(1, 1_000_000),
        "epochs without a better score (of equal ones, lower loss) before early stopping",
    ),
    "checkpoint_minutes": Setting(
        None,
        optional(number(0)),
        "minutes between checkpoints within an epoch; none: only at its end",
        neutral=None,
    ),
    "tensorboard": Setting(
        False,
        boolean,
        "write event files for TensorBoard: loss, learning rate, gradient norm and examples per "
        "second of each step, metrics of each epoch",
        neutral=False,
    ),
    "log_steps": Setting(
        False, boolean, "write the same of each step as a line of JSON: steps.jsonl", neutral=False
    ),
    "seed": Setting(
        0, integer(0), "seed of splits, initial weights, batch order and dropout", metavar="N"
    ),
}
