"""From CTC's logits to transcripts: greedy and prefix beam search, in the graph."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from lstm_zoo.errors import CallError
from lstm_zoo.speech.ctc import BLANK
from lstm_zoo.text.tokenizers import detokenize

# Stands for the logarithm of 0 where sums go on: of two infinities, a difference is not a number.
IMPOSSIBLE = -1e30


class Decoded(NamedTuple):
    """Transcripts, the best first, all places beyond a row's last one empty.

    labels: int32 `(batch, n_best, max_labels)`, padded with 0, which no label is; at least one
        wide.
    scores: float32 `(batch, n_best)`: the natural logarithm of the transcript's probability, summed
        over all its alignments; -inf where there is no transcript.
    """

    labels: tf.Tensor
    scores: tf.Tensor


@tf.function(reduce_retracing=True, autograph=False, jit_compile=False)
def greedy_labels(logits: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Return the labels of `greedy_decode`, without the work of scoring them."""
    return _best_labels(_log_probabilities(logits, lengths))


@tf.function(reduce_retracing=True, autograph=False, jit_compile=False)
def greedy_decode(logits: tf.Tensor, lengths: tf.Tensor) -> Decoded:
    """Decode the most probable alignment: the best label of each frame, repeats and blanks out.

    Args:
        logits: float32 `(batch, frames, vocabulary)`.
        lengths: int32 `(batch,)`, the true numbers of frames.

    Returns:
        A `Decoded` with `n_best` of 1.

    Example:

    >>> logits = 9 * np.eye(3, dtype="float32")[[[1, 1, 0, 1, 2]]]  # a b stand for 1 2: aa-ab
    >>> greedy_decode(logits, np.array([5])).labels.numpy().tolist()
    [[[1, 1, 2]]]
    """
    log_probabilities = _log_probabilities(logits, lengths)
    labels = _best_labels(log_probabilities)
    return Decoded(labels, _score(log_probabilities, labels))


@tf.function(reduce_retracing=True, autograph=False, jit_compile=False)
def beam_decode(
    logits: tf.Tensor, lengths: tf.Tensor, beam_width: int = 8, n_best: int = 1
) -> Decoded:
    """Decode by prefix beam search (Graves 2012; Hannun et al. 2014).

    Unlike the best alignment, it sums over the alignments of each transcript that it keeps. At
    each frame the `beam_width` most probable prefixes are kept.

    Args:
        logits: float32 `(batch, frames, vocabulary)`, two classes at least.
        lengths: int32 `(batch,)`, the true numbers of frames.
        beam_width: the prefixes kept, 1 at least.
        n_best: the transcripts returned, `beam_width` at most.

    Returns:
        A `Decoded`, by falling score. Rows that have fewer transcripts than `n_best` end in empty
        places with a score of -inf.

    Raises:
        CallError: (a ValueError) if `n_best` is not between 1 and `beam_width`.

    Example:

    >>> logits = np.log([[[0.4, 0.6], [0.6, 0.4]]]).astype("float32")
    >>> decoded = beam_decode(logits, np.array([2]), n_best=2)
    >>> decoded.labels.numpy().tolist(), np.exp(decoded.scores).round(2).tolist()
    ([[[1], [0]]], [[0.76, 0.24]])
    """
    if not 1 <= n_best <= beam_width:
        raise CallError(
            f"n_best is at least 1, and at most beam_width ({beam_width}). Received: {n_best}"
        )
    log_probabilities = _log_probabilities(logits, lengths)
    labels, alive = _search(log_probabilities, beam_width, n_best)
    scores = _score(log_probabilities, labels)
    # The search lost the alignments whose prefixes it dropped; the exact scores may rank otherwise.
    scores = tf.where(alive, scores, -np.inf)
    order = tf.argsort(scores, direction="DESCENDING", stable=True)
    return Decoded(*(tf.gather(part, order, batch_dims=1) for part in (labels, scores)))


