"""The beam against exhaustive search, and its promises."""

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


def language(seed, batch, memory=3):
    """A random language whose next id hangs on all ids before, through a small state."""
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
    """The score of one translation, a step at a time."""
    total, last = 0.0, START
    for position, chosen in enumerate((*ids, END)):
        logits, (state,) = step(tf.constant([last]), (state,))
        if position < limit:
            total += log_softmax(logits.numpy()[0])[chosen]
        else:  # it can only end, and pays for it
            assert chosen == END
            total += log_softmax(logits.numpy()[0])[END]
        last = chosen
    return total / (len(ids) + 1) ** penalty


def spelled(hypotheses, row, place):
    ids = hypotheses.ids.numpy()[row, place]
    return tuple(ids[ids > 0].tolist())


@pytest.mark.parametrize("penalty", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_beam_as_wide_as_the_language_is_exhaustive_search(seed, penalty):
    step, (states,) = language(seed, batch=2)
    limits = [3, 2]
    found = search(step, (states,), tf.constant(limits), width=40, n_best=5, length_penalty=penalty)
    for row, limit in enumerate(limits):
        everything = [
            ids
            for count in range(limit + 1)
            for ids in itertools.product(range(4, VOCABULARY), repeat=count)
        ]
        scores = {
            ids: score_of(step, states[row : row + 1], ids, limit, penalty) for ids in everything
        }
        ranked = sorted(scores, key=scores.get, reverse=True)[:5]
        np.testing.assert_allclose(
            found.scores.numpy()[row], [scores[ids] for ids in ranked], atol=1e-4
        )
        assert [spelled(found, row, place) for place in range(5)] == ranked


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), limit=st.integers(0, 6))
def test_a_beam_of_one_is_greedy(seed, limit):
    step, (state,) = language(seed, batch=1)
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
    assert spelled(found, 0, 0) == tuple(ids)
    assert found.scores.numpy()[0, 0] == pytest.approx(total, abs=1e-4)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), width=st.integers(1, 4), penalty=st.sampled_from([0.0, 1.0]))
def test_a_row_does_not_change_with_what_shares_its_batch(seed, width, penalty):
    step, (states,) = language(seed, batch=4)
    limits = [5, 0, 2, 7]
    options = {"width": width, "n_best": width, "length_penalty": penalty}
    together = search(step, (states,), tf.constant(limits), **options)
    for row, limit in enumerate(limits):
        alone = search(step, (states[row : row + 1],), tf.constant([limit]), **options)
        np.testing.assert_allclose(alone.scores[0], together.scores[row], atol=1e-5)
        for place in np.flatnonzero(np.isfinite(alone.scores[0])):
            assert spelled(alone, 0, place) == spelled(together, row, place)


def test_scores_fall_and_what_was_not_found_is_last():
    step, states = language(3, batch=1)
    # With no id before the end there is one translation, the empty one.
    found = search(step, states, tf.constant([0]), width=4, n_best=4)
    scores = found.scores.numpy()[0]
    assert np.isfinite(scores[0]) and np.all(np.isneginf(scores[1:]))
    assert not found.ids.numpy().any()
    scores = search(step, states, tf.constant([4]), width=4, n_best=4).scores.numpy()[0]
    assert np.all(np.diff(scores) <= 0)


def test_an_empty_batch_and_one_that_is_never_done():
    step, states = language(0, batch=0)
    assert search(step, states, tf.zeros([0], tf.int32), width=3, n_best=2).scores.shape == (0, 2)

    def endless(ids, states):  # the end is nearly impossible
        return tf.tile(tf.one_hot([5], VOCABULARY, 50.0), [tf.shape(ids)[0], 1]), states

    found = search(endless, (tf.zeros([1, 1]),), tf.constant([6]), width=1)
    assert spelled(found, 0, 0) == (5,) * 6


def test_it_stops_when_every_row_is_done():
    calls = []

    def step(ids, states):
        tf.py_function(lambda: calls.append(1), [], [])
        return tf.tile(tf.one_hot([END], VOCABULARY, 50.0), [tf.shape(ids)[0], 1]), states

    search(step, (tf.zeros([3, 1]),), tf.constant([100, 50, 100]), width=1)
    assert len(calls) == 1
