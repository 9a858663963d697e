"""The run directory: what training leaves, and `load` reads.

A run holds `config.json` (every setting, the network's arguments, the data's fingerprints),
`model.weights.h5` (the best epoch's), the tokenizer's file, `history.csv`, `curves.png`,
`metrics.json`, `environment.json`, `skipped.tsv`, and `checkpoint/` while it is trained.
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
from lstm_zoo.settings import before

CONFIG = "config.json"
METRICS = "metrics.json"
CHECKPOINT = "checkpoint"  # a directory
WEIGHTS = "model.weights.h5"
FORMAT = 1  # of config.json: raised when an older reader would misread a newer run


def read_config(run: str | os.PathLike) -> dict[str, Any]:
    """Read a run's `config.json`.

    Raises:
        CallError: if the path is not a run directory of this version, saying what is missing.
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
    # A setting that came after the run was made stands at what was before it.
    config["settings"] = {**before(families.settings(config["family"])), **config["settings"]}
    return config


def check_free(run: Path) -> None:
    """Make sure that a run can begin here: nothing stands there, or an empty directory.

    Raises:
        CallError: if something stands there.
    """
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise CallError(
            f"{run} exists already; name another run, or train it on with resume (--resume)."
        )


@contextlib.contextmanager
def created(run: Path) -> Iterator[Path]:
    """Give a directory to fill, and make it the run's when the block ends well.

    Raises:
        CallError: if something stands there, or it can't be made.
    """
    check_free(run)
    try:
        run.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(run) as temporary:
            temporary.mkdir()
            yield temporary
    except OSError as error:
        raise CallError(f"{run}: can't make a run there: {error.strerror}.") from error


def is_finished(run: Path) -> bool:
    """Tell whether a run's training has come to its end, so that nothing is left to resume."""
    return (run / METRICS).is_file() and not (run / CHECKPOINT).exists()


def default_path(family: str) -> Path:
    """Return `runs/FAMILY-<time>`."""
    return Path("runs") / f"{family}-{time.strftime('%Y%m%d-%H%M%S')}"


def write_history(run: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Write `history.csv`, a row an epoch."""
    with atomic_write(run / "history.csv") as path, path.open("w", newline="") as file:
        writer = csv.DictWriter(file, history[0])
        writer.writeheader()
        writer.writerows(history)
