"""Plot of a confusion matrix."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from lstm_zoo.printing import escape
from lstm_zoo.runs.plots import save


def draw_confusion(confusion: Sequence[Sequence[int]], classes: Sequence[str], path: Path) -> None:
    """Draw a confusion matrix: counts, shaded by their share of the true class.

    Args:
        confusion: counts, `(true classes, predicted classes)`.
        classes: the class names.
        path: the PNG file to write.

    Example:

    >>> draw_confusion([[3, 1], [0, 4]], ["neg", "pos"], Path("confusion.png"))
    """
    counts = np.asarray(confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 2.5 + 0.6 * len(classes)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=color)
    axes.set(xlabel="predicted", ylabel="true")
    names = [escape(name) for name in classes]  # Matplotlib's warnings on glyphs print them
    axes.set_xticks(range(len(classes)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), names)
    save(figure, path)
