"""Honest splits: seeded, stratified, and by content, so that no text stands on both sides."""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np


def content_key(text: str) -> str:
    """Return what makes two texts the same, as `lstm_zoo.text.tokenizers` may see them.

    Case, the form of Unicode, HTML line breaks and runs of white space do not count.
    """
    text = re.sub(r"<br\s*/?>", " ", text, flags=re.IGNORECASE)
    text = re.sub(r"[\x00-\x1f\x7f]", " ", text)
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def overlap(training: Sequence[str], held_out: Sequence[str]) -> int:
    """Count the held-out texts that are, by content, in the training part too."""
    known = {*map(content_key, training)}
    return sum(content_key(text) in known for text in held_out)


def duplicate_groups(*columns: Sequence[str]) -> list[str]:
    """Group the rows that share, by content, a text of any column, also by way of other rows.

    Args:
        *columns: equally long sequences of texts; a text of one column is not one of another's.

    Returns:
        The name of its group for each row, for `split` to keep groups together.

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
    """Cut a corpus in two, keeping each class's share and all copies of a text together.

    Args:
        texts: the examples' texts.
        labels: a label for each text. Copies of one text under several labels go
            with the first one's class.
        fraction: the share of the examples, above 0 and below 1, that goes to the second part.
        seed: the same seed on the same corpus gives the same split.

    Returns:
        Two sorted int64 arrays of indices into `texts`: the larger part and the part cut off.

    Raises:
        ValueError: if the fraction is not between 0 and 1, or a part would be empty.

    Example:

    >>> rest, held_out = split(["a", "b", "c", "d"], ["x", "x", "y", "y"], 0.5, seed=1)
    >>> len(rest), len(held_out)
    (2, 2)
    """
    if not 0 < fraction < 1:
        raise ValueError(f"A split takes a fraction between 0 and 1. Received: {fraction}")
    copies: dict[str, list[int]] = {}
    for index, text in enumerate(texts):
        copies.setdefault(content_key(text), []).append(index)
    groups_of_class: dict[str, list[list[int]]] = {}
    for group in copies.values():
        groups_of_class.setdefault(labels[group[0]], []).append(group)
    generator = np.random.default_rng(seed)
    cut_off: list[int] = []
    for label in sorted(groups_of_class):
        groups = groups_of_class[label]
        wanted = fraction * sum(map(len, groups))
        taken = 0
        # The first stays, so that no class is cut off whole.
        for position in generator.permutation(len(groups))[1:]:
            # To the count nearest to the wanted one; a text of many copies may be too much.
            if taken + len(groups[position]) / 2 <= wanted:
                cut_off += groups[position]
                taken += len(groups[position])
    rest = np.setdiff1d(np.arange(len(texts)), cut_off)
    if not len(cut_off) or not len(rest):
        raise ValueError(
            f"Splitting {len(texts)} examples ({len(copies)} different texts) at "
            f"{fraction} leaves one part empty; give more examples or another fraction."
        )
    return rest, np.sort(np.asarray(cut_off, dtype=np.int64))
