"""CTC decoding in NumPy: the twin of `lstm_zoo.speech.decoding`, which explains the algorithms."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from lstm_zoo.runtime.numerics import log_softmax
from lstm_zoo.speech.labels import BLANK

LOG_ZERO = -1e30  # the logarithm of 0, finite: differences of infinities are NaN
BAND = 513  # states of CTC's lattice that are computed in each frame
BLOCK = 256  # frames of which the states' probabilities are looked up at once
HASH_FACTOR = 6364136223846793005  # that of Knuth's MMIX generator


class Decoded(NamedTuple):
    """The `n_best` hypotheses of each row, by descending score.

    labels: int32 `(batch, n_best, max_labels)`, padded with 0; `max_labels` is at least 1.
    frames: int32 `(batch, n_best, max_labels)`, the frame in which the search appended each label.
    scores: float32 `(batch, n_best)`, log probabilities summed over all alignments; -inf where a
        row has fewer hypotheses.
    """

    labels: np.ndarray
    frames: np.ndarray
    scores: np.ndarray


def decode(logits: np.ndarray, lengths: np.ndarray, beam_width: int, n_best: int = 1) -> Decoded:
    """Decode greedily with a beam width of 1, by prefix beam search otherwise.

    Args:
        logits: float32 `(batch, frames, vocabulary)`.
        lengths: integers `(batch,)`, the numbers of valid frames.
        beam_width: the number of prefixes kept, at least 1.
        n_best: the number of hypotheses returned, at most `beam_width`.

    Returns:
        A `Decoded`.

    Example:

    >>> logits = np.log(np.array([[[0.4, 0.6], [0.6, 0.4]]], np.float32))
    >>> decoded = decode(logits, np.array([2]), beam_width=8, n_best=2)
    >>> decoded.labels.tolist()
    [[[1], [0]]]
    >>> np.exp(decoded.scores).round(2)
    array([[0.76, 0.24]], dtype=float32)
    """
    log_probabilities = _log_probabilities(logits, lengths)
    if beam_width == 1:
        path = log_probabilities.argmax(axis=-1).T[:, np.newaxis]  # (batch, 1, frames + 1)
        # The first frame is compared with the last one, which is a blank.
        starts = (path != BLANK) & (path != np.roll(path, 1, axis=-1))
        labels, frames = _compact(path, starts), _compact(_times(path), starts)
        return Decoded(labels, frames, _score(log_probabilities, labels, frames))
    labels, frames, exists = _search(log_probabilities, lengths, beam_width, n_best)
    scores = np.where(exists, _score(log_probabilities, labels, frames), -np.inf)
    # The search misses alignments through dropped prefixes, so exact scores may rank otherwise.
    order = np.argsort(-scores, axis=1, kind="stable")
    fields = (np.take_along_axis(field, order[..., np.newaxis], 1) for field in (labels, frames))
    return Decoded(*fields, np.take_along_axis(scores, order, 1).astype(np.float32))


def start_frames(
    logits: np.ndarray, lengths: np.ndarray, labels: np.ndarray, frames: np.ndarray
) -> np.ndarray:
    """Find the first frame of each label in the transcript's most probable alignment (Viterbi).

    Args:
        logits: float32 `(batch, frames, vocabulary)`.
        lengths: integers `(batch,)`, the numbers of valid frames.
        labels: int32 `(batch, n, max_labels)`, those of a `Decoded` of these logits.
        frames: int32 `(batch, n, max_labels)`, of the same `Decoded`.

    Returns:
        int32 `(batch, n, max_labels)`; 0 in the padding.

    Example:

    >>> logits = 9 * np.eye(3, dtype="float32")[[[1, 1, 0, 1, 2]]]
    >>> labels, frames, _ = decode(logits, np.array([5]), 1)
    >>> start_frames(logits, np.array([5]), labels, frames).tolist()
    [[[0, 3, 4]]]
    """
    log_probabilities = _log_probabilities(logits, lengths)
    moves, firsts = [], []
    bests = _start(labels)
    for step in _lattice(log_probabilities, labels, frames):
        candidates = step.candidates(bests)
        moves.append(candidates.argmax(axis=0).astype(np.int8))
        firsts.append(step.first)
        bests = candidates.max(axis=0) + step.emitted
    state = 2 * _count(labels)
    path = np.empty((len(moves), *state.shape), np.int32)
    for frame in reversed(range(len(moves))):
        path[frame] = state
        place = (state - firsts[frame])[..., np.newaxis]
        state = state - np.take_along_axis(moves[frame], place, -1)[..., 0]
    path = path.transpose(1, 2, 0)  # (batch, n, frames + 1)
    previous = np.concatenate([np.zeros_like(path[..., :1]), path[..., :-1]], axis=-1)
    return _compact(_times(path), (path % 2 == 1) & (path != previous))


def _log_probabilities(logits: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return log probabilities `(frames + 1, batch, vocabulary)`, with certain blanks as padding.

    Certain blanks change no transcript and no score; the added frame makes every alignment end in
    a blank.
    """
    batch, frames, vocabulary = logits.shape
    found = np.full((frames + 1, batch, vocabulary), LOG_ZERO, np.float32)
    found[..., BLANK] = 0
    with np.errstate(invalid="ignore"):
        scaled = log_softmax(logits)
    scaled = np.where(np.isfinite(scaled), scaled, LOG_ZERO)
    valid = np.arange(frames)[:, np.newaxis] < lengths  # (frames, batch)
    np.copyto(found[:-1], scaled.transpose(1, 0, 2), where=valid[..., np.newaxis])
    return found


