"""Sizes and times from which docs/scale.md calculates what a large corpus takes.

    python -m tests.benchmarks.measure_scale FAMILY DATA [NAME=VALUE...]

prints the bytes on disk of an example, of its prepared data; the bytes of all weights of each
variant, which are those of its gradients; the seconds in which a worker makes its share of a batch,
among 1, 8 and 64 replicas; and the median seconds of a training step on this machine.
"""

import functools
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from lstm_zoo import families
from lstm_zoo.text import encoding
from lstm_zoo.training import distribution, initialization, process
from lstm_zoo.training.dataset import BatchOrder, make_dataset
from lstm_zoo.training.optimizer import make_optimizer

GLOBAL_BATCH = 2_048  # examples: 32 of each of 64 replicas
STEPS = 20


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main(family, data, *assignments):
    encoding.PREPARED_TEXTS = 1  # on disk, however few they are
    settings = dict(assignment.split("=", 1) for assignment in assignments)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        start = initialization.fresh(family, run, data, None, 0.1, False, settings)
        corpus, task = start.corpora.training, start.task
        begin = time.perf_counter()
        examples = task.encode(corpus, training=True, cache=start.cache)
        seconds = time.perf_counter() - begin
        steps, size = int(examples.lengths.sum()), size_of(start.cache)
        print(
            f"{len(examples):,} examples, {steps / len(examples):.1f} {task.time_step} each; "
            f"prepared {size:,} bytes in {seconds:.0f} s, {size / len(examples):,.0f} an example"
        )
        measure_weights(family, start, examples)
        measure_shares(task, examples)
        measure_steps(start, examples)


def measure_weights(family, start, examples):
    for variant, sizes in families.module(family).VARIANTS.items():
        unset = dict.fromkeys(sizes)
        task = start.task
        before, task.settings = task.settings, {**task.settings, **unset, "variant": variant}
        model, _ = task.build(examples, 0)
        task.settings = before
        tables = [w for w in model.trainable_weights if w.path.endswith("/embeddings")]
        total, rows = (
            4 * sum(int(np.prod(weight.shape)) for weight in weights)
            for weights in (model.trainable_weights, tables)
        )
        print(f"{variant}: weights {total / 1e6:.1f} MB, of these embeddings {rows / 1e6:.1f} MB")


def measure_shares(task, examples):
    make = functools.partial(task.batch, examples)
    generator = np.random.default_rng(0)
    for replicas in (1, 8, 64):
        seconds = []
        for _ in range(9):
            indices = generator.integers(len(examples), size=GLOBAL_BATCH)
            begin = time.perf_counter()
            distribution.split(make, indices, generator, replicas, slice(0, 1))
            seconds.append(time.perf_counter() - begin)
        print(
            f"a share of {GLOBAL_BATCH:,} examples for 1 of {replicas} replicas: "
            f"{1e3 * statistics.median(seconds):.2f} ms"
        )


def measure_steps(start, examples):
    process.set_seed(0)
    model, _ = start.task.build(examples, 0)
    order = BatchOrder(examples.lengths, start.settings)
    model.compile(make_optimizer(start.settings, order.steps), start.task.loss(), jit_compile=False)
    make = functools.partial(start.task.batch, examples)
    dataset = make_dataset(order, lambda *chosen: distribution.split(make, *chosen, 1))
    step = distribution.make_step(model, tf.distribute.get_strategy(), start.task.loss_terms)
    seconds, counts, iterator = [], [], iter(dataset)
    for _ in range(min(STEPS, order.steps)):
        begin = time.perf_counter()
        counts.append(float(step(iterator).examples.numpy()))
        seconds.append(time.perf_counter() - begin)
    median = statistics.median(seconds)
    print(
        f"a step, variant {start.settings['variant']}: {median:.3f} s for "
        f"{statistics.mean(counts):.0f} examples"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
