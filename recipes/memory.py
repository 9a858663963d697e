"""How long each cell remembers: the adding problem (Hochreiter and Schmidhuber 1997).

    python recipes/memory.py --run runs/memory

Data: made by seed. Each step of a sequence has a number from 0 to 1 and a mark; two steps are
marked, one in each half, and the sum of their numbers is to be told after the last step. Answering
1 always has a mean squared error of 1/6. For each cell and length, one layer of 64 units is trained
on batches of 50 new sequences, until its error on 1,000 validation sequences is below 0.01, or for
3,000 batches; the test set is 1,000 more. A cell that has not learned one length is not trained on
longer ones. What is finished is kept in the run directory, and `memory.png` shows it.
Cost: on two cores about 35 minutes and 1 GB.
Target: none; the table shows where each cell stops learning.
"""

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from common import record

from lstm_zoo.cli import ErrorHandlingCommand
from lstm_zoo.files import user_path, write_json
from lstm_zoo.printing import progress_bar, write_line
from lstm_zoo.settings import CELLS


@dataclass(frozen=True)
class Memory:
    """All that determines the rows.

    Attributes:
        cells: the cells that are compared.
        lengths: the numbers of steps of the sequences, the shortest first.
        units: the units of the layer.
        batch_size: sequences per batch.
        max_batches: the maximum number of batches of a training.
        validate_every: batches between two validations.
        learning_rate: of Adam, with gradients clipped to a global norm of 1.
        learned: the mean squared error below which the problem counts as learned.
        examples: the number of sequences of the validation data, and of the test set.
    """

    cells: Sequence[str] = CELLS
    lengths: Sequence[int] = (50, 100, 200, 400, 1_000)
    units: int = 64
    batch_size: int = 50
    max_batches: int = 3_000
    validate_every: int = 100
    learning_rate: float = 0.002
    learned: float = 0.01
    examples: int = 1_000

    def digest(self) -> str:
        """Return eight hexadecimal digits that change with what determines the rows."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:8]

    def build(self, cell: str) -> Any:
        """Build the network: one recurrent layer, and a dense one on its last hidden state."""
        import keras

        from lstm_zoo.recurrent import recurrent_layer

        inputs = keras.Input((None, 2))  # (batch, time, (number, mark))
        state = recurrent_layer(cell, self.units, name=cell)(inputs)  # (batch, units)
        model = keras.Model(inputs, keras.layers.Dense(1, name="sum")(state))
        optimizer = keras.optimizers.Adam(self.learning_rate, global_clipnorm=1.0)
        model.compile(optimizer, "mse")
        return model

    def train(self, cell: str, length: int, seed: int) -> dict[str, Any]:
        """Train one network, and return its scores."""
        import keras

        keras.utils.set_random_seed(seed)
        model = self.build(cell)
        streams = np.random.default_rng([seed, length]).spawn(3)
        training, (validation, test) = (
            streams[0],
            (sequences(self.examples, length, stream) for stream in streams[1:]),
        )
        start = time.monotonic()
        error, batches = math.inf, 0
        with progress_bar(total=self.max_batches, desc=f"{cell}, {length} steps") as bar:
            while error >= self.learned and batches < self.max_batches:
                new = sequences(self.validate_every * self.batch_size, length, training)
                model.fit(*new, batch_size=self.batch_size, shuffle=False, verbose=0)
                error = model.evaluate(*validation, batch_size=250, verbose=0)
                batches += self.validate_every
                bar.update(self.validate_every)
                bar.set_postfix(error=f"{error:.4f}")
        return {
            "cell": cell,
            "steps": length,
            "batches": batches,
            "is_learned": error < self.learned,
            "error": model.evaluate(*test, batch_size=250, verbose=0),
            "minutes": (time.monotonic() - start) / 60,
        }

    def measure(self, run: Path, seed: int) -> list[dict[str, Any]]:
        """Return the scores of the networks; those that the run directory has are not trained."""
        run.mkdir(parents=True, exist_ok=True)
        trained_as = replace(self, cells=(), lengths=()).digest()
        results = []
        for cell in self.cells:
            for length in self.lengths:
                path = run / f"{trained_as}-{seed}-{cell}-{length}.json"
                if not path.exists():
                    write_json(path, self.train(cell, length, seed))
                result = json.loads(path.read_text(encoding="utf-8"))
                results.append(result)
                write_line(
                    f"{cell}, {length:,} steps: error {result['error']:.4f} "
                    f"after {result['batches']:,} batches"
                )
                if not result["is_learned"]:
                    break
        return results

    def rows(self, run: Path, seed: int) -> list[dict[str, str]]:
        """Train and draw; return the rows of RESULTS.md."""
        results = self.measure(run, seed)
        draw(results, self.max_batches, run / "memory.png")
        return [
            {
                "recipe": "memory",
                "command": f"`python recipes/memory.py --seed {seed}`",
                "data": f"adding problem, {result['steps']:,} steps",
                "cell": result["cell"],
                "error": f"{result['error']:.4f}",
                "batches until learned": f"{result['batches']:,}" if result["is_learned"] else "-",
                "minutes": f"{result['minutes']:.1f}",
                "digest": self.digest(),
            }
            for result in results
        ]

    def command(self) -> click.Command:
        """Make the command, which trains, draws and writes the rows."""

        @click.command(cls=ErrorHandlingCommand, help="\b\n" + __doc__.replace("\n\n", "\n\n\b\n"))
        @click.option("--run", default=Path("runs/memory"), show_default=True, type=user_path,
                      metavar="PATH", help="The directory of finished networks.")  # fmt: skip
        @click.option("--seed", default=0, show_default=True, help="Of sequences and networks.")
        def main(run: Path, seed: int) -> None:
            record(self.rows(run, seed))

        return main


def sequences(
    count: int, length: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Make sequences of the adding problem.

    Args:
        count: the number of sequences.
        length: the number of steps of each, at least 2.
        random: draws the numbers and the marked steps.

    Returns:
        The inputs, float32 `(count, length, 2)`: number and mark; and the sums, `(count, 1)`.

    Example:

    >>> inputs, sums = sequences(2, 10, np.random.default_rng(0))
    >>> np.allclose(inputs.prod(axis=2).sum(axis=1), sums[:, 0])
    True
    """
    numbers = random.random((count, length), np.float32)
    marks = np.zeros((count, length), np.float32)
    half = length // 2
    for low, high in ((0, half), (half, length)):
        marks[np.arange(count), random.integers(low, high, count)] = 1
    return np.stack([numbers, marks], axis=2), (numbers * marks).sum(axis=1, keepdims=True)


