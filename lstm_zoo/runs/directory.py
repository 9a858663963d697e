"""The run directory, which training writes and `load` reads.

A run holds `config.json` (every setting, the network's arguments, the data's fingerprints),
`model.weights.h5` (of the best epoch), the tokenizer's file, `history.csv`, `curves.png`,
`metrics.json`, `report.html`, `environment.json`, `skipped.tsv`, during training `checkpoint/`, if
the family fits one `calibration.json`, and if asked for `steps.jsonl` and `tensorboard/`.
"""

import contextlib
import csv
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lstm_zoo import families
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.files import (
    CHECKPOINT,
    atomic_write,
    read_json,
    reading,
    staging_directory,
    write_checksums,
)
from lstm_zoo.runs import lock
from lstm_zoo.runs.reading import check_files
from lstm_zoo.settings import Setting, neutral_values

CONFIG = "config.json"
CALIBRATION = "calibration.json"  # what `Task.calibrate` fitted
METRICS = "metrics.json"
CURVES = "curves.png"
REPORT = "report.html"
FAILURE = "failure.txt"  # why the training can't go on
WEIGHTS = "model.weights.h5"
STEPS = "steps.jsonl"  # only training reads it and the next, when it goes on
TENSORBOARD = "tensorboard"  # a directory
FORMAT = 1  # of config.json: raised when an older reader would misread a newer run
ENTRIES = ("settings", "network", "learned", "data")  # of config.json, objects each
DATA = {  # the entries of `data`, and their types
    "source": str,
    "validation_source": (str, type(None)),
    "validation_split": float,
    "strict": bool,
    "training": dict,
    "validation": dict,
}
EXPORTED = ("model.onnx", "model.tflite", "saved_model.pb", "*/saved_model.pb")


def read_config(run: str | os.PathLike, family: str | None = None) -> dict[str, Any]:
    """Read a run's `config.json`.

    Args:
        run: the run's directory.
        family: the family that the run must be of; None for any.

    Returns:
        Its content. A setting that is newer than the run has its neutral value.

    Raises:
        CallError: if the path is not a run directory, or one of another format or family.
        DataError: if the file is damaged, a value is beyond its setting's limits, or the directory
            has a link that leads out of it.

    Example:

    >>> config = read_config("runs/imdb")
    >>> config["family"], config["settings"]["epochs"]
    ('sentiment', 3)
    """
    if not Path(run).is_dir():
        raise CallError(
            f"{run}: no such run directory, nor a preset (`lstm-zoo presets` lists them)."
        )
    if not (Path(run) / CONFIG).is_file():
        exports = [file for pattern in EXPORTED for file in Path(run).glob(pattern)]
        hint = f" It holds an export, {exports[0].name}: name its run instead." if exports else ""
        raise CallError(f"{run}: not a run directory; it has no {CONFIG}.{hint}")
    check_files(run)
    return parse_config(Path(run) / CONFIG, family)


def parse_config(path: Path, family: str | None = None) -> dict[str, Any]:
    """Read a `config.json`, which may have been copied from its run.

    Args:
        path: the file.
        family: the family that its run must be of; None for any.

    Returns:
        Its content, as `read_config` returns it.

    Raises:
        CallError: if it is of another format or family.
        DataError: if it is missing or damaged, or a value is beyond its setting's limits.

    Example:

    >>> parse_config(Path("runs/imdb/config.json"), "sentiment")["settings"]["variant"]
    'tiny'
    """
    config = read_json(path)
    if "format" in config and config["format"] != FORMAT:
        raise CallError(f"{path}: a run of format {config['format']}; this version reads {FORMAT}.")
    for key in ("format", "family", *ENTRIES):
        if key not in config:
            raise DataError(f"{path}: not a run's configuration; it has no {key!r}.")
        if key in ENTRIES and not isinstance(config[key], dict):
            raise DataError(f"{path}: {key} is not an object.")
    if config["family"] not in [*families.FAMILIES]:
        raise CallError(
            f"{path}: a run of {config['family']!r}, which is no registered family. "
            f"Known: {', '.join(families.FAMILIES)}."
        )
    if family not in (None, config["family"]):
        shown = path.parent if path.name == CONFIG else path
        raise CallError(f"{shown}: a run of {config['family']}, not of {family}.")
    table = families.settings(config["family"])
    variants = families.module(config["family"]).VARIANTS
    sizes = {name: table[name] for row in variants.values() for name in row}
    settings = _complete(path, table, config["settings"])
    network = _complete(path, sizes, config["network"])
    for name in sizes:
        if network[name] is None:  # which a setting may be: then it is the variant's
            raise DataError(f"{path}: network.{name} is missing.")
    data = config["data"]
    for name, kinds in DATA.items():
        if name not in data or not isinstance(data[name], kinds):
            raise DataError(f"{path}: data.{name} is missing, or not what is expected there.")
    if not 0 < data["validation_split"] < 1 or not data["source"]:
        raise DataError(f"{path}: data.source is a name, data.validation_split between 0 and 1.")
    if not isinstance(config.get("init_from", {}), dict):
        raise DataError(f"{path}: init_from is not an object.")
    return {**config, "settings": settings, "network": network}


