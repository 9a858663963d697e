"""N-gram logits against a loop in Python, their dropout, and their mean with a network's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.data.batching import pad
from lstm_zoo.sentiment.ngrams import (
    GAIN,
    HASH_FACTOR,
    NGRAM_PROBABILITY,
    MeanOrOne,
    NgramScores,
)


def with_table(layer, table):
    layer.build((None, None))
    layer.table.assign(table)
    return layer


@given(
    rows=st.lists(st.lists(st.integers(1, 29_999), max_size=9), min_size=1, max_size=4),
    length=st.integers(1, 4),
    buckets=st.sampled_from([1, 7, 2**20]),
    extra=st.integers(0, 3),
)
@settings(max_examples=25)
def test_ngram_scores_are_summed_over_the_root_of_their_number(rows, length, buckets, extra):
    table = np.random.default_rng(0).normal(size=(buckets, 3)).astype(np.float32)
    layer = with_table(NgramScores(3, length, buckets), table)
    ids = np.pad(pad(rows), [(0, 0), (0, extra)])
    for row, scores in zip(rows, np.asarray(layer(ids)), strict=True):
        found = []
        for size in range(1, length + 1):
            for start in range(len(row) - size + 1):
                hashed = 0
                for token in row[start : start + size]:
                    hashed = hashed % buckets * HASH_FACTOR % buckets + token
                found.append(table[hashed % buckets])
        expected = GAIN * np.sum(found, axis=0) / np.sqrt(len(found)) if found else np.zeros(3)
        np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)


def test_ngrams_are_dropped_in_training_only():
    layer = with_table(NgramScores(2, 1, 10, dropout=0.5, seed=1), np.ones((10, 2)))
    ids = np.ones((800, 16), dtype=np.int32)
    assert np.asarray(layer(ids)) == pytest.approx(GAIN * 4)
    kept = np.asarray(layer(ids, training=True)) / GAIN * 4 / 2
    assert kept.mean() == pytest.approx(8, abs=0.4)
    assert len(np.unique(kept)) > 5


def test_logits_are_of_one_of_the_two_in_training_and_the_mean_in_inference():
    layer = MeanOrOne(seed=1)
    network, ngrams = np.full((3_000, 2), 1.0), np.full((3_000, 2), 4.0)
    assert np.array_equal(layer(network, ngrams), np.full((3_000, 2), 2.5))
    trained = np.asarray(layer(network, ngrams, training=True))
    assert np.array_equal(trained[:, 0], trained[:, 1])
    assert set(trained[:, 0]) == {1, 4}
    assert np.mean(trained == 4) == pytest.approx(NGRAM_PROBABILITY, abs=0.03)
    again = np.asarray(layer(network, ngrams, training=True))
    assert not np.array_equal(again, trained)


def test_a_rebuilt_layer_gives_equal_logits_in_training():
    table = np.random.default_rng(0).normal(size=(50, 2))
    layer = NgramScores(2, 3, 50, dropout=0.4, seed=7)
    rebuilt = with_table(NgramScores.from_config(layer.get_config()), table)
    ids = np.arange(1, 13, dtype=np.int32).reshape(3, 4)
    scores = np.asarray(with_table(layer, table)(ids, training=True))
    assert np.array_equal(rebuilt(ids, training=True), scores)
    mean = MeanOrOne(seed=7)
    same = MeanOrOne.from_config(mean.get_config())
    logits = np.zeros_like(scores), scores
    assert np.array_equal(same(*logits, training=True), mean(*logits, training=True))
