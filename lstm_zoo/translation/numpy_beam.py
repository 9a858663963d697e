"""Greedy decoding and beam search in NumPy: the twin of `lstm_zoo.translation.beam`.

Rows that are done leave the batch, which changes no other row.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lstm_zoo.runtime.numerics import log_softmax, top_k
from lstm_zoo.text.vocabulary import END, PADDING, START, UNKNOWN

States = list[np.ndarray]
Step = Callable[[np.ndarray, States], tuple[np.ndarray, States]]


def search(
    step: Step,
    states: States,
    limits: np.ndarray,
    *,
    width: int,
    n_best: int = 1,
    length_penalty: float = 0.0,
) -> tuple[list[list[np.ndarray]], np.ndarray]:
    """Decode by beam search; a width of 1 is greedy decoding.

    Args:
        step: maps the last ids int32 `(rows,)` and the states to the logits of the next ids
            `(rows, vocabulary)` and the new states. The hypotheses of an example are adjacent rows.
        states: the initial states, `(batch, ...)` each.
        limits: integers `(batch,)`, the maximum number of ids of each row, at least 0; then only
            the end token is allowed.
        width: the number of hypotheses kept for each row.
        n_best: the number of hypotheses returned, at most `width`.
        length_penalty: the exponent of the length by which scores are divided.

    Returns:
        The ids of the best hypotheses of each row, best first, without start and end tokens; and
        their scores, float32 `(batch, n_best)`, -inf where fewer were found.

    Example:

    >>> def step(ids, states):  # 5 after the start token, then the end token
    ...     return np.where(np.arange(6) == np.where(ids == START, 5, END)[:, None], 9.0, 0), states
    >>> ids, scores = search(step, [], np.array([3]), width=2)
    >>> ids[0][0].tolist()
    [5]
    """
    batch, longest = len(limits), int(max([0, *limits]))
    found_ids = np.full((batch, width, longest), PADDING, np.int32)
    found = np.full((batch, width), -np.inf, np.float32)
    # Of the rows that are not done: their numbers, and the hypotheses that have not ended.
    active = np.arange(batch)
    alive_ids = found_ids.copy()
    # All hypotheses of a row begin equal: -inf for all but one keeps duplicates out of the beam.
    alive = np.full((batch, width), -np.inf, np.float32)
    alive[:, :1] = 0
    states = [state.repeat(width, axis=0) for state in states]
    last = np.full(batch * width, START, np.int32)
    for position in range(longest + 1):
        # A log probability only decreases, and the maximum length divides it by the most.
        bound = alive.max(axis=1) / _length_divisor(limits[active] + 1, length_penalty)
        open_rows = np.flatnonzero(bound > found[active, n_best - 1])
        if not len(open_rows):
            break
        if len(open_rows) < len(active):
            rows = (open_rows[:, np.newaxis] * width + np.arange(width)).ravel()
            states, last = [state[rows] for state in states], last[rows]
            active, alive_ids, alive = active[open_rows], alive_ids[open_rows], alive[open_rows]
        logits, states = step(last, states)
        log_probs = log_softmax(_mask_special(logits)).reshape(len(active), width, -1)
        vocabulary = log_probs.shape[-1]
        at_limit = position >= limits[active]
        if at_limit.any():  # such a row may only end
            log_probs[at_limit, :, :END] = log_probs[at_limit, :, END + 1 :] = -np.inf
        log_probs += alive[..., np.newaxis]
        scores, chosen = top_k(log_probs.reshape(len(active), -1), width)
        parents, ids = chosen // vocabulary, (chosen % vocabulary).astype(np.int32)
        prefixes = np.take_along_axis(alive_ids, parents[..., np.newaxis], 1)
        is_end = ids == END
        normalized = scores / _length_divisor(position + 1, length_penalty)
        ended = np.where(is_end, normalized, -np.inf).astype(np.float32)
        best, places = top_k(np.concatenate([found[active], ended], axis=1), width)
        candidates = np.concatenate([found_ids[active], prefixes], axis=1)
        found[active] = best
        found_ids[active] = np.take_along_axis(candidates, places[..., np.newaxis], 1)
        is_full = best[:, -1:] > -np.inf
        alive = np.where(is_end | is_full, -np.inf, scores).astype(np.float32)
        alive_ids = prefixes
        if position < longest:
            alive_ids[..., position] = np.where(is_end, PADDING, ids)
        rows = (np.arange(len(active))[:, np.newaxis] * width + parents).ravel()
        states, last = [state[rows] for state in states], ids.ravel()
    best_ids = [[ids[ids != PADDING] for ids in row[:n_best]] for row in found_ids]
    return best_ids, found[:, :n_best]


def _length_divisor(count: np.ndarray | int, penalty: float) -> np.ndarray:
    """Return the divisor of the score of `count` ids, the end token included."""
    return np.asarray(count, np.float32) ** np.float32(penalty)


def _mask_special(logits: np.ndarray) -> np.ndarray:
    """Set the logits of padding, unknown and start to -inf: no translation holds them."""
    logits[:, [PADDING, UNKNOWN, START]] = -np.inf
    return logits
