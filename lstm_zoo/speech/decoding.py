"""CTC decoding in the graph: greedy and prefix beam search.

Time and memory are linear in the number of frames: scores and alignments are computed in a band of
the lattice of labels and frames, around the alignment that the search has found.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from lstm_zoo.errors import CallError
from lstm_zoo.speech.labels import BLANK
from lstm_zoo.text.tokenizers import detokenize

# The logarithm of 0, finite because the difference of two infinities is NaN.
LOG_ZERO = -1e30
# States of CTC's lattice that are computed in each frame: all of them up to 256 labels. Of a longer
# transcript, alignments that are some 128 labels ahead of the search's, or behind it, are left out.
BAND = 513


class Decoded(NamedTuple):
    """The `n_best` hypotheses of each row, by descending score.

    labels: int32 `(batch, n_best, max_labels)`, padded with 0, the blank; `max_labels` is at least
        1.
    frames: int32 `(batch, n_best, max_labels)`, the frame in which the search appended each label;
        0 in the padding.
    scores: float32 `(batch, n_best)`, log probabilities of the hypotheses, summed over all
        alignments (in a band of `BAND` states); -inf, with no labels, where a row has fewer
        hypotheses.
    """

    labels: tf.Tensor
    frames: tf.Tensor
    scores: tf.Tensor


@tf.function(reduce_retracing=True, autograph=False, jit_compile=False)
def greedy_labels(logits: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Return the labels of `greedy_decode` without computing their scores."""
    return _best_labels(_log_probabilities(logits, lengths))[0]


@tf.function(reduce_retracing=True, autograph=False, jit_compile=False)
def greedy_decode(logits: tf.Tensor, lengths: tf.Tensor) -> Decoded:
    """Decode greedily: the best label of each frame, then repeats and blanks removed.

    Args:
        logits: float32 `(batch, frames, vocabulary)`.
        lengths: int32 `(batch,)`, the numbers of valid frames.

    Returns:
        A `Decoded` with one hypothesis per row.

    Example:

    >>> logits = 9 * np.eye(3, dtype="float32")[[[1, 1, 0, 1, 2]]]  # "aa-ab"
    >>> greedy_decode(logits, np.array([5])).labels.numpy().tolist()
    [[[1, 1, 2]]]
    """
    log_probabilities = _log_probabilities(logits, lengths)
    labels, frames = _best_labels(log_probabilities)
    return Decoded(labels, frames, _score(log_probabilities, labels, frames))


@tf.function(reduce_retracing=True, autograph=False, jit_compile=False)
def beam_decode(
    logits: tf.Tensor, lengths: tf.Tensor, beam_width: int = 8, n_best: int = 1
) -> Decoded:
    """Decode by prefix beam search (Graves 2012; Hannun et al. 2014).

    Unlike greedy decoding, it sums over the alignments of each prefix. At each frame it keeps the
    `beam_width` most probable prefixes.

    Args:
        logits: float32 `(batch, frames, vocabulary)`, with at least two classes.
        lengths: int32 `(batch,)`, the numbers of valid frames.
        beam_width: the number of prefixes kept, at least 1.
        n_best: the number of hypotheses returned, at most `beam_width`.

    Returns:
        A `Decoded`.

    Raises:
        CallError: (a ValueError) if `n_best` is not between 1 and `beam_width`.

    Example:

    >>> logits = np.log([[[0.4, 0.6], [0.6, 0.4]]]).astype("float32")
    >>> decoded = beam_decode(logits, np.array([2]), n_best=2)
    >>> decoded.labels.numpy().tolist()
    [[[1], [0]]]
    >>> np.exp(decoded.scores).round(2)
    array([[0.76, 0.24]], dtype=float32)
    """
    if not 1 <= n_best <= beam_width:
        raise CallError(
            f"n_best is at least 1 and at most beam_width ({beam_width}). Received: {n_best}"
        )
    log_probabilities = _log_probabilities(logits, lengths)
    labels, frames, exists = _search(log_probabilities, beam_width, n_best)
    scores = _score(log_probabilities, labels, frames)
    # The search misses alignments through dropped prefixes, so exact scores may rank otherwise.
    scores = tf.where(exists, scores, -np.inf)
    order = tf.argsort(scores, direction="DESCENDING", stable=True)
    return Decoded(*(tf.gather(field, order, batch_dims=1) for field in (labels, frames, scores)))


