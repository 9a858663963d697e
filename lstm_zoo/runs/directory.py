"""The run directory, which training writes and `load` reads.

A run holds `config.json` (every setting, the network's arguments, the data's fingerprints),
`model.weights.h5` (of the best epoch), the tokenizer's file, `history.csv`, `curves.png`,
`metrics.json`, `environment.json`, `skipped.tsv`, and during training `checkpoint/`.
"""

import contextlib
import csv
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lstm_zoo import families
from lstm_zoo.errors import CallError
from lstm_zoo.files import atomic_write
from lstm_zoo.settings import neutral_values

CONFIG = "config.json"
METRICS = "metrics.json"
CHECKPOINT = "checkpoint"  # a directory
WEIGHTS = "model.weights.h5"
FORMAT = 1  # of config.json: raised when an older reader would misread a newer run


def read_config(run: str | os.PathLike) -> dict[str, Any]:
    """Read a run's `config.json`.

    Args:
        run: the run's directory.

    Returns:
        Its content. A setting that is newer than the run has its neutral value.

    Raises:
        CallError: if the path is not a run directory, or one of another format.

    Example:

    >>> config = read_config("runs/imdb")
    >>> config["family"], config["settings"]["epochs"]
    ('sentiment', 3)
    """
    path = Path(run) / CONFIG
    if not Path(run).is_dir():
        raise CallError(f"{run}: no such run directory.")
    if not path.is_file():
        raise CallError(f"{run}: not a run directory; it has no {CONFIG}.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        version = config["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise CallError(f"{path}: not a run's configuration ({error!r}).") from error
    if version != FORMAT:
        raise CallError(f"{path}: a run of format {version}; this version reads {FORMAT}.")
    missing = [
        key for key in ("family", "settings", "network", "learned", "data") if key not in config
    ]
    if missing:
        raise CallError(f"{path}: not a run's configuration; it has no {missing[0]!r}.")
    if config["family"] not in families.FAMILIES:
        raise CallError(
            f"{path}: a run of {config['family']!r}, which is no registered family. "
            f"Known: {', '.join(families.FAMILIES)}."
        )
    table = families.settings(config["family"])
    return {**config, "settings": {**neutral_values(table), **config["settings"]}}


def check_free(run: Path) -> None:
    """Check that a new run can be written to a path: nothing is there, or an empty directory.

    Raises:
        CallError: if it can't.
    """
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise CallError(
            f"{run} exists already; name another run, or continue its training with resume "
            "(--resume)."
        )


@contextlib.contextmanager
def created(run: Path) -> Iterator[Path]:
    """Create a run directory atomically.

    Args:
        run: its path; directories above it are created too.

    Yields:
        An empty temporary directory, renamed to `run` if the block ends without an error.

    Raises:
        CallError: if `run` exists, or can't be created.

    Example:

    >>> with created(Path("runs/new")) as temporary:
    ...     _ = (temporary / CONFIG).write_text("{}")
    >>> [path.name for path in Path("runs/new").iterdir()]
    ['config.json']
    """
    check_free(run)
    try:
        run.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(run) as temporary:
            temporary.mkdir()
            yield temporary
    except OSError as error:
        raise CallError(f"{run}: can't create a run there: {error.strerror}.") from error


def is_finished(run: Path) -> bool:
    """Return whether a run's training has finished, so that there is nothing to resume."""
    return (run / METRICS).is_file() and not (run / CHECKPOINT).exists()


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
        history: a row for each epoch, all with the same keys.
    """
    with atomic_write(run / "history.csv") as path, path.open("w", newline="") as file:
        writer = csv.DictWriter(file, history[0])
        writer.writeheader()
        writer.writerows(history)
