"""Plots in run directories."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from lstm_zoo.files import atomic_write


def draw_curves(
    history: Sequence[Mapping[str, float]], best: Mapping[str, float], monitor: str, path: Path
) -> None:
    """Plot the losses and the monitored metric over the epochs, with the best epoch marked.

    Args:
        history: a row for each epoch, with `epoch`, `loss`, `val_loss` and `val_<monitor>`.
        best: the row of the best epoch.
        monitor: the name of the metric that the best epoch is chosen by.
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


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, atomically."""
    with atomic_write(path) as temporary:
        # Without matplotlib's version in the metadata, equal runs write equal files.
        figure.savefig(temporary, dpi=120, metadata={"Software": None})