@tf.function(reduce_retracing=True, autograph=False, jit_compile=False)
def start_frames(
    logits: tf.Tensor, lengths: tf.Tensor, labels: tf.Tensor, frames: tf.Tensor
) -> tf.Tensor:
    """Find the first frame of each label in the transcript's most probable alignment (Viterbi).

    Needs at most `BAND` bytes per frame and transcript.

    Args:
        logits: float32 `(batch, frames, vocabulary)`.
        lengths: int32 `(batch,)`, the numbers of valid frames.
        labels: int32 `(batch, n, max_labels)`, those of a `Decoded` of these logits.
        frames: int32 `(batch, n, max_labels)`, of the same `Decoded`.

    Returns:
        int32 `(batch, n, max_labels)`; 0 in the padding.

    Example:

    >>> logits = 9 * np.eye(3, dtype="float32")[[[1, 1, 0, 1, 2]]]
    >>> labels, frames, _ = greedy_decode(logits, np.array([5]))
    >>> start_frames(logits, np.array([5]), labels, frames).numpy().tolist()
    [[[0, 3, 4]]]
    """
    log_probabilities = _log_probabilities(logits, lengths)
    time = tf.shape(log_probabilities)[0]
    count, start, enter = _lattice(labels, frames)

    def advance(frame, count, bests, moves, firsts):
        count, first, states, candidates = enter(frame, count, bests)
        moves = moves.write(frame, tf.cast(tf.argmax(candidates), tf.int8))
        emitted = tf.gather(log_probabilities[frame], states, axis=1, batch_dims=1)
        bests = tf.reduce_max(candidates, axis=0) + emitted
        return frame + 1, count, bests, moves, firsts.write(frame, first)

    moves = tf.TensorArray(tf.int8, time, element_shape=start.shape)
    firsts = tf.TensorArray(tf.int32, time, element_shape=count.shape)
    *_, moves, firsts = tf.while_loop(
        lambda frame, *_: frame < time, advance, (0, count, start, moves, firsts)
    )

    def backtrack(frame, state, path):
        path = path.write(frame, state)
        move = tf.gather(moves.read(frame), state - firsts.read(frame), batch_dims=2)
        return frame - 1, state - tf.cast(move, tf.int32), path

    last = 2 * _count(labels)
    path = tf.TensorArray(tf.int32, time, element_shape=last.shape)
    *_, path = tf.while_loop(lambda frame, *_: frame >= 0, backtrack, (time - 1, last, path))
    path = tf.transpose(path.stack(), [1, 2, 0])  # (batch, n, frames + 1)
    previous = tf.pad(path, [[0, 0], [0, 0], [1, 0]])[..., :-1]
    starts = tf.logical_and(path % 2 == 1, path != previous)
    return _compact(tf.zeros_like(path) + tf.range(time), starts)


