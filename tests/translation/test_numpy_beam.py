"""Beam search in NumPy: the hypotheses and scores of the graph's."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lstm_zoo.translation import beam, numpy_beam


def network(seed, vocabulary, height):
    """Return a step for arrays, and the same for tensors: the logits depend on all ids so far."""
    generator = np.random.default_rng(seed)
    table = generator.normal(0, height, (64, vocabulary)).astype(np.float32)
    mixed = generator.integers(1, 64, vocabulary).astype(np.int32)

    def step(ids, states):
        (state,) = states
        state = (5 * state + mixed[ids]) % 64
        return table[state], [state]

    def graph_step(ids, states):
        (state,) = states
        state = (5 * state + tf.gather(mixed, ids)) % 64
        return tf.gather(table, state), [state]

    return step, graph_step


def check(seed, limits, vocabulary, height, **options):
    step, graph_step = network(seed, vocabulary, height)
    limits = np.asarray(limits, np.int32)
    start = np.arange(len(limits), dtype=np.int32)
    expected = beam.search(graph_step, [tf.constant(start)], tf.constant(limits), **options)
    found, scores = numpy_beam.search(step, [start], limits, **options)
    np.testing.assert_allclose(scores, expected.scores, rtol=1e-5, atol=1e-5)
    assert scores.dtype == np.float32
    for row, hypotheses in enumerate(expected.ids.numpy()):
        known = [ids[ids > 0].tolist() for ids in hypotheses]
        for number, ids in enumerate(found[row]):
            if np.isfinite(scores[row, number]) and ids.tolist() != known[number]:
                close = np.abs(scores[row] - scores[row, number]) <= 1e-4
                close &= np.arange(len(close)) != number
                assert close.any(), (row, number)


@pytest.mark.parametrize("width, n_best", [(1, 1), (2, 1), (5, 5), (12, 3)])
@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0])
def test_batches_of_any_limits(width, n_best, penalty):
    options = {"width": width, "n_best": n_best, "length_penalty": penalty}
    check(width, [12, 3, 0, 1, 20, 7], 9, 2, **options)
    check(width, [4] * 3, 300, 5, **options)


@given(
    st.integers(0, 2**31),
    st.lists(st.integers(0, 6), min_size=1, max_size=3),
    st.integers(1, 5),
    st.sampled_from([0.0, 1.0]),
)
def test_small_vocabularies(seed, limits, width, penalty):
    check(seed, limits, 6, 1, width=width, n_best=width, length_penalty=penalty)


def test_no_rows():
    step, _ = network(0, 8, 1)
    found, scores = numpy_beam.search(step, [np.zeros(0, int)], np.zeros(0, int), width=3)
    assert found == [] and scores.shape == (0, 1)


def test_rows_that_are_done_are_not_computed_any_more():
    step, _ = network(1, 9, 3)
    computed = []

    def counting(ids, states):
        computed.append(len(ids))
        return step(ids, states)

    numpy_beam.search(counting, [np.arange(3)], np.array([2, 9, 30]), width=4)
    assert computed[0] == 12 and computed[-1] < 12 and sorted(computed, reverse=True) == computed
