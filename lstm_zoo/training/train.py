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
from lstm_zoo.compat import set_directions, weights_file
from lstm_zoo.errors import CallError, DataError, TrainingError
from lstm_zoo.files import replace_files, write_json
from lstm_zoo.printing import log
from lstm_zoo.runs import directory, plots, report
from lstm_zoo.runs.loading import load
from lstm_zoo.runs.lock import locked
from lstm_zoo.training import distribution, initialization, layers, process
from lstm_zoo.training.callbacks import EpochEnd, Evaluation, log_samples
from lstm_zoo.training.checkpoints import START, Position, State
from lstm_zoo.training.dataset import BatchOrder, make_dataset
from lstm_zoo.training.initialization import Start
from lstm_zoo.training.optimizer import build_optimizer, dtype_policy, make_optimizer
from lstm_zoo.training.progress import Progress
from lstm_zoo.training.report import by_kind, log_data, warn_of_few_steps
from lstm_zoo.training.step_log import StepLog
from lstm_zoo.training.workers import choose

SAMPLES = 5  # predictions logged at the end
# Callbacks of Keras that write files.
WRITERS = (
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.CSVLogger,
    keras.callbacks.TensorBoard,
)
NAMED = 8  # examples of a batch whose loss is not finite


def train_checked(
    family: str,
    data: Any,
    run: str | os.PathLike | None,
    validation: Any,
    validation_split: float | None,
    init_from: str | os.PathLike | None,
    keep_vocabulary: bool,
    resume: bool,
    overwrite: bool,
    strict: bool,
    threads: int | None,
    strategy: str | tf.distribute.Strategy,
    callbacks: Sequence[keras.callbacks.Callback],
    settings: dict[str, Any],
) -> families.Pipeline:
    """Train, after the checks of `lstm_zoo.train`, whose arguments these are."""
    directions = families.task(family).directions
    if tf.distribute.has_strategy():
        raise CallError("Call train outside of a strategy's scope, and give it strategy=.")
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            raise CallError("BackupAndRestore is not needed: resume=True continues a run.")
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
    workers = choose(strategy)
    for callback in callbacks if workers.count > 1 else ():
        if isinstance(callback, WRITERS):
            raise CallError(
                f"{type(callback).__name__} writes the same files from each of several workers; "
                "give it to none. The run keeps its best weights and its history, and tensorboard "
                "and log_steps are settings."
            )
    with workers.losses_reported():
        workers.check_equal({"resume": resume, "run is named": run is not None})
        if run is None and not resume:  # named by the time of the first worker
            run = workers.exchange(str(directory.default_path(family)))[0]
        with workers.chief_first():  # the others find what it has prepared in the cache
            given = (
                family, run, data, validation, validation_split, strict, settings, init_from,
                keep_vocabulary, workers,
            )  # fmt: skip
            if resume:
                start = initialization.resumed(*given)
            else:
                start = initialization.fresh(*given, overwrite)
        if start is None:
            log(f"{run} is already finished.")
            return load(run)
        return _train(start, strict, threads, callbacks)


def _train(
    start: Start, strict: bool, threads: int | None, callbacks: Sequence[keras.callbacks.Callback]
) -> families.Pipeline:
    task, corpora, workers = start.task, start.corpora, start.workers
    log(f"{corpora.training.places[0]}: {task.format_row(corpora.training, 0)}")
    with workers.chief_first():
        examples = task.encode(corpora.training, training=True, cache=start.cache)
        validation_examples = task.encode(corpora.validation, training=False, cache=start.cache)
    skipped = [*corpora.skipped, *examples.skipped, *validation_examples.skipped]
    if strict and skipped:
        place, reason = skipped[0]
        raise DataError(f"{place}: {reason} (without strict it is skipped).")

    initialization.check_workers(start, examples, validation_examples)
    process.set_seed(start.settings["seed"])
    order = BatchOrder(examples.lengths, start.settings)
    if start.config is None and start.source is None:  # what is fine-tuned needs few
        warn_of_few_steps(order.steps, start.settings["epochs"])
    with workers.strategy.scope():
        with dtype_policy(start.settings["precision"]):
            model, network = task.build(examples, start.settings["seed"])
        depths = layers.depths(model.trainable_variables, task.layers)
        optimizer = make_optimizer(start.settings, order.steps, depths)
        model.compile(optimizer, task.loss(), jit_compile=False)
        build_optimizer(model)

    if start.config is None:
        initialization.create_run(start, model, network, skipped, threads)
        start = start._replace(source=None)  # its weights are no longer needed
    with locked(start.run) if workers.is_chief else contextlib.nullcontext():
        state = State([], START)
        if start.config is not None:
            state = initialization.reopen_run(start, model)
        evaluation = Evaluation(start.run, task, validation_examples, start.settings, workers)
        epoch_end = EpochEnd(
            start.run, evaluation, start.settings, state.history, threads, len(examples)
        )
        log(
            f"{start.run}: {len(examples):,} training examples, {len(validation_examples):,} "
            f"validation examples, {len(skipped):,} skipped; {model.count_params():,} weights"
        )
        log(f"strategy: {workers}")
        described = log_data(task, corpora, examples, validation_examples)
        for line in layers.describe(task.layers, start.settings):
            log(line)
        log(
            f"{task.monitor} of answers that ignore the input: {epoch_end.baseline:.4f}; until it "
            "is better, the loss chooses the best epoch, and patience is not used up"
        )
        if state.history and state.position == START and workers.is_chief:
            # A kill may have kept the files of the last epoch from being written.
            epoch_end.set_model(model)
            epoch_end.write_files()
        if not epoch_end.finished:
            _fit(model, start, examples, order, epoch_end, state.position, callbacks)
        return _finish(start, epoch_end, examples, described, skipped)


