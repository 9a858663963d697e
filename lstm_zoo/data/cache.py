"""A cache of arrays on disk: computed once, in parallel, then memory-mapped."""

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lstm_zoo.errors import DataError
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
            raises a `DataError` to skip it. It is called from several threads.
        count: the number of arrays.
        title: the title of the progress bar.

    Returns:
        The arrays, read-only and memory-mapped, an empty one for each skipped index; and the error
        messages by skipped index.

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
            if not shard.exists():
                _compute_shard(shard, compute, indices, bar)
            bar.update(indices.stop - bar.n)
            shard_arrays, reasons = _read(shard)
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
    lengths, errors, width = [], {}, 0
    processors = os.cpu_count() or 1
    ahead = AHEAD * processors
    with (shard / DATA).open("wb") as file, ThreadPoolExecutor(processors) as pool:
        for start in range(0, len(indices), ahead):
            for result in pool.map(attempt, indices[start : start + ahead]):
                if isinstance(result, DataError):
                    errors[len(lengths)] = str(result)
                    lengths.append(0)
                else:
                    file.write(np.ascontiguousarray(result, np.float32).data)
                    lengths.append(len(result))
                    width = result.shape[1]
                bar.update()
    index = {"lengths": lengths, "width": width, "errors": errors}
    (shard / INDEX).write_text(json.dumps(index), encoding="utf-8")


def _read(shard: Path) -> tuple[list[np.ndarray], dict[int, str]]:
    index = json.loads((shard / INDEX).read_text(encoding="utf-8"))
    lengths, width = index["lengths"], index["width"]
    if any(lengths):
        # A plain view of the map: slicing a np.memmap costs much more.
        data = np.asarray(np.memmap(shard / DATA, np.float32, "r")).reshape(-1, width)
    else:
        data = np.zeros((0, width), np.float32)  # an empty file can't be mapped
    return np.split(data, np.cumsum(lengths)[:-1]), {
        int(key): reason for key, reason in index["errors"].items()
    }
