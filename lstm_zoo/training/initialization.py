"""The start of a training: a new run, one that starts from another, or one that is resumed."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from lstm_zoo import __version__, families
from lstm_zoo.errors import CallError, DataError, TrainingError
from lstm_zoo.files import (
    read_json,
    reading,
    remove_abandoned,
    replace_files,
    write_json,
    write_table,
)
from lstm_zoo.printing import log
from lstm_zoo.runs import directory, lock
from lstm_zoo.runs.environment import write_environment
from lstm_zoo.runs.loading import verify
from lstm_zoo.settings import sized
from lstm_zoo.training import checkpoints, checks, corpora, transfer
from lstm_zoo.training.workers import ALONE, Workers

CACHE = "cache"  # the folder next to the runs that caches preprocessed examples


class Start(NamedTuple):
    """Everything that is determined before the network is built.

    Attributes:
        family: the family's name.
        run: the run's directory.
        settings: a value for every setting.
        corpora: the data.
        task: the family's task, with its vocabulary.
        cache: the folder that caches preprocessed examples.
        config: the `config.json` of a resumed run; None for a new one, which has no directory yet.
        source: the run that a new one starts from; None without one.
        workers: the workers that train it.
        overwrite: whether a run at `run` is replaced.
    """

    family: str
    run: Path
    settings: dict[str, Any]
    corpora: corpora.Corpora
    task: families.Task
    cache: Path
    config: dict[str, Any] | None
    source: transfer.Source | None = None
    workers: Workers = ALONE
    overwrite: bool = False


def fresh(
    family: str,
    run: str | os.PathLike | None,
    data: Any,
    validation: Any,
    validation_split: float | None,
    strict: bool,
    settings: Mapping[str, Any],
    init_from: str | os.PathLike | None = None,
    keep_vocabulary: bool = False,
    workers: Workers = ALONE,
    overwrite: bool = False,
) -> Start:
    """Start a new run: check the settings, read the data and learn the vocabulary.

    Args:
        family: the family's name.
        run: the directory to create; None for `runs/FAMILY-<time>`.
        data: the training data, as `lstm_zoo.train` takes it.
        validation: the validation data, or None.
        validation_split: the fraction to split off, or None.
        strict: whether a row that can't be used is an error, rather than skipped.
        settings: the settings that were given.
        init_from: the run whose weights the new one starts from, or None.
        keep_vocabulary: whether to keep the tokenizer of `init_from`.
        workers: the workers that train it.
        overwrite: whether a run at `run` is replaced once there is something to write.

    Returns:
        The start. Nothing has been written.

    Raises:
        CallError: if an argument is bad, the run exists, or a setting has no effect.
        DataError: if the data can't be used.
    """
    values, path = checks.new_run(
        family, run, data, validation, validation_split, settings, init_from, keep_vocabulary,
        overwrite,
    )  # fmt: skip
    source = transfer.read(family, init_from, keep_vocabulary)
    task = families.task(family)
    cache = _cache(task, values, path)
    if path.resolve() in (cache.resolve(), *cache.resolve().parents):
        raise CallError(
            f"{path}: preprocessed examples are cached in {cache.resolve()}; name another run."
        )
    read = corpora.read(task, data, validation, validation_split, strict, values, cache)
    values = sized(families.settings(family), values, len(read.training))
    tokenizer = None if source is None else source.tokenizer
    learned = task.learn(read.training, values, values["seed"], tokenizer)
    if source is not None:
        transfer.check_inputs(learned, source)
    return Start(family, path, values, read, learned, cache, None, source, workers, overwrite)


def resumed(
    family: str,
    run: str | os.PathLike | None,
    data: Any,
    validation: Any,
    validation_split: float | None,
    strict: bool,
    settings: Mapping[str, Any],
    init_from: str | os.PathLike | None = None,
    keep_vocabulary: bool = False,
    workers: Workers = ALONE,
) -> Start | None:
    """Resume a run with its settings and data; only `epochs` may change.

    Args:
        family: the family's name.
        run: the run's directory.
        data: the training data; None to read it from the run's source.
        validation: the validation data; None likewise.
        validation_split: None, or the run's fraction.
        strict: False, or the run's value.
        settings: `epochs`, or other settings with the run's values.
        init_from: None: the run has its weights already.
        keep_vocabulary: False, likewise.
        workers: the workers that train it.

    Returns:
        The start; None if the run is finished.

    Raises:
        CallError: if there is no such run, or an argument is not the run's.
        DataError: if the data has changed, or a file of the run is damaged.
    """
    config, path = checks.resumed_run(family, run, settings, init_from, keep_vocabulary)
    values = config["settings"]
    if directory.is_finished(path):
        corpora.check_kept(config, validation_split, strict)
        corpora.check_unread(path, config, data, validation)
        if workers.is_chief:
            remove_abandoned(path)
        return None
    verify(path)
    if workers.is_chief:
        lock.check(path)
    if failure := directory.failure(path):
        log(f"Warning: this run's training has failed. {failure}")
    task = families.task(family)
    cache = _cache(task, values, path)
    read = corpora.read_again(task, config, data, validation, validation_split, strict, cache)
    if values.get("cache"):
        log(f"The cache of preprocessed examples is {cache}, as {path} names it.")
    with reading(path / directory.CONFIG):
        learned = task.load(path, config)
    return Start(family, path, values, read, learned, cache, config, workers=workers)


def check_workers(start: Start, examples: families.Examples, validation: families.Examples) -> None:
    """Check that all workers have the same data, settings, vocabulary and versions.

    Args:
        start: the start of the training.
        examples: the training examples.
        validation: the validation examples.

    Raises:
        CallError: if they differ.
    """
    if start.workers.count == 1:
        return
    with tempfile.TemporaryDirectory() as folder:
        start.task.save(Path(folder))
        files = {
            f"file {path.relative_to(folder)}": hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(Path(folder).rglob("*"))
            if path.is_file()
        }
    data = start.corpora.description
    sources = ("source", "validation_source")  # may be elsewhere on another machine
    parts = {
        "settings": start.settings,
        "data": {name: value for name, value in data.items() if name not in sources},
        "learned": start.task.learned,
    }
    start.workers.check_equal(
        {
            "lstm_zoo": __version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "run": start.run.name,
            **{f"{part}.{k}": v for part, values in parts.items() for k, v in values.items()},
            **files,
            **{
                f"examples.{name}": [
                    len(encoded),
                    len(encoded.skipped),
                    hashlib.sha256(np.ascontiguousarray(encoded.lengths)).hexdigest(),
                ]
                for name, encoded in (("training", examples), ("validation", validation))
            },
        }
    )


def create_run(
    start: Start,
    model: keras.Model,
    network: Mapping[str, Any],
    skipped: list[tuple[str, str]],
    threads: int | None,
) -> None:
    """Create the directory of a new run, and take the weights of the run that it starts from.

    The first worker writes, and the others wait.

    Args:
        start: the start of the training.
        model: the compiled network, whose weights are replaced if there is such a run.
        network: the arguments that rebuild the network.
        skipped: (place, reason) of each row that can't be used.
        threads: the number of CPU threads that was set.
    """
    config = {
        "format": directory.FORMAT,
        "family": start.family,
        "settings": start.settings,
        "network": network,
        "learned": start.task.learned,
        "data": start.corpora.description,
    }
    if start.source is not None:
        config["init_from"] = transfer.take_weights(
            model, start.task, start.source, start.corpora.description
        )
    taken = config.get("init_from", {})
    start.workers.check_equal({f"init_from.{k}": v for k, v in taken.items() if k != "run"})
    if not start.workers.is_chief:
        start.workers.exchange(None)
        file = start.run / directory.CONFIG
        # Where disks are not shared, an older run could be there.
        if not file.is_file() or read_json(file)["settings"] != json.loads(
            json.dumps(start.settings)
        ):
            raise CallError(
                f"{start.run.resolve()}: the run that the first worker has created is not there; "
                "all workers need the same directory, on a file system that they share."
            )
        return
    with directory.created(start.run, start.overwrite) as staging:
        start.task.save(staging)
        write_table(staging / "skipped.tsv", ("place", "reason"), skipped)
        write_environment(staging, threads, seconds=0)
        write_json(staging / directory.CONFIG, config)
        if start.source is not None:  # a training resumed before its first epoch needs no source
            checkpoints.save(staging, model, history=[])
    start.workers.exchange(None)


def reopen_run(start: Start, model: keras.Model) -> checkpoints.State:
    """Load the state of a run, and prepare its directory to go on.

    All workers load it, then the first one writes.

    Args:
        start: the start of the resumed training.
        model: the compiled network, into which the state is loaded.

    Returns:
        The history so far, and where in the next epoch to go on.

    Raises:
        CallError: if the run has more epochs than it shall have.
        DataError: if its states are damaged.
    """
    run = start.run
    if "init_from" in start.config and not checkpoints.states(run):
        raise DataError(
            f"{run / directory.CHECKPOINT} has no state: this training can't be resumed, since its "
            f"first weights were those of {start.config['init_from']['run']}."
        )
    state = checkpoints.restore(run, model)
    history = state.history
    start.workers.check_equal({"the checkpoint": [len(history), *state.position]})
    if len(history) > start.settings["epochs"]:
        raise CallError(
            f"epochs is at least {len(history)}, the number that {run} has already. Received: "
            f"{start.settings['epochs']}"
        )
    if not start.workers.is_chief:
        return state
    for folder in (run, run / directory.CHECKPOINT):
        remove_abandoned(folder)
    # The results are those of the weights so far, which are about to change.
    outdated = [*directory.results(run), directory.FAILURE]
    with replace_files(run, remove=outdated) as staging:
        write_json(staging / directory.CONFIG, start.config)
    return state


def failed(start: Start, reason: str) -> TrainingError:
    """Write down why a run's training can't go on, and return it as an error.

    Args:
        start: the start of the training.
        reason: why, for people to read.
    """
    if start.workers.is_chief:
        (start.run / directory.FAILURE).write_text(reason + "\n", encoding="utf-8")
    return TrainingError(reason)


def _cache(task: type[families.Task], settings: Mapping[str, Any], run: Path) -> Path:
    return Path(task.cache_directory(settings) or run.parent / CACHE)
