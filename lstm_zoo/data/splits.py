"""Splits that are seeded, stratified and without the same text on both sides."""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np


def content_key(text: str) -> str:
    """Return a key that equal texts share, up to what `lstm_zoo.text.tokenizers` normalizes.

    Ignored are case, the Unicode normalization form, HTML line breaks and the width of white space.

    Example:

    >>> content_key("A good<br/>film ")
    'a good film'
    """
    text = re.sub(r"<br\s*/?>", " ", text, flags=re.IGNORECASE)
    text = re.sub(r"[\x00-\x1f\x7f]", " ", text)
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def overlap(training: Sequence[str], held_out: Sequence[str]) -> int:
    """Count the held-out texts that also occur in the training data, by `content_key`.

    Example:

    >>> overlap(["A good film"], ["a good  film", "a bad film"])
    1
    """
    known = {*map(content_key, training)}
    return sum(content_key(text) in known for text in held_out)


def duplicate_groups(*columns: Sequence[str]) -> list[str]:
    """Group rows that share a text of any column by `content_key`, directly or via other rows.

    Args:
        *columns: sequences of texts, of one length; texts are compared within a column only.

    Returns:
        The name of the group of each row, to pass to `split` as texts.

    Example:

    >>> duplicate_groups(["hi", "hi", "bye"], ["salut", "coucou", "coucou"])
    ['0', '0', '0']
    """
    parent = [*range(len(columns[0]))]

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = row = parent[parent[row]]
        return row

    for column in columns:
        first: dict[str, int] = {}
        for row, text in enumerate(column):
            known = first.setdefault(content_key(text), row)
            low, high = sorted((root(known), root(row)))
            parent[high] = low
    return [str(root(row)) for row in range(len(parent))]


def split(
    texts: Sequence[str], labels: Sequence[str], fraction: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Split a corpus in two, stratified by label, with duplicate texts on the same side.

    Args:
        texts: the texts; `content_key` decides which are duplicates.
        labels: the label of each text. Duplicates with different labels count as the first one's.
        fraction: the share of held-out examples, above 0 and below 1.
        seed: the same seed and corpus give the same split.

    Returns:
        Two sorted int64 arrays of indices into `texts`: the remaining and the held-out examples.

    Raises:
        ValueError: if the fraction is not between 0 and 1, or one side would be empty.

    Example:

    >>> rest, held_out = split(["a", "b", "c", "d"], ["x", "x", "y", "y"], 0.5, seed=1)
    >>> len(rest), len(held_out)
    (2, 2)
    """
    if not 0 < fraction < 1:
        raise ValueError(f"A split takes a fraction between 0 and 1. Received: {fraction}")
    duplicates: dict[str, list[int]] = {}
    for index, text in enumerate(texts):
        duplicates.setdefault(content_key(text), []).append(index)
    groups_of_class: dict[str, list[list[int]]] = {}
    for group in duplicates.values():
        groups_of_class.setdefault(labels[group[0]], []).append(group)
    generator = np.random.default_rng(seed)
    held_out: list[int] = []
    for label in sorted(groups_of_class):
        groups = groups_of_class[label]
        wanted = fraction * sum(map(len, groups))
        taken = 0
        # The first group is never held out: every class keeps a text.
        for position in generator.permutation(len(groups))[1:]:
            # Get as near to the wanted count as possible; skip groups of too many duplicates.
            if taken + len(groups[position]) / 2 <= wanted:
                held_out += groups[position]
                taken += len(groups[position])
    rest = np.setdiff1d(np.arange(len(texts)), held_out)
    if not len(held_out) or not len(rest):
        raise ValueError(
            f"Splitting {len(texts)} examples ({len(duplicates)} different texts) at "
            f"{fraction} leaves one side empty; give more examples or another fraction."
        )
    return rest, np.sort(np.asarray(held_out, dtype=np.int64))
