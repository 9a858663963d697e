"""Prepared examples on disk: made once, in parallel, then read as they are needed."""

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
SHARD = 1_024  # examples written together: no more are lost to an interrupt
AHEAD = 64  # examples made ahead of the writing, for each processor


def prepare(
    place: Path, make: Callable[[int], np.ndarray], count: int, title: str
) -> tuple[list[np.ndarray], dict[int, str]]:
    """Return what `make` gives for 0, 1, … `count - 1`, from disk where it was made before.

    Args:
        place: where they are kept, or will be: a folder a shard, `place` and its indices for a
            name. It must change with anything that changes them.
        make: gives the float32 array `(length, width)` of an index, all of one width. A `DataError`
            leaves the index out. It is called from several threads.
        count: how many there are.
        title: of the progress bar.

    Returns:
        The arrays, read-only views into files of which memory holds what is in use, an empty one
        for an index that was left out; and the messages of those that were, by index.

    Example:

    >>> make = lambda index: np.ones((index, 2), np.float32)
    >>> arrays, errors = prepare(Path("cache/doc"), make, 3, "ones")
    >>> [array.shape for array in arrays], errors
    ([(0, 2), (1, 2), (2, 2)], {})
    """
    arrays: list[np.ndarray] = []
    errors: dict[int, str] = {}
    with tqdm(total=count, desc=title, leave=False, disable=None) as bar:
        for start in range(0, count, SHARD):
            indices = range(start, min(start + SHARD, count))
            shard = place.with_name(f"{place.name}-{indices.start}-{indices.stop}")
            if not shard.exists():
                _make(shard, make, indices, bar)
            bar.update(indices.stop - bar.n)
            rows, reasons = _read(shard)
            arrays += rows
            errors |= {start + position: reason for position, reason in reasons.items()}
    return arrays, errors


def _make(
    shard: Path, make: Callable[[int], np.ndarray], indices: Sequence[int], bar: tqdm
) -> None:
    shard.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_write(shard) as beside:
            _write(beside, make, indices, bar)
    except OSError:
        if not shard.exists():  # where it does, another process was first
            raise


def _write(
    place: Path, make: Callable[[int], np.ndarray], indices: Sequence[int], bar: tqdm
) -> None:
    def attempt(index: int) -> np.ndarray | DataError:
        try:
            return make(index)
        except DataError as error:
            return error

    place.mkdir()
    lengths, errors, width = [], {}, 0
    processors = os.cpu_count() or 1
    ahead = AHEAD * processors
    with (place / DATA).open("wb") as file, ThreadPoolExecutor(processors) as pool:
        for start in range(0, len(indices), ahead):
            for made in pool.map(attempt, indices[start : start + ahead]):
                if isinstance(made, DataError):
                    errors[len(lengths)] = str(made)
                    lengths.append(0)
                else:
                    file.write(np.ascontiguousarray(made, np.float32).data)
                    lengths.append(len(made))
                    width = made.shape[1]
                bar.update()
    index = {"lengths": lengths, "width": width, "errors": errors}
    (place / INDEX).write_text(json.dumps(index), encoding="utf-8")


def _read(place: Path) -> tuple[list[np.ndarray], dict[int, str]]:
    index = json.loads((place / INDEX).read_text(encoding="utf-8"))
    lengths, width = index["lengths"], index["width"]
    if any(lengths):
        # As plain views of the map: to cut a np.memmap costs much more.
        data = np.asarray(np.memmap(place / DATA, np.float32, "r")).reshape(-1, width)
    else:
        data = np.zeros((0, width), np.float32)  # an empty file can't be mapped
    return np.split(data, np.cumsum(lengths)[:-1]), {
        int(key): reason for key, reason in index["errors"].items()
    }
