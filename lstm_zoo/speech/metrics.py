"""Word and character error rates."""

from collections.abc import Sequence


def error_rates(references: Sequence[str], transcripts: Sequence[str]) -> dict[str, float]:
    """Compute the word and the character error rate of transcripts.

    Both are of the whole: all substitutions, deletions and insertions over all words (characters,
    spaces among them) of the references.

    Args:
        references: what was said; one word at least in all of them together.
        transcripts: what was recognised, in the same order.

    Returns:
        `wer` and `cer` as fractions, above 1 where more is inserted than there is.

    Example:

    >>> error_rates(["one two", "three"], ["one too", "three"])
    {'wer': 0.3333333333333333, 'cer': 0.08333333333333333}
    """
    import jiwer

    return {
        "wer": float(jiwer.wer([*references], [*transcripts])),
        "cer": float(jiwer.cer([*references], [*transcripts])),
    }
