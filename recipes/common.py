"""What the recipes share: the command, and the rows of RESULTS.md."""

import hashlib
import json
import os
import platform
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import click

from lstm_zoo import families
from lstm_zoo.cli import Reporting
from lstm_zoo.settings import resolve, with_sizes

RESULTS = Path(__file__).with_name("RESULTS.md")
HEADING = """# Results

Each row was written by the recipe it names, with the command it shows. The report part, by seed or
as the corpus has it, is neither trained on nor chooses an epoch. Where a recipe averages over
seeded splits, the mean stands with the standard deviation. "minutes" and "peak GB" (10⁹ bytes) are
of training. "digest" is of all settings and shares: a test fails where they have changed.

Texts: "TF-IDF" is logistic regression on TF-IDF of words and pairs of words (scikit-learn, C=5),
trained on the rows that the network trains on and judged on the same report part; "TF-IDF on more"
trains on the rows too that choose the network's epoch, which it needs not.

Speech: "greedy" is the best alignment, "beam" a prefix beam search of the run's width, neither with
a language model.

Translation: BLEU and chrF are sacrebleu's, cased and detokenized; "greedy" takes the best piece at
each step, "beam" the best hypothesis of the run's width; "perplexity" is of a piece of a reference.
"""
# What benchmarks record stands behind the recipes' rows, from here on.
LATENCY = """# Latency

Milliseconds a batch in each runtime, p50 and p99, written by `tests/benchmarks/bench_serving.py`,
which says what is timed. A network alone starts from ids or features that are ready; of a
translator it is the encoder and 20 steps of greedy decoding.
"""


@dataclass(frozen=True)
class Recipe:
    """All that makes a published number. A subclass is of a family, and knows how it is judged.

    Attributes:
        name: the recipe's name, as its file's.
        guide: its docstring, for --help.
        read: from the path given as --data to what `parts` cuts.
        settings: of the training, where they are not the defaults.
        data: the row's words for the data.
        validation_share: the share of all data that chooses the best epoch.
        splits: how many seeded splits to average over, from --seed on.
        test_share: the share of all data that is reported on.
    """

    family: ClassVar[str]
    scores: ClassVar[Mapping[str, str]]  # a column of RESULTS.md: the name of what `judge` found

    name: str
    guide: str
    read: Callable[[Path], Any]
    settings: Mapping[str, Any]
    data: str
    validation_share: float
    splits: int = 1
    test_share: float = 0.1

    def parts(self, data: Any, seed: int) -> tuple[Any, Any]:
        """Return the corpora to train on (and choose the epoch by) and to report on."""
        task = families.task(self.family)
        return task.read(data, self.resolved_settings()).split(self.test_share, seed)

    def evaluate(self, pipeline: Any, rest: Any, report: Any, seed: int) -> dict[str, float]:
        """Return the scores of a trained pipeline on the report part, by name."""
        raise NotImplementedError

    def digest(self) -> str:
        """Return eight characters that change with anything of this that changes the number."""
        table = families.settings(self.family)
        values = with_sizes(self.resolved_settings(), families.module(self.family).VARIANTS)
        # Without those at their neutral values, so that a new setting changes no digest.
        settings = {n: value for n, value in values.items() if value != table[n].neutral}
        made_of = (settings, self.splits, self.validation_share, self.test_share)
        text = json.dumps(made_of, sort_keys=True, default=list)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def resolved_settings(self) -> dict[str, Any]:
        """Return a value for every setting, so that a run of other defaults is not taken up."""
        return resolve(families.settings(self.family), self.settings)

    @property
    def training_share(self) -> float:
        """The share that chooses the epoch, of what is not reported on."""
        return self.validation_share / (1 - self.test_share)

    def train(self, rest: Any, run: Path, seed: int, **others: Any) -> Any:
        """Train, or go on with a run, or find it finished; `others` replace settings."""
        import lstm_zoo
        from lstm_zoo.runs.directory import CONFIG

        settings = {**self.resolved_settings(), **others}
        del settings["seed"]
        return lstm_zoo.train(
            self.family,
            rest.columns,
            run=run,
            resume=(run / CONFIG).exists(),
            validation_split=self.training_share,
            seed=seed,
            **settings,
        )

    def rows(self, data: Path, run: Path, seed: int, export_to: str | None) -> list[dict[str, str]]:
        """Train, judge and export, and return what RESULTS.md is to hold of it."""
        corpus = self.read(data)
        found = []
        for number in range(seed, seed + self.splits):
            place = run / f"seed-{number}" if self.splits > 1 else run
            found.append(self.score(corpus, place, number, export_to if number == seed else None))
        return [self.row(data, seed, found)]

    def score(
        self, corpus: Any, place: Path, seed: int, export_to: str | None = None, **others: Any
    ) -> dict[str, Any]:
        """Train one run, or find it, and return its scores and what it cost; as `train`."""
        from lstm_zoo.runs.environment import read_environment

        rest, report = self.parts(corpus, seed)
        pipeline = self.train(rest, place, seed, **others)
        scores = self.evaluate(pipeline, rest, report, seed)
        click.echo(f"{place}: " + ", ".join(f"{k} {v:.4f}" for k, v in scores.items()))
        if export_to:
            click.echo(pipeline.export(export_to))
        return {**scores, **read_environment(place)}

    def row(
        self, data: Path, seed: int, found: Sequence[Mapping[str, Any]], **more: str
    ) -> dict[str, str]:
        """Lay out the scores of one run, or the mean of several, as a row of RESULTS.md."""
        return {
            "recipe": self.name,
            "command": f"`python recipes/{self.name}.py --data {data.name} --seed {seed}`",
            "data": self.data,
            **more,
            **{
                column: _mean([scores[name] for scores in found])
                for column, name in self.scores.items()
            },
            "minutes": f"{sum(scores['training_seconds'] for scores in found) / 60:.1f}",
            "peak GB": f"{max(scores['peak_memory_bytes'] for scores in found) / 1e9:.1f}",
            "digest": self.digest(),
        }

    def command(self) -> click.Command:
        """Make the command: train, judge, write the row."""
        path = click.Path(path_type=Path)

        @click.command(cls=Reporting, help="\b\n" + self.guide.replace("\n\n", "\n\n\b\n"))
        @click.option("--data", required=True, type=path, help="See above.")
        @click.option("--run", default=Path("runs", self.name), show_default=True, type=path,
                      help="The run to leave, or to go on with.")  # fmt: skip
        @click.option("--seed", default=0, show_default=True, help="Decides splits and training.")
        @click.option("--export", "export_to", metavar="DIR", help="Write a SavedModel there.")
        def main(data: Path, run: Path, seed: int, export_to: str | None) -> None:
            rows = self.rows(data, run, seed, export_to)
            record(rows)
            for row in rows:
                click.echo("\n".join(f"{key}: {value}" for key, value in row.items()))

        return main


