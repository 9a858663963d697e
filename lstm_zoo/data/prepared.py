"""Prepared examples on disk: arrays that are computed once, in parallel, then memory-mapped.

A folder next to the runs, `cache`, holds them in shards for all runs. A shard can be removed at any
time: it is computed again.
"""

import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lstm_zoo.data.arrays import Arrays, offsets_of
from lstm_zoo.errors import DataError, FileReadError
from lstm_zoo.files import atomic_write

INDEX = "index.json"
SHARD = 1_024  # arrays written together: an interrupt loses no more
AHEAD = 64  # arrays computed ahead of the writing, per processor; at least 4 blocks

Compute = Callable[[range], Sequence[np.ndarray | DataError]]


def prepare(
    prefix: Path,
    compute: Compute,
    count: int,
    title: str,
    *,
    dtype: str = "float32",
    block: int = 1,
    shard_size: int = SHARD,
) -> tuple[Arrays, dict[int, str]]:
    """Return the arrays of the indices 0 to `count - 1`, from the disk where they are there.

    Args:
        prefix: where they are: a shard is a directory named by `prefix` and its indices. The name
            must contain a fingerprint of all that the arrays depend on.
        compute: takes a range of indices and returns for each the array `(length,)` or
            `(length, width)`, all of one width, or a `DataError` to skip it. It is called from
            several threads. A `FileReadError` may pass: the next call computes the shard again.
        count: the number of arrays.
        title: the title of the progress bar.
        dtype: the type of the arrays' values.
        block: the number of indices that `compute` takes at once.
        shard_size: the number of arrays of a shard.

    Returns:
        The arrays, read-only and memory-mapped, an empty one for each skipped index; and the error
        messages by skipped index. A shard that is damaged is computed again.

    Example:

    >>> compute = lambda indices: [np.ones((index, 2), np.float32) for index in indices]
    >>> arrays, errors = prepare(Path("cache/doc"), compute, 3, "ones")
    >>> [array.shape for array in arrays], errors
    ([(0, 2), (1, 2), (2, 2)], {})
    """
    shards: list[tuple[np.ndarray, np.ndarray]] = []
    errors: dict[int, str] = {}
    with tqdm(total=count, desc=title, leave=False, disable=None) as bar:
        for start in range(0, count, shard_size):
            indices = range(start, min(start + shard_size, count))
            shard = prefix.with_name(f"{prefix.name}-{indices.start}-{indices.stop}")
            found = _read(shard, len(indices), dtype)
            if found is None:
                _write_shard(shard, compute, indices, dtype, block, bar)
                found = _read(shard, len(indices), dtype, retry=False)
            if found is None:
                raise DataError(f"{shard}: can't be read back after it was written.")
            bar.update(indices.stop - bar.n)
            values, offsets, reasons = found
            shards.append((values, offsets))
            errors |= {start + position: reason for position, reason in reasons.items()}
    return Arrays(shards), errors


def fingerprint(*columns: Iterable[str]) -> str:
    """Return the SHA-256 of columns of a corpus, which changes with any row and with their order.

    Args:
        *columns: columns of strings, of equal lengths.

    Returns:
        64 hexadecimal digits.

    Example:

    >>> fingerprint(["good", "bad"], ["pos", "neg"])[:8]
    'cf11f53b'
    """
    digest = hashlib.sha256()
    for row in zip(*columns, strict=True):
        for field in row:
            data = field.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def _write_shard(
    shard: Path, compute: Compute, indices: range, dtype: str, block: int, bar: tqdm
) -> None:
    shard.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_write(shard) as temporary:
            _write(temporary, compute, indices, dtype, block, bar)
            # A damaged one, or one with errors that may pass, which no rename would replace.
            shutil.rmtree(shard, ignore_errors=True)
    except OSError:
        if not shard.exists():  # else another process was faster
            raise


def _write(
    shard: Path, compute: Compute, indices: range, dtype: str, block: int, bar: tqdm
) -> None:
    shard.mkdir()
    lengths, errors, width, may_pass = [], {}, 0, False
    processors = os.cpu_count() or 1
    blocks = [indices[start : start + block] for start in range(0, len(indices), block)]
    ahead = processors * max(4, AHEAD // block)
    with _data(shard, dtype).open("wb") as file, ThreadPoolExecutor(processors) as pool:
        for start in range(0, len(blocks), ahead):
            computed = pool.map(compute, blocks[start : start + ahead])
            for result in itertools.chain.from_iterable(computed):
                if isinstance(result, DataError):
                    errors[str(len(lengths))] = str(result)
                    may_pass |= isinstance(result, FileReadError)
                    lengths.append(0)
                else:
                    file.write(np.ascontiguousarray(result, dtype).data)
                    lengths.append(len(result))
                    width = result.shape[1] if result.ndim > 1 else None
                bar.update()
    index = {"lengths": lengths, "width": width, "errors": errors, "may_pass": may_pass}
    index["sha256"] = _digest(index, _map(shard, dtype))
    (shard / INDEX).write_text(json.dumps(index), encoding="utf-8")


def _read(
    shard: Path, count: int, dtype: str, *, retry: bool = True
) -> tuple[np.ndarray, np.ndarray, dict[int, str]] | None:
    """Return a shard's values, offsets and errors; None if it is missing or damaged.

    Args:
        shard: the directory.
        count: the number of arrays that it must have.
        dtype: the type of the values.
        retry: whether one with errors that may pass counts as damaged.
    """
    try:
        index = json.loads((shard / INDEX).read_text(encoding="utf-8"))
        digest = index.pop("sha256")
        data = _map(shard, dtype)
        if _digest(index, data) != digest or len(index["lengths"]) != count:
            return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None  # also that of a version of lstm_zoo without checksums
    if retry and index["may_pass"]:
        return None
    width = index["width"]
    values = data if width is None else data.reshape(-1 if data.size else 0, width)
    errors = {int(position): reason for position, reason in index["errors"].items()}
    return values, offsets_of(index["lengths"]), errors


def _data(shard: Path, dtype: str) -> Path:
    return shard / f"data.{dtype}"


def _map(shard: Path, dtype: str) -> np.ndarray:
    """Return a shard's data, memory-mapped."""
    path = _data(shard, dtype)
    if not path.stat().st_size:
        return np.zeros(0, dtype)  # an empty file can't be mapped
    # A plain view of the map: slicing a np.memmap costs much more.
    return np.asarray(np.memmap(path, dtype, "r"))


def _digest(index: Mapping[str, Any], data: np.ndarray) -> str:
    digest = hashlib.sha256(json.dumps(index).encode())
    digest.update(data)
    return digest.hexdigest()
