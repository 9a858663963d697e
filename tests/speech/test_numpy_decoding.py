"""CTC decoding in NumPy: the hypotheses, scores and times of the graph's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_zoo.speech import decoding, numpy_decoding

SCORES = 1e-4


def check(logits, lengths, beam_width, n_best):
    """Compare with the graph; a hypothesis may differ where the graph's has the same score."""
    logits, lengths = np.asarray(logits, np.float32), np.asarray(lengths, np.int32)
    expected = decoding.decode(logits, lengths, beam_width, n_best)
    found = numpy_decoding.decode(logits, lengths, beam_width, n_best)
    scores = expected.scores.numpy()
    assert found.scores.dtype == np.float32
    np.testing.assert_allclose(found.scores, scores, rtol=1e-5, atol=SCORES)
    different = 0
    for row in range(len(logits)):
        known = [
            (score, labels[labels > 0].tolist())
            for score, labels in zip(scores[row], expected.labels[row].numpy(), strict=True)
        ]
        for score, labels in zip(found.scores[row], found.labels[row], strict=True):
            # Sums of many frames are as exact as float32 is.
            near = max(SCORES, 1e-5 * abs(score)) if np.isfinite(score) else 0
            ties = [other for s, other in known if s == score or abs(s - score) <= near]
            different += labels[labels > 0].tolist() not in ties
    assert not different
    best = found.labels[:, :1], found.frames[:, :1]
    np.testing.assert_array_equal(
        numpy_decoding.start_frames(logits, lengths, *best),
        decoding.start_frames(logits, lengths, *best),
    )


def peaked(generator, batch, frames, vocabulary, height):
    """Logits as a network's: mostly a blank, with peaks."""
    logits = generator.normal(0, 1, (batch, frames, vocabulary))
    chosen = generator.integers(0, vocabulary, (batch, frames))
    chosen[generator.random((batch, frames)) < 0.5] = 0
    logits[np.arange(batch)[:, None], np.arange(frames), chosen] += height
    return logits


@pytest.mark.parametrize("beam_width, n_best", [(1, 1), (2, 2), (8, 3), (30, 5)])
@pytest.mark.parametrize("height", [0, 2, 6])
def test_batches_of_any_lengths(beam_width, n_best, height):
    generator = np.random.default_rng(beam_width + height)
    logits = peaked(generator, 6, 40, 12, height)
    check(logits, [40, 31, 2, 1, 0, 40], beam_width, n_best)


@given(
    st.integers(0, 2**31),
    st.integers(1, 3),
    st.integers(1, 12),
    st.integers(2, 5),
    st.integers(1, 6),
)
def test_small_lattices(seed, batch, frames, vocabulary, beam_width):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(0, frames + 1, batch)
    check(generator.normal(0, 3, (batch, frames, vocabulary)), lengths, beam_width, 1)


def test_many_labels_as_pieces_have():
    check(peaked(np.random.default_rng(0), 2, 30, 400, 7), [30, 17], 8, 2)


def test_a_transcript_that_is_longer_than_the_band():
    logits = peaked(np.random.default_rng(0), 2, 900, 6, 8)
    logits[0, :, 0] -= 6  # few blanks: more labels than the band has states
    assert (numpy_decoding.decode(logits, np.array([900, 80]), 1).labels[0, 0] > 0).sum() > 300
    check(logits, [900, 80], 1, 1)
    check(logits, [900, 80], 2, 1)


def test_a_row_that_is_not_finite_changes_no_other():
    logits = peaked(np.random.default_rng(0), 3, 20, 5, 5).astype(np.float32)
    logits[1] = np.nan
    found = numpy_decoding.decode(logits, np.array([20, 20, 20]), 4, 2)
    alone = numpy_decoding.decode(logits[[0, 2]], np.array([20, 20]), 4, 2)
    np.testing.assert_allclose(found.scores[[0, 2]], alone.scores, rtol=1e-6)
    check(logits, [20, 20, 20], 4, 2)


def test_the_sum_over_alignments_by_hand():
    """Two frames: "a" is aa, a- and -a; nothing is --."""
    logits = np.log(np.array([[[0.4, 0.6], [0.6, 0.4]]], np.float32))
    found = numpy_decoding.decode(logits, np.array([2]), 8, 2)
    by_hand = [[0.6 * 0.4 + 0.6 * 0.6 + 0.4 * 0.4, 0.6 * 0.4]]
    np.testing.assert_allclose(np.exp(found.scores), by_hand, rtol=1e-6)
