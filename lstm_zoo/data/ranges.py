"""Examples by ranges of length, and intervals of their scores."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lstm_zoo.families import Table

RESAMPLES = 500
MIN_EXAMPLES = 5  # fewer vary less than what they are drawn from
MAX_EXAMPLES = 1_000  # with more, an interval is narrow, and costs time
INTERVALS = (
    f"The black bars are 95% intervals, by bootstrap, of {MIN_EXAMPLES} to {MAX_EXAMPLES:,} "
    "examples: bars whose intervals overlap widely are not different."
)


def ranges_of(lengths: Sequence[int], bounds: Sequence[int]) -> list[tuple[int | None, np.ndarray]]:
    """Sort examples into ranges of length.

    Args:
        lengths: the length of each example.
        bounds: the largest length of each range but the last, ascending.

    Returns:
        For each range that has examples: its largest length, None for the last range, and the
        indices of its examples.

    Example:

    >>> [(bound, indices.tolist()) for bound, indices in ranges_of([9, 2, 5], bounds=(5, 8))]
    [(5, [1, 2]), (None, [0])]
    """
    numbers = np.searchsorted(bounds, lengths)
    found = [
        (bound, np.flatnonzero(numbers == number)) for number, bound in enumerate((*bounds, None))
    ]
    return [(bound, indices) for bound, indices in found if len(indices)]


def interval(counts: np.ndarray, score: Callable[[np.ndarray], float]) -> list[float] | None:
    """Return the 95% interval of a score, by bootstrap over the examples (Efron 1979).

    Args:
        counts: what the score is computed from, for each example `(examples, counts)`.
        score: from the sums over some examples, `(counts,)`, to their score.

    Returns:
        The lower and the upper bound, equal in each call; None for fewer than 5 examples, which
        say too little of others, and for more than 1,000, whose interval is narrow.

    Example:

    >>> errors_and_words = np.array([[0, 5], [1, 5], [2, 5], [0, 5], [1, 5]])
    >>> interval(errors_and_words, lambda sums: sums[0] / sums[1])
    [0.04, 0.28]
    """
    if not MIN_EXAMPLES <= len(counts) <= MAX_EXAMPLES:
        return None
    generator = np.random.default_rng(0)
    resamples = (generator.integers(len(counts), size=len(counts)) for _ in range(RESAMPLES))
    scores = [score(counts[rows].sum(axis=0)) for rows in resamples]
    return [float(bound) for bound in np.percentile(scores, [2.5, 97.5])]


def table(title: str, metric: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of a metric by ranges of length.

    Args:
        title: its title.
        metric: the key of the metric in the rows.
        rows: of each range `words` (its largest length, None for the last), `examples`, the metric
            and its `interval`.

    Example:

    >>> table("WER", "wer", [{"words": 5, "examples": 2, "wer": 0.5, "interval": None}]).rows
    [('to 5', 2, 0.5, None, None)]
    """
    return Table(
        title,
        ("words", "examples", metric.upper(), "95% from", "to"),
        [
            (
                "longer" if row["words"] is None else f"to {row['words']}",
                row["examples"],
                row[metric],
                *(row["interval"] or (None, None)),
            )
            for row in rows
        ],
    )
