"""Plots of a recognizer: the label posteriors over time, and the most frequent word errors."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.ticker import MaxNLocator

from lstm_zoo.runs.plots import FONT_SIZE, label, plot
from lstm_zoo.speech.labels import BLANK

MIN_PROBABILITY = 0.05  # labels that never exceed it are not drawn
TEXT_WIDTH = 150  # characters of a transcript above a panel
WORD_WIDTH = 16  # characters of a confused word
BARS = 10  # errors of a kind
LEFT_TO_RIGHT = "\u200e"  # Unicode's mark: a pair of Arabic words has the reference first too


class Panel(NamedTuple):
    """One utterance.

    posteriors: float `(frames, vocabulary)`.
    spectrogram: float `(frames, bands)`, of the same audio; its frames may be shorter.
    tokens: the decoded tokens, each with its label and its start in seconds.
    reference: the reference transcript.
    hypothesis: the decoded transcript.
    """

    posteriors: np.ndarray
    spectrogram: np.ndarray
    tokens: Sequence[tuple[str, int, float]]
    reference: str
    hypothesis: str


def draw_posteriors(
    panels: Sequence[Panel], seconds_per_frame: float, title: str, path: Path
) -> None:
    """Draw the probability of each label over time, and the spectrogram below it.

    The blank is a dotted gray line. Every other label has a color, the same in all panels; the
    decoded tokens stand above, in their labels' colors.

    Args:
        panels: the utterances.
        seconds_per_frame: the duration of a frame of the posteriors.
        title: the title.
        path: the PNG file to write.

    Example:

    >>> posteriors = np.array([[0.9, 0.1], [0.2, 0.8], [0.9, 0.1]])
    >>> panel = Panel(posteriors, np.zeros((9, 40)), [("a", 1, 0.03)], "a", "a")
    >>> draw_posteriors([panel], 0.03, "validation, 1 example", Path("posteriors.png"))
    """
    shown = sorted(set().union(*(_probable_labels(panel) for panel in panels)))
    colors = dict(zip(shown, _colors(len(shown)), strict=True))
    with plot(path, title, (11, 3.3 * len(panels) + 0.5)) as figure:
        grid = figure.subplots(
            2 * len(panels), squeeze=False, gridspec_kw={"height_ratios": [3, 2] * len(panels)}
        )[:, 0]
        for upper, lower, panel in zip(grid[::2], grid[1::2], panels, strict=True):
            seconds = len(panel.posteriors) * seconds_per_frame
            times = (np.arange(len(panel.posteriors)) + 0.5) * seconds_per_frame
            upper.plot(times, panel.posteriors[:, BLANK], ":", color="gray", linewidth=1)
            for number in _probable_labels(panel):
                style = {"color": colors[number], "linewidth": 1.2}
                upper.plot(times, panel.posteriors[:, number], **style)
            for token, number, second in panel.tokens:
                upper.text(
                    second + seconds_per_frame / 2,
                    1.06,
                    "␣" if token == " " else label(token),
                    ha="center",
                    va="bottom",
                    fontsize=9,
                    color=colors.get(number, "black"),
                    clip_on=True,
                )
            upper.set(xlim=(0, seconds), ylim=(0, 1.25), ylabel="probability", xticklabels=[])
            upper.set_yticks([0, 0.5, 1])
            texts = {"reference": panel.reference, "heard": panel.hypothesis or "(nothing)"}
            lines = [f"{name}: {label(text, TEXT_WIDTH)}" for name, text in texts.items()]
            upper.set_title("\n".join(lines), fontsize=FONT_SIZE - 1, loc="left")
            bands = panel.spectrogram.shape[1]
            lower.imshow(panel.spectrogram.T, origin="lower", aspect="auto", cmap="gray_r",
                         extent=(0, seconds, 0.5, bands + 0.5))  # fmt: skip
            lower.set(ylabel="mel band")
        lower.set_xlabel("seconds")


def draw_errors(
    errors: Mapping[str, Sequence[tuple[str, str, int]]], unit: str, title: str, path: Path
) -> None:
    """Draw the most frequent substitutions, deletions and insertions with their counts.

    Args:
        errors: by kind, a (reference, heard, count) for each pair, the most frequent first.
        unit: "words" or "characters".
        title: the title.
        path: the PNG file to write.

    Example:

    >>> errors = {"substitutions": [("five", "nine", 3)], "deletions": [("oh", "", 1)]}
    >>> draw_errors(errors, "words", "validation, 9 examples", Path("errors.png"))
    """
    with plot(path, title, (11, 3.6)) as figure:
        grid = figure.subplots(1, len(errors), squeeze=False)[0]
        for axes, (kind, rows) in zip(grid, errors.items(), strict=True):
            rows = rows[:BARS]
            names = [
                LEFT_TO_RIGHT
                + " → ".join(
                    "␣" if word == " " else label(word, WORD_WIDTH)
                    for word in (reference, heard)
                    if word
                )
                for reference, heard, _ in rows
            ]
            counts = [count for *_, count in rows]
            bars = axes.barh(range(len(rows)), counts, color="C3")
            axes.bar_label(bars, [f"{count:,}" for count in counts], padding=2, fontsize=8)
            axes.set_yticks(range(len(rows)), names, fontsize=8)
            axes.set(ylim=(BARS - 0.5, -0.5), xlim=(0, 1.15 * max(counts, default=1)))
            axes.set_title(kind if rows else f"no {kind}", fontsize=FONT_SIZE)
            axes.set_xlabel(unit)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True, min_n_ticks=1))


def _probable_labels(panel: Panel) -> list[int]:
    labels = np.flatnonzero(panel.posteriors.max(axis=0) > MIN_PROBABILITY)
    return [int(number) for number in labels if number != BLANK]


def _colors(count: int) -> list[tuple[float, ...]]:
    """Return colors that differ, none of them gray."""
    if count <= 9:
        named = [color for color in matplotlib.colormaps["tab10"].colors if len({*color}) > 1]
        return named[:count]
    colors = matplotlib.colormaps["turbo"](np.linspace(0.03, 0.97, count))[:, :3]
    return [*map(tuple, 0.85 * colors)]  # darker: text in them is read on white
