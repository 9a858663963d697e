"""Base class of the recipes, and the reading and writing of RESULTS.md."""

import hashlib
import json
import os
import platform
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import click

from lstm_zoo import families
from lstm_zoo.cli import ErrorHandlingCommand
from lstm_zoo.files import user_path
from lstm_zoo.printing import write_line
from lstm_zoo.settings import resolve, with_sizes

RESULTS = Path(__file__).with_name("RESULTS.md")
HEADING = """# Results

This file holds the scores of the recipes and, at its end, a benchmark of inference (section
Latency). A recipe writes its own rows, with the command that they show. "digest" is a hash of its
settings and splits: a test fails if they differ from those of the row.

The test set, drawn by seed or defined by the data set, is used neither for training nor for
choosing the best epoch. Scores over several random splits are mean ± standard deviation. "minutes"
and "peak GB" (10⁹ bytes of memory) are of training.

Text classification: "TF-IDF" is the baseline, logistic regression on TF-IDF of unigrams and bigrams
(scikit-learn, C=5), with the network's training data and test set. "TF-IDF, more data" is trained
on the validation data too.

Speech: word and character error rates (WER, CER). "greedy" is best-path decoding, "beam" a prefix
beam search of the run's width, neither with a language model; "plain" is greedy decoding by a
network that is trained without augmentation.

Translation: BLEU and chrF are sacrebleu's, cased and detokenized. "greedy" is greedy decoding,
"beam" a beam search of the run's width. "perplexity" is per subword token of the references.

Fine-tuning: "source" is the run that it starts from, before it; "scratch" a network trained on the
same few examples alone; "TF-IDF" the baseline trained on all of these. "minutes" are of all
trainings, the source's included.

Long memory: "error" is the mean squared error on the test set, "batches until learned" the number
until that of the validation data is below 0.01; "-" where it never is. One network a row.
"""
# The benchmark's section follows the recipes' tables, from this heading on.
LATENCY = """# Latency

A benchmark: milliseconds per batch in each runtime, p50 and p99, written by
`tests/benchmarks/bench_serving.py`, whose docstring describes what is timed. "network alone" takes
token ids or features as input; for translation it is the encoder and 20 steps of greedy decoding.
"""


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a published result. A subclass adds a family and its evaluation.

    Attributes:
        name: the name of the recipe and of its file.
        guide: its docstring, for --help.
        read: reads the path given as --data; `split_data` takes what it returns.
        settings: the settings of the training that are not the defaults.
        data: the `data` column of its rows.
        validation_share: the share of all data that is validation data.
        splits: how many random splits to average over, with the seeds from --seed on.
        test_share: the share of all data that is the test set.
        files: the settings that are files, which the command takes as options, with their help.
            `settings` has the names of those that the published scores are of.
    """

    family: ClassVar[str]
    scores: ClassVar[Mapping[str, str]]  # column of RESULTS.md → name in `evaluate`'s result

    name: str
    guide: str
    read: Callable[[Path], Any]
    settings: Mapping[str, Any]
    data: str
    validation_share: float
    splits: int = 1
    test_share: float = 0.1
    files: Mapping[str, str] = field(default_factory=dict)

    def split_data(self, data: Any, seed: int) -> tuple[Any, Any]:
        """Return the training data, validation data included, and the test set."""
        task = families.task(self.family)
        return task.read(data, self.resolved_settings()).split(self.test_share, seed)

    def evaluate(self, pipeline: Any, training: Any, test: Any, seed: int) -> dict[str, float]:
        """Return the scores of a trained pipeline on the test set, by name."""
        raise NotImplementedError

    def digest(self) -> str:
        """Return eight hexadecimal digits that change with the settings and the splits."""
        table = families.settings(self.family)
        values = with_sizes(self.resolved_settings(), families.module(self.family).VARIANTS)
        values |= {name: Path(values[name]).name for name in self.files}  # wherever they are
        # Without neutral values, so that a setting that is added later changes no digest.
        settings = {n: value for n, value in values.items() if value != table[n].neutral}
        hashed = (settings, self.splits, self.validation_share, self.test_share)
        text = json.dumps(hashed, sort_keys=True, default=list)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def resolved_settings(self) -> dict[str, Any]:
        """Return a value for every setting: given all, `train` resumes no run of other defaults."""
        # Published scores are of splits by content and of pieces learned from all texts.
        given = {"group_column": None, "vocabulary_sample": None, **self.settings}
        return resolve(families.settings(self.family), given)

    @property
    def validation_split(self) -> float:
        """The validation data's share of all data but the test set, as `train` takes it."""
        return self.validation_share / (1 - self.test_share)

    def train(self, training: Any, run: Path, seed: int, **others: Any) -> Any:
        """Train, resume a run, or load a finished one; `others` replace settings."""
        import lstm_zoo
        from lstm_zoo.runs.directory import CONFIG

        settings = {**self.resolved_settings(), **others}
        del settings["seed"]
        return lstm_zoo.train(
            self.family,
            training.columns,
            run=run,
            resume=(run / CONFIG).exists(),
            validation_split=self.validation_split,
            seed=seed,
            **settings,
        )

    def rows(
        self, data: Path, run: Path, seed: int, export_to: str | None, **files: Path
    ) -> list[dict[str, str]]:
        """Train, evaluate and export; return the recipe's rows of RESULTS.md."""
        corpus = self.read(data)
        results = []
        for number in range(seed, seed + self.splits):
            split_run = run / f"seed-{number}" if self.splits > 1 else run
            export_dir = export_to if number == seed else None
            results.append(self.train_and_evaluate(corpus, split_run, number, export_dir, **files))
        return [self.row(data, seed, results, files)]

    def train_and_evaluate(
        self, corpus: Any, run: Path, seed: int, export_to: str | None = None, **others: Any
    ) -> dict[str, Any]:
        """Return the scores of one run with its time and memory; arguments as of `train`."""
        from lstm_zoo.runs.environment import read_environment

        training, test = self.split_data(corpus, seed)
        pipeline = self.train(training, run, seed, **others)
        scores = self.evaluate(pipeline, training, test, seed)
        write_line(f"{run}: " + ", ".join(f"{k} {v:.4f}" for k, v in scores.items()))
        if export_to:
            write_line(pipeline.export(export_to))
        return {**scores, **read_environment(run)}

    def row(
        self,
        data: Path,
        seed: int,
        results: Sequence[Mapping[str, Any]],
        files: Mapping[str, Path] | None = None,
        **more: str,
    ) -> dict[str, str]:
        """Format the scores of one run, or the mean of several, as a row of RESULTS.md."""
        files = {name: path.name for name, path in (files or {}).items()}
        given = "".join(f" --{name} {file}" for name, file in files.items())
        return {
            "recipe": self.name,
            "command": f"`python recipes/{self.name}.py --data {data.name}{given} --seed {seed}`",
            "data": self.data,
            **more,
            **{
                column: _mean([result[name] for result in results])
                for column, name in self.scores.items()
            },
            "minutes": f"{sum(result['training_seconds'] for result in results) / 60:.1f}",
            "peak GB": f"{max(result['peak_memory_bytes'] for result in results) / 1e9:.1f}",
            "digest": replace(self, settings={**self.settings, **files}).digest(),
        }

    def command(self) -> click.Command:
        """Make the command, which trains, evaluates and writes the rows."""
        # \b: click does not rewrap the lines of the paragraph.
        guide = "\b\n" + self.guide.replace("\n\n", "\n\n\b\n")

        @click.command(cls=ErrorHandlingCommand, help=guide)
        @click.option("--data", required=True, type=user_path, metavar="PATH", help="See above.")
        @click.option("--run", default=Path("runs", self.name), show_default=True,
                      type=user_path, metavar="PATH",
                      help="The run directory to create or resume.")  # fmt: skip
        @click.option("--seed", default=0, show_default=True, help="Of splits and training.")
        @click.option("--export", "export_to", metavar="DIR", help="Write a SavedModel there.")
        def main(data: Path, run: Path, seed: int, export_to: str | None, **files: Path) -> None:
            rows = self.rows(data, run, seed, export_to, **files)
            record(rows)
            for row in rows:
                write_line("\n".join(f"{key}: {value}" for key, value in row.items()))

        for name, text in self.files.items():
            file = click.Option(
                [f"--{name}"], required=True, type=user_path, metavar="FILE", help=text
            )
            main.params.append(file)
        return main


