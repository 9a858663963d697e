"""Atomic writes: files appear whole or not at all."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path to write to, and rename it to `path` when the block ends well.

    Args:
        path: where the file, or the directory, shall appear. A file of that name is replaced.

    Yields:
        A free path in the same file system, with the same ending; nothing is there yet.
        Whatever the block leaves there is removed if the block raises.

    Example:

    >>> with atomic_write("/tmp/lstm_zoo_example.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    >>> Path("/tmp/lstm_zoo_example.txt").read_text()
    'whole'
    """
    path = Path(path)
    # A directory of one's own, so that writers at the same time never share a name.
    folder = Path(tempfile.mkdtemp(prefix=".writing-", dir=path.parent))
    try:
        temporary = folder / path.name
        yield temporary
        os.replace(temporary, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, the file whole or not at all."""
    with atomic_write(path) as temporary:
        text = json.dumps(value, indent=2, ensure_ascii=False, default=list)
        # What UTF-8 can't hold, such as half a surrogate pair, is written as JSON's own escape.
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def write_table(path: Path, header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Write a TSV, which has no quoting: tabs and line ends in a field become spaces."""
    options = {"encoding": "utf-8", "errors": "backslashreplace", "newline": "\n"}
    with atomic_write(path) as temporary, temporary.open("w", **options) as file:
        for row in (header, *rows):
            print("\t".join(" ".join(str(field).split()) for field in row), file=file)