def _log_probabilities(logits: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Return log probabilities `(frames + 1, batch, vocabulary)`, with certain blanks as padding.

    Certain blanks change no transcript and no score; the added frame makes every alignment end in
    a blank.
    """
    valid = tf.sequence_mask(lengths, tf.shape(logits)[1])[..., tf.newaxis]
    blank = tf.one_hot(BLANK, tf.shape(logits)[2], 0.0, LOG_ZERO)
    log_probabilities = tf.nn.log_softmax(logits)
    # NaNs in one row must not affect the other rows.
    finite = tf.math.is_finite(log_probabilities)
    log_probabilities = tf.where(finite, log_probabilities, LOG_ZERO)
    log_probabilities = tf.where(valid, log_probabilities, blank)
    last = tf.broadcast_to(blank, [tf.shape(logits)[0], 1, tf.shape(logits)[2]])
    return tf.transpose(tf.concat([log_probabilities, last], axis=1), [1, 0, 2])


def _best_labels(log_probabilities: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the labels of the most probable alignments and their frames, `(batch, 1, labels)`."""
    path = tf.argmax(log_probabilities, axis=-1, output_type=tf.int32)  # (frames + 1, batch)
    # The first frame is compared with the last one, which is a blank.
    changes = path != tf.roll(path, 1, axis=0)
    starts = tf.transpose(tf.logical_and(path != BLANK, changes))[:, tf.newaxis]
    return _compact_with_frames(tf.transpose(path)[:, tf.newaxis], starts)


def _compact_with_frames(path: tf.Tensor, keep: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Keep selected labels of paths `(batch, n, frames)`, and the frames that they are in."""
    frames = tf.zeros_like(path) + tf.range(tf.shape(path)[2])
    return _compact(path, keep), _compact(frames, keep)


def _compact(values: tf.Tensor, keep: tf.Tensor) -> tf.Tensor:
    """Keep selected int32 values of the last axis, right-padded with 0 to at least one."""
    counts = tf.reduce_sum(tf.cast(keep, tf.int32), axis=-1)
    width = tf.reduce_max(tf.concat([tf.reshape(counts, [-1]), [1]], axis=0))
    rows = tf.RaggedTensor.from_row_lengths(
        tf.boolean_mask(values, keep), tf.reshape(counts, [-1])
    ).to_tensor(shape=tf.stack([tf.size(counts), width]))
    return tf.reshape(rows, tf.concat([tf.shape(counts), [width]], axis=0))


def _log_add(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    larger = tf.maximum(first, second)
    return larger + tf.math.log1p(tf.exp(-tf.abs(first - second)))


def _count(labels: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(labels != BLANK, tf.int32), axis=-1)  # (batch, n)


def _lattice(
    labels: tf.Tensor, frames: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, Callable[..., tuple[tf.Tensor, ...]]]:
    """Build the band of CTC's lattice: the labels, with blanks around each, in every frame.

    The `2 * max_labels + 1` states are the labels, with blanks around each. The band has up to
    `BAND` of them, around that of a known alignment, which it follows from frame to frame.

    Args:
        labels: int32 `(batch, n, max_labels)`, padded with 0.
        frames: int32 `(batch, n, max_labels)`, the frame of each label in the known alignment.

    Returns:
        What is known before the first frame, the number of labels so far, `(batch, n)`, and the
        scores of the band's states, `(batch, n, band)`; and a function from a frame's number and
        these two to the new number, the band's first state `(batch, n)`, the labels of its states
        `(batch, n, band)`, and the scores of entering each from itself, from the previous one and
        from the one before that, `(3, batch, n, band)`.
    """
    total, max_labels = _count(labels), tf.shape(labels)[2]
    states = tf.stack([tf.zeros_like(labels), labels], axis=-1)  # (batch, n, max_labels, 2)
    states = tf.reshape(states, tf.concat([tf.shape(labels)[:2], [-1]], axis=0))
    # One blank after the labels, and before them two places that no alignment is in.
    states = tf.pad(states, [[0, 0], [0, 0], [2, 1]])
    num_states = 2 * max_labels + 1
    band = tf.minimum(num_states, BAND)
    places = tf.range(band + 2)

    def first_state(count: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value(2 * count - band // 2, 0, num_states - band)

    def enter(
        frame: tf.Tensor, count: tf.Tensor, scores: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        next_frame = tf.gather(frames, tf.minimum(count, max_labels - 1), batch_dims=2)
        before = first_state(count)
        count += tf.cast((count < total) & (next_frame == frame), tf.int32)
        first = first_state(count)  # at most two states further
        around = tf.gather(states, first[..., tf.newaxis] + places, batch_dims=2)
        # The blank between two different labels is optional.
        here = around[..., 2:]
        may_skip = tf.logical_and(here != BLANK, here != around[..., :-2])
        padded = tf.pad(scores, [[0, 0], [0, 0], [2, 2]], constant_values=-np.inf)
        padded = tf.gather(padded, (first - before)[..., tf.newaxis] + places, batch_dims=2)
        skip = tf.where(may_skip, padded[..., :-2], -np.inf)
        return count, first, here, tf.stack([padded[..., 2:], padded[..., 1:-1], skip])

    start = tf.where(tf.range(band) == 0, 0.0, -np.inf)
    start += tf.zeros_like(total, tf.float32)[..., tf.newaxis]
    return tf.zeros_like(total), start, enter


def _score(log_probabilities: tf.Tensor, labels: tf.Tensor, frames: tf.Tensor) -> tf.Tensor:
    """Return the log probabilities of transcripts, `(batch, n)`, summed over their alignments.

    Args:
        log_probabilities: from `_log_probabilities`.
        labels: int32 `(batch, n, max_labels)`, padded with 0.
        frames: int32 `(batch, n, max_labels)`, the frame of each label in a known alignment.
    """
    time = tf.shape(log_probabilities)[0]
    count, start, enter = _lattice(labels, frames)

    def advance(frame, count, first, sums):
        count, first, states, candidates = enter(frame, count, sums)
        emitted = tf.gather(log_probabilities[frame], states, axis=1, batch_dims=1)
        return frame + 1, count, first, tf.reduce_logsumexp(candidates, axis=0) + emitted

    *_, first, sums = tf.while_loop(
        lambda frame, *_: frame < time, advance, (0, count, tf.zeros_like(count), start)
    )
    scores = tf.gather(sums, 2 * _count(labels) - first, batch_dims=2)
    return tf.where(_is_possible(scores), scores, -np.inf)


def _search(
    log_probabilities: tf.Tensor, beam_width: int, n_best: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Find the most probable prefixes by beam search.

    TensorFlow's own kernel finds the same, but fails for an empty batch and for a row with fewer
    transcripts than requested, and took several times as long on a CPU.

    Args:
        log_probabilities: from `_log_probabilities`.
        beam_width: the number of prefixes kept.
        n_best: the number of hypotheses returned.

    Returns:
        Labels and the frames in which they were appended, both `(batch, n_best, max_labels)`,
        padded with 0, and whether each hypothesis exists, boolean `(batch, n_best)`.
    """
    time, batch, vocabulary = tf.unstack(tf.shape(log_probabilities))
    num_labels = vocabulary - 1  # without the blank
    rows = tf.range(batch)[:, tf.newaxis]

    def advance(frame, blank_ends, label_ends, last, code, parents, labels):
        """Process one frame; alignments ending in a blank and in a label have separate sums."""
        emitted = log_probabilities[frame]  # (batch, vocabulary)
        sums = _log_add(blank_ends, label_ends)  # (batch, beam)
        stay_blank = sums + emitted[:, :1]
        stay_label = label_ends + tf.gather(emitted, last, batch_dims=1)

        # Extend each prefix by each label; its last label can repeat only after a blank.
        repeated = tf.one_hot(last - 1, num_labels, True, False)  # (batch, beam, num_labels)
        extended = tf.where(repeated, blank_ends[..., tf.newaxis], sums[..., tf.newaxis])
        extended = tf.reshape(
            extended + emitted[:, tf.newaxis, 1:], [batch, beam_width * num_labels]
        )

        # An extended prefix that is already in the beam is added to that one.
        extended_code = _extend_code(code[:, :, tf.newaxis], last[:, tf.newaxis, :])
        is_parent = tf.logical_and(extended_code == code[:, tf.newaxis], last[:, tf.newaxis] > 0)
        has_parent = tf.reduce_any(is_parent, axis=1)  # (batch, beam)
        parent = tf.argmax(tf.cast(is_parent, tf.int32), axis=1, output_type=tf.int32)
        index = tf.where(has_parent, parent * num_labels + last - 1, 0)
        from_parent = tf.where(has_parent, tf.gather(extended, index, batch_dims=1), LOG_ZERO)
        stay_label = _log_add(stay_label, from_parent)
        extended = tf.tensor_scatter_nd_min(
            extended,
            tf.stack([tf.broadcast_to(rows, tf.shape(index)), index], axis=-1),
            tf.where(has_parent, LOG_ZERO, tf.float32.max),
        )

        # Keep the best.
        candidates = tf.concat([_log_add(stay_blank, stay_label), extended], axis=1)
        sums, chosen = tf.math.top_k(candidates, beam_width)
        is_extended = chosen >= beam_width
        parent = tf.where(is_extended, (chosen - beam_width) // num_labels, chosen)
        label = tf.where(is_extended, (chosen - beam_width) % num_labels + 1, 0)
        code = tf.gather(code, parent, batch_dims=1)
        code = tf.where(is_extended, _extend_code(code, label), code)
        last = tf.where(is_extended, label, tf.gather(last, parent, batch_dims=1))
        # Impossible entries only fill the beam; with code 0 no prefix matches them.
        exists = _is_possible(sums)
        return (
            frame + 1,
            tf.where(is_extended, LOG_ZERO, tf.gather(stay_blank, parent, batch_dims=1)),
            tf.where(is_extended, sums, tf.gather(stay_label, parent, batch_dims=1)),
            tf.where(exists, last, 0),
            tf.where(exists, code, 0),
            parents.write(frame, parent),
            labels.write(frame, label),
        )

    # Initially the beam has the empty prefix, counted as ending in a blank.
    shape = [batch, beam_width]
    first = tf.range(beam_width) == 0
    start = (
        0,
        tf.broadcast_to(tf.where(first, 0.0, LOG_ZERO), shape),
        tf.fill(shape, LOG_ZERO),
        tf.zeros(shape, tf.int32),
        tf.broadcast_to(tf.cast(first, tf.int64), shape),
        tf.TensorArray(tf.int32, time, element_shape=[None, beam_width]),
        tf.TensorArray(tf.int32, time, element_shape=[None, beam_width]),
    )
    _, blank_ends, label_ends, _, _, parents, labels = tf.while_loop(
        lambda frame, *_: frame < time,
        advance,
        start,
        # Of the counter, four tensors and two tensor arrays; the batch size is unknown.
        shape_invariants=tuple(map(tf.TensorShape, [[], *4 * [[None, beam_width]], None, None])),
    )
    exists = _is_possible(_log_add(blank_ends, label_ends)[:, :n_best])
    parents, labels = parents.stack(), labels.stack()  # (frames + 1, batch, beam)

    def backtrack(frame, beam, path):
        path = path.write(frame, tf.gather(labels[frame], beam, batch_dims=1))
        return frame - 1, tf.gather(parents[frame], beam, batch_dims=1), path

    beams = tf.zeros_like(labels[0, :, :n_best]) + tf.range(n_best)
    path = tf.TensorArray(tf.int32, time, element_shape=[None, n_best])
    *_, path = tf.while_loop(lambda frame, *_: frame >= 0, backtrack, (time - 1, beams, path))
    path = tf.transpose(path.stack(), [1, 2, 0])  # (batch, n_best, frames + 1)
    return *_compact_with_frames(path, (path != BLANK) & exists[..., tf.newaxis]), exists


def _is_possible(scores: tf.Tensor) -> tf.Tensor:
    return scores > LOG_ZERO / 2


def _extend_code(code: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """Hash a prefix extended by a label; with 64 bits, collisions are negligible.

    The factor is that of Knuth's MMIX generator.
    """
    return code * 6364136223846793005 + tf.cast(label, tf.int64)


def decode(logits: tf.Tensor, lengths: tf.Tensor, beam_width: int, n_best: int = 1) -> Decoded:
    """Decode greedily with a beam width of 1, by prefix beam search otherwise.

    Args:
        logits: float32 `(batch, frames, vocabulary)`.
        lengths: int32 `(batch,)`, the numbers of valid frames.
        beam_width: the number of prefixes kept, at least 1.
        n_best: the number of hypotheses returned, at most `beam_width`.

    Returns:
        A `Decoded`.

    Example:

    >>> logits = 9 * np.eye(3, dtype="float32")[[[1, 0, 2]]]
    >>> decode(logits, np.array([3]), beam_width=4).labels.numpy().tolist()
    [[[1, 2]]]
    """
    if beam_width == 1:
        return greedy_decode(logits, lengths)
    return beam_decode(logits, lengths, beam_width, n_best)


def texts(tokenizer: tf.Module, labels: tf.Tensor) -> tf.Tensor:
    """Detokenize labels, in the graph.

    Args:
        tokenizer: the tokenizer of the labels.
        labels: int32 `(batch, n, max_labels)`, padded with 0.

    Returns:
        String tensor `(batch, n)`, with white space collapsed and stripped.

    Example:

    >>> from lstm_zoo.speech.alphabet import CharacterTokenizer
    >>> texts(CharacterTokenizer("ab "), tf.constant([[[1, 3, 3, 2], [3, 1, 0, 0]]])).numpy()
    array([[b'a b', b'a']], dtype=object)
    """
    detokenized = detokenize(tokenizer, labels)  # the padding is the blank
    return tf.strings.strip(tf.strings.regex_replace(detokenized, r"\s+", " "))
