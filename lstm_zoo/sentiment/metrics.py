"""What a model is judged by."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support


def classification(references: np.ndarray, predictions: np.ndarray, classes: Sequence[str]) -> dict:
    """Compute accuracy, macro F1, and precision, recall and F1 of each class.

    Args:
        references: the true classes' indices, `(examples,)`.
        predictions: the predicted classes' indices, `(examples,)`.
        classes: the class names.

    Returns:
        `accuracy` and `macro_f1` (the mean over the classes that occur in either array) as
        fractions, `classes` with `precision`, `recall`, `f1` and `support` by name, and
        `confusion`, a list of rows: the true class down, the predicted one across.

    Example:

    >>> classification(np.array([0, 1, 1]), np.array([0, 1, 0]), ["neg", "pos"])["macro_f1"]
    0.6666666666666666
    """
    labels = np.arange(len(classes))
    scores = precision_recall_fscore_support(
        references, predictions, labels=labels, zero_division=0
    )
    occurs = np.union1d(references, predictions)
    return {
        "accuracy": float(np.mean(references == predictions)),
        "macro_f1": float(np.mean(scores[2][occurs])),
        "classes": {
            name: {
                "precision": float(precision),
                "recall": float(recall),
                "f1": float(f1),
                "support": int(support),
            }
            for name, precision, recall, f1, support in zip(classes, *scores, strict=True)
        },
        "confusion": confusion_matrix(references, predictions, labels=labels).tolist(),
    }


def recognition(references: Sequence[str], transcripts: Sequence[str]) -> dict[str, float]:
    """Compute the word and the character error rate of transcripts.

    Both are of the whole: all substitutions, deletions and insertions over all words (characters,
    spaces among them) of the references.

    Args:
        references: what was said; one word at least in all of them together.
        transcripts: what was recognised, in the same order.

    Returns:
        `wer` and `cer` as fractions, above 1 where more is inserted than there is.

    Example:

    >>> recognition(["one two", "three"], ["one too", "three"])
    {'wer': 0.3333333333333333, 'cer': 0.08333333333333333}
    """
    import jiwer

    return {
        "wer": float(jiwer.wer([*references], [*transcripts])),
        "cer": float(jiwer.cer([*references], [*transcripts])),
    }


def translation(references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, Any]:
    """Compute the BLEU and the chrF of translations, cased and detokenized, as sacrebleu does.

    BLEU: Papineni et al. 2002; chrF: Popović 2015; sacrebleu: Post 2018.

    Args:
        references: a right translation for each sentence; one sentence at least.
        hypotheses: the translations to judge, in the same order.

    Returns:
        `bleu` and `chrf`, from 0 to 100, and sacrebleu's `signature` of each by its name.

    Example:

    >>> scores = translation(["a dog runs on the grass"], ["a dog runs on the grass"])
    >>> round(scores["bleu"], 6), round(scores["chrf"], 6)
    (100.0, 100.0)
    """
    from sacrebleu.metrics import BLEU, CHRF

    scores: dict[str, Any] = {"signature": {}}
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
        scores[name] = float(metric.corpus_score([*hypotheses], [[*references]]).score)
        scores["signature"][name] = str(metric.get_signature())
    return scores
