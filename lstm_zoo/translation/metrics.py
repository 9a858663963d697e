"""BLEU and chrF, computed by sacrebleu."""

from collections.abc import Sequence
from typing import Any


def bleu_and_chrf(references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, Any]:
    """Compute corpus BLEU and chrF of detokenized, cased translations.

    BLEU: Papineni et al. 2002; chrF: Popović 2015; sacrebleu: Post 2018.

    Args:
        references: one reference for each sentence, at least 1.
        hypotheses: the translations, in the same order.

    Returns:
        `bleu` and `chrf`, from 0 to 100, and `signature`, sacrebleu's signature of each by name.

    Example:

    >>> scores = bleu_and_chrf(["a dog runs on the grass"], ["a dog runs on the grass"])
    >>> round(scores["bleu"], 6), round(scores["chrf"], 6)
    (100.0, 100.0)
    """
    from sacrebleu.metrics import BLEU, CHRF

    scores: dict[str, Any] = {"signature": {}}
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
        scores[name] = float(metric.corpus_score([*hypotheses], [[*references]]).score)
        scores["signature"][name] = str(metric.get_signature())
    return scores
