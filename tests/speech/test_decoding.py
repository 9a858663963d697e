"""Decoding: greedy and beam search, compared with an enumeration of all alignments."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.speech import decoding
from lstm_zoo.speech.alphabet import CharacterTokenizer
from tests.speech.alignments import (
    collapse,
    enumerate_transcripts,
    log_softmax,
    losses,
    random_logits,
)

some = settings(max_examples=25)


def starts_of(logits, lengths, decoded):
    labels, frames, _ = decoded
    return decoding.start_frames(logits, np.array(lengths), labels, frames).numpy()


def unpacked(decoded, row):
    """Return the transcripts of a row, without padding."""
    return [tuple(labels[labels > 0].tolist()) for labels in decoded.labels.numpy()[row]]


@some
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(2, 4))
def test_greedy_decoding_is_the_best_path_scored_over_all_alignments(seed, frames, classes):
    logits = random_logits(seed, (1, frames, classes))
    labels, starts = collapse(logits[0].argmax(axis=-1))
    decoded = decoding.greedy_decode(logits, np.array([frames]))
    assert unpacked(decoded, 0) == [labels]
    assert starts_of(logits, [frames], decoded)[0, 0, : len(labels)].tolist() == starts
    expected = enumerate_transcripts(logits[0])[0][labels]
    assert decoded.scores.numpy() == pytest.approx(expected, abs=1e-4)


@some
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(2, 4), st.sampled_from([0.3, 1, 4]))
def test_a_wide_beam_ranks_all_transcripts(seed, frames, classes, scale):
    logits = random_logits(seed, (1, 4, classes), scale)
    sums, best = enumerate_transcripts(logits[0, :frames])
    ranked = sorted(sums, key=sums.get, reverse=True)
    decoded = decoding.beam_decode(logits, np.array([frames]), beam_width=80, n_best=80)
    scores = decoded.scores.numpy()[0]
    found = unpacked(decoded, 0)
    assert len(set(found[: len(ranked)])) == len(ranked)
    np.testing.assert_allclose(scores[: len(ranked)], [sums[r] for r in ranked], rtol=0, atol=1e-4)
    np.testing.assert_allclose(
        scores[: len(ranked)], [sums[labels] for labels in found[: len(ranked)]], rtol=0, atol=1e-4
    )
    assert (scores[len(ranked) :] == -np.inf).all()
    assert set(found[len(ranked) :]) <= {()}
    times = starts_of(logits, [frames], decoded)[0]
    for labels, starts in zip(found[: len(ranked)], times, strict=False):
        assert starts[: len(labels)].tolist() == best[labels]


def test_a_narrow_beam_finds_a_transcript_that_greedy_decoding_misses():
    # The best path is all blanks, and more paths lead to the label.
    logits = np.log([[[0.55, 0.45], [0.55, 0.45]]]).astype("float32")
    assert unpacked(decoding.greedy_decode(logits, [2]), 0) == [()]
    decoded = decoding.beam_decode(logits, [2], beam_width=2, n_best=2)
    assert unpacked(decoded, 0) == [(1,), ()]
    np.testing.assert_allclose(np.exp(decoded.scores[0]), [1 - 0.55**2, 0.55**2], atol=1e-6)


def test_beam_search_finds_the_transcripts_of_tensorflows_kernel():
    logits = random_logits(5, (4, 30, 8), scale=2)
    lengths = np.array([30, 17, 9, 22], np.int32)
    time_major = tf.transpose(tf.roll(logits, -1, axis=-1), [1, 0, 2])  # its blank is the last
    expected, _ = tf.nn.ctc_beam_search_decoder(time_major, lengths, beam_width=16)
    decoded = decoding.beam_decode(logits, lengths, beam_width=16)
    expected = tf.sparse.to_dense(expected[0], default_value=-1).numpy() + 1
    for row in range(4):
        assert unpacked(decoded, row) == [tuple(expected[row][expected[row] > 0].tolist())]
    targets = [np.array(unpacked(decoded, row)[0]) for row in range(4)]
    np.testing.assert_allclose(-decoded.scores[:, 0], losses(logits, lengths, targets), atol=1e-3)


@pytest.mark.parametrize(
    "decode",
    [decoding.greedy_decode, lambda *row: decoding.beam_decode(*row, beam_width=6, n_best=4)],
    ids=["greedy", "beam"],
)
@some
@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_a_row_decodes_the_same_alone_and_in_a_batch(decode, lengths, seed):
    logits = random_logits(seed, (len(lengths), 6, 3))
    together = decode(logits, np.array(lengths))
    for row, length in enumerate(lengths):
        alone = decode(logits[row : row + 1, :length], np.array([length]))
        assert unpacked(alone, 0) == unpacked(together, row)
        np.testing.assert_allclose(alone.scores[0], together.scores[row], atol=1e-5)
        times = starts_of(logits[row : row + 1, :length], [length], alone)[0]
        expected = starts_of(logits, lengths, together)[row, :, : times.shape[-1]]
        assert np.array_equal(times, expected)


@pytest.mark.parametrize("n_best", [1, 3])
def test_an_empty_batch(n_best):
    logits, lengths = np.zeros((0, 5, 4), "float32"), np.zeros(0, np.int32)
    for decoded, count in (
        (decoding.greedy_decode(logits, lengths), 1),
        (decoding.beam_decode(logits, lengths, n_best=n_best), n_best),
    ):
        times = starts_of(logits, lengths, decoded)
        assert decoded.labels.shape == times.shape == (0, count, 1)
        assert decoded.scores.shape == (0, count)


def test_missing_hypotheses_are_empty_with_a_score_of_minus_infinity():
    logits = random_logits(6, (2, 3, 2))
    decoded = decoding.beam_decode(logits, np.array([1, 3]), beam_width=8, n_best=5)
    times = starts_of(logits, [1, 3], decoded)
    assert decoded.labels.dtype == times.dtype == tf.int32
    assert np.isneginf(decoded.scores.numpy()).sum(axis=1).tolist() == [3, 2]
    assert not decoded.labels.numpy()[0, 2:].any()
    assert not times[0, 2:].any()


def test_a_row_of_blanks_is_an_empty_transcript():
    logits = np.tile(np.array([9, 0, 0], "float32"), (1, 4, 1))
    for decoded in (decoding.greedy_decode(logits, [4]), decoding.beam_decode(logits, [4])):
        assert decoded.labels.numpy().tolist() == [[[0]]]
        expected = 4 * log_softmax([9, 0, 0])[0]
        assert decoded.scores.numpy().item() == pytest.approx(expected, abs=1e-6)


def test_nans_in_a_row_change_no_other_row():
    logits = random_logits(7, (3, 5, 4))
    logits[1] = np.nan
    kept, lengths = [0, 2], np.array([5, 5, 4])
    for decode in (decoding.greedy_decode, decoding.beam_decode):
        decoded, alone = decode(logits, lengths), decode(logits[kept], lengths[kept])
        assert [unpacked(decoded, row) for row in kept] == [unpacked(alone, 0), unpacked(alone, 1)]
        np.testing.assert_allclose(decoded.scores.numpy()[kept], alone.scores, atol=1e-5)


@pytest.mark.parametrize("n_best", [0, 9])
def test_n_best_must_be_between_1_and_the_beam_width(n_best):
    with pytest.raises(ValueError, match=rf"at most beam_width \(8\). Received: {n_best}"):
        decoding.beam_decode(np.zeros((1, 2, 3), "float32"), [2], beam_width=8, n_best=n_best)


def test_decoding_is_exported_with_core_ops(tmp_path):
    module = tf.Module()
    module.decode = tf.function(
        lambda logits, lengths: decoding.beam_decode(logits, lengths, 4, 2)._asdict(),
        input_signature=[
            tf.TensorSpec([None, None, 5], tf.float32),
            tf.TensorSpec([None], tf.int32),
        ],
    )
    tf.saved_model.save(module, str(tmp_path), signatures=module.decode)
    served = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    logits, lengths = random_logits(8, (3, 6, 5)), tf.constant([6, 1, 3])
    outputs = served(logits=tf.constant(logits), lengths=lengths)
    expected = decoding.beam_decode(logits, lengths, 4, 2)
    for name, value in expected._asdict().items():
        assert np.array_equal(outputs[name], value)
    assert served(logits=tf.zeros((0, 6, 5)), lengths=lengths[:0])["labels"].shape == (0, 2, 1)


def test_a_beam_width_of_1_is_greedy_decoding():
    # The best path is all blanks; the beam search of width 2 prefers the label.
    logits = np.log([[[0.55, 0.45], [0.55, 0.45]]]).astype("float32")
    assert unpacked(decoding.decode(logits, [2], beam_width=1), 0) == [()]
    assert unpacked(decoding.decode(logits, [2], beam_width=2), 0) == [(1,)]


def test_greedy_labels_are_those_of_greedy_decoding():
    logits, lengths = random_logits(9, (5, 12, 4)), np.array([12, 7, 3, 1, 0], np.int32)
    labels = decoding.greedy_labels(logits, lengths)
    assert labels.dtype == tf.int32
    assert np.array_equal(labels, decoding.greedy_decode(logits, lengths).labels)


def test_texts_have_white_space_collapsed_and_stripped():
    labels = tf.constant([[[3, 1, 3, 3, 2], [2, 3, 0, 0, 0]], [[3, 0, 0, 0, 0], [0, 0, 0, 0, 0]]])
    texts = decoding.texts(CharacterTokenizer("ab "), labels)
    assert texts.numpy().tolist() == [[b"a b", b"b"], [b"", b""]]
    assert decoding.texts(CharacterTokenizer("ab "), labels[:0]).shape == (0, 2)


def decoded_in_a_band(monkeypatch, band, logits):
    """Return the labels, scores and start frames that a band of some states gives."""
    monkeypatch.setattr(decoding, "BAND", band)

    @tf.function(autograph=False)
    def decode(logits, lengths):
        labels, frames, scores = decoding.greedy_decode.python_function(logits, lengths)
        starts = decoding.start_frames.python_function(logits, lengths, labels, frames)
        return labels, scores, starts

    return decode(logits, np.array([logits.shape[1]]))


def test_long_transcripts_are_scored_in_a_band_around_the_alignment(monkeypatch):
    """A whole lattice has frames times labels states: quadratic in the duration of a clip."""
    logits = random_logits(11, (1, 300, 5), scale=2)
    whole = decoded_in_a_band(monkeypatch, 10_000, logits)
    assert whole[0].shape[-1] > 150
    for tensor, expected in zip(decoded_in_a_band(monkeypatch, 65, logits), whole, strict=True):
        np.testing.assert_allclose(tensor, expected, rtol=1e-6)
    # A band that holds little more than the alignment itself misses some of the sum.
    labels, scores, starts = decoded_in_a_band(monkeypatch, 3, logits)
    best = log_softmax(logits[0]).max(axis=-1).sum()
    assert best - 1e-3 < scores.numpy().item() < whole[1].numpy().item() - 0.1
    np.testing.assert_array_equal(labels, whole[0])
