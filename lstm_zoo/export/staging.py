"""Exports appear whole or not at all: written in a staging directory, checked, then renamed."""

import contextlib
import fcntl
import filecmp
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from lstm_zoo.errors import CallError, ExportError

PREFIX = ".writing-"  # of what is not whole yet; TF Serving passes it over
ABANDONED = 60  # seconds after which a directory that no process holds may be removed
TIMEOUT = 900  # seconds given to the checks


def check_writable(directory: str | os.PathLike) -> None:
    """Make sure that an export directory can be made, or written to; nothing is left of it.

    Raises:
        CallError: if it can't.
    """
    place = Path(directory)
    try:
        there = next(path for path in (place, *place.parents) if path.exists())
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=there):
            pass
    except OSError as error:
        raise CallError(f"{directory}: can't write an export there: {error.strerror}.") from error


@contextlib.contextmanager
def staging_directory(directory: Path) -> Iterator[Path]:
    """Give a directory to write in, gone in the end; sweep away those that the killed have left.

    Args:
        directory: the export's directory, in which it is; made if it is not there.

    Yields:
        The path of an empty directory.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for staging in directory.glob(PREFIX + "*"):
        with contextlib.suppress(OSError):  # held by a living exporter, or gone already
            if time.time() - staging.stat().st_mtime > ABANDONED:
                with _locked(staging):
                    _remove(staging)
    staging = Path(tempfile.mkdtemp(prefix=PREFIX, dir=directory))
    try:
        with _locked(staging):
            yield staging
    finally:
        with contextlib.suppress(OSError):
            _remove(staging)


def run_checks(program: ModuleType, arguments: Sequence[Any], given: bytes = b"") -> None:
    """Have a fresh process run a program of checks: without a GPU, lstm_zoo, or our directory.

    Args:
        program: a module, run as a program; it prints as JSON why an export is refused, or null.
        arguments: paths among them are absolute.
        given: what the program reads from standard input.

    Raises:
        ExportError: if the export is refused, or the program does not come to its end.
    """
    # As text, so that the directory of lstm_zoo is not on the path of what it imports.
    text = Path(program.__file__).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as elsewhere:
        try:
            done = subprocess.run(
                [sys.executable, "-c", text, *map(str, arguments)],
                input=given,
                capture_output=True,
                cwd=elsewhere,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"},
                timeout=TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            raise ExportError(f"The checks did not end within {TIMEOUT} seconds.") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ExportError(f"The export does not load in a fresh process: {' '.join(said[-3:])}")
    if refused := json.loads(done.stdout):
        raise ExportError(refused)


def publish(written: Path, directory: Path, model: str) -> Path:
    """Move the files of an export to their places, the model last: with it, all are there.

    Args:
        written: the directory that holds them.
        directory: where they shall stand.
        model: the name of the file that is the model.

    Returns:
        The model's path.

    Raises:
        CallError: if a file of another export is in the way, or the directory can't be written.
    """
    files = [path.relative_to(written) for path in sorted(written.rglob("*")) if path.is_file()]
    files.sort(key=lambda file: str(file) == model)
    for file in files:
        target = directory / file
        if target.exists() and not filecmp.cmp(written / file, target, shallow=False):
            raise CallError(
                f"{target} exists already, and is of another export; name a directory of its own."
            )
    try:
        for file in files:
            (directory / file).parent.mkdir(exist_ok=True)
            os.replace(written / file, directory / file)
    except OSError as error:
        raise CallError(f"{directory}: can't write an export there: {error.strerror}.") from error
    return directory / model


def _remove(staging: Path) -> None:
    """Remove a directory whose files may be read-only, as they are while they are verified."""
    for folder in [staging, *(path for path in staging.rglob("*") if path.is_dir())]:
        folder.chmod(0o700)
    shutil.rmtree(staging)


@contextlib.contextmanager
def _locked(staging: Path) -> Iterator[None]:
    """Hold a directory's lock, which the system takes back when the process dies."""
    descriptor = os.open(staging, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
