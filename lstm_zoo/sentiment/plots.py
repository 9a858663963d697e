"""Plots of a confusion matrix, of the classes' scores and of the reliability of probabilities."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lstm_zoo.runs.plots import is_drawable, label, plot
from lstm_zoo.sentiment.calibration import BINS, wilson_interval

CELL = 0.7  # inches
MAX_SIZE = 12.0  # inches
WITH_COUNTS = 16  # the maximum number of classes for which counts fit into the cells
NAME_WIDTH = 24  # characters of a class name
NAMED = 80  # names that fit along an axis


def draw_confusion(
    confusion: Sequence[Sequence[int]], classes: Sequence[str], title: str, path: Path
) -> None:
    """Draw a confusion matrix: counts, shaded by their share of the true class.

    With many classes, the shades alone. A name that the font lacks is a number, from 1, in the
    order of the classes.

    Args:
        confusion: counts, `(true classes, predicted classes)`.
        classes: the class names.
        title: the title.
        path: the PNG file to write.

    Example:

    >>> draw_confusion([[3, 1], [0, 4]], ["neg", "pos"], "validation", Path("confusion.png"))
    """
    counts = np.asarray(confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = min(CELL * len(classes), MAX_SIZE - 3)
    cell = 72 * size / len(classes)  # points
    with plot(path, title, (max(size + 3, 5.0), size + 2.5)) as figure:
        axes = figure.subplots()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        if len(classes) <= WITH_COUNTS:
            longest = len(f"{counts.max():,}")
            for (row, column), count in np.ndenumerate(counts):
                axes.text(
                    column,
                    row,
                    f"{count:,}",
                    ha="center",
                    va="center",
                    fontsize=min(10, 0.9 * cell / (0.62 * longest)),
                    color="white" if shares[row, column] > 0.5 else "black",
                )
            for place in range(1, len(classes)):
                axes.axhline(place - 0.5, color="lightgray", linewidth=0.5)
                axes.axvline(place - 0.5, color="lightgray", linewidth=0.5)
        colors = figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
        colors.ax.yaxis.set_major_formatter("{x:.0%}")
        axes.set(xlabel="predicted", ylabel="true")
        shown = range(0, len(classes), -(-len(classes) // NAMED))
        names = [
            label(classes[i], NAME_WIDTH) if is_drawable(classes[i]) else str(i + 1) for i in shown
        ]
        style = {"fontsize": min(10, 0.8 * cell * shown.step)}
        slant = (90, "center") if len(classes) > WITH_COUNTS else (45, "right")
        axes.set_xticks(shown, names, rotation=slant[0], ha=slant[1], **style)
        axes.set_yticks(shown, names, **style)


def draw_classes(classes: Mapping[str, Mapping[str, Any]], title: str, path: Path) -> None:
    """Draw precision, recall and F1 of each class, the most frequent class at the top.

    Of many classes, the most frequent ones. A name that the font lacks is a number, from 1, in the
    order of the classes.

    Args:
        classes: what `lstm_zoo.sentiment.metrics.multi_label` returned as `classes`.
        title: the title.
        path: the PNG file to write.

    Example:

    >>> scores = {"precision": 0.9, "recall": 0.7, "f1": 0.79, "support": 120}
    >>> draw_classes({"art": scores, "new": scores}, "a run", Path("classes.png"))
    """
    numbers = {name: str(number) for number, name in enumerate(classes, 1)}
    shown = sorted(classes, key=lambda name: classes[name]["support"])[-NAMED:]
    rows = np.arange(len(shown))
    with plot(path, title, (6, 1.6 + 0.3 * len(shown))) as figure:
        axes = figure.subplots()
        axes.barh(rows, [classes[name]["f1"] for name in shown], color="lightsteelblue", label="F1")
        for metric, marker in {"precision": ">", "recall": "o"}.items():
            values = [classes[name][metric] for name in shown]
            axes.plot(values, rows, marker, markersize=4, color="black", label=metric, alpha=0.7)
        names = [label(name, NAME_WIDTH) if is_drawable(name) else numbers[name] for name in shown]
        counts = [classes[name]["support"] for name in shown]
        axes.set_yticks(
            rows, [f"{name} ({count:,})" for name, count in zip(names, counts, strict=True)]
        )
        axes.set(xlim=(0, 1.02), xlabel="score", ylabel="class (examples)")
        axes.grid(alpha=0.3, axis="x")
        figure.legend(loc="outside lower center", ncols=3)


def draw_reliability(
    bins: Sequence[Mapping[str, Any]], error: float | None, title: str, path: Path
) -> None:
    """Draw a reliability diagram: accuracy by confidence, over a histogram of the confidences.

    Points on the diagonal are answers that are as often right as they say; below it, they are too
    sure. Bars are 95% intervals (Wilson 1927).

    Args:
        bins: what `lstm_zoo.sentiment.calibration.reliability` returned.
        error: the expected calibration error, for the legend; None on data that fitted the
            temperature.
        title: the title.
        path: the PNG file to write.

    Example:

    >>> bins = [{"examples": 40, "confidence": 0.9, "accuracy": 0.8}]
    >>> draw_reliability(bins, 0.1, "runs/imdb, validation, 40 examples", Path("reliability.png"))
    """
    confidences = [row["confidence"] for row in bins]
    accuracies = [row["accuracy"] for row in bins]
    counts = [row["examples"] for row in bins]
    intervals = [wilson_interval(*pair) for pair in zip(accuracies, counts, strict=True)]
    lows, highs = np.transpose(intervals)
    errors = np.maximum([accuracies - lows, highs - accuracies], 0)

    with plot(path, title, (5.0, 5.5)) as figure:
        diagram, histogram = figure.subplots(2, height_ratios=(3, 1), sharex=True)
        diagram.plot([0, 1], [0, 1], color="gray", linestyle=":", label="perfect calibration")
        diagram.errorbar(
            confidences, accuracies, errors, marker="o", markersize=4, linewidth=1, capsize=2,
            label="the answers" if error is None else f"the answers: ECE {error:.3f}",
        )  # fmt: skip
        diagram.set(ylabel="accuracy", xlim=(0, 1), ylim=(-0.02, 1.02))
        diagram.legend(loc="upper left")
        # The bins of `reliability`, of which a mean is inside of its bin.
        lefts = np.clip(np.ceil(BINS * np.array(confidences)) - 1, 0, BINS - 1) / BINS
        histogram.bar(lefts, counts, width=1 / BINS, align="edge", edgecolor="white")
        histogram.set(xlabel="confidence", ylabel="answers")
        for axes in (diagram, histogram):
            axes.grid(alpha=0.3)