def _use_threads(threads: int | None) -> None:
    if threads is None:
        return
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
    position: Position,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    first, order.step = len(epoch_end.history), position.step
    workers, epochs = start.workers, start.settings["epochs"]
    make_batch = functools.partial(start.task.batch, examples)
    dataset = make_dataset(
        order,
        lambda *chosen: distribution.split(
            make_batch, *chosen, workers.replicas, workers.own_replicas
        ),
    )

    def describe(step: int) -> str:
        return _describe(start, examples, order.batches()[step])

    step_log = StepLog(
        start.run,
        start.settings if workers.is_chief else StepLog.OFF,
        order.steps,
        first * order.steps + position.step,
    )

    def keep(position: Position) -> None:
        if epoch_end.is_due:
            step_log.flush()
            epoch_end.keep(position)

    try:
        with contextlib.closing(step_log):
            distribution.fit(
                model,
                distribution.make_step(
                    model,
                    workers.strategy,
                    start.task.loss_terms,
                    start.settings["accumulate"],
                    workers.own_replicas.start,
                ),
                dataset,
                steps=order.steps,
                first_epoch=first,
                epochs=epochs,
                describe=describe,
                callbacks=[
                    order,
                    Progress(order.steps, epochs, position.step),
                    epoch_end.evaluation,
                    *callbacks,
                    step_log,
                    epoch_end,
                ],
                record=step_log.record,
                position=position,
                keep=keep,
                workers=workers,
            )
    except KeyboardInterrupt:
        done = len(epoch_end.history)
        log(
            f"Interrupted after {done} of {epochs} epochs; "
            f"--resume --run {start.run} continues from there."
        )
        if not done or workers.count > 1:  # the others can't go on
            raise
    except TrainingError as error:
        done = len(epoch_end.history)
        fine = f" {start.run} holds the best of the {done} epochs before." if done else ""
        raise initialization.failed(
            start,
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


def _calibrated(
    start: Start, examples: families.Examples, validation: families.Examples
) -> families.Pipeline:
    """Load the run, with what the task fits on the validation data for its best epoch.

    That may be weights too.
    """
    pipeline = load(start.run)
    if _refits(start, pipeline):  # a kill may have left what was fitted on both
        start.task.refit(pipeline.model, [examples])
    fitted = start.task.calibrate(pipeline.model, validation)
    if not fitted:
        return pipeline
    with replace_files(start.run) as staging:
        write_json(staging / directory.CALIBRATION, fitted)
        (staging / directory.WEIGHTS).write_bytes(weights_file(pipeline.model))
    return load(start.run)


def _refits(start: Start, pipeline: families.Pipeline) -> bool:
    """Return whether what is fitted on the training data is fitted on the validation data too.

    It is not where other data are given for that, or the report at the end is of a test set, or it
    is that of another run.
    """
    given = start.corpora.description["validation_source"] is not None
    return not (given or start.corpora.test is not None or "init_from" in pipeline.config)


def _finish(
    start: Start,
    epoch_end: EpochEnd,
    examples: families.Examples,
    described: Sequence[str],
    skipped: Sequence[tuple[str, str]],
) -> families.Pipeline:
    """Evaluate the best epoch, and write the files of a finished run; the first worker does."""
    run, corpora = start.run, start.corpora
    log(epoch_end.outcome)
    if not start.workers.is_chief:
        start.workers.exchange(None)
        return load(run)
    validation = epoch_end.evaluation.validation
    pipeline = _calibrated(start, examples, validation)
    scores = {"best_epoch": epoch_end.best["epoch"], "epochs": len(epoch_end.history)}
    predictions, parts = [], {}
    for name, corpus in (("validation", corpora.validation), ("test", corpora.test)):
        if corpus is not None:
            parts[name] = scores[name] = pipeline.evaluate(corpus.columns)
            rows = scores[name].pop("predictions")
            predictions = [
                {**row, "place": corpus.places[row["row"]]} for row in rows if not row["skipped"]
            ]
            metrics = (f"{key} {scores[name][key]:.4f}" for key in start.task.summary_metrics)
            decoder = f"{scores[name]['decoder']}; " if "decoder" in scores[name] else ""
            log(f"{name}: {', '.join(metrics)} ({decoder}{len(corpus):,} examples)")
    fitted = start.task.fitted_metrics
    drawn, corpus = (
        ("validation", corpora.validation) if corpora.test is None else ("test", corpora.test)
    )
    shown = {
        name: value  # of what was fitted on the data that are drawn, plots have no number
        for name, value in scores[drawn].items()
        if drawn == "test" or name not in fitted or not isinstance(value, float)
    }
    for name in fitted:
        scores["validation"].pop(name, None)
    with replace_files(run) as staging:
        title = plots.title(run, drawn, scores[drawn]["examples"])
        captions = pipeline.draw(corpus.columns, shown, title, staging)
        scores["plots"] = sorted(captions)
        write_json(staging / directory.METRICS, scores)
        report.write(
            staging / directory.REPORT,
            pipeline,
            parts,
            pipeline.worst(predictions, report.WORST),
            {
                run / directory.CURVES: report.CURVES_CAPTION,
                **{staging / name: caption for name, caption in captions.items()},
            },
            report.Training(epoch_end.outcome, described, by_kind(skipped)),
        )
    log_samples(start.task, predictions, SAMPLES, [start.settings["seed"], len(epoch_end.history)])
    if epoch_end.finished:
        # The scores above are those of a network that has not seen the validation data.
        if _refits(start, pipeline) and start.task.refit(pipeline.model, [examples, validation]):
            with replace_files(run) as staging:
                (staging / directory.WEIGHTS).write_bytes(weights_file(pipeline.model))
        directory.finish(run)
    start.workers.exchange(None)
    return pipeline
