"""Greedy and beam search, in core TensorFlow ops: one loop, whatever the batch.

A hypothesis that ends leaves the beam (Sutskever et al. 2014), and a row is done when as many have
ended as the beam is wide, or when none that is alive can still be better. Scores are the log
probability of the ids, the end's included, divided by their number to the power of the length
penalty.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from lstm_zoo.text.tokenizers import END, PADDING, START, UNKNOWN

States = Any  # nested tensors `(batch x width, ...)`
Step = Callable[[tf.Tensor, States], tuple[tf.Tensor, States]]


class Hypotheses(NamedTuple):
    """The best translations of each row, the best first.

    ids: int32 `(batch, n, time)`, without start and end, padded with 0.
    scores: float32 `(batch, n)`, -inf where there are not so many.
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
    """Find the most probable sequences of ids; with a width of 1, greedily.

    Args:
        step: from the last ids `(rows,)` and the states to logits `(rows, vocabulary)` of the next
            id and the new states. `rows` is batch x width, the hypotheses of an example in a run.
        states: the initial states, `(batch, ...)` each.
        limits: int32 `(batch,)`, the most ids of a row, 0 at least; then it must end.
        width: the hypotheses kept for a row.
        n_best: how many are returned, `width` at most.
        length_penalty: the power of the length by which a score is divided.

    Returns:
        The hypotheses. A row's do not change with what shares its batch, rounding aside.

    Example:

    >>> def step(ids, states):  # 5 once, then the end
    ...     return tf.one_hot(tf.where(ids == START, 5, END), 6, 9.0), states
    >>> search(step, [tf.zeros((1, 1))], tf.constant([7]), width=2).ids.numpy().tolist()
    [[[5]]]
    """
    batch = tf.shape(limits)[0]
    longest = tf.reduce_max(tf.concat([limits, [0]], 0))
    # The first hypothesis of a row stands for all of them until they differ.
    first = tf.one_hot(0, width, on_value=0.0, off_value=-float("inf"))
    alive = _Beam(tf.fill([batch, width, longest], PADDING), tf.tile(first[tf.newaxis], [batch, 1]))
    ended = _Beam(alive.ids, tf.fill([batch, width], -float("inf")))
    states = tf.nest.map_structure(lambda state: tf.repeat(state, width, axis=0), states)
    last = tf.fill([batch * width], START)

    def may_improve(alive: _Beam, ended: _Beam) -> tf.Tensor:
        """Tell of each row whether what is alive can still come among those returned."""
        best = tf.reduce_max(alive.scores, axis=1)
        # A log probability only falls; at its softest it is divided by the longest length.
        bound = best / _length(limits + 1, length_penalty)
        return bound > ended.scores[:, n_best - 1]

    def condition(position, last, alive, ended, states):
        return tf.reduce_any(may_improve(alive, ended))

    def body(position, last, alive, ended, states):
        logits, states = step(last, states)
        steps = tf.nn.log_softmax(_spellable(logits))
        vocabulary = tf.shape(steps)[-1]
        steps = tf.reshape(steps, [batch, width, vocabulary])
        # At its limit a row can only end.
        ends = tf.one_hot(END, vocabulary, on_value=0.0, off_value=-float("inf"))
        steps = tf.where((position >= limits)[:, tf.newaxis, tf.newaxis], steps + ends, steps)
        totals = tf.reshape(alive.scores[..., tf.newaxis] + steps, [batch, width * vocabulary])
        scores, chosen = tf.math.top_k(totals, width)
        parents, ids = chosen // vocabulary, chosen % vocabulary
        before = tf.gather(alive.ids, parents, batch_dims=1)
        is_end = ids == END
        # What ends joins those that have ended, the best of both stay.
        normalized = scores / _length(position + 1, length_penalty)
        joined = _Beam(
            tf.concat([ended.ids, before], 1),
            tf.concat([ended.scores, tf.where(is_end, normalized, -float("inf"))], 1),
        )
        ended = joined.best(width)
        written = tf.logical_and(tf.range(longest) == position, ~is_end[..., tf.newaxis])
        alive = _Beam(
            tf.where(written, ids[..., tf.newaxis], before),
            tf.where(is_end | _full(ended)[:, tf.newaxis], -float("inf"), scores),
        )
        rows = tf.reshape(tf.range(batch)[:, tf.newaxis] * width + parents, [-1])
        states = tf.nest.map_structure(lambda state: tf.gather(state, rows), states)
        return position + 1, tf.reshape(ids, [-1]), alive, ended, states

    _, _, _, ended, _ = tf.while_loop(
        condition,
        body,
        (tf.constant(0), last, alive, ended, states),
        maximum_iterations=longest + 1,
    )
    return Hypotheses(*ended.best(n_best))


class _Beam(NamedTuple):
    ids: tf.Tensor  # int32 (batch, width, time)
    scores: tf.Tensor  # float32 (batch, width)

    def best(self, count: int) -> "_Beam":
        scores, places = tf.math.top_k(self.scores, count)
        return _Beam(tf.gather(self.ids, places, batch_dims=1), scores)


def _length(count: tf.Tensor, penalty: float) -> tf.Tensor:
    """Return what the score of `count` ids, the end among them, is divided by."""
    return tf.cast(count, tf.float32) ** penalty


def _full(ended: _Beam) -> tf.Tensor:
    """Tell of each row whether it has as many ended hypotheses as it keeps: then it is done."""
    return ended.scores[:, -1] > -float("inf")


def _spellable(logits: tf.Tensor) -> tf.Tensor:
    """Rule out the ids that no translation holds: padding, unknown, start."""
    vocabulary = tf.shape(logits)[-1]
    never = tf.reduce_sum(tf.one_hot([PADDING, UNKNOWN, START], vocabulary), axis=0) > 0
    return tf.where(never, tf.constant(-float("inf"), logits.dtype), logits)
