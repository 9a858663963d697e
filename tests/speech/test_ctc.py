"""The CTC loss, compared with sums over all alignments, and its gradient."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.speech import ctc
from tests.speech.alignments import collapse, enumerate_transcripts, losses, random_logits


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(2, 4))
def test_the_loss_is_the_sum_over_all_alignments(seed, frames, classes):
    logits = random_logits(seed, (1, frames, classes))
    sums, _ = enumerate_transcripts(logits[0])
    rows = list(sums)
    batch = np.repeat(logits, len(rows), axis=0)
    np.testing.assert_allclose(
        losses(batch, [frames] * len(rows), rows), [-sums[r] for r in rows], rtol=0, atol=1e-4
    )


def test_the_gradient_is_that_of_the_sum():
    logits = random_logits(1, (1, 4, 3))
    with tf.GradientTape() as tape:
        variable = tf.Variable(logits)
        value = ctc.negative_log_likelihood(
            variable, tf.constant([4]), tf.constant([[1, 1]]), tf.constant([2])
        )
    gradient = tape.gradient(value, variable).numpy()
    for frame, label in itertools.product(range(4), range(3)):
        step = np.zeros((4, 3))
        step[frame, label] = 1e-5
        above, below = (enumerate_transcripts(logits[0] + s * step)[0][1, 1] for s in (1, -1))
        assert gradient[0, frame, label] == pytest.approx((below - above) / 2e-5, abs=1e-4)


def test_padded_frames_change_neither_loss_nor_gradient():
    logits, other = random_logits(2, (3, 7, 5)), random_logits(3, (3, 7, 5), scale=50)
    num_frames, rows = [4, 7, 2], [[1, 2, 2], [4, 3], []]
    padding = np.arange(7)[:, None] >= np.array(num_frames)[:, None, None]
    results = []
    for values in (logits, np.where(padding, other, logits)):
        with tf.GradientTape() as tape:
            variable = tf.Variable(values)
            targets = ctc.pack_targets([np.array(row, np.int32) for row in rows], num_frames)
            value = ctc.CTCLoss()(targets, variable)
        gradient = tape.gradient(value, variable).numpy()
        assert not gradient[np.broadcast_to(padding, gradient.shape)].any()
        assert np.abs(gradient[:, 0]).min() > 0
        results.append((value.numpy(), gradient))
    assert results[0][0] == results[1][0]
    assert np.array_equal(results[0][1], results[1][1])
    alone = [
        losses(logits[i : i + 1, :n], [n], rows[i : i + 1])[0] for i, n in enumerate(num_frames)
    ]
    assert results[0][0] == pytest.approx(np.mean(alone), abs=1e-5)


def test_too_few_frames_give_an_infinite_loss_and_change_no_other_row():
    logits = random_logits(4, (4, 3, 3))
    num_frames, rows = [2, 3, 1, 3], [[1, 1], [1, 1], [1, 2], [2, 1]]
    with tf.GradientTape() as tape:
        variable = tf.Variable(logits)
        targets = ctc.pack_targets([np.array(row) for row in rows], num_frames)
        values = ctc.CTCLoss(reduction="none")(targets, variable)
    gradient = tape.gradient(values, variable).numpy()
    assert np.isinf(values.numpy()).tolist() == [True, False, True, False]
    assert [ctc.feasible(n, row) for n, row in zip(num_frames, rows, strict=True)] == [
        False,
        True,
        False,
        True,
    ]
    assert values.numpy()[3] == pytest.approx(-enumerate_transcripts(logits[3])[0][2, 1], abs=1e-5)
    assert np.abs(gradient).max(axis=(1, 2)).astype(bool).tolist() == [False, True, False, True]


@settings(max_examples=25)
@given(st.integers(0, 6), st.lists(st.integers(1, 2), max_size=4))
def test_a_transcript_is_feasible_if_some_path_gives_it(frames, labels):
    paths = itertools.product(range(3), repeat=frames)
    exists = any(collapse(path)[0] == tuple(labels) for path in paths)
    assert ctc.feasible(frames, np.array(labels, np.int32)) == exists


def test_packed_targets_hold_lengths_and_labels():
    rows = [np.array([3, 1]), np.array([], np.int32), np.array([2])]
    packed = ctc.pack_targets(rows, [9, 1, 4])
    assert packed.dtype == np.int32
    assert packed.tolist() == [[2, 9, 3, 1], [0, 1, 0, 0], [1, 4, 2, 0]]
    assert ctc.pack_targets([], []).shape == (0, 2)


def test_the_loss_is_serialized():
    config = keras.losses.serialize(ctc.CTCLoss())
    assert isinstance(keras.losses.deserialize(config), ctc.CTCLoss)
