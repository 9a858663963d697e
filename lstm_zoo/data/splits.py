"""Splits that are seeded, stratified, and without the same text or group on both sides.

Texts are compared by hashes, so that a split needs a few bytes for each row of a corpus.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from lstm_zoo.data import stratification
from lstm_zoo.data.arrays import Texts, take

LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def content_key(text: str) -> str:
    """Return a key that equal texts share, up to what `lstm_zoo.text.tokenizers` normalizes.

    Ignored are case, the Unicode normalization form, HTML line breaks and the width of white space.

    Example:

    >>> content_key("A good<br/>film ")
    'a good film'
    """
    if "<" in text:
        text = LINE_BREAK.sub(" ", text)
    if not text.isprintable():
        text = CONTROL.sub(" ", text)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def content_hashes(texts: Iterable[str]) -> np.ndarray:
    """Return a hash of the `content_key` of each text.

    Of 100 million different texts, two have the same hash with a probability of 0.0003; they then
    stay on one side of a split.

    Args:
        texts: the texts, each of which is read once; columns on disk have their hashes there.

    Returns:
        uint64 `(texts,)`, the same in every process.

    Example:

    >>> first, same, other = content_hashes(["A good<br/>film ", "a good film", "a bad film"])
    >>> bool(first == same), bool(first == other)
    (True, False)
    """
    if isinstance(texts, Texts):
        return texts.hashes
    return np.fromiter((_hash(content_key(text)) for text in texts), np.uint64)


def overlap(training: Iterable[str], held_out: Iterable[str]) -> int:
    """Count the held-out texts that also occur in the training data, by `content_key`.

    Example:

    >>> overlap(["A good film"], ["a good  film", "a bad film"])
    1
    """
    return int(np.isin(content_hashes(held_out), content_hashes(training)).sum())


def connect(*columns: np.ndarray) -> np.ndarray:
    """Group rows that share a value of any column, directly or via other rows.

    Args:
        *columns: integers `(rows,)`, such as those of `content_hashes`; values are compared within
            a column only.

    Returns:
        int64 `(rows,)`: the index of the first row of each row's group.

    Example:

    >>> sources, targets = ["hi", "hi", "bye", "yes"], ["salut", "coucou", "coucou", "oui"]
    >>> connect(content_hashes(sources), content_hashes(targets)).tolist()
    [0, 0, 0, 3]
    """
    values = [np.unique(column, return_inverse=True)[1] for column in columns]
    first = np.arange(len(columns[0]))
    while True:
        before = first
        for value in values:
            lowest = np.full(len(first), len(first))
            np.minimum.at(lowest, value, first)
            first = lowest[value]
            first = first[first]  # halves the way along a chain of rows
        if np.array_equal(first, before):
            return first


def split(
    contents: np.ndarray,
    labels: Sequence[str] | Sequence[Sequence[str]],
    fraction: float,
    seed: int = 0,
    groups: Sequence[str] = (),
    multi_label: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Split a corpus in two, stratified by label, with equal contents and groups on one side.

    Where most rows are connected by contents that several groups share, only the groups are kept
    on one side.

    Args:
        contents: integers `(rows,)`: rows of equal ones are duplicates. `content_hashes` returns
            them for texts.
        labels: the label of each row. Connected rows with different labels count as the first
            one's.
        fraction: the share of held-out examples, above 0 and below 1.
        seed: the same seed and corpus give the same split.
        groups: the group of each row, such as its speaker, "" for a row without one; a single
            group is ignored. Empty if there are none.
        multi_label: whether `labels` has a sequence of labels for each row; see
            `lstm_zoo.data.stratification`.

    Returns:
        Two sorted int64 arrays of row indices: the remaining and the held-out examples.

    Raises:
        ValueError: if the fraction is not between 0 and 1, or one side would be empty.

    Example:

    >>> texts, labels = ["a", "b", "c", "d"], ["x", "x", "y", "y"]
    >>> rest, held_out = split(content_hashes(texts), labels, 0.5, seed=1)
    >>> len(rest), len(held_out)
    (2, 2)
    """
    if not 0 < fraction < 1:
        raise ValueError(f"A split takes a fraction between 0 and 1. Received: {fraction}")
    grouped = len({*groups}) > 1
    hold_out = stratification.hold_out if multi_label else _hold_out
    if not grouped:
        held_out = hold_out(contents, labels, fraction, seed)
    else:
        names = _group_numbers(groups, contents)
        held_out = hold_out(connect(contents, names), labels, fraction, seed)
        if held_out.sum() < fraction * len(contents) / 2:
            held_out = hold_out(names, labels, fraction, seed)
    if not held_out.any() or held_out.all():
        raise ValueError(
            f"Splitting {len(contents)} examples ({len(np.unique(contents))} different texts"
            f"{f', {len({*groups})} groups' if grouped else ''}) at {fraction} leaves one side "
            "empty; give more examples or another fraction"
            f"{', or group_column=none to split groups too' if grouped else ''}."
        )
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _hold_out(units: np.ndarray, labels: Sequence[str], fraction: float, seed: int) -> np.ndarray:
    """Choose rows to hold out; rows of an equal unit stay together.

    Returns:
        Whether each row is held out, boolean `(rows,)`.
    """
    _, first, unit, size = np.unique(
        units, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(first)  # the order of the corpus, whatever the hashes are
    number: dict[str, int] = {}
    labels_of_rows, labels = labels, take(labels, first[order])
    codes = np.fromiter((number.setdefault(label, len(number)) for label in labels), np.int64)
    by_class = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes))
    units_of_class = dict(zip(number, np.split(order[by_class], ends), strict=False))
    generator = np.random.default_rng(seed)
    chosen = np.zeros(len(first), dtype=bool)
    for label in sorted(units_of_class):
        indices = units_of_class[label]
        wanted = fraction * int(size[indices].sum())
        taken = 0
        # The first unit is never held out: every class keeps a text.
        for index in indices[generator.permutation(len(indices))[1:]]:
            # Get as near to the wanted count as possible; skip units of too many rows.
            if taken + size[index] / 2 <= wanted:
                chosen[index] = True
                taken += size[index]
            elif taken + 0.5 > wanted:
                break  # no unit is small enough
    _keep_every_label(chosen, unit, first, labels_of_rows, number)
    return chosen[unit]


def _keep_every_label(
    chosen: np.ndarray,
    unit: np.ndarray,
    first: np.ndarray,
    labels: Sequence[str],
    known: Mapping[str, int],
) -> None:
    """Take back held-out units, so that a label keeps a row that is not held out.

    A unit's first row decides for which label it is chosen. A label that is nowhere the first one
    could be held out as a whole.

    Args:
        chosen: whether each unit is held out; it is changed.
        unit: the unit of each row.
        first: the first row of each unit.
        labels: the label of each row.
        known: the labels of first rows, which keep one.
    """
    others = np.setdiff1d(np.arange(len(unit)), first)
    units_of: dict[str, list[int]] = {}
    for row, label in zip(others, take(labels, others), strict=True):
        if label not in known:
            units_of.setdefault(label, []).append(unit[row])
    for numbers in units_of.values():
        if chosen[numbers].all():
            chosen[numbers[0]] = False


def _group_numbers(groups: Sequence[str], contents: np.ndarray) -> np.ndarray:
    """Return an integer for each row that rows of one group share; without a group, duplicates."""
    number = {"": -1}
    numbers = np.fromiter((number.setdefault(name, len(number)) for name in groups), np.int64)
    content = np.unique(contents, return_inverse=True)[1]
    return np.where(numbers < 0, len(number) + content, numbers)


def _hash(text: str) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
