"""Training: read and split the data, learn the vocabulary, fit, save the best epoch."""

import contextlib
import functools
import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from lstm_zoo import families
from lstm_zoo.compat import set_directions
from lstm_zoo.errors import CallError, DataError, TrainingError
from lstm_zoo.files import replace_files, write_json
from lstm_zoo.runs import directory
from lstm_zoo.runs.loading import load
from lstm_zoo.runs.lock import locked
from lstm_zoo.training import distribution, initialization, process
from lstm_zoo.training.callbacks import EpochEnd, Evaluation, log_samples
from lstm_zoo.training.dataset import BatchOrder, make_dataset
from lstm_zoo.training.initialization import Start
from lstm_zoo.training.optimizer import make_optimizer
from lstm_zoo.training.progress import Progress, log
from lstm_zoo.training.report import log_data
from lstm_zoo.training.step_log import StepLog

SAMPLES = 5  # predictions logged at the end
NAMED = 8  # examples of a batch whose loss is not finite


def train(
    family: str,
    data: Any = None,
    *,
    run: str | os.PathLike | None = None,
    validation: Any = None,
    validation_split: float | None = None,
    resume: bool = False,
    strict: bool = False,
    threads: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    **settings: Any,
) -> families.Pipeline:
    """Train a family's network and write a run directory.

    It sets the global random seeds and how the process keeps freed memory;
    `lstm_zoo.training.process` describes how to turn both off.

    Args:
        family: a name in `lstm_zoo.families.FAMILIES`, such as "sentiment".
        data: the training data: a path, or columns such as (texts, labels) or (clips, texts); None
            for the family's demo corpus.
        run: the directory to create; None for `runs/FAMILY-<time>`.
        validation: the validation data, which chooses the best epoch; None to split it off `data`.
        validation_split: the fraction to split off, by seed, with duplicates on one side; None for
            0.1.
        resume: whether to continue `run` after its last completed epoch, with its settings and
            data; only `epochs` may change. A finished run is loaded.
        strict: whether a row that can't be used is an error, rather than skipped.
        threads: the number of CPU threads for TensorFlow, if it has not run an op yet; None for
            all.
        callbacks: Keras callbacks. After an epoch, `logs` has `loss`, `val_loss` and the metrics
            of the task's `directions` with `val_` before them, such as `val_accuracy`,
            `val_wer_greedy` or `val_bleu_greedy`; for Keras's callbacks with `mode="auto"`, the
            direction is set. If a callback assigns another value to `optimizer.learning_rate`, it
            replaces the schedule (warmup and decay) from then on, also after `resume`. The run's
            files are written after the callbacks have run.
        **settings: settings of the family (such as `lstm_zoo.sentiment.SETTINGS`) and of training
            (`lstm_zoo.settings.TRAINING`).

    Returns:
        The pipeline of the best epoch, equal to `lstm_zoo.load(run)`.

    Raises:
        CallError: if an argument is bad, or a setting has no effect; nothing is written.
        DataError: if the data can't be used; nothing is written.
        TrainingError: if the loss is NaN or infinite.
        KeyboardInterrupt: if interrupted in the first epoch. Later, Ctrl-C ends the training like
            early stopping, and `resume` continues it.

    Example:

    >>> texts, labels = ["good", "fine", "bad", "poor"] * 9, ["pos", "pos", "neg", "neg"] * 9
    >>> classifier = lstm_zoo.train(
    ...     "sentiment", (texts, labels), run="runs/doc", validation=(texts, labels), epochs=1
    ... )
    >>> classifier.run
    PosixPath('runs/doc')
    """
    directions = families.task(family).directions  # an unknown family is refused first
    if tf.distribute.has_strategy():
        raise CallError("train runs on one device: call it outside of a tf.distribute strategy.")
    directions = {
        "loss": "min",
        "val_loss": "min",
        **{f"val_{k}": v for k, v in directions.items()},
    }
    try:
        set_directions(callbacks, directions)
    except ValueError as error:
        raise CallError(str(error)) from error
    _use_threads(threads)
    begin = initialization.resumed if resume else initialization.fresh
    start = begin(family, run, data, validation, validation_split, strict, settings)
    if start is None:
        log(f"{run} is already finished.")
        return load(run)

    task, corpora = start.task, start.corpora
    log(f"{corpora.training.places[0]}: {task.format_row(corpora.training, 0)}")
    examples = task.encode(corpora.training, training=True, cache=start.cache)
    validation_examples = task.encode(corpora.validation, training=False, cache=start.cache)
    skipped = [*corpora.skipped, *examples.skipped, *validation_examples.skipped]
    if strict and skipped:
        place, reason = skipped[0]
        raise DataError(f"{place}: {reason} (without strict it is skipped).")

    process.set_seed(start.settings["seed"])
    model, network = task.build(examples, start.settings["seed"])
    order = BatchOrder(examples.lengths, start.settings)
    model.compile(make_optimizer(start.settings, order.steps), task.loss(), jit_compile=False)

    if start.config is None:
        initialization.create_run(start, network, skipped, threads)
    with locked(start.run):
        history = [] if start.config is None else initialization.reopen_run(start, model)
        evaluation = Evaluation(start.run, task, validation_examples, start.settings)
        epoch_end = EpochEnd(start.run, evaluation, start.settings, history, threads)
        log(
            f"{start.run}: {len(examples):,} training examples, {len(validation_examples):,} "
            f"validation examples, {len(skipped):,} skipped; {model.count_params():,} weights"
        )
        log_data(task, corpora, examples, validation_examples)
        log(
            f"{task.monitor} of answers that ignore the input: {epoch_end.baseline:.4f}; until it "
            "is better, the loss chooses the best epoch, and patience is not used up"
        )
        if history:  # a kill may have kept the files of the last epoch from being written
            epoch_end.set_model(model)
            epoch_end.write_files()
        if not epoch_end.finished:
            _fit(model, start, examples, order, epoch_end, callbacks)
        return _finish(start, epoch_end)


