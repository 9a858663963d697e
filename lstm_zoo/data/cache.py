"""A cache of arrays on disk: computed once, in parallel, then memory-mapped."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lstm_zoo.errors import DataError, FileReadError
from lstm_zoo.files import atomic_write

DATA = "data.float32"
INDEX = "index.json"
SHARD = 1_024  # arrays written together: an interrupt loses no more
AHEAD = 64  # arrays computed ahead of the writing, per processor


def load_or_compute(
    prefix: Path, compute: Callable[[int], np.ndarray], count: int, title: str
) -> tuple[list[np.ndarray], dict[int, str]]:
    """Return `compute(index)` for the indices 0 to `count - 1`, from the cache where it is there.

    Args:
        prefix: the path of the cache: a shard is a directory named by `prefix` and its indices. The
            name must contain a fingerprint of all that the arrays depend on.
        compute: returns the float32 array `(length, width)` of an index, all of one width, or
            raises a `DataError` to skip it. It is called from several threads. A `FileReadError`
            may pass: the next call computes the shard again.
        count: the number of arrays.
        title: the title of the progress bar.

    Returns:
        The arrays, read-only and memory-mapped, an empty one for each skipped index; and the error
        messages by skipped index. A shard that is damaged is computed again.

    Example:

    >>> compute = lambda index: np.ones((index, 2), np.float32)
    >>> arrays, errors = load_or_compute(Path("cache/doc"), compute, 3, "ones")
    >>> [array.shape for array in arrays], errors
    ([(0, 2), (1, 2), (2, 2)], {})
    """
    arrays: list[np.ndarray] = []
    errors: dict[int, str] = {}
    with tqdm(total=count, desc=title, leave=False, disable=None) as bar:
        for start in range(0, count, SHARD):
            indices = range(start, min(start + SHARD, count))
            shard = prefix.with_name(f"{prefix.name}-{indices.start}-{indices.stop}")
            cached = _read(shard, len(indices))
            if cached is None:
                _compute_shard(shard, compute, indices, bar)
                cached = _read(shard, len(indices), retry=False)
            if cached is None:
                raise DataError(f"{shard}: can't be read back after it was written.")
            bar.update(indices.stop - bar.n)
            shard_arrays, reasons = cached
            arrays += shard_arrays
            errors |= {start + position: reason for position, reason in reasons.items()}
    return arrays, errors


def _compute_shard(
    shard: Path, compute: Callable[[int], np.ndarray], indices: Sequence[int], bar: tqdm
) -> None:
    shard.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_write(shard) as temporary:
            _write(temporary, compute, indices, bar)
            # A damaged one, or one with errors that may pass, which no rename would replace.
            shutil.rmtree(shard, ignore_errors=True)
    except OSError:
        if not shard.exists():  # else another process was faster
            raise


def _write(
    shard: Path, compute: Callable[[int], np.ndarray], indices: Sequence[int], bar: tqdm
) -> None:
    def attempt(index: int) -> np.ndarray | DataError:
        try:
            return compute(index)
        except DataError as error:
            return error

    shard.mkdir()
    lengths, errors, width, may_pass = [], {}, 0, False
    processors = os.cpu_count() or 1
    ahead = AHEAD * processors
    with (shard / DATA).open("wb") as file, ThreadPoolExecutor(processors) as pool:
        for start in range(0, len(indices), ahead):
            for result in pool.map(attempt, indices[start : start + ahead]):
                if isinstance(result, DataError):
                    errors[str(len(lengths))] = str(result)
                    may_pass |= isinstance(result, FileReadError)
                    lengths.append(0)
                else:
                    file.write(np.ascontiguousarray(result, np.float32).data)
                    lengths.append(len(result))
                    width = result.shape[1]
                bar.update()
    index = {"lengths": lengths, "width": width, "errors": errors, "may_pass": may_pass}
    index["sha256"] = _digest(index, _map(shard))
    (shard / INDEX).write_text(json.dumps(index), encoding="utf-8")


def _read(
    shard: Path, count: int, *, retry: bool = True
) -> tuple[list[np.ndarray], dict[int, str]] | None:
    """Return a shard's arrays and errors; None if it is missing or damaged.

    Args:
        shard: the directory.
        count: the number of arrays that it must have.
        retry: whether one with errors that may pass counts as damaged.
    """
    try:
        index = json.loads((shard / INDEX).read_text(encoding="utf-8"))
        digest = index.pop("sha256")
        data = _map(shard)
        if _digest(index, data) != digest or len(index["lengths"]) != count:
            return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None  # also that of a version of lstm_zoo without checksums
    if retry and index["may_pass"]:
        return None
    rows = data.reshape(-1, index["width"]) if data.size else np.zeros((0, index["width"]), "f")
    errors = {int(position): reason for position, reason in index["errors"].items()}
    return np.split(rows, np.cumsum(index["lengths"])[:-1]), errors


def _map(shard: Path) -> np.ndarray:
    """Return a shard's data, memory-mapped."""
    if not (shard / DATA).stat().st_size:
        return np.zeros(0, np.float32)  # an empty file can't be mapped
    # A plain view of the map: slicing a np.memmap costs much more.
    return np.asarray(np.memmap(shard / DATA, np.float32, "r"))


def _digest(index: Mapping[str, Any], data: np.ndarray) -> str:
    digest = hashlib.sha256(json.dumps(index).encode())
    digest.update(data)
    return digest.hexdigest()
