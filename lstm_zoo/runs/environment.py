"""The environment of a training: versions, machine, time and memory."""

import importlib.metadata
import os
import platform
import resource
from pathlib import Path
from typing import Any

from lstm_zoo.errors import DataError
from lstm_zoo.files import read_json, write_json

ENVIRONMENT = "environment.json"
ENTRIES = {"versions": dict, "training_seconds": (int, float), "peak_memory_bytes": (int, float)}
PACKAGES = ("lstm_zoo", "keras", "tensorflow", "tensorflow-text", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that determine results.

    Example:

    >>> list(versions())
    ['python', 'lstm_zoo', 'keras', 'tensorflow', 'tensorflow-text', 'numpy']
    """
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # run from a source tree, not installed
            found[package] = "not installed"
    return found


def write_environment(run: Path, threads: int | None, seconds: float) -> None:
    """Write `environment.json`: versions, machine, and the time and memory used so far.

    Args:
        run: the run's directory.
        threads: the number of processor threads asked for; None for all.
        seconds: the training time so far, of all processes, validation included.
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
    """Read a run's `environment.json`.

    Example:

    >>> read_environment(Path("runs/imdb"))["versions"]["lstm_zoo"]
    '0.1.0'
    """
    environment = read_json(run / ENVIRONMENT)
    for name, kinds in ENTRIES.items():
        if not isinstance(environment.get(name), kinds):
            raise DataError(f"{run / ENVIRONMENT}: {name} is missing, or not what is expected.")
    return environment