def _use_threads(threads: int | None) -> None:
    if threads is None:
        return
    if threads < 1:
        raise CallError(f"threads is an integer of at least 1. Received: {threads}")
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        raise CallError("threads must be set before TensorFlow's first op.") from error


def _fit(
    model: keras.Model,
    start: Start,
    examples: families.Examples,
    order: BatchOrder,
    epoch_end: EpochEnd,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    first = order.epoch = len(epoch_end.history)
    strategy, epochs = tf.distribute.get_strategy(), start.settings["epochs"]
    make_batch = functools.partial(start.task.batch, examples)
    dataset = make_dataset(
        order,
        lambda *chosen: distribution.split(make_batch, *chosen, strategy.num_replicas_in_sync),
    )

    def describe(step: int) -> str:
        return _describe(start, examples, order.batches()[step])

    step_log = StepLog(start.run, start.settings, order.steps, first * order.steps)
    try:
        with contextlib.closing(step_log):
            distribution.fit(
                model,
                distribution.make_step(model, strategy, start.task.loss_terms),
                dataset,
                steps=order.steps,
                first_epoch=first,
                epochs=epochs,
                describe=describe,
                callbacks=[
                    order,
                    Progress(order.steps, epochs),
                    epoch_end.evaluation,
                    *callbacks,
                    step_log,
                    epoch_end,
                ],
                record=step_log.record,
            )
    except KeyboardInterrupt:
        done = len(epoch_end.history)
        log(
            f"Interrupted after {done} of {epochs} epochs; "
            f"--resume --run {start.run} continues from there."
        )
        if not done:
            raise
    except TrainingError as error:
        done = len(epoch_end.history)
        fine = f" {start.run} holds the best of the {done} epochs before." if done else ""
        raise initialization.failed(
            start.run,
            f"{error} Resuming would only repeat this: check the data, and train a new run with a "
            f"lower learning_rate or clip_norm.{fine}",
        ) from error
    except tf.errors.ResourceExhaustedError as error:
        raise TrainingError(
            f"{start.run}: not enough memory for a batch. A lower batch_size or batch_tokens needs "
            "less; train a new run with it."
        ) from error
    except OSError:
        done = len(epoch_end.history)
        log(f"Stopped after {done} of {epochs} epochs; --resume --run {start.run} continues.")
        raise


def _describe(start: Start, examples: families.Examples, batch: np.ndarray) -> str:
    """Name the first examples of a batch, by their places in the data."""
    skipped = {place for place, _ in examples.skipped}
    places = [place for place in start.corpora.training.places if place not in skipped]
    named = ", ".join(str(places[index]) for index in batch[:NAMED])
    return f"whose batch has {len(batch)} examples: {named}{', …' * (len(batch) > NAMED)}"


def _finish(start: Start, epoch_end: EpochEnd) -> families.Pipeline:
    """Evaluate the best epoch with the pipeline, and write the files of a finished run."""
    run, corpora = start.run, start.corpora
    log(epoch_end.outcome)
    pipeline = load(run)
    scores = {"best_epoch": epoch_end.best["epoch"], "epochs": len(epoch_end.history)}
    predictions = []
    for name, corpus in (("validation", corpora.validation), ("test", corpora.test)):
        if corpus is not None:
            scores[name] = pipeline.evaluate(corpus.columns)
            rows = scores[name].pop("predictions")
            predictions = [row for row in rows if not row["skipped"]]
            metrics = (f"{key} {scores[name][key]:.4f}" for key in start.task.summary_metrics)
            decoder = f"{scores[name]['decoder']}; " if "decoder" in scores[name] else ""
            log(f"{name}: {', '.join(metrics)} ({decoder}{len(corpus):,} examples)")
    with replace_files(run) as staging:
        pipeline.draw(corpora.validation.columns, scores["validation"], staging)
        scores["plots"] = sorted(path.name for path in staging.iterdir())
        write_json(staging / directory.METRICS, scores)
    log_samples(start.task, predictions, SAMPLES, [start.settings["seed"], len(epoch_end.history)])
    if epoch_end.finished:
        directory.finish(run)
    return pipeline