@tf.function(reduce_retracing=True, autograph=False, jit_compile=False)
def begin_frames(logits: tf.Tensor, lengths: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Find the frame in which each label begins on its transcript's most probable alignment.

    For each transcript, frames times twice the labels are bytes held meanwhile.

    Args:
        logits: float32 `(batch, frames, vocabulary)`.
        lengths: int32 `(batch,)`, the true numbers of frames.
        labels: int32 `(batch, n, max_labels)`, as a `Decoded` of these logits has them.

    Returns:
        int32 `(batch, n, max_labels)`; 0 beyond the last label.

    Example:

    >>> logits = 9 * np.eye(3, dtype="float32")[[[1, 1, 0, 1, 2]]]
    >>> begin_frames(logits, np.array([5]), np.array([[[1, 1, 2]]])).numpy().tolist()
    [[[0, 3, 4]]]
    """
    log_probabilities = _log_probabilities(logits, lengths)
    time = tf.shape(log_probabilities)[0]
    states, start, arrive = _lattice(labels)

    def advance(frame, bests, moves):
        arrivals = arrive(bests)
        moves = moves.write(frame, tf.cast(tf.argmax(arrivals), tf.int8))
        emitted = tf.gather(log_probabilities[frame], states, axis=1, batch_dims=1)
        return frame + 1, tf.reduce_max(arrivals, axis=0) + emitted, moves

    moves = tf.TensorArray(tf.int8, time, element_shape=states.shape)
    *_, moves = tf.while_loop(lambda frame, *_: frame < time, advance, (0, start, moves))

    def go_back(frame, state, path):
        path = path.write(frame, state)
        move = tf.gather(moves.read(frame), state, batch_dims=2)
        return frame - 1, state - tf.cast(move, tf.int32), path

    last = _last_state(labels)
    path = tf.TensorArray(tf.int32, time, element_shape=last.shape)
    *_, path = tf.while_loop(lambda frame, *_: frame >= 0, go_back, (time - 1, last, path))
    path = tf.transpose(path.stack(), [1, 2, 0])  # (batch, n, frames + 1)
    before = tf.pad(path, [[0, 0], [0, 0], [1, 0]])[..., :-1]
    begins = tf.logical_and(path % 2 == 1, path != before)
    return _compact(tf.zeros_like(path) + tf.range(time), begins)


def _log_probabilities(logits: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Return log probabilities `(frames + 1, batch, vocabulary)`, blank for sure beyond a length.

    Such frames change no transcript and no score, and with one of them at the end every alignment
    ends in a blank.
    """
    within = tf.sequence_mask(lengths, tf.shape(logits)[1])[..., tf.newaxis]
    blank = tf.one_hot(BLANK, tf.shape(logits)[2], 0.0, IMPOSSIBLE)
    log_probabilities = tf.nn.log_softmax(logits)
    # A row that is not a number has no transcript, and must not harm the others.
    finite = tf.math.is_finite(log_probabilities)
    log_probabilities = tf.where(finite, log_probabilities, IMPOSSIBLE)
    log_probabilities = tf.where(within, log_probabilities, blank)
    last = tf.broadcast_to(blank, [tf.shape(logits)[0], 1, tf.shape(logits)[2]])
    return tf.transpose(tf.concat([log_probabilities, last], axis=1), [1, 0, 2])


def _best_labels(log_probabilities: tf.Tensor) -> tf.Tensor:
    """Return the labels `(batch, 1, max_labels)` of the most probable alignments."""
    path = tf.argmax(log_probabilities, axis=-1, output_type=tf.int32)  # (frames + 1, batch)
    # Nothing stands before the first frame, and the last one is a blank.
    changes = path != tf.roll(path, 1, axis=0)
    begins = tf.transpose(tf.logical_and(path != BLANK, changes))[:, tf.newaxis]
    return _compact(tf.transpose(path)[:, tf.newaxis], begins)


def _compact(values: tf.Tensor, keep: tf.Tensor) -> tf.Tensor:
    """Move the kept of the last axis's int32 values to its front; 0 beyond, one wide at least."""
    counts = tf.reduce_sum(tf.cast(keep, tf.int32), axis=-1)
    width = tf.reduce_max(tf.concat([tf.reshape(counts, [-1]), [1]], axis=0))
    rows = tf.RaggedTensor.from_row_lengths(
        tf.boolean_mask(values, keep), tf.reshape(counts, [-1])
    ).to_tensor(shape=tf.stack([tf.size(counts), width]))
    return tf.reshape(rows, tf.concat([tf.shape(counts), [width]], axis=0))


def _log_add(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    larger = tf.maximum(first, second)
    return larger + tf.math.log1p(tf.exp(-tf.abs(first - second)))


def _lattice(labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Lay out the states of transcripts: a blank before each label and one after the last.

    Args:
        labels: int32 `(batch, n, max_labels)`, padded with 0.

    Returns:
        What each state emits, int32 `(batch, n, 2 max_labels + 1)`; the scores before the first
        frame; and a function from scores to those of arriving in each state by staying, by a step
        and by a skip, `(3, batch, n, states)`.
    """
    states = tf.stack([tf.zeros_like(labels), labels], axis=-1)  # (batch, n, max_labels, 2)
    states = tf.reshape(states, tf.concat([tf.shape(labels)[:2], [-1]], axis=0))
    states = tf.pad(states, [[0, 0], [0, 0], [0, 1]])
    skipping = tf.pad(states, [[0, 0], [0, 0], [2, 0]])[..., :-2]
    # The blank between two labels may be left out where they differ.
    may_skip = tf.logical_and(states != BLANK, states != skipping)
    first = tf.range(tf.shape(states)[2]) == 0
    start = tf.where(first, 0.0, -np.inf) + tf.zeros_like(states, tf.float32)

    def arrive(scores: tf.Tensor) -> tf.Tensor:
        padded = tf.pad(scores, [[0, 0], [0, 0], [2, 0]], constant_values=-np.inf)
        skip = tf.where(may_skip, padded[..., :-2], -np.inf)
        return tf.stack([scores, padded[..., 1:-1], skip])

    return states, start, arrive


def _last_state(labels: tf.Tensor) -> tf.Tensor:
    return 2 * tf.reduce_sum(tf.cast(labels != BLANK, tf.int32), axis=-1)  # (batch, n)


def _score(log_probabilities: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Return the log probabilities of transcripts, `(batch, n)`, summed over their alignments.

    Args:
        log_probabilities: as `_log_probabilities` returns them.
        labels: int32 `(batch, n, max_labels)`, padded with 0.
    """
    time = tf.shape(log_probabilities)[0]
    states, start, arrive = _lattice(labels)

    def advance(frame, sums):
        emitted = tf.gather(log_probabilities[frame], states, axis=1, batch_dims=1)
        return frame + 1, tf.reduce_logsumexp(arrive(sums), axis=0) + emitted

    _, sums = tf.while_loop(lambda frame, _: frame < time, advance, (0, start))
    scores = tf.gather(sums, _last_state(labels), batch_dims=2)
    return tf.where(_alive(scores), scores, -np.inf)


def _search(
    log_probabilities: tf.Tensor, beam_width: int, n_best: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Search the most probable prefixes.

    TensorFlow's own kernel for it finds the same, but fails a whole batch that is empty or has a
    row with fewer transcripts than asked for, and took several times as long on a CPU.

    Args:
        log_probabilities: as `_log_probabilities` returns them.
        beam_width: the prefixes kept.
        n_best: the transcripts returned.

    Returns:
        Labels `(batch, n_best, max_labels)`, padded with 0, and whether each place has a
        transcript, boolean `(batch, n_best)`.
    """
    time, batch, vocabulary = tf.unstack(tf.shape(log_probabilities))
    others = vocabulary - 1  # all but blank
    rows = tf.range(batch)[:, tf.newaxis]

    def advance(frame, blank_ends, label_ends, last, code, parents, labels):
        """Take one frame; each prefix has its log probability by what its alignments end in."""
        emitted = log_probabilities[frame]  # (batch, vocabulary)
        sums = _log_add(blank_ends, label_ends)  # (batch, beam)
        stay_blank = sums + emitted[:, :1]
        stay_label = label_ends + tf.gather(emitted, last, batch_dims=1)

        # Grow each prefix by each label; the label that it ends in only after a blank.
        repeated = tf.one_hot(last - 1, others, True, False)  # (batch, beam, others)
        grown = tf.where(repeated, blank_ends[..., tf.newaxis], sums[..., tf.newaxis])
        grown = tf.reshape(grown + emitted[:, tf.newaxis, 1:], [batch, beam_width * others])

        # A grown prefix may be one that is there: then it adds to that one.
        grown_code = _grow(code[:, :, tf.newaxis], last[:, tf.newaxis, :])
        is_parent = tf.logical_and(grown_code == code[:, tf.newaxis], last[:, tf.newaxis] > 0)
        has_parent = tf.reduce_any(is_parent, axis=1)  # (batch, beam)
        parent = tf.argmax(tf.cast(is_parent, tf.int32), axis=1, output_type=tf.int32)
        place = tf.where(has_parent, parent * others + last - 1, 0)
        given = tf.where(has_parent, tf.gather(grown, place, batch_dims=1), IMPOSSIBLE)
        stay_label = _log_add(stay_label, given)
        grown = tf.tensor_scatter_nd_min(
            grown,
            tf.stack([tf.broadcast_to(rows, tf.shape(place)), place], axis=-1),
            tf.where(has_parent, IMPOSSIBLE, tf.float32.max),
        )

        # Keep the best.
        candidates = tf.concat([_log_add(stay_blank, stay_label), grown], axis=1)
        sums, chosen = tf.math.top_k(candidates, beam_width)
        grew = chosen >= beam_width
        parent = tf.where(grew, (chosen - beam_width) // others, chosen)
        label = tf.where(grew, (chosen - beam_width) % others + 1, 0)
        code = tf.gather(code, parent, batch_dims=1)
        code = tf.where(grew, _grow(code, label), code)
        last = tf.where(grew, label, tf.gather(last, parent, batch_dims=1))
        # What has no probability only fills a place: no prefix may find itself in it.
        alive = _alive(sums)
        return (
            frame + 1,
            tf.where(grew, IMPOSSIBLE, tf.gather(stay_blank, parent, batch_dims=1)),
            tf.where(grew, sums, tf.gather(stay_label, parent, batch_dims=1)),
            tf.where(alive, last, 0),
            tf.where(alive, code, 0),
            parents.write(frame, parent),
            labels.write(frame, label),
        )

    # At first, there is the empty prefix, ending in a blank as it were.
    shape = [batch, beam_width]
    first = tf.range(beam_width) == 0
    start = (
        0,
        tf.broadcast_to(tf.where(first, 0.0, IMPOSSIBLE), shape),
        tf.fill(shape, IMPOSSIBLE),
        tf.zeros(shape, tf.int32),
        tf.broadcast_to(tf.cast(first, tf.int64), shape),
        tf.TensorArray(tf.int32, time, element_shape=[None, beam_width]),
        tf.TensorArray(tf.int32, time, element_shape=[None, beam_width]),
    )
    _, blank_ends, label_ends, _, _, parents, labels = tf.while_loop(
        lambda frame, *_: frame < time,
        advance,
        start,
        # Of each tensor and then of the two arrays: the batch may be of any size.
        shape_invariants=tuple(map(tf.TensorShape, [[], *4 * [[None, beam_width]], None, None])),
    )
    alive = _alive(_log_add(blank_ends, label_ends)[:, :n_best])
    parents, labels = parents.stack(), labels.stack()  # (frames + 1, batch, beam)

    def go_back(frame, place, path):
        path = path.write(frame, tf.gather(labels[frame], place, batch_dims=1))
        return frame - 1, tf.gather(parents[frame], place, batch_dims=1), path

    places = tf.zeros_like(labels[0, :, :n_best]) + tf.range(n_best)
    path = tf.TensorArray(tf.int32, time, element_shape=[None, n_best])
    *_, path = tf.while_loop(lambda frame, *_: frame >= 0, go_back, (time - 1, places, path))
    path = tf.transpose(path.stack(), [1, 2, 0])  # (batch, n_best, frames + 1)
    return _compact(path, tf.logical_and(path != BLANK, alive[..., tf.newaxis])), alive


def _alive(scores: tf.Tensor) -> tf.Tensor:
    return scores > IMPOSSIBLE / 2


def _grow(code: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """Return the code of a prefix grown by a label; 64 bits, so that two prefixes never share one.

    The factor is Knuth's.
    """
    return code * 6364136223846793005 + tf.cast(label, tf.int64)


def decode(logits: tf.Tensor, lengths: tf.Tensor, beam_width: int, n_best: int = 1) -> Decoded:
    """Decode greedily with a beam width of 1, by prefix beam search otherwise.

    Args:
        logits: float32 `(batch, frames, vocabulary)`.
        lengths: int32 `(batch,)`, the true numbers of frames.
        beam_width: the prefixes kept, 1 at least.
        n_best: the transcripts returned, `beam_width` at most.

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
        tokenizer: whose labels they are.
        labels: int32 `(batch, n, max_labels)`, padded with 0.

    Returns:
        String tensor `(batch, n)`, without white space at their ends or repeated.
    """
    found = detokenize(tokenizer, labels)  # the blank is the padding
    return tf.strings.strip(tf.strings.regex_replace(found, r"\s+", " "))
