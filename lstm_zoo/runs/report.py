"""The report of a run, `report.html`: all that is known of it, for people, in one file."""

import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lstm_zoo import families
from lstm_zoo.files import atomic_write, reading
from lstm_zoo.runs import page
from lstm_zoo.runs.directory import CONFIG

WORST = 20  # examples
CURVES_CAPTION = (
    "The losses of each epoch, and the metrics of the validation data. The dotted line is the "
    "epoch that is kept. A validation loss that rises while the training loss falls is "
    "overfitting; a metric at the dashed line is no better than answers that ignore the input. "
    "Losses and error rates over more than a decade have a logarithmic axis."
)


class Training(NamedTuple):
    """What a training knows of itself, and the run directory does not hold.

    Attributes:
        outcome: why it has ended, and which epoch is kept.
        data: lines about the data: classes, lengths, duplicates, unknown and cut tokens.
        skipped: (place, reason) of each row that can't be used, by kind of reason.
    """

    outcome: str
    data: Sequence[str]
    skipped: Sequence[Sequence[tuple[str, str]]]


def write(
    path: Path,
    pipeline: families.Predictor,
    scores: Mapping[str, Mapping[str, Any]],
    worst: Sequence[Mapping[str, Any]],
    plots: Mapping[Path, str],
    training: Training | None = None,
) -> None:
    """Write a report, atomically.

    Args:
        path: the HTML file to write.
        pipeline: the pipeline of the run.
        scores: by the part of the data, such as "validation", what `evaluate` returned.
        worst: the worst rows of the predictions of the last part, the worst first.
        plots: the PNG files, each with its caption.
        training: what the training knows; None for an evaluation later.

    Example:

    >>> classifier = lstm_zoo.load("runs/imdb")
    >>> scores = classifier.evaluate((["great", "dull"], ["pos", "neg"]))
    >>> worst = classifier.worst(scores["predictions"], WORST)
    >>> write(Path("report.html"), classifier, {"test": scores}, worst, plots={})
    >>> "<h1>sentiment: imdb</h1>" in Path("report.html").read_text()
    True
    """
    family, name = pipeline.config["family"], pipeline.run.resolve().name
    title = families.FAMILIES[family].title
    head = page.paragraph(f"{title[0].upper()}{title[1:]}. Written {time.strftime('%Y-%m-%d')}.")
    if training is not None:
        head += page.paragraph(f"The training: {training.outcome}.")
    html = page.page(
        f"{family}: {name}",
        head,
        {
            "Results": _metrics(scores),
            "Plots": "\n".join(
                page.picture(plot.read_bytes(), caption) for plot, caption in plots.items()
            ),
            "Details": _details(pipeline, scores),
            "Worst predictions": _worst(pipeline, worst, [*scores][-1]),
            "Data": _data(pipeline, training),
            "Model": _model(pipeline),
            "Settings": _settings(pipeline.config),
            "Cost": _cost(pipeline.environment),
            "Use": _commands(pipeline),
        },
    )
    with atomic_write(path) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _metrics(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """All single numbers of the scores: a row for each, a column for each part."""
    names = {
        name: None
        for part in scores.values()
        for name, value in part.items()
        if isinstance(value, (int, float))
    }
    rows = [(name, *(part.get(name) for part in scores.values())) for name in names]
    decoders = {part["decoder"] for part in scores.values() if "decoder" in part}
    caption = f"Decoded by {' and '.join(sorted(decoders))}." if decoders else ""
    return page.table(("", *scores), rows, caption)


def _details(pipeline: families.Predictor, scores: Mapping[str, Mapping[str, Any]]) -> str:
    """The family's tables, of each part."""
    found = []
    for part, values in reversed(scores.items()):
        for table in pipeline.tables(values):
            examples = values["examples"]
            caption = f"{table.title}: {part}, {examples:,} example{'s' * (examples != 1)}"
            found.append(f"<h3>{page.text(caption)}</h3>")
            found.append(page.table(table.header, table.rows))
            found += [page.paragraph(table.note)] if table.note else []
    return "\n".join(found)


def _worst(pipeline: families.Predictor, rows: Sequence[Mapping[str, Any]], part: str) -> str:
    columns = ("place", *pipeline.shown_columns)
    caption = f"The {len(rows)} worst predictions, the worst first: {part}."
    return page.table(columns, [[row[name] for name in columns] for row in rows], caption)


def _data(pipeline: families.Predictor, training: Training | None) -> str:
    data = pipeline.config["data"]
    with reading(pipeline.run / CONFIG):
        rows = [
            (part, data.get(source) or f"split off, {data.get('validation_split')}",
             entry["examples"], entry["sha256"][:16])
            for part, source in (("training", "source"), ("validation", "validation_source"))
            if (entry := data.get(part))
        ]  # fmt: skip
    found = [page.table(("", "source", "examples", "SHA-256"), rows)]
    if training is not None:
        found.append(page.items(training.data))
        kinds = [(len(group), *group[0]) for group in training.skipped]
        total = sum(count for count, *_ in kinds)
        found.append(page.paragraph(f"Rows that can't be used, listed in skipped.tsv: {total:,}."))
        if kinds:
            found.append(page.table(("rows", "such as", "reason"), kinds))
    return "\n".join(found)


def _model(pipeline: families.Predictor) -> str:
    config = pipeline.config
    file = pipeline.weights_file
    rows = [*pipeline.card.items(), ("weights", pipeline.parameters)]
    rows.append((f"bytes of {file.name}", file.stat().st_size))
    rows += config["network"].items()
    found = [page.table(("", "value"), rows)]
    if "init_from" in config:
        found.append("<h3>Weights taken from another run</h3>")
        found.append(page.table(("", "value"), config["init_from"].items()))
    return "\n".join(found)


def _settings(config: Mapping[str, Any]) -> str:
    """The settings: those that differ from the defaults first."""
    table, values = families.settings(config["family"]), config["settings"]
    changed, others = [], []
    for name, value in values.items():
        default = table[name].default if name in table else None
        default = [*default] if isinstance(default, tuple) else default  # as JSON has it
        row = (name, value, default, table[name].help if name in table else "")
        (others if value == default else changed).append(row)
    header = ("setting", "value", "default", "what it is")
    return "\n".join(
        page.table(header, rows, caption)
        for rows, caption in (
            (changed, "Changed; where there is no default, the variant decides."),
            (others, "As by default."),
        )
        if rows
    )


def _cost(environment: Mapping[str, Any]) -> str:
    seconds, memory = environment.get("training_seconds"), environment.get("peak_memory_bytes")
    rows = [
        ("training time", None if seconds is None else _duration(seconds)),
        ("peak memory", None if memory is None else f"{memory / 1e9:.2f} GB"),
        ("platform", environment.get("platform")),
        ("processors", environment.get("processors")),
        ("threads", environment.get("threads") or "all"),
        ("GPUs", environment.get("gpus") or "none"),
        *environment["versions"].items(),
    ]
    return page.table(("", "value"), rows)


def _duration(seconds: float) -> str:
    """Return a duration, such as 1 h 2 min."""
    minutes = int(seconds // 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {seconds % 60:.0f} s" if minutes else f"{seconds:.1f} s"


def _commands(pipeline: families.Predictor) -> str:
    family, run = pipeline.config["family"], shlex.quote(str(pipeline.run))
    return page.paragraph(
        f"INPUT is {families.module(family).INPUT_HELP}, DATA a test set, and DIR a new directory."
    ) + page.code(
        [
            f"lstm-zoo {family} predict {run} INPUT",
            f"lstm-zoo {family} evaluate {run} --data DATA",
            *([f"lstm-zoo {family} export {run} DIR"] if pipeline.can_export else []),
            f"lstm-zoo inspect {run}",
        ]
    )