def _times(path: np.ndarray) -> np.ndarray:
    """Return the number of each frame, in the shape of a path `(batch, n, frames)`."""
    return np.broadcast_to(np.arange(path.shape[-1]), path.shape)


def _compact(values: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Keep selected values of the last axis, right-padded with 0 to at least one."""
    width = int(keep.sum(axis=-1).max(initial=1))
    places = np.cumsum(keep, axis=-1) - 1
    found = np.zeros((*keep.shape[:-1], width), np.int32)
    rows = np.nonzero(keep)
    found[(*rows[:-1], places[rows])] = values[rows]
    return found


def _count(labels: np.ndarray) -> np.ndarray:
    return np.count_nonzero(labels, axis=-1)  # (batch, n)


class _Step(NamedTuple):
    """A frame of the band of CTC's lattice: the labels, with blanks around each.

    first: the band's first state, integers `(batch, n)`.
    shift: by how many states it is further than in the frame before, `(batch, n)`; None for none.
    skips: 0 where a state may be entered from the state before the previous one, else -inf,
        `(batch, n, band)`.
    emitted: the log probabilities of the states' labels, `(batch, n, band)`.
    """

    first: np.ndarray
    shift: np.ndarray | None
    skips: np.ndarray
    emitted: np.ndarray

    def candidates(self, scores: np.ndarray) -> np.ndarray:
        """Return the scores of entering each state, `(3, batch, n, band)`.

        They are those of entering it from itself, from the previous one and from the one before.

        Args:
            scores: those of the states in the frame before, `(batch, n, band)`.
        """
        width = scores.shape[-1]
        padded = np.full((*scores.shape[:-1], width + 4), -np.inf, np.float32)
        padded[..., 2:-2] = scores
        if self.shift is not None:
            places = self.shift[..., np.newaxis] + np.arange(width + 2)
            padded = np.take_along_axis(padded, places, -1)
        found = np.empty((3, *scores.shape), np.float32)
        found[0], found[1] = padded[..., 2 : width + 2], padded[..., 1 : width + 1]
        np.add(padded[..., :width], self.skips, out=found[2])
        return found


def _start(labels: np.ndarray) -> np.ndarray:
    """Return the scores of the band's states before the first frame, `(batch, n, band)`."""
    scores = np.full((*labels.shape[:-1], min(2 * labels.shape[-1] + 1, BAND)), -np.inf, np.float32)
    scores[..., :1] = 0
    return scores


def _lattice(
    log_probabilities: np.ndarray, labels: np.ndarray, frames: np.ndarray
) -> Iterator[_Step]:
    """Yield the band of CTC's lattice in every frame.

    Args:
        log_probabilities: from `_log_probabilities`.
        labels: int32 `(batch, n, max_labels)`, padded with 0.
        frames: int32 `(batch, n, max_labels)`, the frame of each label in the known alignment,
            which the band follows.
    """
    batch, n, max_labels = labels.shape
    num_states = 2 * max_labels + 1
    band = min(num_states, BAND)
    # One blank after the labels, and before them two places that no alignment is in.
    states = np.zeros((batch, n, num_states + 2), np.int32)
    states[..., 3::2] = labels
    # The blank between two different labels is optional.
    may_skip = (states[..., 2:] != BLANK) & (states[..., 2:] != states[..., :-2])
    skips = np.where(may_skip, np.float32(0), np.float32(-np.inf))
    states = states[..., 2:]
    rows = np.arange(batch)[:, np.newaxis, np.newaxis]
    first = np.zeros((batch, n), int)
    if band == num_states:  # the whole lattice
        for start in range(0, len(log_probabilities), BLOCK):
            for emitted in log_probabilities[start : start + BLOCK, rows, states]:
                yield _Step(first, None, skips, emitted)
        return
    total, count = _count(labels), np.zeros((batch, n), int)
    for frame, emitted in enumerate(log_probabilities):
        next_place = np.minimum(count, max_labels - 1)[..., np.newaxis]
        next_frame = np.take_along_axis(frames, next_place, -1)[..., 0]
        count = count + ((count < total) & (next_frame == frame))
        before, first = first, np.clip(2 * count - band // 2, 0, num_states - band)
        places = first[..., np.newaxis] + np.arange(band)
        here = np.take_along_axis(states, places, -1)
        yield _Step(
            first, first - before, np.take_along_axis(skips, places, -1), emitted[rows, here]
        )


def _score(log_probabilities: np.ndarray, labels: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Return the log probabilities of transcripts, `(batch, n)`, summed over their alignments."""
    sums, first = _start(labels), np.zeros(labels.shape[:-1], int)
    for step in _lattice(log_probabilities, labels, frames):
        itself, previous, before = step.candidates(sums)
        sums = np.logaddexp(np.logaddexp(itself, previous), before) + step.emitted
        first = step.first
    places = (2 * _count(labels) - first)[..., np.newaxis]
    scores = np.take_along_axis(sums, places, -1)[..., 0]
    return np.where(scores > LOG_ZERO / 2, scores, -np.inf).astype(np.float32)


def _search(
    log_probabilities: np.ndarray, lengths: np.ndarray, beam_width: int, n_best: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the most probable prefixes by beam search.

    Args:
        log_probabilities: from `_log_probabilities`.
        lengths: integers `(batch,)`, the numbers of valid frames.
        beam_width: the number of prefixes kept.
        n_best: the number of hypotheses returned.

    Returns:
        Labels and the frames in which they were appended, both `(batch, n_best, max_labels)`,
        padded with 0, and whether each hypothesis exists, boolean `(batch, n_best)`.
    """
    found = [
        _search_row(log_probabilities[: max(0, length), row], beam_width)[:n_best]
        for row, length in enumerate(np.minimum(lengths, len(log_probabilities) - 1))
    ]
    width = max([1, *(len(path) for row in found for path in row)])
    labels = np.zeros((len(found), n_best, width), np.int32)
    frames = np.zeros_like(labels)
    exists = np.zeros((len(found), n_best), bool)
    for row, paths in enumerate(found):
        exists[row, : len(paths)] = True
        for number, path in enumerate(paths):
            for place, (label, frame) in enumerate(path):
                labels[row, number, place], frames[row, number, place] = label, frame
    return labels, frames, exists


class _Prefix(NamedTuple):
    """A prefix in the beam: it ends with a label that was appended to its parent in a frame."""

    code: int  # a hash of its labels
    parent: _Prefix | None
    label: int
    frame: int


def _search_row(log_probabilities: np.ndarray, beam_width: int) -> list[list[tuple[int, int]]]:
    """Find the most probable prefixes of a clip, best first: the label and frame of each label.

    Most frames of a trained network have one or two probable labels, so that few of all extensions
    can enter the beam: numbers of Python's are faster here than arrays.
    """
    first = _Prefix(1, None, BLANK, 0)
    # Of each prefix, the log probabilities of its alignments that end in a blank and in its label.
    beam = [(first, 0.0, LOG_ZERO)]
    # Of the labels of each frame the most probable: no prefix has more in the new beam, but some
    # of them are in it already, and one is the prefix's own.
    count = min(log_probabilities.shape[1] - 1, 2 * beam_width + 1)
    probable = np.argsort(-log_probabilities[:, 1:], axis=1, kind="stable")[:, :count] + 1
    for frame, labels in enumerate(probable.tolist()):
        emitted = log_probabilities[frame].tolist()
        sums = [_add(blank_end, label_end) for _, blank_end, label_end in beam]
        places = {prefix.code: place for place, (prefix, *_) in enumerate(beam)}
        candidates: list[tuple[float, int, Any]] = []  # a heap, the worst first
        for place, (prefix, _, label_end) in enumerate(beam):
            stay_blank, stay_label = sums[place] + emitted[BLANK], LOG_ZERO
            if prefix.parent is not None:
                stay_label = label_end + emitted[prefix.label]
                # Its parent, extended, is the same prefix.
                if (above := places.get(prefix.parent.code)) is not None:
                    parent, blank_end, _ = beam[above]
                    start = blank_end if parent.label == prefix.label else sums[above]
                    stay_label = _add(stay_label, start + emitted[prefix.label])
            total = _add(stay_blank, stay_label)
            candidates.append((total, -place, (prefix, stay_blank, stay_label)))
        heapq.heapify(candidates)
        order = len(beam)
        for place in sorted(range(len(beam)), key=sums.__getitem__, reverse=True):
            prefix, blank_end, _ = beam[place]
            for label in labels:
                is_full = len(candidates) == beam_width
                if is_full and sums[place] + emitted[label] <= candidates[0][0]:
                    break  # nor can one that is less probable enter the beam
                # The last label can repeat only after a blank.
                start = blank_end if label == prefix.label else sums[place]
                total = start + emitted[label]
                if total <= LOG_ZERO / 2 or (is_full and total <= candidates[0][0]):
                    continue
                code = (prefix.code * HASH_FACTOR + label) % 2**64
                if code in places:
                    continue
                extended = _Prefix(code, prefix, label, frame)
                order += 1
                change = heapq.heapreplace if is_full else heapq.heappush
                change(candidates, (total, -order, (extended, LOG_ZERO, total)))
        beam = [entry for *_, entry in sorted(candidates, reverse=True)]
    return [_path(prefix) for prefix, *ends in beam if _add(*ends) > LOG_ZERO / 2]


def _add(first: float, second: float) -> float:
    """Return the logarithm of the sum of two probabilities."""
    if first < second:
        first, second = second, first
    return first + math.log1p(math.exp(second - first))


def _path(prefix: _Prefix) -> list[tuple[int, int]]:
    path = []
    while prefix.parent is not None:
        path.append((prefix.label, prefix.frame))
        prefix = prefix.parent
    return path[::-1]
