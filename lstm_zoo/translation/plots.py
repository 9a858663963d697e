"""The picture of how a translator does on longer and longer sentences."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from lstm_zoo.runs.plots import save


def draw_bleu_by_length(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw BLEU by the number of words of the source, a bar for each span of lengths.

    Args:
        rows: `words`, the most words of the span, None where it is open; `examples`; `bleu`.
        path: the PNG to write.
    """
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    names = [f"to {row['words']}" if row["words"] else "more" for row in rows]
    bars = axes.bar(names, [row["bleu"] for row in rows])
    axes.bar_label(bars, [f"{row['examples']:,}" for row in rows])
    axes.set(xlabel="words of the source (examples above)", ylabel="BLEU", ylim=(0, None))
    axes.grid(alpha=0.3, axis="y")
    save(figure, path)
