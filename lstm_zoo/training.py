"""Training: read, split, learn the vocabulary, fit, keep the best epoch, leave a run."""

import contextlib
import math
import os
import platform
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from lstm_zoo import batching, checkpoints, families, plots, runs
from lstm_zoo.errors import CallError, DataError, TrainingError
from lstm_zoo.files import written_whole
from lstm_zoo.settings import TRAINING, resolve

DEMO = "demo"  # stands for a path where the demo corpus was used
IN_MEMORY = "in memory"  # stands for a path where a pair was given
SILENCE = 60  # seconds between two lines where there is no bar
SAMPLES = 5  # predictions shown at the end


def train(
    family: str,
    data: Any = None,
    *,
    run: str | os.PathLike | None = None,
    validation: Any = None,
    validation_split: float = 0.1,
    resume: bool = False,
    strict: bool = False,
    threads: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    **settings: Any,
) -> Any:
    """Train a family's network and leave a run directory.

    Args:
        family: "sentiment".
        data: a path, or a pair such as (texts, labels); None for the family's demo corpus.
        run: the directory to leave; None for `runs/FAMILY-<time>`.
        validation: data that chooses the best epoch; None to cut it off `data`.
        validation_split: the share cut off, by seed, class and content.
        resume: whether to go on with `run` after its last finished epoch. Its settings and data
            hold; only `epochs` may be given anew.
        strict: whether a row that can't be used is an error, not skipped.
        threads: the processor threads that TensorFlow may use; only before its first op.
        callbacks: Keras callbacks; an epoch's `logs` hold `loss` and the `val_` metrics.
        **settings: of the family (`lstm_zoo.sentiment.SETTINGS`) and of training
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
    room = families.module(family, "task")
    table = {**TRAINING, **families.module(family).SETTINGS}
    _use_threads(threads)
    if resume:
        path, config = _resumed(run, family)
        settings = _settings_to_resume(config["settings"], resolve(table, settings), settings)
        parts = _read_again(room, config, data, validation)
        task = room.Task.load(path, config)
    else:
        settings = resolve(table, settings)
        path = Path(run) if run is not None else runs.default_path(family)
        runs.check_free(path)
        parts = _read(room, data, validation, validation_split, strict, settings["seed"])
        task = room.Task.learn(parts.training, settings, settings["seed"])
    examples = task.encode(parts.training)
    validation_examples = task.encode(parts.validation)

    keras.utils.set_random_seed(settings["seed"])
    model, network = task.build(examples, settings["seed"])
    steps = len(batching.shuffled_batches(examples.lengths, settings["batch_size"], 0, 0))
    model.compile(_optimizer(settings, steps), task.loss(), jit_compile=False)

    if not resume:
        config = {
            "format": runs.FORMAT,
            "family": family,
            "settings": settings,
            "network": network,
            "learned": task.learned,
            "data": parts.description,
        }
        runs.create(path)
        task.save(path)
        runs.write_table(path / "skipped.tsv", ("place", "reason"), parts.skipped)
        # Last: a directory with a configuration is a run that can be resumed.
        runs.write_json(path / runs.CONFIG, config)
        history = []
    else:
        runs.write_json(path / runs.CONFIG, config | {"settings": settings})
        history = checkpoints.restore(path, model)
    _say(
        f"{path}: {len(parts.training):,} examples to train on, {len(parts.validation):,} to "
        f"choose by, {len(parts.skipped):,} skipped; {model.count_params():,} weights"
    )
    if parts.shared:
        _say(f"Warning: {parts.shared} validation examples are in the training part too.")

    epoch_end = _EpochEnd(path, task, validation_examples, settings, history)
    started = time.monotonic()
    if not epoch_end.finished:
        _fit(model, task, examples, settings, epoch_end, callbacks)
    runs.write_json(path / "environment.json", _environment(threads, time.monotonic() - started))
    return _finish(path, task, parts, epoch_end)


class _Parts(NamedTuple):
    """The corpora of a training; `report` is only there where the demo corpus has one."""

    training: Any
    validation: Any
    report: Any
    skipped: list[tuple[str, str]]
    shared: int  # validation examples whose content is in the training part
    description: dict[str, Any]


def _read(
    room: Any, data: Any, validation: Any, validation_split: float, strict: bool, seed: int
) -> _Parts:
    if data is None:
        training, report = room.read_demo(seed)
        source = DEMO
    else:
        training, report = room.read(data, strict=strict), None
        source = _source(data)
    skipped = list(training.skipped)
    shared = 0
    if validation is None:
        try:
            training, chosen_by = room.split(training, validation_split, seed)
        except ValueError as error:
            raise DataError(f"Can't cut off a validation part: {error}") from error
    else:
        chosen_by = room.read(validation, strict=strict)
        skipped += chosen_by.skipped
        shared = room.overlap(training, chosen_by)
    description = {
        "source": source,
        "validation_source": _source(validation),
        "validation_split": validation_split,
        "strict": strict,
        "seed": seed,
        "training": _describe(training),
        "validation": _describe(chosen_by),
    }
    return _Parts(training, chosen_by, report, skipped, shared, description)


def _read_again(room: Any, config: Mapping[str, Any], data: Any, validation: Any) -> _Parts:
    """Read the data of a run that is resumed, and make sure that it is the same."""
    old = config["data"]
    if data is None and old["source"] != DEMO:
        data = old["source"]
    if validation is None and old["validation_source"] is not None:
        validation = old["validation_source"]
    if any(isinstance(given, str) and given == IN_MEMORY for given in (data, validation)):
        raise CallError("This run was trained on data in memory; give the same to resume it.")
    parts = _read(room, data, validation, old["validation_split"], old["strict"], old["seed"])
    for part in ("training", "validation"):
        if parts.description[part] != old[part]:
            raise DataError(f"The {part} data is not what this run began with; can't resume it.")
    return parts


def _source(data: Any) -> str | None:
    if data is None:
        return None
    return os.path.abspath(data) if isinstance(data, (str, os.PathLike)) else IN_MEMORY


def _describe(corpus: Any) -> dict[str, Any]:
    return {"examples": len(corpus), "sha256": runs.fingerprint(*corpus.columns)}


def _resumed(run: str | os.PathLike | None, family: str) -> tuple[Path, dict[str, Any]]:
    if run is None:
        raise CallError("resume needs the run to go on with.")
    config = runs.read_config(run)
    if config["family"] != family:
        raise CallError(f"{run}: a run of {config['family']}, not of {family}.")
    return Path(run), config


def _settings_to_resume(
    old: Mapping[str, Any], resolved: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
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
        global_clipnorm=settings["clip_norm"],
        use_ema=settings["averaging"] > 0,
        ema_momentum=settings["averaging"],
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def _fit(
    model: keras.Model,
    task: Any,
    examples: Any,
    settings: Mapping[str, Any],
    epoch_end: "_EpochEnd",
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    first = len(epoch_end.history)
    order = _Order(examples.lengths, settings["batch_size"], settings["seed"], first)
    dataset = _dataset(order, lambda indices: task.batch(examples, indices))
    try:
        model.fit(
            dataset,
            initial_epoch=first,
            epochs=settings["epochs"],
            shuffle=False,  # the order is ours
            verbose=0,
            callbacks=[order, _Progress(len(order.batches()), settings["epochs"]), epoch_end]
            + list(callbacks),
        )
    except KeyboardInterrupt:
        done = len(epoch_end.history)
        _say(
            f"Interrupted after {done} of {settings['epochs']} epochs; "
            f"--resume --run {epoch_end.run} goes on from there."
        )
        if not done:
            raise


def _finish(path: Path, task: Any, parts: _Parts, epoch_end: "_EpochEnd") -> Any:
    """Judge the best epoch through the pipeline, and write what a finished run holds."""
    pipeline = runs.load(path)
    scores = {"best_epoch": epoch_end.best["epoch"], "epochs": len(epoch_end.history)}
    shown = None
    for name, part in (("validation", parts.validation), ("report", parts.report)):
        if part is not None:
            scores[name] = pipeline.evaluate(part.columns)
            shown = scores[name].pop("predictions")
            values = ", ".join(f"{key} {scores[name][key]:.4f}" for key in task.headline)
            _say(f"{name}: {values} ({len(part):,} examples)")
    runs.write_json(path / "metrics.json", scores)
    task.draw(scores["validation"], path)
    _say(*task.samples(shown[:SAMPLES]), sep="\n")
    if epoch_end.finished:
        shutil.rmtree(path / checkpoints.NAME, ignore_errors=True)
    return pipeline


class _Order(keras.callbacks.Callback):
    """The order of the examples: each epoch's own, the same in every run of a seed."""

    def __init__(self, lengths: np.ndarray, batch_size: int, seed: int, epoch: int):
        super().__init__()
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def batches(self) -> list[np.ndarray]:
        return batching.shuffled_batches(self.lengths, self.batch_size, self.seed, self.epoch)


