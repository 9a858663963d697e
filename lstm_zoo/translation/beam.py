"""Greedy decoding and beam search, in one TensorFlow loop for a whole batch.

A finished hypothesis leaves the beam (Sutskever et al. 2014). A row is done when `width` hypotheses
have finished, or when no unfinished one can still score higher. A score is the log probability of
the ids, the end token included, divided by their number to the power of the length penalty.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from lstm_zoo.text.tokenizers import END, PADDING, START, UNKNOWN

States = Any  # nested tensors `(batch * width, ...)`
Step = Callable[[tf.Tensor, States], tuple[tf.Tensor, States]]


class Hypotheses(NamedTuple):
    """The best hypotheses of each row, best first.

    ids: int32 `(batch, n, time)`, without start and end tokens, padded with 0.
    scores: float32 `(batch, n)`, -inf where fewer than n were found.
    """

    ids: tf.Tensor
    scores: tf.Tensor


def search(
    step: Step,
    states: States,
    limits: tf.Tensor,
    *,
    width: int,
    n_best: int = 1,
    length_penalty: float = 0.0,
) -> Hypotheses:
    """Decode by beam search; a width of 1 is greedy decoding.

    Args:
        step: maps the last ids `(batch * width,)` and the states to the logits of the next ids
            `(batch * width, vocabulary)` and the new states. The hypotheses of a row are adjacent.
        states: the initial states, `(batch, ...)` each.
        limits: int32 `(batch,)`, the maximum number of ids of each row, at least 0; then only the
            end token is allowed.
        width: the number of hypotheses kept for each row.
        n_best: the number of hypotheses returned, at most `width`.
        length_penalty: the exponent of the length by which scores are divided.

    Returns:
        The hypotheses. Up to rounding, those of a row do not depend on the rest of the batch.

    Example:

    >>> def step(ids, states):  # 5 after the start token, then the end token
    ...     return tf.one_hot(tf.where(ids == START, 5, END), 6, 9.0), states
    >>> search(step, [tf.zeros((1, 1))], tf.constant([3]), width=2).ids.numpy().tolist()
    [[[5, 0, 0]]]
    """
    batch = tf.shape(limits)[0]
    longest = tf.reduce_max(tf.concat([limits, [0]], 0))
    # All hypotheses of a row begin equal: -inf for all but one keeps duplicates out of the beam.
    first = tf.one_hot(0, width, on_value=0.0, off_value=-float("inf"))
    alive = _Beam(tf.fill([batch, width, longest], PADDING), tf.tile(first[tf.newaxis], [batch, 1]))
    finished = _Beam(alive.ids, tf.fill([batch, width], -float("inf")))
    states = tf.nest.map_structure(lambda state: tf.repeat(state, width, axis=0), states)
    last = tf.fill([batch * width], START)

    def may_improve(alive: _Beam, finished: _Beam) -> tf.Tensor:
        """Return whether an unfinished hypothesis of each row can still be among the n best."""
        best = tf.reduce_max(alive.scores, axis=1)
        # A log probability only decreases, and the maximum length divides it by the most.
        bound = best / _length_divisor(limits + 1, length_penalty)
        return bound > finished.scores[:, n_best - 1]

    def condition(position, last, alive, finished, states):
        return tf.reduce_any(may_improve(alive, finished))

    def body(position, last, alive, finished, states):
        logits, states = step(last, states)
        log_probs = tf.nn.log_softmax(_mask_special(logits))
        vocabulary = tf.shape(log_probs)[-1]
        log_probs = tf.reshape(log_probs, [batch, width, vocabulary])
        # At its limit a row may only end.
        only_end = tf.one_hot(END, vocabulary, on_value=0.0, off_value=-float("inf"))
        at_limit = (position >= limits)[:, tf.newaxis, tf.newaxis]
        log_probs = tf.where(at_limit, log_probs + only_end, log_probs)
        totals = tf.reshape(alive.scores[..., tf.newaxis] + log_probs, [batch, width * vocabulary])
        scores, chosen = tf.math.top_k(totals, width)
        parents, ids = chosen // vocabulary, chosen % vocabulary
        prefixes = tf.gather(alive.ids, parents, batch_dims=1)
        is_end = ids == END
        normalized = scores / _length_divisor(position + 1, length_penalty)
        candidates = _Beam(
            tf.concat([finished.ids, prefixes], 1),
            tf.concat([finished.scores, tf.where(is_end, normalized, -float("inf"))], 1),
        )
        finished = candidates.best(width)
        is_new = tf.logical_and(tf.range(longest) == position, ~is_end[..., tf.newaxis])
        alive = _Beam(
            tf.where(is_new, ids[..., tf.newaxis], prefixes),
            tf.where(is_end | _is_full(finished)[:, tf.newaxis], -float("inf"), scores),
        )
        rows = tf.reshape(tf.range(batch)[:, tf.newaxis] * width + parents, [-1])
        states = tf.nest.map_structure(lambda state: tf.gather(state, rows), states)
        return position + 1, tf.reshape(ids, [-1]), alive, finished, states

    _, _, _, finished, _ = tf.while_loop(
        condition,
        body,
        (tf.constant(0), last, alive, finished, states),
        maximum_iterations=longest + 1,
    )
    return Hypotheses(*finished.best(n_best))


class _Beam(NamedTuple):
    ids: tf.Tensor  # int32 (batch, width, time)
    scores: tf.Tensor  # float32 (batch, width)

    def best(self, count: int) -> "_Beam":
        """Return the `count` hypotheses of each row with the highest scores."""
        scores, indices = tf.math.top_k(self.scores, count)
        return _Beam(tf.gather(self.ids, indices, batch_dims=1), scores)


def _length_divisor(count: tf.Tensor, penalty: float) -> tf.Tensor:
    """Return the divisor of the score of `count` ids, the end token included."""
    return tf.cast(count, tf.float32) ** penalty


def _is_full(finished: _Beam) -> tf.Tensor:
    """Return whether each row has `width` finished hypotheses."""
    return finished.scores[:, -1] > -float("inf")


def _mask_special(logits: tf.Tensor) -> tf.Tensor:
    """Set the logits of padding, unknown and start to -inf: no translation holds them."""
    vocabulary = tf.shape(logits)[-1]
    special = tf.reduce_sum(tf.one_hot([PADDING, UNKNOWN, START], vocabulary), axis=0) > 0
    return tf.where(special, tf.constant(-float("inf"), logits.dtype), logits)
