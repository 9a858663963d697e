"""Atomic writes of files and directories, and checksums of a directory's files."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from lstm_zoo.errors import CallError, DataError

PREFIX = ".writing-"  # of temporary directories; TF Serving ignores such names
CHECKSUMS = "checksums.json"
# Tables, plots and reports are for people, who may change them: lstm_zoo never reads them.
UNCHECKED = (".csv", ".html", ".png", ".tsv")
CHECKPOINT = "checkpoint"  # a folder of a run, whose files have checksums of their own
MAX_JSON = 2**26  # bytes of a JSON file, which takes several times as much memory


@contextlib.contextmanager
def reading(path: str | os.PathLike) -> Iterator[None]:
    """Name a file in the errors of a block that reads it.

    Args:
        path: the file.

    Raises:
        DataError: for any error of the block: what reads a damaged file can raise errors of many
            types, and a `CallError` is about a call that the file's content made. But a
            `DataError` of its own and an `ImportError` stay as they are.

    Example:

    >>> with reading("config.json"):
    ...     json.loads("{")
    Traceback (most recent call last):
    lstm_zoo.errors.DataError: config.json: damaged, or not what is expected there: Expecting ...
    """
    try:
        yield
    except (DataError, ImportError):
        raise  # it names its file, or is not about the file
    except CallError as error:
        raise DataError(f"{path}: {str(error)[:1000]}") from error
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise DataError(f"{error.filename}: {error.strerror}.") from error
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(f"{path}: damaged, or not what is expected there: {reason}") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        DataError: if it is missing, larger than 64 MiB, or something else.

    Example:

    >>> write_json(Path("example.json"), {"units": 32})
    >>> read_json(Path("example.json"))
    {'units': 32}
    """
    with reading(path):
        if path.stat().st_size > MAX_JSON:
            raise DataError(f"{path}: larger than {MAX_JSON:,} bytes.")
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise DataError(f"{path}: expected a JSON object. Found: {type(value).__name__}")
    return value


def user_path(path: str | os.PathLike) -> Path:
    """Return a path that a user gave, with a leading `~` replaced by the home directory.

    The shell replaces it in most places, though not in `--run=~/runs/x` or in Python.

    Raises:
        CallError: if it is empty, such as a script's unset variable: it would be the current
            directory.

    Example:

    >>> user_path("~/runs/x") == Path.home() / "runs/x"
    True
    """
    if not os.fspath(path):
        raise CallError("Expected a path. Received: an empty text; write . for this directory.")
    return Path(os.path.expanduser(os.fsdecode(path)))


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Write a file or a directory atomically: to a temporary path, renamed on success.

    Args:
        path: the path of the file or directory. An existing file is replaced.

    Yields:
        A temporary path in the same file system with the same name; nothing exists there yet.
        If the block raises, whatever it wrote there is removed.

    Raises:
        OSError: with the path, such as of a disk that is full.

    Example:

    >>> with atomic_write("example.txt") as temporary:
    ...     _ = temporary.write_text("complete")
    >>> Path("example.txt").read_text()
    'complete'
    """
    path = Path(path)
    with staging_directory(path.parent) as folder:
        temporary = folder / path.name
        try:
            yield temporary
            flush(temporary)
        except OSError as error:
            error.filename = error.filename or str(temporary)
            raise
        os.replace(temporary, path)
        _flush(path.parent)


@contextlib.contextmanager
def staging_directory(directory: Path) -> Iterator[Path]:
    """Create a temporary directory in a directory, and remove it at the end of the block.

    Temporary directories left by killed processes are removed too.

    Args:
        directory: an existing directory.

    Yields:
        The path of an empty directory.

    Raises:
        OSError: of the block, with a path outside of the temporary directory: Python names none if
            a disk is full.

    Example:

    >>> with staging_directory(Path(".")) as staging:
    ...     _ = (staging / "model").write_text("weights")
    """
    remove_abandoned(directory)
    folder, lock = _locked_directory(directory)
    try:
        yield folder
    except OSError as error:
        if Path(error.filename or folder).is_relative_to(folder):
            name = Path(error.filename or folder).relative_to(folder)
            error.filename = str(directory / name)
        raise
    finally:
        _remove(folder)
        if lock is not None:
            os.close(lock)


def remove_abandoned(directory: Path) -> None:
    """Remove the temporary directories that killed processes left in a directory."""
    for folder in directory.glob(PREFIX + "*"):
        # A running process has locked its own. Where the file system has no locks, they stay.
        with contextlib.suppress(OSError):
            lock = _lock(folder)
            _remove(folder)
            os.close(lock)


def flush(path: Path) -> None:
    """Flush a file, or all files of a directory, to the disk: before a rename to its final path.

    Otherwise the new name may be on the disk before the content, if the machine loses power.
    """
    for entry in [*path.rglob("*"), path]:
        _flush(entry)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _locked_directory(parent: Path) -> tuple[Path, int | None]:
    """Create a temporary directory, and lock it where the file system has locks."""
    while True:
        folder, lock = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent)), None
        # Until it is locked, another process may take it for abandoned, and lock and remove it.
        try:
            lock = _lock(folder)
        except (FileNotFoundError, BlockingIOError):
            continue
        except OSError:
            pass
        if folder.exists():
            return folder, lock
        os.close(lock)


def _lock(folder: Path) -> int:
    """Lock a directory; the system releases the lock if the process dies.

    Returns:
        A descriptor that holds the lock until it is closed.

    Raises:
        BlockingIOError: if another process has locked it.
        OSError: if it is not there any more, or the file system has no locks.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove(folder: Path) -> None:
    """Remove a directory whose files may be read-only, as an export's are while it is checked."""
    for entry in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        with contextlib.suppress(OSError):
            entry.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically.

    Example:

    >>> write_json(Path("example.json"), {"units": (32,)})
    >>> Path("example.json").read_text().split()
    ['{', '"units":', '[', '32', ']', '}']
    """
    with atomic_write(path) as temporary:
        text = json.dumps(value, indent=2, ensure_ascii=False, default=list)
        # A lone surrogate, which UTF-8 can't encode, becomes a JSON escape.
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def write_table(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a TSV file atomically, without quoting: white space in a field becomes single spaces.

    None is an empty field.

    Example:

    >>> write_table(Path("example.tsv"), ["place", "reason"], [["a.tsv:2", "no\\ttext"]])
    >>> Path("example.tsv").read_text().splitlines()
    ['place\\treason', 'a.tsv:2\\tno text']
    """
    options = {"encoding": "utf-8", "errors": "backslashreplace", "newline": "\n"}
    with atomic_write(path) as temporary, temporary.open("w", **options) as file:
        for row in (header, *rows):
            fields = ("" if field is None else " ".join(str(field).split()) for field in row)
            print("\t".join(fields), file=file)