def _mean(values: Sequence[float]) -> str:
    """Spell a value, or the mean of several with their standard deviation."""
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}"


def environment_heading() -> str:
    """Return the heading under which the rows of this machine stand."""
    from lstm_zoo.runs.environment import versions

    found = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"## {found}; {os.cpu_count()} cores, {platform.machine()}, {platform.system()}"


def record(new: Sequence[Mapping[str, str]]) -> None:
    """Write a recipe's rows into RESULTS.md, under this environment's heading, for its old ones.

    Rows of the same columns stand in one table.
    """
    heading = environment_heading()
    sections = read_results()
    names = {row["recipe"] for row in new}
    for title, rows in sections.items():
        sections[title] = [row for row in rows if row["recipe"] not in names]
    sections.setdefault(heading, []).extend(map(dict, new))
    lines = [HEADING]
    for title, rows in sections.items():
        if rows:
            lines += [title, ""]
        for columns in sorted({tuple(row) for row in rows}):
            lines += [_line(columns), _line(["---"] * len(columns))]
            of_table = [row for row in rows if tuple(row) == columns]
            lines += [
                _line(row.values()) for row in sorted(of_table, key=lambda row: row["recipe"])
            ]
            lines.append("")
    if RESULTS.exists():
        _, mark, latency = RESULTS.read_text(encoding="utf-8").partition(_first_line(LATENCY))
        lines += [mark + latency] if mark else []
    RESULTS.write_text("\n".join(lines), encoding="utf-8")


def record_latency(conditions: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table of latencies into RESULTS.md, for the one that is there."""
    kept, _, _ = RESULTS.read_text(encoding="utf-8").partition(_first_line(LATENCY))
    lines = [LATENCY, f"{conditions}.", "", _line(columns), _line(["---"] * len(columns))]
    RESULTS.write_text(
        kept.rstrip("\n") + "\n\n" + "\n".join([*lines, *map(_line, rows)]) + "\n",
        encoding="utf-8",
    )


def read_results() -> dict[str, list[dict[str, str]]]:
    """Read RESULTS.md: heading → rows, each column → cell."""
    sections: dict[str, list[dict[str, str]]] = {}
    if not RESULTS.exists():
        return sections
    columns: list[str] = []
    for line in RESULTS.read_text(encoding="utf-8").splitlines():
        if line == _first_line(LATENCY):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("## "):
            sections[line] = []
        elif line.startswith("| recipe"):
            columns = cells
        elif line.startswith("| ") and not line.startswith("| ---"):
            sections[list(sections)[-1]].append(dict(zip(columns, cells, strict=True)))
    return sections


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
