"""BLEU and chrF of sentences whose n-grams are counted by hand."""

import math

import pytest
import sacrebleu

from lstm_zoo.translation.metrics import (
    bleu_and_chrf,
    bleu_by_length,
    bleu_tokenizer,
    sentence_chrf,
)

# Of 5 unigrams, 4 bigrams, 3 trigrams and 2 4-grams, all but one each match.
ONE_WORD_WRONG = (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** (1 / 4)


@pytest.mark.parametrize(
    "references, hypotheses, expected",
    [
        (["a b c d e"], ["a b c d e"], 1),
        (["a b c d e"], ["a b c d f"], ONE_WORD_WRONG),
        (["a b c d e"], ["A b c d e"], ONE_WORD_WRONG),  # cased
        (["a b c d e"], ["a b c d"], math.exp(1 - 5 / 4)),  # brevity penalty
        (["a b c d."], ["a b c d ."], 1),  # tokenized by sacrebleu
        # n-grams are summed over the corpus before precisions are computed
        (["a b c d e"] * 2, ["a b c d e", "a b c d f"], (9 * 7 * 5 * 3 / (10 * 8 * 6 * 4)) ** 0.25),
    ],
)
def test_bleu(references, hypotheses, expected):
    assert bleu_and_chrf(references, hypotheses)["bleu"] == pytest.approx(100 * expected)


@pytest.mark.parametrize(
    "reference, hypothesis, precision, recall",
    [
        ("ab", "ab", 1, 1),
        ("a b", "ab", 1, 1),  # white space is ignored
        ("ab", "ac", (1 / 2 + 0) / 2, (1 / 2 + 0) / 2),
        ("ab", "abc", (2 / 3 + 1 / 2) / 2, 1),
        ("abc", "ab", 1, (2 / 3 + 1 / 2) / 2),
        ("ab", "cd", 0, 0),
    ],
)
def test_chrf_weighs_recall_twice(reference, hypothesis, precision, recall):
    expected = 5 * precision * recall / (4 * precision + recall) if precision else 0
    scores = bleu_and_chrf([reference], [hypothesis])
    assert scores["chrf"] == pytest.approx(100 * expected)


def test_signatures_hold_the_options_of_sacrebleu():
    version = sacrebleu.__version__
    assert bleu_and_chrf(["a"], ["a"])["signature"] == {
        "bleu": f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{version}",
        "chrf": f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:{version}",
    }


@pytest.mark.parametrize(
    "language, references, tokenizer",
    [
        ("zh", [], "zh"),
        ("zh-Hant_TW", [], "zh"),
        ("cmn", [], "zh"),
        ("ja", ["日本"], "char"),
        ("tha", [], "char"),
        ("km", [], "char"),
        ("de", ["ein Hund"], "13a"),
        (None, [], "13a"),
        # Names that are no language: the script of most letters.
        ("target", ["她买了五个苹果。", "iPhone"], "zh"),
        ("target", ["彼女は本を買った。"], "char"),
        (None, ["สวัสดีชาวโลก"], "char"),
        ("tgt", ["ສະບາຍດີ"], "char"),
        ("tgt", ["မင်္ဂလာပါ"], "char"),
        ("tgt", ["བཀྲ་ཤིས་བདེ་ལེགས།"], "char"),
        ("tgt", ["그는 한국어를 배운다", "大"], "13a"),
        ("tgt", ["नमस्ते दुनिया"], "13a"),
    ],
)
def test_the_tokenizer_suits_the_target_language(language, references, tokenizer):
    assert bleu_tokenizer(language, references) == tokenizer


def test_a_language_without_spaces_has_partial_scores():
    reference, hypothesis = "她昨天买了五个红苹果。", "她昨天买了三个红苹果。"
    assert bleu_and_chrf([reference], [hypothesis])["bleu"] == 0  # a sentence is one word
    for tokenizer in ("zh", "char"):
        scores = bleu_and_chrf([reference], [hypothesis], tokenizer)
        # Of 11 characters one is wrong, and with it 2 of 10 pairs, 3 of 9 and 4 of 8.
        expected = 100 * (10 / 11 * 8 / 10 * 6 / 9 * 4 / 8) ** 0.25
        assert scores["bleu"] == pytest.approx(expected)
        assert f"|tok:{tokenizer}|" in scores["signature"]["bleu"]


def test_chrf_of_a_sentence_is_that_of_a_corpus_of_one():
    reference, hypothesis = "a dog runs", "a dog ran"
    expected = bleu_and_chrf([reference], [hypothesis])["chrf"]
    assert sentence_chrf(reference, hypothesis) == pytest.approx(expected)


def test_empty_hypotheses_score_zero():
    scores = bleu_and_chrf(["a b c d e", "f"], ["", ""])
    assert scores["bleu"] == scores["chrf"] == 0


def test_bleu_by_length_is_that_of_the_range_with_an_interval():
    sources = [*["a b c", "a b c d e"] * 3, "a b c d e f", "g " * 99]
    hypotheses = [*["a b c d e", "a b c d f"] * 3, "a b c d f", "y"]
    rows = bleu_by_length(sources, [*["a b c d e"] * 7, "x"], hypotheses)
    assert [(row["words"], row["examples"]) for row in rows] == [(5, 6), (10, 1), (None, 1)]
    assert rows[0]["bleu"] == pytest.approx(100 * (9 * 7 * 5 * 3 / (10 * 8 * 6 * 4)) ** 0.25)
    low, high = rows[0]["interval"]
    assert 100 * ONE_WORD_WRONG - 1 < low < rows[0]["bleu"] < high <= 100
    assert rows[1]["bleu"] == pytest.approx(100 * ONE_WORD_WRONG)
    assert rows[1]["interval"] is None  # of one example
    assert rows[2]["bleu"] == 0 and rows[2]["interval"] is None
    zero = bleu_by_length(["a"] * 9, ["b"] * 9, ["c"] * 9)
    assert (zero[0]["bleu"], zero[0]["interval"]) == (0, None)
