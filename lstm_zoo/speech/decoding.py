"""CTC decoding in the graph: greedy and prefix beam search."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from lstm_zoo.errors import CallError
from lstm_zoo.speech.alphabet import BLANK
from lstm_zoo.text.tokenizers import detokenize

# The logarithm of 0, finite because the difference of two infinities is NaN.
LOG_ZERO = -1e30


class Decoded(NamedTuple):
    """The `n_best` hypotheses of each row, by descending score.

    labels: int32 `(batch, n_best, max_labels)`, padded with 0, the blank; `max_labels` is at least
        1.
    scores: float32 `(batch, n_best)`, log probabilities of the hypotheses, summed over all
        alignments; -inf, with no labels, where a row has fewer hypotheses.
    """

    labels: tf.Tensor
    scores: tf.Tensor


@tf.function(reduce_retracing=True, autograph=False, jit_compile=False)
def greedy_labels(logits: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Return the labels of `greedy_decode` without computing their scores."""
    return _best_labels(_log_probabilities(logits, lengths))


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
    labels = _best_labels(log_probabilities)
    return Decoded(labels, _score(log_probabilities, labels))


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
    labels, exists = _search(log_probabilities, beam_width, n_best)
    scores = _score(log_probabilities, labels)
    # The search misses alignments through dropped prefixes, so exact scores may rank otherwise.
    scores = tf.where(exists, scores, -np.inf)
    order = tf.argsort(scores, direction="DESCENDING", stable=True)
    return Decoded(*(tf.gather(field, order, batch_dims=1) for field in (labels, scores)))


@tf.function(reduce_retracing=True, autograph=False, jit_compile=False)
def start_frames(logits: tf.Tensor, lengths: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Find the first frame of each label in the transcript's most probable alignment (Viterbi).

    Needs about `2 * frames * max_labels` bytes per transcript.

    Args:
        logits: float32 `(batch, frames, vocabulary)`.
        lengths: int32 `(batch,)`, the numbers of valid frames.
        labels: int32 `(batch, n, max_labels)`, those of a `Decoded` of these logits.

    Returns:
        int32 `(batch, n, max_labels)`; 0 in the padding.

    Example:

    >>> logits = 9 * np.eye(3, dtype="float32")[[[1, 1, 0, 1, 2]]]
    >>> start_frames(logits, np.array([5]), np.array([[[1, 1, 2]]])).numpy().tolist()
    [[[0, 3, 4]]]
    """
    log_probabilities = _log_probabilities(logits, lengths)
    time = tf.shape(log_probabilities)[0]
    states, start, transition = _lattice(labels)

    def advance(frame, bests, moves):
        candidates = transition(bests)
        moves = moves.write(frame, tf.cast(tf.argmax(candidates), tf.int8))
        emitted = tf.gather(log_probabilities[frame], states, axis=1, batch_dims=1)
        return frame + 1, tf.reduce_max(candidates, axis=0) + emitted, moves

    moves = tf.TensorArray(tf.int8, time, element_shape=states.shape)
    *_, moves = tf.while_loop(lambda frame, *_: frame < time, advance, (0, start, moves))

    def backtrack(frame, state, path):
        path = path.write(frame, state)
        move = tf.gather(moves.read(frame), state, batch_dims=2)
        return frame - 1, state - tf.cast(move, tf.int32), path

    last = _last_state(labels)
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


def _best_labels(log_probabilities: tf.Tensor) -> tf.Tensor:
    """Return the labels `(batch, 1, max_labels)` of the most probable alignments."""
    path = tf.argmax(log_probabilities, axis=-1, output_type=tf.int32)  # (frames + 1, batch)
    # The first frame is compared with the last one, which is a blank.
    changes = path != tf.roll(path, 1, axis=0)
    starts = tf.transpose(tf.logical_and(path != BLANK, changes))[:, tf.newaxis]
    return _compact(tf.transpose(path)[:, tf.newaxis], starts)


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


def _lattice(labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Build the states of CTC's forward algorithm: the labels, with blanks around each.

    Args:
        labels: int32 `(batch, n, max_labels)`, padded with 0.

    Returns:
        The label of each state, int32 `(batch, n, states)` with `2 * max_labels + 1` states; the
        scores before the first frame; and a function from the scores of one frame to the scores of
        entering each state from itself, from the previous one and from the one before that,
        `(3, batch, n, states)`.
    """
    states = tf.stack([tf.zeros_like(labels), labels], axis=-1)  # (batch, n, max_labels, 2)
    states = tf.reshape(states, tf.concat([tf.shape(labels)[:2], [-1]], axis=0))
    states = tf.pad(states, [[0, 0], [0, 0], [0, 1]])
    two_before = tf.pad(states, [[0, 0], [0, 0], [2, 0]])[..., :-2]
    # The blank between two different labels is optional.
    may_skip = tf.logical_and(states != BLANK, states != two_before)
    first = tf.range(tf.shape(states)[2]) == 0
    start = tf.where(first, 0.0, -np.inf) + tf.zeros_like(states, tf.float32)

    def transition(scores: tf.Tensor) -> tf.Tensor:
        padded = tf.pad(scores, [[0, 0], [0, 0], [2, 0]], constant_values=-np.inf)
        skip = tf.where(may_skip, padded[..., :-2], -np.inf)
        return tf.stack([scores, padded[..., 1:-1], skip])

    return states, start, transition


def _last_state(labels: tf.Tensor) -> tf.Tensor:
    return 2 * tf.reduce_sum(tf.cast(labels != BLANK, tf.int32), axis=-1)  # (batch, n)


def _score(log_probabilities: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Return the log probabilities of transcripts, `(batch, n)`, summed over their alignments.

    Args:
        log_probabilities: from `_log_probabilities`.
        labels: int32 `(batch, n, max_labels)`, padded with 0.
    """
    time = tf.shape(log_probabilities)[0]
    states, start, transition = _lattice(labels)

    def advance(frame, sums):
        emitted = tf.gather(log_probabilities[frame], states, axis=1, batch_dims=1)
        return frame + 1, tf.reduce_logsumexp(transition(sums), axis=0) + emitted

    _, sums = tf.while_loop(lambda frame, _: frame < time, advance, (0, start))
    scores = tf.gather(sums, _last_state(labels), batch_dims=2)
    return tf.where(_is_possible(scores), scores, -np.inf)


def _search(
    log_probabilities: tf.Tensor, beam_width: int, n_best: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Find the most probable prefixes by beam search.

    TensorFlow's own kernel finds the same, but fails for an empty batch and for a row with fewer
    transcripts than requested, and took several times as long on a CPU.

    Args:
        log_probabilities: from `_log_probabilities`.
        beam_width: the number of prefixes kept.
        n_best: the number of hypotheses returned.

    Returns:
        Labels `(batch, n_best, max_labels)`, padded with 0, and whether each hypothesis exists,
        boolean `(batch, n_best)`.
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
    return _compact(path, tf.logical_and(path != BLANK, exists[..., tf.newaxis])), exists


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
