"""The picture of what a recognizer heard, and when."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from lstm_zoo.runs.plots import save
from lstm_zoo.speech.ctc import BLANK

LEAST_SHOWN = 0.05  # a label whose probability stays below it has no line of its own


class Panel(NamedTuple):
    """One utterance: posteriors `(frames, vocabulary)`, decoded tokens with seconds, the text."""

    posteriors: np.ndarray
    tokens: Sequence[tuple[str, float]]
    reference: str


def draw_posteriors(panels: Sequence[Panel], seconds_per_frame: float, path: Path) -> None:
    """Draw posteriorgrams: each label's probability over time, the decoded tokens above.

    The blank is drawn as a dotted line; the labels are coloured lines.

    Args:
        panels: the utterances.
        seconds_per_frame: of the posteriors.
        path: the PNG to write.
    """
    figure = Figure(figsize=(11, 2.2 * len(panels)), layout="constrained")
    for axes, panel in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
        times = np.arange(len(panel.posteriors)) * seconds_per_frame
        axes.plot(times, panel.posteriors[:, BLANK], ":", color="gray", linewidth=1)
        for label in np.flatnonzero(panel.posteriors.max(axis=0) > LEAST_SHOWN):
            if label != BLANK:
                axes.plot(times, panel.posteriors[:, label], linewidth=1.2)
        for token, second in panel.tokens:
            shown = "␣" if token == " " else token
            axes.text(second, 1.06, shown, ha="center", va="bottom", fontsize=8, parse_math=False)
        axes.set(xlim=(0, max(times[-1], seconds_per_frame)), ylim=(0, 1.2), ylabel="probability")
        axes.set_title(panel.reference, fontsize=9, loc="left", parse_math=False)
    axes.set_xlabel("seconds; a label's own probability in colour, the blank's dotted")
    save(figure, path)
