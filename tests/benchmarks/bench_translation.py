"""Time a trained translator: sentences per second, and a step's time by source length.

    python tests/benchmarks/bench_translation.py runs/multi30k multi30k/val.de

prints sentences per second of `predict`, with greedy decoding and a beam of 5, in batches of 1 and
64, timed in turn in each round: medians, with their range. Then milliseconds per step of the beam
search for sources of 10 to 1,000 random pieces, and of the encoder separately. The network has no
attention: a step should take the same time for every source length.
"""

import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import click
import numpy as np
import tensorflow as tf

import lstm_zoo
from lstm_zoo.translation import beam
from lstm_zoo.translation.model import encoder

SOURCES = (10, 30, 100, 300, 1_000)
STEPS = 60


@click.command(help=__doc__.split("\n")[0])
@click.argument("run")
@click.argument("texts", type=click.Path(exists=True, path_type=Path))
@click.option("--rounds", default=5, show_default=True, help="Timed rounds.")
@click.option("--sentences", default=192, show_default=True, help="Sentences per round.")
def main(run: str, texts: Path, rounds: int, sentences: int) -> None:
    translator = lstm_zoo.load(run)
    lines = texts.read_text(encoding="utf-8").splitlines()[:sentences]
    show_throughput(translator, lines, rounds)
    show_steps(translator.model, rounds)


def show_throughput(translator, lines, rounds):
    cases = [(width, batch) for width in (1, 5) for batch in (1, 64)]
    speeds = {case: [] for case in cases}
    for turn in range(rounds + 1):
        for width, batch in cases:
            start = time.perf_counter()
            translator.predict(lines, batch, beam_width=width)
            if turn:  # the first traces
                speeds[width, batch].append(len(lines) / (time.perf_counter() - start))
    for (width, batch), values in speeds.items():
        click.echo(
            f"beam {width}  batch {batch:2}  {statistics.median(values):7.1f} sentences/s "
            f"({min(values):.1f} to {max(values):.1f})"
        )


def show_steps(model, rounds):
    encode, decoder = tf.function(encoder(model)), model.get_layer("decoder")

    @tf.function
    def search(context):
        def step(last, states):
            logits, new = decoder.step(last, states[0], states[1])
            # No end of sentence, so that every search takes all its steps.
            no_end = tf.one_hot(beam.END, tf.shape(logits)[-1], -1e9, 0.0)
            return logits + no_end, (states[0], new)

        states = (context, decoder.initial_states(context))
        limits = tf.fill([tf.shape(context)[0]], STEPS)
        return beam.search(step, states, limits, width=5)

    vocabulary_size = model.get_layer("source_embedding").input_dim
    generator = np.random.default_rng(0)
    sources = {
        n: tf.constant(generator.integers(10, vocabulary_size, (8, n)), tf.int32) for n in SOURCES
    }
    times = {n: ([], []) for n in SOURCES}
    for turn in range(rounds + 1):
        for count, source in sources.items():
            start = time.perf_counter()
            context = encode(source)
            context.numpy()
            middle = time.perf_counter()
            search(context).scores.numpy()
            if turn:
                times[count][0].append(middle - start)
                times[count][1].append((time.perf_counter() - middle) / (STEPS + 1))
    first = statistics.median(times[SOURCES[0]][1])
    for count, (encoding, steps) in times.items():
        click.echo(
            f"source {count:5} pieces  encoder {1e3 * statistics.median(encoding):7.2f} ms  "
            f"step {1e3 * statistics.median(steps):6.3f} ms "
            f"({1e3 * min(steps):.3f} to {1e3 * max(steps):.3f})  "
            f"{statistics.median(steps) / first:.2f} of the shortest"
        )


if __name__ == "__main__":
    main()
