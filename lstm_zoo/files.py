"""Atomic writes of files and directories."""

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
    """Write a file or a directory atomically: to a temporary path, renamed on success.

    Args:
        path: the path of the file or directory. An existing file is replaced.

    Yields:
        A temporary path in the same file system with the same name; nothing exists there yet.
        If the block raises, whatever it wrote there is removed.

    Example:

    >>> with atomic_write("example.txt") as temporary:
    ...     _ = temporary.write_text("complete")
    >>> Path("example.txt").read_text()
    'complete'
    """
    path = Path(path)
    # A new directory for each call, so that concurrent writers never share a path.
    folder = Path(tempfile.mkdtemp(prefix=".writing-", dir=path.parent))
    try:
        temporary = folder / path.name
        yield temporary
        os.replace(temporary, path)
    finally:
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


def write_table(path: Path, header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Write a TSV file atomically, without quoting: white space in a field becomes single spaces.

    Example:

    >>> write_table(Path("example.tsv"), ["place", "reason"], [["a.tsv:2", "no\\ttext"]])
    >>> Path("example.tsv").read_text().splitlines()
    ['place\\treason', 'a.tsv:2\\tno text']
    """
    options = {"encoding": "utf-8", "errors": "backslashreplace", "newline": "\n"}
    with atomic_write(path) as temporary, temporary.open("w", **options) as file:
        for row in (header, *rows):
            print("\t".join(" ".join(str(field).split()) for field in row), file=file)
