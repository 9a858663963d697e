"""The parts of a training: what it learns from, what chooses the epoch, what is reported on."""

import os
from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple

from lstm_zoo import runs
from lstm_zoo.errors import CallError, DataError

DEMO = "demo"  # stands for a path where the demo corpus was used
IN_MEMORY = "in memory"  # stands for a path where a pair was given
VALIDATION_SPLIT = 0.1


class Parts(NamedTuple):
    """The corpora of a training; `report` is only there where the demo corpus has one."""

    training: Any
    validation: Any
    report: Any
    skipped: list[tuple[str, str]]
    shared: int  # validation examples whose content is in the training part
    description: dict[str, Any]


def read(
    task_module: ModuleType,
    data: Any,
    validation: Any,
    validation_split: float | None,
    strict: bool,
    settings: Mapping[str, Any],
) -> Parts:
    """Read the data of a new run and cut off what chooses its best epoch.

    Args:
        task_module: the family's `task`, with its readers.
        data: what to train on, as `lstm_zoo.train` takes it; None for the demo corpus.
        validation: what chooses the best epoch; None to cut it off `data`.
        validation_split: the share cut off; None for `VALIDATION_SPLIT`.
        strict: whether a row that can't be used is an error, not skipped.
        settings: the seed among them decides what is cut off.

    Returns:
        The parts, with the description that `config.json` keeps.

    Raises:
        CallError: if there is no such data, or the share to cut off is not between 0 and 1.
        DataError: if it is malformed, or too small to be cut.
    """
    if validation_split is None:
        validation_split = VALIDATION_SPLIT
    if not 0 < validation_split < 1:
        raise CallError(
            f"validation_split is a share between 0 and 1. Received: {validation_split}"
        )
    if data is None:
        training, report = task_module.read_demo(settings)
        source = DEMO
    else:
        training, report = task_module.read(data, settings, strict), None
        source = _source(data)
    skipped = list(training.skipped)
    shared = 0
    if validation is None:
        try:
            training, chosen_by = task_module.split(training, validation_split, settings["seed"])
        except ValueError as error:
            raise DataError(f"Can't cut off a validation part: {error}") from error
    else:
        chosen_by = task_module.read(validation, settings, strict)
        skipped += chosen_by.skipped
        shared = task_module.overlap(training, chosen_by)
    description = {
        "source": source,
        "validation_source": _source(validation),
        "validation_split": validation_split,
        "strict": strict,
        "seed": settings["seed"],
        "training": _describe(training),
        "validation": _describe(chosen_by),
    }
    return Parts(training, chosen_by, report, skipped, shared, description)


def read_again(
    task_module: ModuleType,
    config: Mapping[str, Any],
    data: Any,
    validation: Any,
    validation_split: float | None,
    strict: bool,
) -> Parts:
    """Read the data of a run that is resumed, and make sure that it is the same.

    Args:
        task_module: the family's `task`, with its readers.
        config: the run's `config.json`.
        data: None to read what the run was trained on from where it was.
        validation: likewise, of what chooses the best epoch.
        validation_split: None, or the share that the run has.
        strict: False, or what the run has.

    Returns:
        The parts, equal to those that the run began with.

    Raises:
        CallError: if the data was in memory and is not given, or is to be cut in another way.
        DataError: if the data has changed.
    """
    old = config["data"]
    if validation_split not in (None, old["validation_split"]) or strict > old["strict"]:
        raise CallError("A resumed run keeps its validation_split, and whether it is strict.")
    if data is None and old["source"] != DEMO:
        data = old["source"]
    if validation is None and old["validation_source"] is not None:
        validation = old["validation_source"]
    if any(isinstance(given, str) and given == IN_MEMORY for given in (data, validation)):
        raise CallError("This run was trained on data in memory; give the same to resume it.")
    parts = read(
        task_module,
        data,
        validation,
        old["validation_split"],
        old["strict"],
        config["settings"],
    )
    for part in ("training", "validation"):
        if parts.description[part] != old[part]:
            raise DataError(f"The {part} data is not what this run began with; can't resume it.")
    return parts


def _source(data: Any) -> str | None:
    if data is None:
        return None
    return os.path.abspath(data) if isinstance(data, (str, os.PathLike)) else IN_MEMORY


def _describe(corpus: Any) -> dict[str, Any]:
    return {"examples": len(corpus), "sha256": runs.fingerprint(*corpus.identity)}
