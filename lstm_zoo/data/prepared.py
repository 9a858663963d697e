"""Prepared examples on disk: arrays that are computed once, in parallel, then memory-mapped.

A folder next to the runs, `cache`, holds them in shards for all runs. A shard can be removed at any
time: it is computed again.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lstm_zoo.data.arrays import Arrays, Texts, offsets_of
from lstm_zoo.errors import DataError, FileReadError
from lstm_zoo.files import atomic_write, read_json, write_json
from lstm_zoo.printing import progress_bar

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
    with progress_bar(total=count, desc=title) as bar:
        for start in range(0, count, shard_size):
            indices = range(start, min(start + shard_size, count))
            shard = prefix.with_name(f"{prefix.name}-{indices.start}-{indices.stop}")
            found = _read(shard, len(indices), dtype)
            if found is None:
                # One that is there is damaged, or has errors that may pass.
                with writing(shard) as staging:
                    _write_shard(staging, compute, indices, dtype, block, bar)
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


def remember(name: str, columns: Sequence[Sequence[str]], compute: Callable[[], Any]) -> Any:
    """Return what is computed from columns; of columns on disk, it is kept there for later runs.

    Args:
        name: what it is, in the file's name; another computation must have another.
        columns: the columns, lists or `lstm_zoo.data.arrays.Texts`.
        compute: computes a JSON object.

    Example:

    >>> remember("count", [["good", "bad"]], lambda: {"texts": 2})
    {'texts': 2}
    """
    if not all(isinstance(column, Texts) for column in columns):
        return compute()
    key = hashlib.sha256("".join(column.key for column in columns).encode()).hexdigest()
    path = columns[0].folder / f"{name}-{key[:16]}.json"
    with contextlib.suppress(DataError):  # missing or damaged
        return read_json(path)
    value = compute()
    write_json(path, value)
    return value


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """Write a folder of prepared data atomically; one that is there, such as a damaged, goes.

    One that another process has written meanwhile stays, since that process may be reading it;
    what the block has written goes then.

    Args:
        folder: its path; the folder that it is in is created.

    Yields:
        An empty folder to write to. If the block raises, it is removed.

    Example:

    >>> with writing(Path("cache/doc")) as staging:
    ...     _ = (staging / "values").write_text("1 2 3")
    >>> Path("cache/doc/values").read_text()
    '1 2 3'
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    replaced = _inode(folder)
    is_written = False
    try:
        with atomic_write(folder) as temporary:
            temporary.mkdir()
            yield temporary
            is_written = True
            if _inode(folder) == replaced:
                shutil.rmtree(folder, ignore_errors=True)  # no rename would replace it
    except OSError:
        if not is_written or not folder.exists():  # else another process was faster
            raise


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def memory_map(path: Path, dtype: str) -> np.ndarray:
    """Return the values of a file, read-only and memory-mapped, `(values,)`."""
    if not path.stat().st_size:
        return np.zeros(0, dtype)  # an empty file can't be mapped
    # A plain view of the map: slicing a np.memmap costs much more.
    return np.asarray(np.memmap(path, dtype, "r"))


def _write_shard(
    shard: Path, compute: Compute, indices: range, dtype: str, block: int, bar: tqdm
) -> None:
    lengths, errors, width, may_pass = [], {}, 0, False
    processors = os.cpu_count() or 1
    blocks = [indices[start : start + block] for start in range(0, len(indices), block)]
    ahead = processors * max(4, AHEAD // block)
    with _data(shard, dtype).open("wb") as file, ThreadPoolExecutor(processors) as pool:
        for start in range(0, len(blocks), ahead):
            for results in pool.map(compute, blocks[start : start + ahead]):
                arrays = []
                for result in results:
                    if isinstance(result, DataError):
                        errors[str(len(lengths))] = str(result)
                        may_pass |= isinstance(result, FileReadError)
                        lengths.append(0)
                    else:
                        arrays.append(result)
                        lengths.append(len(result))
                if arrays:
                    width = arrays[0].shape[1] if arrays[0].ndim > 1 else None
                    file.write(np.ascontiguousarray(np.concatenate(arrays), dtype).data)
                bar.update(len(results))
    index = {"lengths": lengths, "width": width, "errors": errors, "may_pass": may_pass}
    index["sha256"] = _digest(index, memory_map(_data(shard, dtype), dtype))
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
        data = memory_map(_data(shard, dtype), dtype)
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


def _digest(index: Mapping[str, Any], data: np.ndarray) -> str:
    digest = hashlib.sha256(json.dumps(index).encode())
    digest.update(data)
    return digest.hexdigest()
