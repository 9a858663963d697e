"""Word and character error rates, in all and by length, and the most frequent errors."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lstm_zoo.data.ranges import interval, ranges_of

KINDS = {"substitute": "substitutions", "delete": "deletions", "insert": "insertions"}
FREQUENT = 20  # errors of a kind that are kept
LENGTHS = (2, 5, 10, 15, 20, 30)  # upper bounds, in words, of the ranges of lengths


def error_rates(references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, float]:
    """Compute the word and the character error rate of a corpus.

    Each is the number of substitutions, deletions and insertions in all hypotheses, divided by the
    number of words (for `cer` of characters, spaces included) in all references.

    Args:
        references: the reference transcripts, with at least one word in total.
        hypotheses: the recognized transcripts, in the same order.

    Returns:
        `wer` and `cer` as fractions; they can be above 1 because of insertions.

    Example:

    >>> error_rates(["one two", "three"], ["one too", "three"])
    {'wer': 0.3333333333333333, 'cer': 0.08333333333333333}
    """
    import jiwer

    return {
        "wer": float(jiwer.wer([*references], [*hypotheses])),
        "cer": float(jiwer.cer([*references], [*hypotheses])),
    }


def frequent_errors(
    references: Sequence[str], hypotheses: Sequence[str], unit: str = "words"
) -> dict[str, list[tuple[str, str, int]]]:
    """Count which words are taken for which, left out and added, by the least-cost alignment.

    Args:
        references: the reference transcripts.
        hypotheses: the recognized transcripts, in the same order.
        unit: "words"; or "characters", where no spaces separate words.

    Returns:
        `substitutions`, `deletions` and `insertions`: for each a (reference, heard, count), the
        most frequent first, of equal counts by name; at most `FREQUENT` of a kind.

    Example:

    >>> frequent_errors(["one two", "three"], ["one too", "three o"])
    {'substitutions': [('two', 'too', 1)], 'deletions': [], 'insertions': [('', 'o', 1)]}
    """
    import jiwer

    process = {"words": jiwer.process_words, "characters": jiwer.process_characters}[unit]
    aligned = process([*references], [*hypotheses])
    counts = {kind: Counter() for kind in KINDS.values()}
    for reference, heard, chunks in zip(
        aligned.references, aligned.hypotheses, aligned.alignments, strict=True
    ):
        for chunk in chunks:
            if chunk.type not in KINDS:
                continue
            expected = reference[chunk.ref_start_idx : chunk.ref_end_idx]
            found = heard[chunk.hyp_start_idx : chunk.hyp_end_idx]
            longest = max(len(expected), len(found))
            pairs = zip(
                [*expected, *[""] * (longest - len(expected))],
                [*found, *[""] * (longest - len(found))],
                strict=True,
            )
            counts[KINDS[chunk.type]].update(pairs)
    return {
        kind: [
            (*pair, count)
            for pair, count in sorted(found.items(), key=lambda item: (-item[1], item[0]))
        ][:FREQUENT]
        for kind, found in counts.items()
    }


def by_length(
    references: Sequence[str], hypotheses: Sequence[str], unit: str = "words"
) -> list[dict[str, Any]]:
    """Compute the error rate for each range of lengths of the reference.

    Args:
        references: the reference transcripts, none empty.
        hypotheses: the recognized transcripts, in the same order.
        unit: what the error rate counts, "words" or "characters".

    Returns:
        A row for each range with examples: `words`, the maximum number of words or None;
        `examples`; `wer` (or `cer`); and `interval`, its 95% interval by bootstrap, or None.

    Example:

    >>> rows = by_length(["one two", "one two three"], ["one too", "one two three"])
    >>> [(row["words"], row["examples"], row["wer"]) for row in rows]
    [(2, 1, 0.5), (5, 1, 0.0)]
    """
    import jiwer

    process = {"words": jiwer.process_words, "characters": jiwer.process_characters}[unit]
    metric = {"words": "wer", "characters": "cer"}[unit]
    rows = []
    for words, chosen in ranges_of([len(text.split()) for text in references], LENGTHS):
        counts = []
        for index in chosen:
            found = process(references[index], hypotheses[index])
            errors = found.substitutions + found.deletions + found.insertions
            counts.append((errors, found.hits + found.substitutions + found.deletions))
        rates = np.array(counts)
        rows.append(
            {
                "words": words,
                "examples": len(chosen),
                metric: _rate(rates.sum(axis=0)),
                "interval": interval(rates, _rate),
            }
        )
    return rows


def score_prediction(prediction: Mapping[str, Any], unit: str = "words") -> float:
    """Return the negated error rate of a row of predictions.

    Args:
        prediction: its `reference` and its `hypothesis`.
        unit: what the error rate counts, "words" or "characters".

    Example:

    >>> score_prediction({"reference": "one two", "hypothesis": "one too"})
    -0.5
    """
    rates = error_rates([prediction["reference"]], [prediction["hypothesis"]])
    return -rates[{"words": "wer", "characters": "cer"}[unit]]


def _rate(sums: np.ndarray) -> float:
    """Return an error rate from the numbers of errors and of reference words."""
    return float(sums[0] / sums[1])
