"""The run directory: what training leaves, and `load` reads.

A run holds `config.json` (every setting, the network's arguments, the data's fingerprints),
`model.weights.h5` (the best epoch's), the tokenizer's file, `history.csv`, `curves.png`,
`metrics.json`, `environment.json`, `skipped.tsv`, and `checkpoint/` while it is trained.
"""

import contextlib
import csv
import hashlib
import importlib.metadata
import json
import os
import platform
import resource
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lstm_zoo import families
from lstm_zoo.errors import CallError
from lstm_zoo.files import written_whole

CONFIG = "config.json"
ENVIRONMENT = "environment.json"
METRICS = "metrics.json"
CHECKPOINT = "checkpoint"  # a directory
WEIGHTS = "model.weights.h5"
FORMAT = 1  # of config.json: raised when an older reader would misread a newer run
PACKAGES = ("lstm_zoo", "keras", "tensorflow", "tensorflow-text", "numpy")


def load(run: str | os.PathLike, *, use_cudnn: bool | str = "auto") -> Any:
    """Load a trained run as a pipeline.

    The network is rebuilt by today's builder, then its weights are read.

    Args:
        run: the directory that `train` left.
        use_cudnn: "auto" for cuDNN where it can run, False for never.

    Returns:
        The family's pipeline, such as `lstm_zoo.sentiment.pipeline.SentimentPipeline`.

    Raises:
        CallError: if there is no run, or one that has not finished an epoch.

    Example:

    >>> import lstm_zoo
    >>> lstm_zoo.load("runs/imdb").predict(["a wonderful film"])  # doctest: +SKIP
    [Classification(label='pos', probability=0.98, ...)]
    """
    config = read_config(run)
    if not (Path(run) / WEIGHTS).is_file():
        raise CallError(
            f"{run}: no {WEIGHTS} in it; this run has not finished an epoch. "
            "Train it on with resume (--resume)."
        )
    pipelines = families.module(config["family"], "pipeline")
    return pipelines.load(Path(run), config, use_cudnn=use_cudnn)


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
        with written_whole(run) as beside:
            beside.mkdir()
            yield beside
    except OSError as error:
        raise CallError(f"{run}: can't make a run there: {error.strerror}.") from error


def is_finished(run: Path) -> bool:
    """Tell whether a run's training has come to its end, so that nothing is left to resume."""
    return (run / METRICS).is_file() and not (run / CHECKPOINT).exists()


def default_path(family: str) -> Path:
    """Return `runs/FAMILY-<time>`."""
    return Path("runs") / f"{family}-{time.strftime('%Y%m%d-%H%M%S')}"


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, the file whole or not at all."""
    with written_whole(path) as beside:
        text = json.dumps(value, indent=2, ensure_ascii=False, default=list)
        # What UTF-8 can't hold, such as half a surrogate pair, stands as JSON's own escape.
        beside.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def write_table(path: Path, header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Write a TSV, which has no quoting: tabs and line ends in a field become spaces."""
    options = {"encoding": "utf-8", "errors": "backslashreplace", "newline": "\n"}
    with written_whole(path) as beside, beside.open("w", **options) as file:
        for row in (header, *rows):
            print("\t".join(" ".join(str(field).split()) for field in row), file=file)


def write_history(run: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Write `history.csv`, a row an epoch."""
    with written_whole(run / "history.csv") as beside, beside.open("w", newline="") as file:
        writer = csv.DictWriter(file, history[0])
        writer.writeheader()
        writer.writerows(history)


def fingerprint(*columns: Iterable[str]) -> str:
    """Return the SHA-256 of a corpus: any change to a row or to the order changes it."""
    digest = hashlib.sha256()
    for row in zip(*columns, strict=True):
        for field in row:
            data = field.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that matter."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # run from a source tree, not installed
            found[package] = "not installed"
    return found


def write_environment(run: Path, threads: int | None, seconds: float) -> None:
    """Write `environment.json`: what a training runs on, and what it has cost so far.

    Args:
        run: the run's directory.
        threads: the threads asked for, None for all.
        seconds: the time trained so far, in all its processes, validation included.
    """
    import tensorflow as tf

    write_json(
        run / ENVIRONMENT,
        {
            "versions": versions(),
            "platform": platform.platform(),
            "processors": os.cpu_count(),
            "threads": threads,
            "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
            "training_seconds": round(seconds, 1),
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        },
    )


def read_environment(run: Path) -> dict[str, Any]:
    """Read what `write_environment` wrote."""
    return json.loads((run / ENVIRONMENT).read_text(encoding="utf-8"))
