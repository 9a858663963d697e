"""Atomic exports: written to a staging directory, checked, then moved to their place."""

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
from lstm_zoo.files import replace_files, user_path

PREFIX = ".writing-"  # of staging directories; TF Serving ignores such names
MIN_AGE = 60  # seconds before a staging directory that no process locks may be removed
TIMEOUT = 900  # seconds for the checks


def check_writable(directory: str | os.PathLike) -> None:
    """Check that an export directory can be created or written to, without creating it.

    Raises:
        CallError: if it can't.

    Example:

    >>> check_writable("exports/imdb")
    >>> Path("exports").exists()
    False
    """
    place = user_path(directory)
    try:
        parent = next(path for path in (place, *place.parents) if path.exists())
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent):
            pass
    except OSError as error:
        raise CallError(f"{directory}: can't write an export there: {error.strerror}.") from error


@contextlib.contextmanager
def staging_directory(directory: Path) -> Iterator[Path]:
    """Create a staging directory, and remove it at the end of the block.

    Staging directories left by killed exporters are removed too.

    Args:
        directory: the export's directory, in which the staging directory is created; it is created
            if it does not exist.

    Yields:
        The path of an empty directory.

    Example:

    >>> with staging_directory(Path("exports")) as staging:
    ...     _ = (staging / "model").write_text("weights")
    >>> list(Path("exports").iterdir())
    []
    """
    directory.mkdir(parents=True, exist_ok=True)
    for staging in directory.glob(PREFIX + "*"):
        with contextlib.suppress(OSError):  # locked by a running exporter, or removed meanwhile
            # A young one may belong to an exporter that has not locked it yet.
            if time.time() - staging.stat().st_mtime > MIN_AGE:
                with _locked(staging):
                    _remove(staging)
    staging = Path(tempfile.mkdtemp(prefix=PREFIX, dir=directory))
    try:
        with _locked(staging):
            yield staging
    finally:
        with contextlib.suppress(OSError):
            _remove(staging)


def run_checks(program: ModuleType, arguments: Sequence[Any], stdin: bytes = b"") -> None:
    """Run a program of checks in a fresh process, without a GPU and without lstm_zoo.

    Args:
        program: the module to run as a program; it prints as JSON why the export is refused, or
            null.
        arguments: its command-line arguments; paths must be absolute.
        stdin: its standard input.

    Raises:
        ExportError: if the export is refused, or the program fails or does not end in time.
    """
    # As source text in an empty directory: lstm_zoo must not be on the program's import path.
    source = Path(program.__file__).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as empty:
        try:
            done = subprocess.run(
                [sys.executable, "-c", source, *map(str, arguments)],
                input=stdin,
                capture_output=True,
                cwd=empty,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"},
                timeout=TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            raise ExportError(f"The checks did not end within {TIMEOUT} seconds.") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise ExportError(f"The export does not load in a fresh process: {' '.join(lines[-3:])}")
    if refused := json.loads(done.stdout):
        raise ExportError(refused)


def publish(staged: Path, directory: Path, model: str) -> Path:
    """Move the files of an export to their directory, the model last, with their checksums.

    A model that is there thus has all files that it needs.

    Args:
        staged: the directory with the files, subdirectories included.
        directory: where to move them.
        model: the name of the model's file.

    Returns:
        The model's path.

    Raises:
        CallError: if a file of another export is in the way, or the directory can't be written.
    """
    files = [path.relative_to(staged) for path in sorted(staged.rglob("*")) if path.is_file()]
    files.sort(key=lambda file: str(file) == model)
    for file in files:
        target = directory / file
        if target.exists() and not filecmp.cmp(staged / file, target, shallow=False):
            raise CallError(
                f"{target} exists already, from another export; choose another directory."
            )
    try:
        for group in (files[:-1], files[-1:]):
            with replace_files(directory) as new:
                for file in group:
                    (new / file).parent.mkdir(exist_ok=True)
                    os.replace(staged / file, new / file)
    except OSError as error:
        raise CallError(f"{directory}: can't write an export there: {error.strerror}.") from error
    return directory / model


def _remove(staging: Path) -> None:
    """Remove a directory whose files may be read-only, as they are while they are checked."""
    for folder in [staging, *(path for path in staging.rglob("*") if path.is_dir())]:
        folder.chmod(0o700)
    shutil.rmtree(staging)


@contextlib.contextmanager
def _locked(staging: Path) -> Iterator[None]:
    """Lock a directory; the system releases the lock if the process dies."""
    descriptor = os.open(staging, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
