"""Word and character error rates."""

from collections.abc import Sequence


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
