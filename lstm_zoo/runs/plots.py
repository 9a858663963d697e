"""Plots in run directories: the learning curves, and what all plots share."""

import contextlib
import functools
import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lstm_zoo.files import atomic_write
from lstm_zoo.printing import escape

DPI = 120
FONT_SIZE = 10  # of titles, in points
DECADES = 10.0  # the largest value by the smallest, from which on an axis is logarithmic
MISSING_GLYPH = "□"


def title(run: Path, part: str, examples: int) -> str:
    """Return the title of a plot: the run, the part of the data and its number of examples.

    Args:
        run: the run's directory.
        part: such as "validation".
        examples: the number of examples that are shown.

    Example:

    >>> title(Path("runs/imdb"), "validation", 2_500)
    'imdb: validation, 2,500 examples'
    """
    return f"{run.resolve().name}: {part}, {examples:,} example{'s' * (examples != 1)}"


def label(text: str, width: int = 100) -> str:
    r"""Return a text as matplotlib can draw it: one line, and nothing that it takes for a formula.

    Args:
        text: any text.
        width: the maximum number of characters; what is longer ends with "…".

    Returns:
        The text. Control characters are escaped, and each character that the font lacks is a box.

    Example:

    >>> print(label("a\nb $x_{1$ 好 long text", width=16))
    a b \$x_{1\$ □ lo…
    """
    line = " ".join(escape(text).split())
    line = line if len(line) <= width else f"{line[: width - 1]}…"
    drawn = "".join(c if ord(c) in _glyphs() else MISSING_GLYPH for c in line)
    return drawn.replace("$", r"\$")


def is_drawable(text: str) -> bool:
    """Return whether the font has all characters of a text.

    Example:

    >>> is_drawable("naïve Ж"), is_drawable("好")
    (True, False)
    """
    return all(ord(c) in _glyphs() for c in text if not c.isspace())


@functools.cache
def _glyphs() -> frozenset[int]:
    """The code points of matplotlib's own font, which is the same everywhere."""
    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    return frozenset(font.get_charmap())


