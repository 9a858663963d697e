"""What the recipes share: the command, the rival, and the rows of RESULTS.md."""

import hashlib
import json
import os
import platform
import resource
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

RESULTS = Path(__file__).with_name("RESULTS.md")
COLUMNS = (
    "recipe", "command", "data", "accuracy", "macro F1", "TF-IDF", "minutes", "peak GB", "digest",
)  # fmt: skip
HEADING = """# Results

Each row was written by the recipe it names, with the command it shows. The report part never chose
anything. "TF-IDF" is logistic regression on TF-IDF of words and pairs of words (scikit-learn, C=5),
trained on all but the report part (more than the network trains on, whose epoch is chosen on a
part of it) and judged on the same report part. Where a recipe averages over seeded splits, the mean
stands with the standard deviation. "minutes" are of training, "digest" is of the recipe's settings:
a test fails where a recipe has changed since its row.
"""


def digest(settings: Mapping[str, Any]) -> str:
    """Return eight characters that change with a recipe's settings."""
    text = json.dumps(settings, sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def tfidf_accuracy(
    training: tuple[Sequence[str], Sequence[str]], report: tuple[Sequence[str], Sequence[str]]
) -> float:
    """Train the rival, logistic regression on TF-IDF of words and pairs of words; judge it."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rival = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=5, max_iter=1_000)
    )
    return float(rival.fit(*training).score(*report))


def command(
    name: str,
    guide: str,
    read: Callable[[Path], tuple[list[str], list[str]]],
    settings: Mapping[str, Any],
    *,
    data: str,
    splits: int,
    validation_share: float,
    report_share: float = 0.1,
) -> click.Command:
    """Make a recipe's command: train, judge network and rival, write the row.

    Args:
        name: the recipe's name, as its file's.
        guide: its docstring, for --help.
        read: from the path given as --data to (texts, labels).
        settings: of the training.
        data: the row's words for the data.
        splits: how many seeded splits to average over, from --seed on.
        validation_share: the share of all data that chooses the best epoch.
        report_share: the share of all data that is reported on.
    """

    @click.command(help="\b\n" + guide.replace("\n\n", "\n\n\b\n"))
    @click.option("--data", "path", required=True, type=click.Path(exists=True, path_type=Path))
    @click.option("--run", default=Path("runs", name), type=click.Path(path_type=Path),
                  show_default=True, help="The run to leave, or to go on with.")  # fmt: skip
    @click.option("--seed", default=0, show_default=True, help="Decides splits and training.")
    @click.option("--export", "export_to", metavar="DIR", help="Write a SavedModel there.")
    def main(path: Path, run: Path, seed: int, export_to: str | None) -> None:
        corpus = read(path)
        scores = []
        for number in range(seed, seed + splits):
            pipeline, found = train_and_report(
                corpus,
                run=run / f"seed-{number}" if splits > 1 else run,
                seed=number,
                settings=settings,
                validation_share=validation_share,
                report_share=report_share,
            )
            scores.append(found)
            click.echo(f"seed {number}: " + ", ".join(f"{k} {v:.4f}" for k, v in found.items()))
            if export_to and number == seed:
                click.echo(pipeline.export(export_to))
        cells = {key: [row[key] for row in scores] for key in scores[0]}
        row = {
            "recipe": name,
            "command": f"`python recipes/{name}.py --data {path.name} --seed {seed}`",
            "data": data,
            "accuracy": _mean(cells["accuracy"]),
            "macro F1": _mean(cells["macro_f1"]),
            "TF-IDF": _mean(cells["tfidf"]),
            "minutes": f"{sum(cells['minutes']):.1f}",
            "peak GB": f"{peak_gigabytes():.1f}",
            "digest": digest(settings),
        }
        record(row)
        click.echo("\n".join(f"{key}: {value}" for key, value in row.items()))

    return main


def train_and_report(
    corpus: tuple[list[str], list[str]],
    *,
    run: Path,
    seed: int,
    settings: Mapping[str, Any],
    validation_share: float,
    report_share: float,
) -> tuple[Any, dict[str, float]]:
    """Cut off the report part, train on the rest, and judge network and rival on the report part.

    Returns:
        The pipeline, and `accuracy`, `macro_f1`, `tfidf` and `minutes`.
    """
    import lstm_zoo
    from lstm_zoo import runs
    from lstm_zoo.sentiment.corpus import Corpus
    from lstm_zoo.sentiment.task import split

    rest, report = split(Corpus(*corpus), report_share, seed)
    pipeline = lstm_zoo.train(
        "sentiment",
        rest.columns,
        run=run,
        resume=(run / "config.json").exists(),
        validation_split=validation_share / (1 - report_share),
        seed=seed,
        **settings,
    )
    scores = pipeline.evaluate(report.columns)
    return pipeline, {
        "accuracy": scores["accuracy"],
        "macro_f1": scores["macro_f1"],
        "tfidf": tfidf_accuracy(rest.columns, report.columns),
        "minutes": runs.read_environment(run)["training_seconds"] / 60,
    }


def _mean(values: Sequence[float]) -> str:
    """Spell a value, or the mean of several with their standard deviation."""
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}"


def environment_heading() -> str:
    """Return the heading under which the rows of this machine stand."""
    from lstm_zoo.runs import versions

    found = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"## {found}; {os.cpu_count()} cores, {platform.machine()}, {platform.system()}"


def peak_gigabytes() -> float:
    """Return the most memory that this process has held, in 10⁹ bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def record(row: Mapping[str, str]) -> None:
    """Write a row into RESULTS.md, under this environment's heading, in place of the old one."""
    heading = environment_heading()
    sections = read_results()
    for rows in sections.values():
        rows.pop(row["recipe"], None)
    sections.setdefault(heading, {})[row["recipe"]] = dict(row)
    lines = [HEADING]
    for title, rows in sections.items():
        if rows:
            lines += [title, "", _line(COLUMNS), _line(["---"] * len(COLUMNS))]
            lines += [_line([rows[name][column] for column in COLUMNS]) for name in sorted(rows)]
            lines.append("")
    RESULTS.write_text("\n".join(lines), encoding="utf-8")


def read_results() -> dict[str, dict[str, dict[str, str]]]:
    """Read RESULTS.md: heading → recipe → column → cell."""
    sections: dict[str, dict[str, dict[str, str]]] = {}
    if not RESULTS.exists():
        return sections
    for line in RESULTS.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            sections[line] = {}
        elif line.startswith("| ") and not line.startswith(("| recipe", "| ---")):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            row = dict(zip(COLUMNS, cells, strict=True))
            sections[list(sections)[-1]][row["recipe"]] = row
    return sections


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
