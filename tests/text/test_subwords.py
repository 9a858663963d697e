"""Subword regularization."""

import math

import numpy as np
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from lstm_zoo.text.encoding import encode
from lstm_zoo.text.subwords import SubwordSampler
from lstm_zoo.text.tokenizers import PieceTokenizer

TEXTS = ["a long film", "a longer film", "the longest of films", "belonging", "filming along"] * 9


@pytest.fixture(scope="module")
def tokenizer():
    return PieceTokenizer.learn(TEXTS, vocabulary_size=320, fold_case=False)


@given(
    text=st.text(st.sampled_from("along film\u00e9\U0001f600\u00df  "), max_size=30)
    | st.text(max_size=30),
    alpha=st.sampled_from([0.0, 0.3, 5.0]),
    cut=st.integers(1, 40),
)
def test_what_is_drawn_is_the_same_text(tokenizer, text, alpha, cut):
    ids = encode(tokenizer, [text], cut)[0]
    sample = SubwordSampler(tokenizer, alpha)
    for seed in range(3):
        drawn = sample(ids, np.random.default_rng(seed))
        assert drawn.dtype == np.int32
        assert tokenizer.detokenize([drawn]).numpy() == tokenizer.detokenize([ids]).numpy()
        assert np.array_equal(drawn, sample(ids, np.random.default_rng(seed)))


def test_segmentations_are_drawn_with_their_probability_to_the_power_of_alpha(tokenizer):
    processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model)
    best = processor.nbest_encode("longer", nbest_size=16)
    weights = [math.exp(0.2 * sum(map(processor.get_score, ids))) for ids in best]
    sample, generator = SubwordSampler(tokenizer, 0.2), np.random.default_rng(0)
    ids = np.array(best[0], dtype=np.int32)
    drawn = [sample(ids, generator).tolist() for _ in range(20_000)]
    assert len(best) > 3
    for other, weight in zip(best, weights, strict=True):
        assert drawn.count(other) / len(drawn) == pytest.approx(weight / sum(weights), abs=0.012)


def test_words_are_drawn_apart_and_a_high_alpha_keeps_the_most_probable(tokenizer):
    (ids,) = encode(tokenizer, ["a longer film belonging"], 40)
    assert np.array_equal(SubwordSampler(tokenizer, 100)(ids, np.random.default_rng(0)), ids)
    sample, generator = SubwordSampler(tokenizer, 0), np.random.default_rng(0)
    assert len({sample(ids, generator).tobytes() for _ in range(200)}) > 16