@contextlib.contextmanager
def plot(path: Path, heading: str, size: tuple[float, float]) -> Iterator[Figure]:
    """Draw a plot and write it as a PNG, atomically; equal plots are equal files.

    Args:
        path: the PNG to write.
        heading: the title above, wrapped to the width.
        size: width and height in inches.

    Yields:
        The figure to draw on.

    Example:

    >>> with plot(Path("line.png"), "a line", (4, 3)) as figure:
    ...     _ = figure.subplots().plot([1, 2, 3])
    """
    # A user's own style could need fonts, or LaTeX, that are not there.
    with matplotlib.style.context("default"):
        figure = Figure(figsize=size, layout="constrained")
        columns = int(size[0] * 72 / (0.75 * FONT_SIZE))  # hardly any text is wider
        lines = textwrap.wrap(label(heading, 3 * columns), columns)
        figure.suptitle("\n".join(lines), fontsize=FONT_SIZE, fontweight="bold")
        yield figure
        save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, atomically."""
    with atomic_write(path) as temporary:
        # Without matplotlib's version in the metadata, equal runs write equal files.
        figure.savefig(temporary, dpi=DPI, metadata={"Software": None})


def spans_decades(values: Iterable[float]) -> bool:
    """Return whether values need a logarithmic axis, and can have one.

    Args:
        values: floats; those that are NaN or infinite do not count.

    Example:

    >>> spans_decades([0.1, 30.0]), spans_decades([0.0, 30.0]), spans_decades([2.0, 3.0])
    (True, False, False)
    """
    finite = [value for value in values if math.isfinite(value)]
    return bool(finite) and min(finite) > 0 and max(finite) >= DECADES * min(finite)


def draw_curves(
    history: Sequence[Mapping[str, float]],
    best: Mapping[str, float],
    monitor: str,
    metrics: Mapping[str, str],
    baseline: float,
    heading: str,
    path: Path,
) -> None:
    """Plot the losses and the metrics over the epochs, with the kept epoch marked.

    An axis is logarithmic where its values span a decade and a lower value is better.

    Args:
        history: a row for each epoch, with `epoch`, `loss`, `val_loss` and `val_<metric>`.
        best: the row of the epoch that is kept.
        monitor: the name of the metric that chooses the epoch.
        metrics: the metrics' names, each with "max" or "min": which values are better. Those that
            are better in the same direction as the monitored one are drawn; perplexity beside BLEU
            would be the loss once more, on another scale.
        baseline: the value of the monitored metric of answers that ignore the input.
        heading: the title.
        path: the PNG to write.
    """
    epochs = [row["epoch"] for row in history]

    def draw(axes, name: str, **style) -> list[float]:
        values = [row.get(name, math.nan) for row in history]
        values = [value if math.isfinite(value) else math.nan for value in values]
        axes.plot(epochs, values, marker="o", markersize=3, **style)
        return values

    with plot(path, heading, (9, 3.7)) as figure:
        losses, scores = figure.subplots(1, 2)
        drawn = draw(losses, "loss", color="C0", label="training")
        drawn += draw(losses, "val_loss", color="C1", label="validation")
        losses.set(ylabel="loss", title="loss")
        if spans_decades(drawn):
            losses.set_yscale("log")
        drawn = [baseline]
        shown = [name for name, mode in metrics.items() if mode == metrics[monitor]]
        for number, name in enumerate(shown):
            width = 2 if name == monitor else 1
            style = {"color": f"C{number + 2}", "linewidth": width, "label": label(name, 30)}
            drawn += draw(scores, f"val_{name}", **style)
        scores.axhline(
            baseline, color="gray", linestyle="--", linewidth=1, label="ignoring the input"
        )
        if metrics[monitor] == "min" and spans_decades(drawn):
            scores.set_yscale("log")
        kept = f"epoch {best['epoch']} is kept: {monitor} {best[f'val_{monitor}']:.4f}"
        scores.set(ylabel="validation", title=label(kept, 60))
        for axes in (losses, scores):
            axes.axvline(best["epoch"], color="gray", linestyle=":")
            axes.set(xlabel="epoch", xlim=(0.5, epochs[-1] + 0.5))
            axes.title.set_fontsize(FONT_SIZE)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.grid(alpha=0.3)
            axes.legend(fontsize=8)


def draw_by_length(
    rows: Sequence[Mapping[str, Any]], metric: str, axis: str, heading: str, path: Path
) -> None:
    """Plot a metric by the number of words, a bar for each range, with 95% intervals.

    Args:
        rows: one mapping for each range: `words`, its maximum, None if it has none; `examples`; the
            metric; `interval`, its lower and upper bound, or None.
        metric: the key of the metric.
        axis: the name of the metric with its decoder, for the axis.
        heading: the title.
        path: the PNG to write.

    Example:

    >>> row = {"words": 5, "examples": 20, "bleu": 41.0, "interval": [36.0, 45.5]}
    >>> draw_by_length([row], "bleu", "BLEU (greedy)", "validation", Path("bleu.png"))
    """
    values = [row[metric] for row in rows]
    with plot(path, heading, (6, 3.7)) as figure:
        axes = figure.subplots()
        axes.bar(range(len(rows)), values, width=min(0.8, 0.2 * len(rows)))
        tops = [max(row[metric], *(row["interval"] or [0])) for row in rows]
        for place, (row, top) in enumerate(zip(rows, tops, strict=True)):
            if row["interval"]:
                low, high = row["interval"]
                middle, half = (low + high) / 2, (high - low) / 2
                axes.errorbar(place, middle, half, fmt="none", color="black", capsize=4)
            axes.annotate(f"{row['examples']:,}", (place, top), (0, 3), ha="center",
                          textcoords="offset points")  # fmt: skip
        names = [f"≤ {row['words']}" if row["words"] else "longer" for row in rows]
        axes.set_xticks(range(len(rows)), names)
        axes.set(xlabel="words (examples above)", ylabel=axis)
        axes.set(xlim=(-0.6, len(rows) - 0.4), ylim=(0, 1.12 * max(tops) or 1))
        axes.grid(alpha=0.3, axis="y")