def compute_checksums(directory: str | os.PathLike) -> dict[str, str]:
    """Compute the SHA-256 of each file in a directory but tables, plots, reports and hidden ones.

    Args:
        directory: the directory.

    Returns:
        64 hexadecimal digits for each file, by its path in the directory, with "/".

    Example:

    >>> _ = Path("vocabulary.txt").write_text("good")
    >>> compute_checksums(".")["vocabulary.txt"][:8]
    '770e6076'
    """
    found = {}
    for path in sorted(Path(directory).rglob("*")):
        name = path.relative_to(directory)
        hidden = any(part.startswith(".") for part in name.parts)
        unchecked = hidden or name.suffix in UNCHECKED or name.parts[0] in (CHECKSUMS, CHECKPOINT)
        if path.is_file() and not unchecked:
            found[name.as_posix()] = file_digest(path)
    return found


def write_checksums(directory: str | os.PathLike) -> None:
    """Write `checksums.json` into a directory that is complete.

    Args:
        directory: the directory, such as the staging directory of an export.
    """
    digests = {name: [digest] for name, digest in compute_checksums(directory).items()}
    _write_digests(Path(directory), digests)


def find_damage(directory: str | os.PathLike) -> list[str] | None:
    """Compare a directory with its checksums.

    Args:
        directory: the directory of a run or an export.

    Returns:
        A phrase for each damaged file, such as "model.weights.h5 has changed since it was
        written"; empty if all files are whole; None if there are no checksums, such as in a run of
        version 0.1.

    Example:

    >>> Path("export").mkdir()
    >>> _ = Path("export/vocabulary.txt").write_text("good")
    >>> find_damage("export")
    >>> write_checksums("export")
    >>> find_damage("export")
    []
    >>> _ = Path("export/vocabulary.txt").write_text("bad")
    >>> find_damage("export")
    ['vocabulary.txt has changed since it was written']
    """
    directory = Path(directory)
    if not (directory / CHECKSUMS).is_file():
        return None
    try:
        recorded = _read_digests(directory)
    except DataError as error:
        return [str(error)]
    damage = []
    for name, digests in recorded.items():
        path = directory / name
        if not path.is_file():
            damage.append(f"{name} is missing")
        elif file_digest(path) not in digests:
            damage.append(f"{name} has changed since it was written")
    if damage and _read_digests(directory) != recorded:
        return find_damage(directory)  # a training has replaced files meanwhile
    return damage


@contextlib.contextmanager
def replace_files(directory: Path, *, remove: Iterable[str] = ()) -> Iterator[Path]:
    """Replace some files of a directory, and their checksums.

    A kill at any time leaves each file as it was or as it becomes, and checksums that fit either:
    before the first file is replaced, the checksums list the old and the new digest.

    Args:
        directory: the directory.
        remove: the names of files to remove, if they are there.

    Yields:
        An empty temporary directory for the new files. If the block raises, nothing is replaced.

    Example:

    >>> Path("run").mkdir()
    >>> with replace_files(Path("run")) as staging:
    ...     _ = (staging / "metrics.json").write_text("{}")
    >>> sorted(path.name for path in Path("run").iterdir())
    ['checksums.json', 'metrics.json']
    """
    remove = [*remove]
    with staging_directory(directory) as staging:
        yield staging
        flush(staging)
        new = compute_checksums(staging)
        old = _read_digests(directory) if (directory / CHECKSUMS).is_file() else {}
        old = {name: digests for name, digests in old.items() if name not in remove}
        both = {name: [*old[name], digest] for name, digest in new.items() if name in old}
        _write_digests(directory, {**old, **both})
        for name in remove:
            (directory / name).unlink(missing_ok=True)
        for path in sorted(staging.rglob("*")):
            if path.is_file():
                target = directory / path.relative_to(staging)
                target.parent.mkdir(exist_ok=True)
                os.replace(path, target)
                _flush(target.parent)
        _write_digests(directory, {**old, **{name: [digest] for name, digest in new.items()}})


def file_digest(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def _write_digests(directory: Path, digests: Mapping[str, list[str]]) -> None:
    write_json(directory / CHECKSUMS, dict(sorted(digests.items())))


def _read_digests(directory: Path) -> dict[str, list[str]]:
    """Read `checksums.json`: the digests that each file may have, by its name.

    Raises:
        DataError: if it is damaged.
    """
    try:
        digests = read_json(directory / CHECKSUMS)
        for name, values in digests.items():
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or not isinstance(values, list):
                raise ValueError(name)
    except ValueError as error:
        raise DataError(f"{CHECKSUMS} is damaged") from error
    return digests