def draw(results: Sequence[Mapping[str, Any]], max_batches: int, path: Path) -> None:
    """Plot how many batches each cell needs to learn the problem, by the sequences' length."""
    from lstm_zoo.runs import plots

    with plots.plot(path, "adding problem: batches until learned, by cell", (6, 4)) as figure:
        axes = figure.subplots()
        for number, cell in enumerate(dict.fromkeys(result["cell"] for result in results)):
            own = [result for result in results if result["cell"] == cell]
            learned = [(r["steps"], r["batches"]) for r in own if r["is_learned"]]
            failed = [r["steps"] * 1.03 ** (number - 1) for r in own if not r["is_learned"]]
            color = f"C{number}"
            axes.plot(*zip(*learned, strict=True) if learned else ([], []), "o-", color=color,
                      label=cell)  # fmt: skip
            axes.plot(failed, [1.08 * max_batches] * len(failed), "x", color=color)
        axes.set(xscale="log", ylim=(0, 1.15 * max_batches))
        axes.set(xlabel="steps of a sequence", ylabel="batches")
        axes.axhline(max_batches, color="gray", linewidth=0.8, linestyle=":")
        axes.set_title("x: not learned by then", fontsize=8)
        lengths = sorted({result["steps"] for result in results})
        axes.set_xticks(lengths, [f"{length:,}" for length in lengths], minor=False)
        axes.minorticks_off()
        axes.legend()


RECIPE = Memory()
main = RECIPE.command()

if __name__ == "__main__":
    main()