def _mean(values: Sequence[float]) -> str:
    """Format a value, or the mean and standard deviation of several."""
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}"


def environment_heading() -> str:
    """Return the heading of the tables made with these versions on this machine."""
    from lstm_zoo.runs.environment import versions

    packages = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"## {packages}; {os.cpu_count()} cores, {platform.machine()}, {platform.system()}"


def record(new: Sequence[Mapping[str, str]]) -> None:
    """Replace a recipe's rows in RESULTS.md; the new ones go under this environment's heading.

    Rows of the same columns form one table.
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
            table = [row for row in rows if tuple(row) == columns]
            lines += [_line(row.values()) for row in sorted(table, key=lambda row: row["recipe"])]
            lines.append("")
    if RESULTS.exists():
        text = RESULTS.read_text(encoding="utf-8")
        _, latency_heading, table = text.partition(_first_line(LATENCY))
        lines += [latency_heading + table] if latency_heading else []
    RESULTS.write_text("\n".join(lines), encoding="utf-8")


def record_latency(conditions: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Replace the table of latencies in RESULTS.md."""
    kept, _, _ = RESULTS.read_text(encoding="utf-8").partition(_first_line(LATENCY))
    lines = [LATENCY, f"{conditions}.", "", _line(columns), _line(["---"] * len(columns))]
    RESULTS.write_text(
        kept.rstrip("\n") + "\n\n" + "\n".join([*lines, *map(_line, rows)]) + "\n",
        encoding="utf-8",
    )


def read_results() -> dict[str, list[dict[str, str]]]:
    """Read the recipes' rows of RESULTS.md: heading → rows, each column → cell."""
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
