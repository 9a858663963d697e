"""Atomic exports: written to a staging directory, checked, then moved to their place."""

import contextlib
import errno
import filecmp
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from lstm_zoo import files
from lstm_zoo.errors import CallError, ExportError
from lstm_zoo.files import CHECKSUMS, read_json, user_path, write_checksums, write_json

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
        with tempfile.TemporaryDirectory(prefix=files.PREFIX, dir=parent):
            pass
    except OSError as error:
        raise CallError(f"{directory}: can't write an export there: {error.strerror}.") from error


@contextlib.contextmanager
def staging_directory(directory: Path) -> Iterator[Path]:
    """Create a staging directory in an export's directory, and remove it at the end of the block.

    Staging directories left by killed exporters are removed too.

    Args:
        directory: the export's directory; it is created if it does not exist.

    Yields:
        The path of an empty directory.

    Raises:
        OSError: with the path, such as of a disk that is full.

    Example:

    >>> with staging_directory(Path("exports")) as staging:
    ...     _ = (staging / "model").write_text("weights")
    >>> list(Path("exports").iterdir())
    []
    """
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with files.staging_directory(directory) as staging:
            yield staging
    except ExportError:
        raise
    except Exception as error:  # TensorFlow raises errors of its own
        if isinstance(error, OSError) or (reason := os.strerror(errno.ENOSPC)) not in str(error):
            raise
        raise OSError(errno.ENOSPC, reason, str(directory)) from error


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
    write_checksums(staged)
    known = directory / CHECKSUMS
    if known.is_file():  # other exports of the same run
        write_json(staged / CHECKSUMS, {**read_json(known), **read_json(staged / CHECKSUMS)})
    names = [path.relative_to(staged) for path in sorted(staged.rglob("*")) if path.is_file()]
    names.sort(key=lambda file: str(file) == model)
    for file in names:
        target = directory / file
        if target == known:
            continue
        if target.exists() and not filecmp.cmp(staged / file, target, shallow=False):
            raise CallError(
                f"{target} exists already, from another export; choose another directory."
            )
    try:
        for file in names:
            (directory / file).parent.mkdir(exist_ok=True)
            os.replace(staged / file, directory / file)
    except OSError as error:
        raise CallError(f"{directory}: can't write an export there: {error.strerror}.") from error
    return directory / model
