"""The demo corpus: seeded, balanced, and beyond a bag of words but in plain reviews."""

import re
from collections import Counter

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from lstm_zoo.sentiment import demo

MINIMAL_PAIRS = [name for name in demo.CONSTRUCTIONS if name not in ("plain", "denial")]


@pytest.fixture(scope="module")
def corpus():
    return demo.generate()


def words(text):
    return Counter(re.findall(r"[\w-]+", text.lower()))


def test_equal_seeds_give_equal_corpora(corpus):
    assert demo.generate() == corpus
    assert len(set(demo.generate(seed=1)[0]) & set(corpus[0])) < 40


def test_a_seed_gives_fixed_texts():
    texts, labels, constructions = demo.generate(2, seed=3)
    assert texts == [
        "The comedy was, to be honest, fascinating, and that the first act was bland hardly "
        "matters.",
        "Apart from the fresh villain, the finished drama is genuinely forgettable.",
    ]
    assert labels == ["pos", "neg"]
    assert constructions == ["contrast", "contrast"]


@pytest.mark.parametrize("examples", [1, 2, 27, 520])
def test_the_number_of_examples_is_exact(examples):
    assert [len(column) for column in demo.generate(examples)] == [examples] * 3


def test_an_empty_corpus_is_an_error():
    with pytest.raises(ValueError, match="at least 1 example"):
        demo.generate(0)


def test_a_negative_seed_is_an_error():
    with pytest.raises(ValueError):
        demo.generate(2, seed=-1)


def test_labels_are_balanced_in_every_construction(corpus):
    _, labels, constructions = corpus
    counts = Counter(zip(constructions, labels, strict=True))
    assert set(constructions) == set(demo.CONSTRUCTIONS)
    for name in demo.CONSTRUCTIONS:
        assert counts[name, "neg"] == counts[name, "pos"] > 100
    assert 0.25 <= constructions.count("plain") / len(constructions) <= 0.33


def test_adjectives_are_used_equally_often(corpus):
    counts = sum(map(words, corpus[0]), Counter())
    used = [counts[adjective] for kind in ("good", "bad") for adjective in demo._GRAMMAR[kind]]
    assert max(used) < 1.05 * min(used)


def test_texts_are_short_sentences_and_rarely_repeat(corpus):
    texts = corpus[0]
    assert len(set(texts)) > 0.98 * len(texts)
    for text in texts:
        assert re.fullmatch(r"[A-Z][a-z]*( [A-Za-z]+|[,;] [A-Za-z]+)+\.", text), text
        assert 4 <= len(text.split()) <= 28


@pytest.mark.parametrize("construction", MINIMAL_PAIRS)
def test_labels_differ_only_in_word_order(construction):
    negative, positive = demo.Sampler(5), demo.Sampler(5)
    for _ in range(100):
        pair = negative.sentence(construction, False), positive.sentence(construction, True)
        assert words(pair[0]) == words(pair[1])
        assert pair[0] != pair[1]


def test_a_bag_of_words_fails_where_word_order_matters(corpus):
    texts, labels, constructions = map(np.array, corpus)
    training, test = np.arange(3_000), np.arange(3_000, 4_000)
    test = test[~np.isin(texts[test], texts[training])]
    classifier = make_pipeline(CountVectorizer(), LogisticRegression(max_iter=1_000))
    classifier.fit(texts[training], labels[training])
    correct = classifier.predict(texts[test]) == labels[test]
    plain = constructions[test] == "plain"
    assert correct[~plain].mean() <= 0.6
    assert correct[np.isin(constructions[test], MINIMAL_PAIRS)].mean() <= 0.6
    assert correct[plain].mean() >= 0.85
