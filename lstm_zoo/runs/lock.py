"""The lock of a run in training: no second process trains it at the same time."""

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lstm_zoo.errors import CallError

FILE = "training.lock"


@contextlib.contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold the lock of a run in the block.

    The lock is a file in the run with the process and its host, which the process locks with
    `flock`: the system releases that when the process ends, in whatever way. On another machine, or
    where the file system has no such locks, the file itself says what is known.

    Args:
        run: the run's directory.

    Raises:
        CallError: if another process trains the run, or may do so.

    Example:

    >>> with locked(Path("runs/imdb")):
    ...     with locked(Path("runs/imdb")):
    ...         pass
    Traceback (most recent call last):
    lstm_zoo.errors.CallError: runs/imdb is in training, by process ... on ...
    """
    path = run / FILE
    descriptor = _open(path)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(_process()).encode(), 0)
        yield
    finally:
        # Removed before it is released: whoever waits for it finds out that it is gone.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


def check(run: Path) -> None:
    """Check that no other process trains a run.

    Raises:
        CallError: if one does, or may do so.
    """
    if (run / FILE).exists():
        with locked(run):
            pass


def _open(path: Path) -> int:
    """Open and lock a file, which is created if it is not there.

    Raises:
        CallError: if another process holds the lock, or may do so.
    """
    while True:
        descriptor, has_locks = os.open(path, os.O_RDWR | os.O_CREAT, 0o666), True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CallError(_refusal(path, _read(descriptor), is_certain=True)) from None
        except OSError:  # such as on a network file system without a lock service
            has_locks = False
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                break
        os.close(descriptor)  # removed by a process that has just released it
    owner = _read(descriptor)
    if owner and not _has_ended(owner, has_locks):
        os.close(descriptor)
        raise CallError(_refusal(path, owner, is_certain=False))
    return descriptor


def _refusal(path: Path, owner: dict[str, Any], is_certain: bool) -> str:
    who = f"by process {owner.get('pid', 'unknown')} on {owner.get('host', 'an unknown host')}"
    if is_certain:
        return f"{path.parent} is in training, {who}."
    return (
        f"{path.parent} may be in training, {who}, which can't be seen from here; if that process "
        f"has ended, remove {path}."
    )


def _has_ended(owner: dict[str, Any], has_locks: bool) -> bool:
    """Return whether the process that wrote a lock file, which could be locked, has ended."""
    here = _process()
    if owner.get("boot") != here["boot"]:
        return owner.get("host") == here["host"]  # this machine has been restarted since
    if has_locks:
        return True  # in another container too: all have one kernel, which knows its locks
    return owner.get("host") == here["host"] and owner.get("started") != _started(owner.get("pid"))


def _process() -> dict[str, Any]:
    """Describe this process; pids are used again, but not with the same start."""
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "boot": _boot(),
        "started": _started(os.getpid()),
    }


def _boot() -> str:
    """Return the id of the kernel since it was started, the same in all of its containers."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


def _started(pid: Any) -> str:
    """Return when a process started, in clock ticks since the boot; "" if there is none."""
    try:
        # The name, in parentheses, may hold spaces.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _read(descriptor: int) -> dict[str, Any]:
    try:
        owner = json.loads(os.pread(descriptor, 2**12, 0))
    except (ValueError, RecursionError):  # empty: its process ended, or has not written it yet
        return {}
    return owner if isinstance(owner, dict) else {}
