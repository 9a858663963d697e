"""Recipes of fine-tuning: a training that starts from another run, and one from scratch."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from common import Recipe

FOLDS = 10


def folds(*columns: Sequence[str]) -> Any:
    """Cut a corpus in ten, by a fixed seed; rows that share a text of any column stay together.

    Args:
        *columns: texts, one of each column for each row.

    Returns:
        The fold of each row, integers `(rows,)` from 0 to 9.
    """
    from lstm_zoo.data.splits import connect, content_hashes

    first = connect(*map(content_hashes, columns))
    return np.random.default_rng(0).integers(FOLDS, size=len(first))[first]


@dataclass(frozen=True)
class FineTuning(Recipe):
    """A source is trained; then, with few examples, one network from it and one from scratch.

    All three are evaluated on the test set. `settings` are those of the training from scratch;
    `validation_share` is the share of the few examples that are validation data.

    Attributes:
        source: the settings of the source's training.
        tuned: those of the fine-tuning that are not the source's.
        examples: how many examples there are to fine-tune.
        one_source: whether all splits start from the same source.
    """

    metrics: ClassVar[Mapping[str, str]]  # column → name in `evaluate`'s result

    source: Mapping[str, Any] = field(default_factory=dict)
    tuned: Mapping[str, Any] = field(default_factory=dict)
    examples: int = 0
    one_source: bool = True

    @property
    def scores(self) -> dict[str, str]:
        """The columns: each metric of the source, of the fine-tuned network, and from scratch."""
        return {
            f"{column} {which}": f"{name} {which}"
            for column, name in self.metrics.items()
            for which in ("source", "fine-tuned", "scratch")
        }

    def source_data(self, data: Any, seed: int) -> tuple[Any, Any]:
        """Return the training data and the validation data of the source."""
        raise NotImplementedError

    @property
    def tunings(self) -> tuple[dict[str, Any], ...]:
        """A value for every setting, of the source and of the fine-tuning."""
        return tuple(
            replace(self, settings=settings).resolved_settings()
            for settings in (self.source, {**self.source, **self.tuned})
        )

    def digest(self) -> str:
        digests = [
            super(FineTuning, replace(self, settings=settings)).digest()
            for settings in (self.settings, *self.tunings)
        ]
        text = " ".join([*digests, str(self.examples), str(self.one_source)])
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def train(self, training: Any, run: Path, seed: int, **others: Any) -> Any:
        """Train, resume a run, or load a finished one, which keep the run they started from."""
        from lstm_zoo.runs.directory import CONFIG

        if (run / CONFIG).exists():
            others = {n: v for n, v in others.items() if n not in ("init_from", "keep_vocabulary")}
        return super().train(training, run, seed, **others)

    def train_and_evaluate(
        self, corpus: Any, run: Path, seed: int, export_to: str | None = None, **others: Any
    ) -> dict[str, Any]:
        from lstm_zoo.printing import write_line
        from lstm_zoo.runs.environment import read_environment

        source = self.train_source(corpus, run, seed)
        training, test = self.split_data(corpus, seed)
        _, settings = self.tunings
        del settings["seed"]
        tuned = self.train(
            training, run / "fine-tuned", seed,
            **settings, init_from=source.run, keep_vocabulary=True,
        )  # fmt: skip
        scratch = self.train(training, run / "scratch", seed)
        results: dict[str, Any] = {}
        for which, pipeline in (("source", source), ("fine-tuned", tuned), ("scratch", scratch)):
            scores = self.evaluate(pipeline, training, test, seed)
            results |= {f"{name} {which}": value for name, value in scores.items()}
        write_line(f"{run}: " + ", ".join(f"{k} {v:.4f}" for k, v in results.items()))
        if export_to:
            write_line(tuned.export(export_to))
        environments = [read_environment(pipeline.run) for pipeline in (source, tuned, scratch)]
        seconds = [environment["training_seconds"] for environment in environments]
        if self.one_source:  # its time counts once
            seconds[0] /= self.splits
        peak = max(environment["peak_memory_bytes"] for environment in environments)
        return {**results, "training_seconds": sum(seconds), "peak_memory_bytes": peak}

    def train_source(self, corpus: Any, run: Path, seed: int) -> Any:
        """Return the source, which is trained unless it is there."""
        import lstm_zoo
        from lstm_zoo.runs.directory import CONFIG

        seed = 0 if self.one_source else seed
        # One split has no folder of its own.
        folder = (run.parent if self.one_source and self.splits > 1 else run) / "source"
        training, validation = self.source_data(corpus, seed)
        settings, _ = self.tunings
        return lstm_zoo.train(
            self.family, training.columns, validation=validation.columns, run=folder,
            resume=(folder / CONFIG).exists(), **{**settings, "seed": seed},
        )  # fmt: skip

    def evaluate(self, pipeline: Any, training: Any, test: Any, seed: int) -> dict[str, float]:
        scores = pipeline.evaluate(test.columns)
        return {name: scores[name] for name in self.metrics.values()}