def _complete(path: Path, table: Mapping[str, Setting], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return values for all settings of a table, the neutral ones for those newer than the run.

    Raises:
        DataError: if one is missing, or beyond its setting's limits.
    """
    # In the run's order: a resumed run writes the same bytes.
    values = {**found, **neutral_values(table), **found}
    for name, setting in table.items():
        if name not in values:
            raise DataError(f"{path}: the setting {name} is missing.")
        try:
            setting.read(values[name])
        except (ValueError, TypeError) as error:
            shown = repr(values[name])[:100]
            raise DataError(f"{path}: {name} takes {error}. Found: {shown}") from error
    return values


def check_free(run: Path, overwrite: bool = False) -> None:
    """Check that a new run can be written to a path: nothing is there, or an empty directory.

    Args:
        run: the path.
        overwrite: whether a run may be there, which no process trains.

    Raises:
        CallError: if it can't.
    """
    if not _is_occupied(run):
        return
    lock.check(run)
    if not overwrite:
        raise CallError(
            f"{run} exists already; name another run. {how_to_continue(run)} To replace a run, "
            "overwrite it (--overwrite)."
        )
    for path in (run, run.with_name(f"{run.name}.old")):
        if path.exists() and not _is_run(path):
            raise CallError(f"{path} is no run, and only a run is overwritten; name another path.")
        lock.check(path)


def _is_occupied(run: Path) -> bool:
    """Return whether there is something at a path that is not an empty directory."""
    return run.exists() and not (run.is_dir() and not any(run.iterdir()))


def _is_run(path: Path) -> bool:
    """Return whether a directory has a run's `config.json`."""
    config = path / CONFIG
    return config.is_file() and {"family", *ENTRIES} <= read_json(config).keys()


@contextlib.contextmanager
def created(run: Path, overwrite: bool = False) -> Iterator[Path]:
    """Create a run directory atomically.

    Args:
        run: its path; directories above it are created too.
        overwrite: whether a run that is there is renamed to `RUN.old`, at the end of the block, and
            replaces the one of that name.

    Yields:
        An empty temporary directory, renamed to `run` if the block ends without an error.

    Raises:
        CallError: if `run` exists, or can't be created.

    Example:

    >>> with created(Path("runs/new")) as temporary:
    ...     _ = (temporary / CONFIG).write_text("{}")
    >>> sorted(path.name for path in Path("runs/new").iterdir())
    ['checksums.json', 'config.json']
    """
    check_free(run, overwrite)
    try:
        run.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(run) as temporary:
            temporary.mkdir()
            yield temporary
            write_checksums(temporary)
            check_free(run, overwrite)  # another process may have been faster
            if _is_occupied(run):
                _set_aside(run)
    except OSError as error:
        raise CallError(f"{run}: can't create a run there: {error.strerror}.") from error


def _set_aside(run: Path) -> None:
    """Rename a run to `RUN.old`, and remove the one that has this name.

    A training may fail, or be killed, before it has weights: a run that it replaces is kept.
    """
    old = run.with_name(f"{run.name}.old")
    with staging_directory(run.parent) as removed:
        if old.exists():
            os.rename(old, removed / old.name)
        os.rename(run, old)


def is_finished(run: Path) -> bool:
    """Return whether a run's training has finished, so that there is nothing to resume."""
    return (run / METRICS).is_file() and not any((run / CHECKPOINT).glob("state*.npz"))


def failure(run: Path) -> str:
    """Return why a run's training can't go on, such as after a loss that is NaN; "" if it can."""
    path = run / FAILURE
    return path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else ""


def how_to_continue(run: Path) -> str:
    """Say how to go on with a run that is not finished."""
    return failure(run) or "To continue its training, resume it (--resume)."


def finish(run: Path) -> None:
    """Remove the checkpoint of a run with metrics: from then on it is finished."""
    with staging_directory(run) as staging, contextlib.suppress(FileNotFoundError):
        os.rename(run / CHECKPOINT, staging / CHECKPOINT)  # at once, unlike the removal


def results(run: Path) -> list[str]:
    """List the files with the results of a run's weights, which are written when training ends."""
    if not (run / METRICS).is_file():
        return [CALIBRATION]  # it is written before them
    metrics = read_json(run / METRICS)
    with reading(run / METRICS):
        plots = [Path(name).name for name in metrics.get("plots", [])]
    return [CALIBRATION, METRICS, REPORT, *plots]


def default_path(family: str) -> Path:
    """Return the path of a run that the user has not named.

    Example:

    >>> default_path("speech")
    PosixPath('runs/speech-20...')
    """
    return Path("runs") / f"{family}-{time.strftime('%Y%m%d-%H%M%S')}"


def write_history(run: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Write `history.csv`.

    Args:
        run: the run's directory.
        history: a row for each epoch; those of an older version may lack keys.
    """
    with atomic_write(run / "history.csv") as path, path.open("w", newline="") as file:
        writer = csv.DictWriter(file, dict.fromkeys(key for row in history for key in row))
        writer.writeheader()
        writer.writerows(history)
