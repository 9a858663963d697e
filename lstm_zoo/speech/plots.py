"""Plot the label posteriors of a recognizer over time."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from lstm_zoo.runs.plots import save
from lstm_zoo.speech.alphabet import BLANK

MIN_PROBABILITY = 0.05  # labels that never exceed it are not drawn


class Panel(NamedTuple):
    """One utterance.

    posteriors: float `(frames, vocabulary)`.
    tokens: the decoded tokens, each with its start in seconds.
    reference: the reference transcript.
    """

    posteriors: np.ndarray
    tokens: Sequence[tuple[str, float]]
    reference: str


def draw_posteriors(panels: Sequence[Panel], seconds_per_frame: float, path: Path) -> None:
    """Draw posteriorgrams: the probability of each label over time, with the decoded tokens above.

    The blank is a dotted line; the labels are colored lines.

    Args:
        panels: the utterances.
        seconds_per_frame: the duration of a frame of the posteriors.
        path: the PNG file to write.

    Example:

    >>> posteriors = np.array([[0.9, 0.1], [0.2, 0.8], [0.9, 0.1]])
    >>> draw_posteriors([Panel(posteriors, [("a", 0.03)], "a")], 0.03, Path("posteriors.png"))
    """
    figure = Figure(figsize=(11, 2.2 * len(panels)), layout="constrained")
    for axes, panel in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
        times = np.arange(len(panel.posteriors)) * seconds_per_frame
        axes.plot(times, panel.posteriors[:, BLANK], ":", color="gray", linewidth=1)
        for label in np.flatnonzero(panel.posteriors.max(axis=0) > MIN_PROBABILITY):
            if label != BLANK:
                axes.plot(times, panel.posteriors[:, label], linewidth=1.2)
        for token, second in panel.tokens:
            label = "␣" if token == " " else token
            axes.text(second, 1.06, label, ha="center", va="bottom", fontsize=8, parse_math=False)
        axes.set(xlim=(0, max(times[-1], seconds_per_frame)), ylim=(0, 1.2), ylabel="probability")
        axes.set_title(panel.reference, fontsize=9, loc="left", parse_math=False)
    axes.set_xlabel("time in seconds (blank: dotted)")
    save(figure, path)
