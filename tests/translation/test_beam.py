"""Beam search: values against exhaustive search and a greedy loop, batch independence."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.text.tokenizers import END, START
from lstm_zoo.translation.beam import search

WORDS = 3  # ids 4, 5, 6
VOCABULARY = 4 + WORDS


def random_language(seed, batch, memory=3):
    """Make a random step function and states: the next id depends on all previous ids."""
    generator = np.random.default_rng(seed)
    inner = tf.constant(generator.normal(size=(memory, memory)), tf.float32)
    read = tf.constant(generator.normal(size=(VOCABULARY, memory)), tf.float32)
    write = tf.constant(3 * generator.normal(size=(memory, VOCABULARY)), tf.float32)

    def step(ids, states):
        (state,) = states
        state = tf.tanh(state @ inner + tf.gather(read, ids))
        return state @ write, (state,)

    return step, (tf.constant(generator.normal(size=(batch, memory)), tf.float32),)


def log_softmax(logits):
    allowed = np.array(logits, np.float64)
    allowed[[0, 1, START]] = -np.inf
    return allowed - np.log(np.exp(allowed - allowed.max()).sum()) - allowed.max()


def score_of(step, state, ids, limit, penalty):
    """Compute the score of one translation, step by step."""
    total, last = 0.0, START
    for position, chosen in enumerate((*ids, END)):
        logits, (state,) = step(tf.constant([last]), (state,))
        if position < limit:
            total += log_softmax(logits.numpy()[0])[chosen]
        else:  # only the end is allowed; its log probability still counts
            assert chosen == END
            total += log_softmax(logits.numpy()[0])[END]
        last = chosen
    return total / (len(ids) + 1) ** penalty


def found_ids(hypotheses, row, rank):
    ids = hypotheses.ids.numpy()[row, rank]
    return tuple(ids[ids > 0].tolist())


@pytest.mark.parametrize("penalty", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_equals_exhaustive_search(seed, penalty):
    step, (states,) = random_language(seed, batch=2)
    limits = [3, 2]
    found = search(step, (states,), tf.constant(limits), width=40, n_best=5, length_penalty=penalty)
    for row, limit in enumerate(limits):
        candidates = [
            ids
            for count in range(limit + 1)
            for ids in itertools.product(range(4, VOCABULARY), repeat=count)
        ]
        scores = {
            ids: score_of(step, states[row : row + 1], ids, limit, penalty) for ids in candidates
        }
        ranked = sorted(scores, key=scores.get, reverse=True)[:5]
        np.testing.assert_allclose(
            found.scores.numpy()[row], [scores[ids] for ids in ranked], atol=1e-4
        )
        assert [found_ids(found, row, rank) for rank in range(5)] == ranked


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), limit=st.integers(0, 6))
def test_width_1_is_greedy_decoding(seed, limit):
    step, (state,) = random_language(seed, batch=1)
    found = search(step, (state,), tf.constant([limit]), width=1)
    ids, last, total = [], START, 0.0
    while True:
        logits, (state,) = step(tf.constant([last]), (state,))
        steps = log_softmax(logits.numpy()[0])
        last = END if len(ids) == limit else int(np.argmax(steps))
        total += steps[last]
        if last == END:
            break
        ids.append(last)
    assert found_ids(found, 0, 0) == tuple(ids)
    assert found.scores.numpy()[0, 0] == pytest.approx(total, abs=1e-4)


@pytest.mark.slow
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), width=st.integers(1, 4), penalty=st.sampled_from([0.0, 1.0]))
def test_a_row_does_not_depend_on_the_rest_of_its_batch(seed, width, penalty):
    step, (states,) = random_language(seed, batch=4)
    limits = [5, 0, 2, 7]
    options = {"width": width, "n_best": width, "length_penalty": penalty}
    together = search(step, (states,), tf.constant(limits), **options)
    for row, limit in enumerate(limits):
        alone = search(step, (states[row : row + 1],), tf.constant([limit]), **options)
        np.testing.assert_allclose(alone.scores[0], together.scores[row], atol=1e-5)
        for rank in np.flatnonzero(np.isfinite(alone.scores[0])):
            assert found_ids(alone, 0, rank) == found_ids(together, row, rank)


def test_scores_decrease_and_missing_hypotheses_come_last():
    step, states = random_language(3, batch=1)
    # At limit 0 the only translation is the empty one.
    found = search(step, states, tf.constant([0]), width=4, n_best=4)
    scores = found.scores.numpy()[0]
    assert np.isfinite(scores[0]) and np.all(np.isneginf(scores[1:]))
    assert not found.ids.numpy().any()
    scores = search(step, states, tf.constant([4]), width=4, n_best=4).scores.numpy()[0]
    assert np.all(np.diff(scores) <= 0)


def test_an_empty_batch_and_an_end_token_of_probability_near_zero():
    step, states = random_language(0, batch=0)
    assert search(step, states, tf.zeros([0], tf.int32), width=3, n_best=2).scores.shape == (0, 2)

    def endless(ids, states):
        return tf.tile(tf.one_hot([5], VOCABULARY, 50.0), [tf.shape(ids)[0], 1]), states

    found = search(endless, (tf.zeros([1, 1]),), tf.constant([6]), width=1)
    assert found_ids(found, 0, 0) == (5,) * 6


def test_decoding_stops_when_every_row_is_done():
    calls = []

    def step(ids, states):
        tf.py_function(lambda: calls.append(1), [], [])
        return tf.tile(tf.one_hot([END], VOCABULARY, 50.0), [tf.shape(ids)[0], 1]), states

    search(step, (tf.zeros([3, 1]),), tf.constant([100, 50, 100]), width=1)
    assert len(calls) == 1