def _dataset(order: _Order, make_batch: Callable[[np.ndarray], tuple]) -> tf.data.Dataset:
    """A dataset whose every pass follows `order` as it stands when the pass begins."""

    def generate() -> Iterator[tuple]:
        for indices in order.batches():
            yield make_batch(indices)

    batches = order.batches()
    signature = tuple(
        tf.TensorSpec([None] * array.ndim, array.dtype) for array in make_batch(batches[0])
    )
    dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
    return dataset.apply(tf.data.experimental.assert_cardinality(len(batches))).prefetch(4)


class _Progress(keras.callbacks.Callback):
    """A bar for each epoch on a terminal's standard error; elsewhere, a line now and then."""

    def __init__(self, steps: int, epochs: int):
        super().__init__()
        self.steps, self.epochs = steps, epochs
        self.title = ""
        self.bar = None
        self.spoke = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.spoke = time.monotonic()
        self.title = f"epoch {epoch + 1}/{self.epochs}"
        self.bar = tqdm(
            total=self.steps,
            desc=self.title,
            unit="step",
            leave=False,
            disable=None,  # where standard error is not a terminal
        )

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = logs["loss"]
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss is {loss} in {self.title}: try a lower learning_rate, or look for "
                "broken data."
            )
        self.bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
        self.bar.update()
        if self.bar.disable and time.monotonic() - self.spoke > SILENCE:
            self.spoke = time.monotonic()
            _say(f"{self.title}  step {batch + 1}/{self.steps}  loss {loss:.4f}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.bar.close()


class _EpochEnd(keras.callbacks.Callback):
    """What is done after each epoch: judge, keep the best, record, and tell whether to stop."""

    def __init__(
        self,
        run: Path,
        task: Any,
        validation: Any,
        settings: Mapping[str, Any],
        history: list[dict[str, Any]],
    ):
        super().__init__()
        self.run, self.task, self.validation = run, task, validation
        self.settings, self.history = settings, history
        self.started = 0.0

    @property
    def best(self) -> dict[str, Any]:
        """The best epoch's row by the monitored metric; of equals, the last."""
        return max(self.history, key=self._rank)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or patience ran out."""
        if not self.history:
            return False
        last = self.history[-1]["epoch"]
        scores = [row[f"val_{self.task.monitor}"] for row in self.history]
        waited = last - self.history[scores.index(max(scores))]["epoch"]
        return last >= self.settings["epochs"] or waited >= self.settings["patience"]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        with _averaged(self.model):
            scores = self.task.evaluate(self.model, self.validation)
            numbers = {f"val_{k}": v for k, v in scores.items() if isinstance(v, float)}
            self.history.append({"epoch": epoch + 1, "loss": float(logs["loss"]), **numbers})
            if self.best is self.history[-1]:
                with written_whole(self.run / runs.WEIGHTS) as beside:
                    # As a model that is not compiled: without the optimizer's state.
                    bare = keras.Model(self.model.inputs, self.model.outputs, name=self.model.name)
                    bare.save_weights(beside)
        logs.update(numbers)
        self._record()
        self.model.stop_training = self.finished
        values = "  ".join(f"{k} {v:.4f}" for k, v in self.history[-1].items() if k != "epoch")
        mark = "  best" if self.best is self.history[-1] else ""
        seconds = time.monotonic() - self.started
        _say(f"epoch {epoch + 1}/{self.settings['epochs']}  {values}  {seconds:.0f} s{mark}")

    def _rank(self, row: Mapping[str, Any]) -> tuple[float, int]:
        # The later of two equals: the falling rate has settled it. The loss is no judge, since it
        # rises with the confidence of a network that still gets better.
        return row[f"val_{self.task.monitor}"], row["epoch"]

    def _record(self) -> None:
        runs.write_history(self.run, self.history)
        plots.draw_curves(self.history, self.best, self.task.monitor, self.run / "curves.png")
        checkpoints.save(self.run, self.model, self.history)  # last: it says that all this is done


@contextlib.contextmanager
def _averaged(model: keras.Model) -> Iterator[None]:
    """Put the weights' moving average in their place while the block runs, where there is one."""
    if not model.optimizer.use_ema:
        yield
        return
    own = [variable.numpy() for variable in model.trainable_variables]
    averages = model.optimizer._model_variables_moving_average
    try:
        for variable, average in zip(model.trainable_variables, averages, strict=True):
            variable.assign(average)
        yield
    finally:
        for variable, value in zip(model.trainable_variables, own, strict=True):
            variable.assign(value)


def _environment(threads: int | None, seconds: float) -> dict[str, Any]:
    return {
        "versions": runs.versions(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "threads": threads,
        "training_seconds": round(seconds, 1),  # of this process, validation included
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
    }


def _say(*lines: str, sep: str = " ") -> None:
    tqdm.write(sep.join(lines), file=sys.stderr)
