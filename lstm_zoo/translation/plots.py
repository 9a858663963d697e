"""Plot translation quality by sentence length."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from lstm_zoo.runs.plots import save


def draw_bleu_by_length(rows: Sequence[Mapping[str, Any]], decoder: str, path: Path) -> None:
    """Plot BLEU by the number of words of the source, a bar for each range of lengths.

    Args:
        rows: one mapping for each range: `words`, its maximum, None if it has none; `examples`;
            `bleu`. The pipeline's `evaluate` returns them as `by_length`.
        decoder: the decoder of the translations, for the label.
        path: the PNG file to write.

    Example:

    >>> row = {"words": 5, "examples": 20, "bleu": 41.0}
    >>> draw_bleu_by_length([row, {**row, "words": None}], "greedy", Path("bleu_by_length.png"))
    """
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    names = [f"to {row['words']}" if row["words"] else "more" for row in rows]
    bars = axes.bar(names, [row["bleu"] for row in rows])
    axes.bar_label(bars, [f"{row['examples']:,}" for row in rows])
    axes.set(
        xlabel="words of the source (examples above)", ylabel=f"BLEU ({decoder})", ylim=(0, None)
    )
    axes.grid(alpha=0.3, axis="y")
    save(figure, path)
