"""N-gram logits against a loop in Python, their dropout, and their mean with a network's."""

from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from lstm_zoo.data.batching import pad
from lstm_zoo.recurrent import portable_loops
from lstm_zoo.sentiment import ngrams
from lstm_zoo.sentiment.ngrams import (
    GAIN,
    HASH_FACTOR,
    NGRAM_PROBABILITY,
    MeanOrOne,
    NgramScores,
    WeightedSum,
    fit_ngrams,
)


def with_table(layer, table):
    layer.build((None, None))
    layer.table.assign(table)
    return layer


@given(
    rows=st.lists(st.lists(st.integers(1, 29_999), max_size=9), min_size=1, max_size=4),
    length=st.integers(1, 4),
    buckets=st.sampled_from([1, 7, 2**20]),
    distinct=st.booleans(),
    extra=st.integers(0, 3),
    loops=st.sampled_from([nullcontext, portable_loops]),
)
@settings(max_examples=50)
def test_ngram_scores_are_summed_over_the_root_of_their_number(
    rows, length, buckets, distinct, extra, loops
):
    table = np.random.default_rng(0).normal(size=(buckets, 3)).astype(np.float32)
    layer = with_table(NgramScores(3, length, buckets, distinct=distinct), table)
    ids = np.pad(pad(rows), [(0, 0), (0, extra)])
    with loops():
        found = np.asarray(layer(ids))
    for row, scores in zip(rows, found, strict=True):
        found = []
        for size in range(1, length + 1):
            for start in range(len(row) - size + 1):
                hashed = 0
                for token in row[start : start + size]:
                    hashed = hashed % buckets * HASH_FACTOR % buckets + token
                found.append(hashed % buckets)
        found = table[sorted({*found}) if distinct else found]
        expected = GAIN * np.sum(found, axis=0) / np.sqrt(len(found)) if len(found) else np.zeros(3)
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


def test_the_weighted_sum_is_the_network_alone_in_training():
    layer = WeightedSum()
    network, others = np.array([[1.0, 2.0]], np.float32), np.array([[4.0, 8.0]], np.float32)
    layer(network, others)
    layer.set_weights([np.array([0.25, 2.0])])
    assert np.array_equal(layer(network, others), [[8.25, 16.5]])
    assert np.array_equal(layer(network, others, training=True), network)
    assert not layer.trainable_weights


def scores_of(weights, rows, num_classes, length, buckets):
    layer = NgramScores(num_classes, length, buckets, use_bias=True, distinct=True)
    layer.build((None, None))
    layer.set_weights(weights)
    return np.asarray(layer(pad(rows)))


def test_fitted_ngrams_are_the_logistic_regression_of_weighted_counts(monkeypatch):
    """The layer's logits are scikit-learn's, on features that are computed here by a loop."""
    monkeypatch.setattr(ngrams, "TOLERANCE", 1e-5)
    random = np.random.default_rng(0)
    targets = random.integers(3, size=60)
    rows = [
        np.concatenate([random.integers(4, 9, random.integers(1, 8)), [20 + target]])
        for target in targets
    ]
    buckets = 2**20  # enough for no two n-grams to share one
    found = scores_of(fit_ngrams(rows, targets, 3, 2, buckets), rows, 3, 2, buckets)
    grams = [
        [tuple(row[i : i + n]) for n in (1, 2) for i in range(len(row) - n + 1)] for row in rows
    ]
    names = sorted({gram for each in grams for gram in each})
    counts = np.array([[name in each for name in names] for each in grams]).astype(float)
    rarity = np.log((1 + len(rows)) / (1 + (counts > 0).sum(axis=0))) + 1
    features = counts / np.sqrt(counts.sum(axis=1, keepdims=True)) * rarity
    # With fewer texts than are needed to choose the regularization, it is 1.
    expected = LogisticRegression(C=1, tol=1e-5, max_iter=1_000).fit(features, targets)
    np.testing.assert_allclose(found, expected.decision_function(features), atol=1e-2)


@pytest.mark.parametrize("classes", [2, 3])
def test_fitted_ngrams_generalize_and_know_how_frequent_classes_are(classes):
    random = np.random.default_rng(1)

    def draw(count):
        targets = np.where(random.random(count) < 0.9, 0, random.integers(1, classes, count))
        return [random.integers(5 + 4 * t, 13 + 4 * t, 6) for t in targets], targets

    rows, targets = draw(600)
    weights = fit_ngrams(rows, targets, classes, 2, 2**12)
    others, expected = draw(300)
    scores = scores_of(weights, others, classes, 2, 2**12)
    assert np.mean(scores.argmax(axis=1) == expected) > 0.95
    (empty,) = scores_of(weights, [np.array([], int)], classes, 2, 2**12)
    assert empty.argmax() == 0  # the bias


def test_fitted_ngrams_of_several_labels_are_a_regression_each():
    random = np.random.default_rng(2)
    targets = (random.random((400, 3)) < 0.4).astype(np.float32)
    targets[:, 2] = 0  # a class that no text has
    rows = [np.array([9, *(4 + np.flatnonzero(row))]) for row in targets]
    table, bias = fit_ngrams(rows, targets, 3, 1, 1_000)
    scores = scores_of([table, bias], rows, 3, 1, 1_000)
    np.testing.assert_array_equal(scores[:, :2] > 0, targets[:, :2] > 0)
    assert not scores[:, 2].any()


def test_a_class_that_few_texts_have_is_fitted():
    rows = [np.array([4 + (i < 2)]) for i in range(200)]
    targets = np.array([int(i < 2) for i in range(200)])
    scores = scores_of(fit_ngrams(rows, targets, 2, 1, 100), rows, 2, 1, 100)
    assert scores[0, 1] - scores[0, 0] > scores[5, 1] - scores[5, 0]
