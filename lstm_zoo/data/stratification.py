"""A seeded share of rows that may have several labels each: iterative stratification."""

import heapq
from collections import Counter
from collections.abc import Sequence

import numpy as np


def hold_out(
    units: np.ndarray, labels: Sequence[Sequence[str]], fraction: float, seed: int
) -> np.ndarray:
    """Choose rows to hold out: the same share of each label, and of all rows.

    The label with the fewest undecided rows comes first, since frequent labels can make up later
    for what it decides (Sechidis et al. 2011). Every label keeps a row that is not held out.

    Args:
        units: integers `(rows,)`; rows of an equal one stay together.
        labels: the labels of each row, each once; maybe none.
        fraction: the share of held-out rows, above 0 and below 1.
        seed: the same seed and rows give the same choice.

    Returns:
        Whether each row is held out, boolean `(rows,)`.

    Raises:
        ValueError: if each unit has a label that no other has.

    Example:

    >>> labels = [["art", "new"], ["art"], ["new"], []] * 5
    >>> chosen = hold_out(np.arange(20), labels, 0.2, seed=0)
    >>> sum("art" in row for row, out in zip(labels, chosen) if out), int(chosen.sum())
    (2, 4)
    """
    _, first, unit = np.unique(units, return_index=True, return_inverse=True)
    unit = np.argsort(np.argsort(first))[unit]  # in the order of the rows, whatever the values are
    sizes = np.bincount(unit)
    rows_of: list[Counter] = [Counter() for _ in sizes]  # of each unit, by label
    for number, names in zip(unit, labels, strict=True):
        rows_of[number].update(names)
    units_of: dict[str, list[int]] = {}
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(sizes)).tolist()
    for number in shuffled:
        for name in rows_of[number]:
            units_of.setdefault(name, []).append(number)
    undecided = Counter({name: 0 for name in units_of})
    for counts in rows_of:
        undecided.update(counts)
    wanted = {name: fraction * rows for name, rows in undecided.items()}  # rows to hold out
    kept = {name: len(numbers) for name, numbers in units_of.items()}  # units not held out
    held_out = np.zeros(len(sizes), bool)
    decided = np.zeros(len(sizes), bool)
    missing = 0.0  # rows that are held out too few, of those that are decided

    def may_go(number: int) -> bool:
        return all(kept[name] > 1 for name in rows_of[number])

    if not any(map(may_go, shuffled)):
        raise ValueError(
            f"None of the {len(units)} examples can be held out: each, or its group, has a label "
            "that no other has, and the training data keep an example of each label. Leave out "
            "labels of a single example."
        )

    def decide(number: int, is_out: bool) -> None:
        nonlocal missing
        decided[number], held_out[number] = True, is_out
        missing += fraction * sizes[number] - sizes[number] * is_out
        for name, rows in rows_of[number].items():
            undecided[name] -= rows
            wanted[name] -= rows * is_out
            kept[name] -= is_out
            heapq.heappush(queue, (undecided[name], name))

    queue = [(rows, name) for name, rows in undecided.items()]
    heapq.heapify(queue)
    while queue:
        rows, name = heapq.heappop(queue)
        if not rows or rows != undecided[name]:  # it has changed since
            continue
        numbers = [number for number in units_of[name] if not decided[number]]
        # A part of a row is rounded such that the number of all rows is as wanted.
        share = fraction * sum(sizes[number] for number in numbers)
        round_up = wanted[name] % 1 > 0 and missing + share - np.floor(wanted[name]) >= 0.5
        quota = np.floor(wanted[name]) + round_up
        for number in numbers:
            rows = rows_of[number][name]
            is_out = rows / 2 <= quota and quota >= 0.5 and may_go(number)
            decide(number, is_out)
            quota -= rows * is_out
    # Then rows without a label, and, if there are too few, others.
    unlabelled = [number for number in shuffled if not rows_of[number]]
    missing += fraction * sum(sizes[number] for number in unlabelled)
    others = [number for number in shuffled if rows_of[number] and not held_out[number]]
    for number in [*unlabelled, *others]:
        if missing >= 0.5 and sizes[number] / 2 <= missing and may_go(number):
            held_out[number] = True
            missing -= sizes[number]
            for name in rows_of[number]:
                kept[name] -= 1
    return held_out[unit]
