"""CTC by enumeration of all alignments: the reference for the loss and the decoders."""

import itertools

import numpy as np

from lstm_zoo.speech import ctc


def log_softmax(logits):
    logits = np.asarray(logits, "float64")
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def collapse(path):
    """Remove repeats and blanks from a path; return the labels and their first frames."""
    starts = [i for i, c in enumerate(path) if c and (i == 0 or path[i - 1] != c)]
    return tuple(path[i] for i in starts), starts


def enumerate_transcripts(logits):
    """Return each transcript's log probability, and its labels' first frames on its best path."""
    log_probabilities = log_softmax(logits)
    frames, classes = log_probabilities.shape
    sums, best = {}, {}
    for path in itertools.product(range(classes), repeat=frames):
        score = log_probabilities[range(frames), path].sum()
        labels, starts = collapse(path)
        sums[labels] = np.logaddexp(sums.get(labels, -np.inf), score)
        if score > best.get(labels, (-np.inf,))[0]:
            best[labels] = score, starts
    return sums, {labels: starts for labels, (_, starts) in best.items()}


def random_logits(seed, shape, scale=1.5):
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype("float32")


def losses(logits, num_frames, rows):
    """Return `CTCLoss` of each row."""
    targets = ctc.pack_targets([np.array(row, np.int32) for row in rows], num_frames)
    return ctc.CTCLoss(reduction="none")(targets, logits).numpy()
