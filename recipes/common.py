"""What the recipes share: the command, the rival, and the rows of RESULTS.md."""

import hashlib
import json
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from lstm_zoo import sentiment
from lstm_zoo.cli import Reporting
from lstm_zoo.sentiment.corpus import read as read_corpus
from lstm_zoo.settings import TRAINING, resolve

RESULTS = Path(__file__).with_name("RESULTS.md")
COLUMNS = (
    "recipe",
    "command",
    "data",
    "accuracy",
    "macro F1",
    "TF-IDF",
    "TF-IDF on more",
    "minutes",
    "peak GB",
    "digest",
)
HEADING = """# Results

Each row was written by the recipe it names, with the command it shows. The report part, 10 % of the
data by seed, is neither trained on nor chooses an epoch. "TF-IDF" is logistic regression on TF-IDF
of words and pairs of words (scikit-learn, C=5), trained on the rows that the network trains on and
judged on the same report part; "TF-IDF on more" trains on the rows too that choose the network's
epoch, which it needs not. Where a recipe averages over seeded splits, the mean stands with the
standard deviation. "minutes" and "peak GB" (10⁹ bytes) are of training. "digest" is of all settings
and shares: a test fails where they have changed.
"""


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


@dataclass(frozen=True)
class Recipe:
    """All that makes a published number.

    Attributes:
        name: the recipe's name, as its file's.
        guide: its docstring, for --help.
        read: from the path given as --data to (texts, labels).
        settings: of the training, where they are not the defaults.
        data: the row's words for the data.
        splits: how many seeded splits to average over, from --seed on.
        validation_share: the share of all data that chooses the best epoch.
        report_share: the share of all data that is reported on.
    """

    name: str
    guide: str
    read: Callable[[Path], tuple[list[str], list[str]]]
    settings: Mapping[str, Any]
    data: str
    splits: int
    validation_share: float
    report_share: float = 0.1

    def digest(self) -> str:
        """Return eight characters that change with anything of this that changes the number."""
        from lstm_zoo.sentiment.model import resolve_sizes

        made_of = (
            self.resolved_settings(),
            resolve_sizes(self.settings.get("variant", "base")),
            self.splits,
            self.validation_share,
            self.report_share,
        )
        text = json.dumps(made_of, sort_keys=True, default=list)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def resolved_settings(self) -> dict[str, Any]:
        """Return a value for every setting, so that a run of other defaults is not taken up."""
        return resolve({**TRAINING, **sentiment.SETTINGS}, self.settings)

    def command(self) -> click.Command:
        """Make the command: train, judge network and rival, write the row."""
        path = click.Path(path_type=Path)

        @click.command(cls=Reporting, help="\b\n" + self.guide.replace("\n\n", "\n\n\b\n"))
        @click.option("--data", required=True, type=path, help="See above.")
        @click.option("--run", default=Path("runs", self.name), show_default=True, type=path,
                      help="The run to leave, or to go on with.")  # fmt: skip
        @click.option("--seed", default=0, show_default=True, help="Decides splits and training.")
        @click.option("--export", "export_to", metavar="DIR", help="Write a SavedModel there.")
        def main(data: Path, run: Path, seed: int, export_to: str | None) -> None:
            corpus = self.read(data)
            scores = []
            for number in range(seed, seed + self.splits):
                place = run / f"seed-{number}" if self.splits > 1 else run
                pipeline, found = self.train_and_report(corpus, place, number)
                scores.append(found)
                click.echo(f"seed {number}: " + ", ".join(f"{k} {v:.4f}" for k, v in found.items()))
                if export_to and number == seed:
                    click.echo(pipeline.export(export_to))
            cells = {key: [row[key] for row in scores] for key in scores[0]}
            row = {
                "recipe": self.name,
                "command": f"`python recipes/{self.name}.py --data {data.name} --seed {seed}`",
                "data": self.data,
                "accuracy": _mean(cells["accuracy"]),
                "macro F1": _mean(cells["macro_f1"]),
                "TF-IDF": _mean(cells["tfidf"]),
                "TF-IDF on more": _mean(cells["tfidf_on_more"]),
                "minutes": f"{sum(cells['minutes']):.1f}",
                "peak GB": f"{max(cells['peak_gigabytes']):.1f}",
                "digest": self.digest(),
            }
            record(row)
            click.echo("\n".join(f"{key}: {value}" for key, value in row.items()))

        return main

    def train_and_report(
        self, corpus: tuple[list[str], list[str]], run: Path, seed: int
    ) -> tuple[Any, dict[str, float]]:
        """Cut off the report part, train on the rest, judge network and rival on the report part.

        Returns:
            The pipeline, and the row's numbers by name.
        """
        import lstm_zoo
        from lstm_zoo import runs
        from lstm_zoo.sentiment.task import split

        rest, report = split(read_corpus(corpus), self.report_share, seed)
        share = self.validation_share / (1 - self.report_share)
        training, _ = split(rest, share, seed)  # as `train` cuts it
        settings = self.resolved_settings()
        del settings["seed"]
        pipeline = lstm_zoo.train(
            "sentiment",
            rest.columns,
            run=run,
            resume=(run / runs.CONFIG).exists(),
            validation_split=share,
            seed=seed,
            **settings,
        )
        scores = pipeline.evaluate(report.columns)
        environment = runs.read_environment(run)
        return pipeline, {
            "accuracy": scores["accuracy"],
            "macro_f1": scores["macro_f1"],
            "tfidf": tfidf_accuracy(training.columns, report.columns),
            "tfidf_on_more": tfidf_accuracy(rest.columns, report.columns),
            "minutes": environment["training_seconds"] / 60,
            "peak_gigabytes": environment["peak_memory_bytes"] / 1e9,
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
