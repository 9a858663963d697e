"""CTC, against sums over all alignments: the loss, its gradient, both decoders, token times."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.speech import ctc, decoding

some = settings(max_examples=25)


def log_softmax(logits):
    logits = np.asarray(logits, "float64")
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def collapsed(path):
    """Take repeats and blanks out of a path: the transcript, and where each label begins."""
    begins = [i for i, c in enumerate(path) if c and (i == 0 or path[i - 1] != c)]
    return tuple(path[i] for i in begins), begins


def transcripts(logits):
    """Walk every path: each transcript's log probability, and the frames of its best path."""
    log_probabilities = log_softmax(logits)
    frames, classes = log_probabilities.shape
    sums, best = {}, {}
    for path in itertools.product(range(classes), repeat=frames):
        score = log_probabilities[range(frames), path].sum()
        labels, begins = collapsed(path)
        sums[labels] = np.logaddexp(sums.get(labels, -np.inf), score)
        if score > best.get(labels, (-np.inf,))[0]:
            best[labels] = score, begins
    return sums, {labels: begins for labels, (_, begins) in best.items()}


def random_logits(seed, shape, scale=1.5):
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype("float32")


def loss(logits, num_frames, rows):
    targets = ctc.pack_targets([np.array(row, np.int32) for row in rows], num_frames)
    return ctc.CTCLoss(reduction="none")(targets, logits).numpy()


def begins_of(logits, lengths, decoded):
    return decoding.begin_frames(logits, np.array(lengths), decoded.labels).numpy()


def unpacked(decoded, row):
    """Return the transcripts of a row, without padding."""
    return [tuple(labels[labels > 0].tolist()) for labels in decoded.labels.numpy()[row]]


@some
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(2, 4))
def test_the_loss_is_the_sum_over_all_alignments(seed, frames, classes):
    logits = random_logits(seed, (1, frames, classes))
    sums, _ = transcripts(logits[0])
    rows = list(sums)
    batch = np.repeat(logits, len(rows), axis=0)
    np.testing.assert_allclose(
        loss(batch, [frames] * len(rows), rows), [-sums[r] for r in rows], rtol=0, atol=1e-4
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
        above, below = (transcripts(logits[0] + s * step)[0][1, 1] for s in (1, -1))
        assert gradient[0, frame, label] == pytest.approx((below - above) / 2e-5, abs=1e-4)


def test_padded_frames_change_neither_loss_nor_gradient():
    logits, other = random_logits(2, (3, 7, 5)), random_logits(3, (3, 7, 5), scale=50)
    num_frames, rows = [4, 7, 2], [[1, 2, 2], [4, 3], []]
    beyond = np.arange(7)[:, None] >= np.array(num_frames)[:, None, None]
    answers = []
    for values in (logits, np.where(beyond, other, logits)):
        with tf.GradientTape() as tape:
            variable = tf.Variable(values)
            targets = ctc.pack_targets([np.array(row, np.int32) for row in rows], num_frames)
            value = ctc.CTCLoss()(targets, variable)
        gradient = tape.gradient(value, variable).numpy()
        assert not gradient[np.broadcast_to(beyond, gradient.shape)].any()
        assert np.abs(gradient[:, 0]).min() > 0
        answers.append((value.numpy(), gradient))
    assert answers[0][0] == answers[1][0]
    assert np.array_equal(answers[0][1], answers[1][1])
    alone = [loss(logits[i : i + 1, :n], [n], rows[i : i + 1])[0] for i, n in enumerate(num_frames)]
    assert answers[0][0] == pytest.approx(np.mean(alone), abs=1e-5)


def test_too_few_frames_cost_infinity_and_harm_no_other_row():
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
    assert values.numpy()[3] == pytest.approx(-transcripts(logits[3])[0][2, 1], abs=1e-5)
    assert np.abs(gradient).max(axis=(1, 2)).astype(bool).tolist() == [False, True, False, True]


@some
@given(st.integers(0, 6), st.lists(st.integers(1, 2), max_size=4))
def test_feasible_is_that_some_path_gives_the_transcript(frames, labels):
    paths = itertools.product(range(3), repeat=frames)
    exists = any(collapsed(path)[0] == tuple(labels) for path in paths)
    assert ctc.feasible(frames, np.array(labels, np.int32)) == exists


def test_packed_targets_hold_lengths_and_labels():
    rows = [np.array([3, 1]), np.array([], np.int32), np.array([2])]
    packed = ctc.pack_targets(rows, [9, 1, 4])
    assert packed.dtype == np.int32
    assert packed.tolist() == [[2, 9, 3, 1], [0, 1, 0, 0], [1, 4, 2, 0]]
    assert ctc.pack_targets([], []).shape == (0, 2)


def test_the_loss_is_saved_and_found_again():
    config = keras.losses.serialize(ctc.CTCLoss())
    assert isinstance(keras.losses.deserialize(config), ctc.CTCLoss)


@some
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(2, 4))
def test_greedy_is_the_best_path_scored_over_all_alignments(seed, frames, classes):
    logits = random_logits(seed, (1, frames, classes))
    labels, begins = collapsed(logits[0].argmax(axis=-1))
    decoded = decoding.greedy_decode(logits, np.array([frames]))
    assert unpacked(decoded, 0) == [labels]
    assert begins_of(logits, [frames], decoded)[0, 0, : len(labels)].tolist() == begins
    expected = transcripts(logits[0])[0][labels]
    assert decoded.scores.numpy() == pytest.approx(expected, abs=1e-4)


