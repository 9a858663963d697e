"""Time an epoch of training with our recurrent layers and with Keras's.

    python tests/benchmarks/bench_training.py FAMILY --data DATA --set NAME=VALUE

trains for one epoch twice, each in its own process, with the same seed and data, and prints the
examples per second of the epoch's steps: including compilation, without reading and validation.
"""

import contextlib
import json
import multiprocessing
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import click
import keras
import stock

import lstm_zoo
from lstm_zoo.families import FAMILIES
from lstm_zoo.runs.directory import CONFIG


@click.command(help=__doc__.split("\n")[0])
@click.argument("family", type=click.Choice([*FAMILIES]))
@click.option("--data", help="The training data.  [default: the demo corpus]")
@click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A setting; repeatable."
)
def main(family: str, data: str | None, assignments: tuple[str, ...]) -> None:
    settings = dict(assignment.split("=", 1) for assignment in assignments)
    speeds = {}
    for layers in ("stock", "ours"):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            examples, seconds = pool.apply(train, (layers, family, data, settings))
        speeds[layers] = examples / seconds
        click.echo(
            f"{layers:6} {examples:,} examples in {seconds:.0f} s, {speeds[layers]:.1f} per second"
        )
    click.echo(f"ours / stock {speeds['ours'] / speeds['stock']:.2f}")


def train(
    layers: str, family: str, data: str | None, settings: dict[str, str]
) -> tuple[int, float]:
    """Train for one epoch; return its number of examples and the seconds of its steps."""

    class Stopwatch(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.start = time.perf_counter()

        def on_train_batch_end(self, batch, logs=None):
            self.seconds = time.perf_counter() - self.start

    stopwatch = Stopwatch()
    chosen = stock.replace_ours() if layers == "stock" else contextlib.nullcontext()
    with chosen, tempfile.TemporaryDirectory() as folder:
        lstm_zoo.train(
            family, data, run=f"{folder}/run", callbacks=[stopwatch], **{**settings, "epochs": 1}
        )
        config = json.loads((Path(folder) / "run" / CONFIG).read_text())
    return config["data"]["training"]["examples"], stopwatch.seconds


if __name__ == "__main__":
    main()
