"""Training: read, split, learn the vocabulary, fit, keep the best epoch, leave a run."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from lstm_zoo import batching, checkpoints, families, runs
from lstm_zoo.callbacks import EpochEnd, Order, Progress, dataset_in
from lstm_zoo.console import say
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.parts import Parts, read, read_again
from lstm_zoo.settings import TRAINING, Setting, resolve

CACHE = "cache"  # the directory beside the runs for what a family prepares
SAMPLES = 5  # predictions shown at the end


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
) -> Any:
    """Train a family's network and leave a run directory.

    The process keeps the memory that a training frees; see `lstm_zoo.memory.keep_freed`.

    Args:
        family: a name in `lstm_zoo.families.FAMILIES`: such as "sentiment".
        data: a path, or columns such as (texts, labels) or (clips, texts); None for the family's
            demo corpus.
        run: the directory to leave; None for `runs/FAMILY-<time>`.
        validation: data that chooses the best epoch; None to cut it off `data`.
        validation_split: the share cut off, by seed, class and content; None for 0.1.
        resume: whether to go on with `run` after its last finished epoch. Its settings and data
            hold; only `epochs` may be given anew. A run that is finished is left as it is.
        strict: whether a row that can't be used is an error, not skipped.
        threads: the processor threads that TensorFlow may use; only before its first op.
        callbacks: Keras callbacks; an epoch's `logs` hold `loss` and the `val_` metrics.
        **settings: of the family (such as `lstm_zoo.sentiment.SETTINGS`) and of training
            (`lstm_zoo.settings.TRAINING`).

    Returns:
        The pipeline of the best epoch, as `lstm_zoo.load(run)` gives it.

    Raises:
        CallError: if the call can't be carried out as it is; nothing is written.
        DataError: if the data can't be used; nothing is written.
        TrainingError: if the loss stops being a number.
        KeyboardInterrupt: if interrupted before the first epoch has ended. After it, an interrupt
            ends the training like early stopping, and `resume` goes on.

    Example:

    >>> texts, labels = ["good", "fine", "bad", "poor"] * 9, ["pos", "pos", "neg", "neg"] * 9
    >>> lstm_zoo.train("sentiment", (texts, labels), run="runs/doc", epochs=1)  # doctest: +SKIP
    """
    task_module = families.module(family, "task")
    table = {**TRAINING, **families.module(family).SETTINGS}
    _use_threads(threads)
    if resume:
        path, config = _resumed(run, family)
        settings = _settings_to_resume(config["settings"], table, settings)
        if runs.is_finished(path):
            return _finished(path, config, settings)
        parts = read_again(task_module, config, data, validation, validation_split, strict)
        task = task_module.Task.load(path, {**config, "settings": settings})
    else:
        settings = resolve(table, settings)
        path = Path(run) if run is not None else runs.default_path(family)
        runs.check_free(path)
        _check_apart(path, settings)
        parts = read(task_module, data, validation, validation_split, strict, settings)
        task = task_module.Task.learn(parts.training, settings, settings["seed"])
    cache = path.parent / CACHE
    examples = task.encode(parts.training, training=True, cache=cache)
    validation_examples = task.encode(parts.validation, training=False, cache=cache)
    skipped = [*parts.skipped, *examples.skipped, *validation_examples.skipped]
    if strict and skipped:
        place, reason = skipped[0]
        raise DataError(f"{place}: {reason} (without strict it is skipped).")

    keras.utils.set_random_seed(settings["seed"])
    model, network = task.build(examples, settings["seed"])
    order = Order(examples.lengths, settings)
    model.compile(_optimizer(settings, order.steps), task.loss(), jit_compile=False)

    if resume:
        runs.write_json(path / runs.CONFIG, {**config, "settings": settings})
        history = checkpoints.restore(path, model)
    else:
        config = {
            "format": runs.FORMAT,
            "family": family,
            "settings": settings,
            "network": network,
            "learned": task.learned,
            "data": parts.description,
        }
        with runs.created(path) as beside:
            task.save(beside)
            runs.write_table(beside / "skipped.tsv", ("place", "reason"), skipped)
            runs.write_environment(beside, threads, seconds=0)
            runs.write_json(beside / runs.CONFIG, config)
        history = []
    say(
        f"{path}: {len(examples):,} examples to train on, {len(validation_examples):,} to "
        f"choose by, {len(skipped):,} skipped; {model.count_params():,} weights"
    )
    if parts.shared:
        say(f"Warning: {parts.shared} validation examples are in the training part too.")

    epoch_end = EpochEnd(path, task, validation_examples, settings, history, threads)
    if not epoch_end.finished:
        _fit(model, task, examples, order, settings, epoch_end, callbacks)
    return _finish(path, task, parts, epoch_end)


def _check_apart(path: Path, settings: Mapping[str, Any]) -> None:
    """Make sure that what a family prepares does not come to stand where the run shall."""
    cache = Path(settings.get("cache") or path.parent / CACHE).resolve()
    if path.resolve() in (cache, *cache.parents):
        raise CallError(f"{path}: prepared examples are kept in {cache}; name another run.")


def _resumed(run: str | os.PathLike | None, family: str) -> tuple[Path, dict[str, Any]]:
    if run is None:
        raise CallError("resume needs the run to go on with.")
    config = runs.read_config(run)
    if config["family"] != family:
        raise CallError(f"{run}: a run of {config['family']}, not of {family}.")
    return Path(run), config


def _finished(path: Path, config: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
    if settings["epochs"] != config["settings"]["epochs"]:
        raise CallError(f"{path} is finished; for other epochs, train a new run.")
    say(f"{path} is finished already.")
    return runs.load(path)


def _settings_to_resume(
    old: Mapping[str, Any], table: Mapping[str, Setting], given: Mapping[str, Any]
) -> dict[str, Any]:
    resolved = resolve(table, given)
    # A setting that came after the run was made has its default.
    old = {**{name: setting.default for name, setting in table.items()}, **old}
    for name in given:
        # Read from JSON, a tuple is a list.
        same = list(np.ravel(old[name])) == list(np.ravel(resolved[name]))
        if name != "epochs" and not same:
            raise CallError(
                f"{name} is {old[name]} in this run; a resumed run keeps its settings "
                f"(only epochs may change). Received: {given[name]!r}"
            )
    return {**old, "epochs": resolved["epochs"] if "epochs" in given else old["epochs"]}


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


def _optimizer(settings: Mapping[str, Any], steps: int) -> keras.optimizers.Optimizer:
    """AdamW (Loshchilov and Hutter 2019): the rate climbs, then falls along a cosine to 0."""
    total = settings["epochs"] * steps
    warmup = max(1, round(settings["warmup"] * total))
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(
            0.0,
            decay_steps=max(1, total - warmup),
            warmup_target=settings["learning_rate"],
            warmup_steps=warmup,
        ),
        weight_decay=settings["weight_decay"],
        epsilon=settings["epsilon"],
        global_clipnorm=settings["clip_norm"],
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def _fit(
    model: keras.Model,
    task: Any,
    examples: Any,
    order: Order,
    settings: Mapping[str, Any],
    epoch_end: EpochEnd,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    first = order.epoch = len(epoch_end.history)
    dataset = dataset_in(order, lambda *chosen: task.batch(examples, *chosen))
    try:
        model.fit(
            dataset,
            initial_epoch=first,
            epochs=settings["epochs"],
            shuffle=False,  # the order is ours
            verbose=0,
            callbacks=[order, Progress(order.steps, settings["epochs"]), epoch_end, *callbacks],
        )
    except KeyboardInterrupt:
        done = len(epoch_end.history)
        say(
            f"Interrupted after {done} of {settings['epochs']} epochs; "
            f"--resume --run {epoch_end.run} goes on from there."
        )
        if not done:
            raise


def _finish(path: Path, task: Any, parts: Parts, epoch_end: EpochEnd) -> Any:
    """Judge the best epoch through the pipeline, and write what a finished run holds."""
    pipeline = runs.load(path)
    scores = {"best_epoch": epoch_end.best["epoch"], "epochs": len(epoch_end.history)}
    predictions = []
    for name, part in (("validation", parts.validation), ("report", parts.report)):
        if part is not None:
            scores[name] = pipeline.evaluate(part.columns)
            predictions = scores[name].pop("predictions")
            values = ", ".join(f"{key} {scores[name][key]:.4f}" for key in task.headline)
            say(f"{name}: {values} ({len(part):,} examples)")
    runs.write_json(path / runs.METRICS, scores)
    pipeline.draw(parts.validation.columns, scores["validation"])
    # From all over the part: a folder of classes has them one after the other.
    say(*task.samples(predictions[:: batching.count(len(predictions), SAMPLES)]), sep="\n")
    if epoch_end.finished:
        shutil.rmtree(path / runs.CHECKPOINT, ignore_errors=True)
    return pipeline
