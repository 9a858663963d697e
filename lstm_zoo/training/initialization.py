"""What a training begins with: nothing, or a run that goes on."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from lstm_zoo import families
from lstm_zoo.errors import CallError
from lstm_zoo.files import write_json, write_table
from lstm_zoo.runs import directory
from lstm_zoo.runs.environment import write_environment
from lstm_zoo.settings import Setting, refuse_ineffective, resolve
from lstm_zoo.training import checkpoints, corpora

CACHE = "cache"  # the folder beside the runs for prepared examples


class Start(NamedTuple):
    """What a training begins with.

    family: the family's name.
    run: the run's directory.
    settings: a value for every setting.
    corpora: the data.
    task: what is learned before the network.
    cache: the folder of prepared examples.
    config: `config.json` of a run that goes on; None of a fresh one, which has no directory yet.
    """

    family: str
    run: Path
    settings: dict[str, Any]
    corpora: corpora.Corpora
    task: families.Task
    cache: Path
    config: dict[str, Any] | None


def fresh(
    family: str,
    run: str | os.PathLike | None,
    data: Any,
    validation: Any,
    validation_split: float | None,
    strict: bool,
    settings: Mapping[str, Any],
) -> Start:
    """Begin a new run: check the settings, read the data, and learn what precedes the network.

    Args:
        family: the family's name.
        run: the directory to leave; None for `runs/FAMILY-<time>`.
        data: as `lstm_zoo.train` takes it; so are the others.
        validation: what chooses the best epoch.
        validation_split: the share cut off for it.
        strict: whether a row that can't be used is an error.
        settings: those that were given.

    Returns:
        The start; nothing is written yet.

    Raises:
        CallError: if the call can't be carried out as it is.
        DataError: if the data can't be used.
    """
    table = families.settings(family)
    values = resolve(table, settings)
    refuse_ineffective(table, values, families.module(family).VARIANTS)
    if validation is not None and validation_split is not None:
        raise CallError(
            f"validation_split={validation_split} has no effect with validation: give only one."
        )
    path = Path(run) if run is not None else directory.default_path(family)
    directory.check_free(path)
    task = families.task(family)
    cache = _cache(task, values, path)
    if path.resolve() in (cache.resolve(), *cache.resolve().parents):
        raise CallError(
            f"{path}: prepared examples are kept in {cache.resolve()}; name another run."
        )
    read = corpora.read(task, data, validation, validation_split, strict, values)
    learned = task.learn(read.training, values, values["seed"])
    return Start(family, path, values, read, learned, cache, config=None)


def resumed(
    family: str,
    run: str | os.PathLike | None,
    data: Any,
    validation: Any,
    validation_split: float | None,
    strict: bool,
    settings: Mapping[str, Any],
) -> Start | None:
    """Go on with a run: its settings and data hold, only `epochs` may be another number.

    Args:
        family: as `fresh` takes it; so are the others.
        run: the run to go on with.
        data: None to read what the run was trained on from where it was.
        validation: likewise.
        validation_split: None, or the share that the run has.
        strict: False, or what the run has.
        settings: `epochs`; another one only with the value that the run has.

    Returns:
        The start; None if the run is finished, and nothing is left to do.

    Raises:
        CallError: if there is no such run, or it can't go on in this way.
        DataError: if the data has changed.
    """
    if run is None:
        raise CallError("resume needs the run to go on with.")
    path = Path(run)
    config = directory.read_config(path)
    if config["family"] != family:
        raise CallError(f"{run}: a run of {config['family']}, not of {family}.")
    values = _settings_to_resume(config["settings"], families.settings(family), settings)
    if directory.is_finished(path):
        if values["epochs"] != config["settings"]["epochs"]:
            raise CallError(f"{path} is finished; for other epochs, train a new run.")
        return None
    config = {**config, "settings": values}
    task = families.task(family)
    read = corpora.read_again(task, config, data, validation, validation_split, strict)
    learned, cache = task.load(path, config), _cache(task, values, path)
    return Start(family, path, values, read, learned, cache, config)


def open_run(
    start: Start,
    model: keras.Model,
    network: Mapping[str, Any],
    skipped: list[tuple[str, str]],
    threads: int | None,
) -> list[dict[str, Any]]:
    """Write what a run holds before its first epoch, or restore the checkpoint of one that goes on.

    Args:
        start: what the training begins with.
        model: the compiled network; a checkpoint is read into it.
        network: the arguments that rebuild it.
        skipped: the rows left out.
        threads: the processor threads asked for.

    Returns:
        The history so far, a row an epoch.
    """
    if start.config is not None:
        write_json(start.run / directory.CONFIG, start.config)
        return checkpoints.restore(start.run, model)
    config = {
        "format": directory.FORMAT,
        "family": start.family,
        "settings": start.settings,
        "network": network,
        "learned": start.task.learned,
        "data": start.corpora.description,
    }
    with directory.created(start.run) as staging:
        start.task.save(staging)
        write_table(staging / "skipped.tsv", ("place", "reason"), skipped)
        write_environment(staging, threads, seconds=0)
        write_json(staging / directory.CONFIG, config)
    return []


def _cache(task: type[families.Task], settings: Mapping[str, Any], run: Path) -> Path:
    return Path(task.cache_directory(settings) or run.parent / CACHE)


def _settings_to_resume(
    old: Mapping[str, Any], table: Mapping[str, Setting], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the settings of a run, `epochs` replaced where it is given.

    Raises:
        CallError: if another setting is given with another value.
    """
    resolved = resolve(table, given)
    for name in given:
        # Read from JSON, a tuple is a list.
        same = list(np.ravel(old[name])) == list(np.ravel(resolved[name]))
        if name != "epochs" and not same:
            raise CallError(
                f"{name} is {old[name]} in this run; a resumed run keeps its settings "
                f"(only epochs may change). Received: {given[name]!r}"
            )
    return {**old, "epochs": resolved["epochs"] if "epochs" in given else old["epochs"]}
