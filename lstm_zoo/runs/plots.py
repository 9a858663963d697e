"""The pictures that a run leaves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from lstm_zoo.files import written_whole


def draw_curves(
    history: Sequence[Mapping[str, float]], best: Mapping[str, float], monitor: str, path: Path
) -> None:
    """Draw the losses and the monitored metric over the epochs, the best epoch marked.

    Args:
        history: a row an epoch, with `epoch`, `loss`, `val_loss` and `val_<monitor>`.
        best: the row of the best epoch.
        monitor: the metric that chose the best epoch.
        path: the PNG to write.
    """
    epochs = [row["epoch"] for row in history]
    scores = [row[f"val_{monitor}"] for row in history]
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    losses, metric = figure.subplots(1, 2)
    for name, label in (("loss", "training"), ("val_loss", "validation")):
        losses.plot(epochs, [row[name] for row in history], marker="o", markersize=3, label=label)
    losses.set(xlabel="epoch", ylabel="loss")
    losses.legend()
    metric.plot(epochs, scores, marker="o", markersize=3, color="tab:orange")
    metric.axvline(best["epoch"], color="gray", linestyle=":")
    metric.set(
        xlabel="epoch",
        ylabel=f"validation {monitor}",
        title=f"best {best[f'val_{monitor}']:.4f}, epoch {best['epoch']}",
    )
    for axes in (losses, metric):
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    save(figure, path)


def draw_confusion(confusion: Sequence[Sequence[int]], classes: Sequence[str], path: Path) -> None:
    """Draw a confusion matrix: counts, shaded by the share of the true class.

    Args:
        confusion: a row a true class, a column a predicted one.
        classes: the class names.
        path: the PNG to write.
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
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, the file whole or not at all."""
    with written_whole(path) as beside:
        # Without the version of matplotlib in it, equal runs leave equal files.
        figure.savefig(beside, dpi=120, metadata={"Software": None})
