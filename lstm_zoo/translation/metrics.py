"""BLEU and chrF, computed by sacrebleu."""

import json
import re
from collections.abc import Sequence
from typing import Any

from lstm_zoo.data.ranges import MAX_EXAMPLES, MIN_EXAMPLES, RESAMPLES, ranges_of
from lstm_zoo.text.scripts import script_without_spaces

# Upper bounds, in words of the source, of the ranges of lengths.
LENGTHS = (5, 10, 15, 20, 30)
# sacrebleu's tokenizers of languages that are written without spaces, by ISO 639 code or name. Only
# those that need no other package: with one installed or not, scores must be the same.
TOKENIZERS = {
    **dict.fromkeys(("zh", "zho", "chi", "cmn", "yue", "chinese"), "zh"),
    **dict.fromkeys(("ja", "jpn", "japanese"), "char"),
    **dict.fromkeys(("th", "tha", "thai", "lo", "lao", "km", "khm", "khmer"), "char"),
    **dict.fromkeys(("my", "mya", "bur", "burmese", "bo", "bod", "tib", "tibetan"), "char"),
}
SCRIPTS = {"chinese": "zh", "japanese": "char", "other": "char", None: "13a"}


def bleu_tokenizer(language: str | None, references: Sequence[str]) -> str:
    """Choose sacrebleu's tokenizer for BLEU.

    Args:
        language: the target language, such as "zh_CN"; None if it is not known.
        references: texts in it; their script decides for other names, such as "target".

    Returns:
        "zh" for Chinese, "char" for Japanese, Thai, Lao, Khmer, Burmese, Tibetan and other
        languages written without spaces, "13a" for all others.

    Example:

    >>> bleu_tokenizer("zh_CN", []), bleu_tokenizer("target", ["今日はいい"])
    ('zh', 'char')
    """
    code = re.split("[-_]", (language or "").lower())[0]
    return TOKENIZERS.get(code) or SCRIPTS[script_without_spaces(references)]


def bleu_and_chrf(
    references: Sequence[str], hypotheses: Sequence[str], tokenizer: str = "13a"
) -> dict[str, Any]:
    """Compute corpus BLEU and chrF of detokenized, cased translations.

    BLEU: Papineni et al. 2002; chrF: Popović 2015; sacrebleu: Post 2018.

    Args:
        references: one reference for each sentence, at least 1.
        hypotheses: the translations, in the same order.
        tokenizer: sacrebleu's tokenizer for BLEU, from `bleu_tokenizer`.

    Returns:
        `bleu` and `chrf`, from 0 to 100, and `signature`, sacrebleu's signature of each by name.

    Example:

    >>> scores = bleu_and_chrf(["a dog runs on the grass"], ["a dog runs on the grass"])
    >>> round(scores["bleu"], 6), round(scores["chrf"], 6)
    (100.0, 100.0)
    """
    from sacrebleu.metrics import BLEU, CHRF

    scores: dict[str, Any] = {"signature": {}}
    for name, metric in (("bleu", BLEU(tokenize=tokenizer)), ("chrf", CHRF())):
        scores[name] = float(metric.corpus_score([*hypotheses], [[*references]]).score)
        scores["signature"][name] = str(metric.get_signature())
    return scores


def bleu_by_length(
    sources: Sequence[str],
    references: Sequence[str],
    hypotheses: Sequence[str],
    tokenizer: str = "13a",
) -> list[dict[str, Any]]:
    """Compute BLEU for each range of lengths of the source.

    Args:
        sources: the source texts.
        references: one reference for each.
        hypotheses: the translations, in the same order.
        tokenizer: as for `bleu_and_chrf`.

    Returns:
        A row for each range with examples: `words`, the maximum number of words of the source or
        None; `examples`; `bleu`; and `interval`, its 95% interval by bootstrap (Koehn 2004), or
        None: for fewer than 5 examples, for more than 1,000, or where BLEU is 0.

    Example:

    >>> rows = bleu_by_length(["ein Hund"] * 5, ["a dog runs by"] * 5, ["a dog runs by"] * 5)
    >>> round(rows[0]["bleu"]), rows[0]["examples"], rows[0]["interval"]
    (100, 5, [100.0, 100.0])
    """
    from sacrebleu.metrics import BLEU

    rows = []
    for words, chosen in ranges_of([len(text.split()) for text in sources], LENGTHS):
        metric = BLEU(tokenize=tokenizer)
        found = metric.corpus_score(
            [hypotheses[index] for index in chosen],
            [[references[index] for index in chosen]],
            n_bootstrap=RESAMPLES if MIN_EXAMPLES <= len(chosen) <= MAX_EXAMPLES else 1,
        )
        described = json.loads(found.format(is_json=True, signature=str(metric.get_signature())))
        interval = None
        if "confidence_var" in described:
            mean, half = described["confidence_mean"], described["confidence_var"]
            interval = [max(mean - half, 0.0), min(mean + half, 100.0)]
        row = {"words": words, "examples": len(chosen), "bleu": float(found.score)}
        rows.append({**row, "interval": interval})
    return rows


def sentence_chrf(reference: str, hypothesis: str) -> float:
    """Compute chrF of one translation, from 0 to 100.

    Example:

    >>> round(sentence_chrf("a dog", "a dog"), 6)
    100.0
    """
    from sacrebleu.metrics import CHRF

    return float(CHRF().sentence_score(hypothesis, [reference]).score)