@some
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(2, 4), st.sampled_from([0.3, 1, 4]))
def test_a_wide_beam_ranks_all_transcripts(seed, frames, classes, scale):
    logits = random_logits(seed, (1, 4, classes), scale)
    sums, best = transcripts(logits[0, :frames])
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
    times = begins_of(logits, [frames], decoded)[0]
    for labels, begins in zip(found[: len(ranked)], times, strict=False):
        assert begins[: len(labels)].tolist() == best[labels]


def test_a_narrow_beam_finds_what_greedy_misses():
    # The best path is all blanks, and more paths lead to the label.
    logits = np.log([[[0.55, 0.45], [0.55, 0.45]]]).astype("float32")
    assert unpacked(decoding.greedy_decode(logits, [2]), 0) == [()]
    decoded = decoding.beam_decode(logits, [2], beam_width=2, n_best=2)
    assert unpacked(decoded, 0) == [(1,), ()]
    np.testing.assert_allclose(np.exp(decoded.scores[0]), [1 - 0.55**2, 0.55**2], atol=1e-6)


def test_the_beam_finds_what_tensorflows_finds():
    logits = random_logits(5, (4, 30, 8), scale=2)
    lengths = np.array([30, 17, 9, 22], np.int32)
    time_major = tf.transpose(tf.roll(logits, -1, axis=-1), [1, 0, 2])  # its blank is the last
    theirs, _ = tf.nn.ctc_beam_search_decoder(time_major, lengths, beam_width=16)
    ours = decoding.beam_decode(logits, lengths, beam_width=16)
    theirs = tf.sparse.to_dense(theirs[0], default_value=-1).numpy() + 1
    for row in range(4):
        assert unpacked(ours, row) == [tuple(theirs[row][theirs[row] > 0].tolist())]
    targets = [np.array(unpacked(ours, row)[0]) for row in range(4)]
    np.testing.assert_allclose(-ours.scores[:, 0], loss(logits, lengths, targets), atol=1e-3)


@pytest.mark.parametrize(
    "decode",
    [decoding.greedy_decode, lambda *row: decoding.beam_decode(*row, beam_width=6, n_best=4)],
    ids=["greedy", "beam"],
)
@some
@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_a_row_decodes_alone_as_in_a_batch(decode, lengths, seed):
    logits = random_logits(seed, (len(lengths), 6, 3))
    together = decode(logits, np.array(lengths))
    for row, length in enumerate(lengths):
        alone = decode(logits[row : row + 1, :length], np.array([length]))
        assert unpacked(alone, 0) == unpacked(together, row)
        np.testing.assert_allclose(alone.scores[0], together.scores[row], atol=1e-5)
        times = begins_of(logits[row : row + 1, :length], [length], alone)[0]
        expected = begins_of(logits, lengths, together)[row, :, : times.shape[-1]]
        assert np.array_equal(times, expected)


@pytest.mark.parametrize("n_best", [1, 3])
def test_an_empty_batch_decodes_to_an_empty_one(n_best):
    logits, lengths = np.zeros((0, 5, 4), "float32"), np.zeros(0, np.int32)
    for decoded, places in (
        (decoding.greedy_decode(logits, lengths), 1),
        (decoding.beam_decode(logits, lengths, n_best=n_best), n_best),
    ):
        times = begins_of(logits, lengths, decoded)
        assert decoded.labels.shape == times.shape == (0, places, 1)
        assert decoded.scores.shape == (0, places)


def test_missing_places_are_empty_with_no_probability():
    logits = random_logits(6, (2, 3, 2))
    decoded = decoding.beam_decode(logits, np.array([1, 3]), beam_width=8, n_best=5)
    times = begins_of(logits, [1, 3], decoded)
    assert decoded.labels.dtype == times.dtype == tf.int32
    assert np.isneginf(decoded.scores.numpy()).sum(axis=1).tolist() == [3, 2]
    assert not decoded.labels.numpy()[0, 2:].any()
    assert not times[0, 2:].any()


def test_a_row_of_silence_is_an_empty_transcript():
    logits = np.tile(np.array([9, 0, 0], "float32"), (1, 4, 1))
    for decoded in (decoding.greedy_decode(logits, [4]), decoding.beam_decode(logits, [4])):
        assert decoded.labels.numpy().tolist() == [[[0]]]
        expected = 4 * log_softmax([9, 0, 0])[0]
        assert decoded.scores.numpy().item() == pytest.approx(expected, abs=1e-6)


def test_a_row_that_is_not_a_number_harms_no_other():
    logits = random_logits(7, (3, 5, 4))
    logits[1] = np.nan
    kept, lengths = [0, 2], np.array([5, 5, 4])
    for decode in (decoding.greedy_decode, decoding.beam_decode):
        decoded, alone = decode(logits, lengths), decode(logits[kept], lengths[kept])
        assert [unpacked(decoded, row) for row in kept] == [unpacked(alone, 0), unpacked(alone, 1)]
        np.testing.assert_allclose(decoded.scores.numpy()[kept], alone.scores, atol=1e-5)


@pytest.mark.parametrize("n_best", [0, 9])
def test_more_transcripts_than_the_beam_keeps_are_refused(n_best):
    with pytest.raises(ValueError, match=rf"at most beam_width \(8\). Received: {n_best}"):
        decoding.beam_decode(np.zeros((1, 2, 3), "float32"), [2], beam_width=8, n_best=n_best)


def test_decoding_is_of_core_ops_and_serves(tmp_path):
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
    answers = served(logits=tf.constant(logits), lengths=lengths)
    expected = decoding.beam_decode(logits, lengths, 4, 2)
    for name, value in expected._asdict().items():
        assert np.array_equal(answers[name], value)
    assert served(logits=tf.zeros((0, 6, 5)), lengths=lengths[:0])["labels"].shape == (0, 2, 1)
