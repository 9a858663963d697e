"""Files that appear whole or not at all: written beside, then renamed."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_whole(path: str | os.PathLike) -> Iterator[Path]:
    """Give a path beside `path` to write to, and rename it to `path` when the block ends well.

    Args:
        path: where the file, or the directory, shall stand. A file that stands there is replaced.

    Yields:
        A free path in the same directory, with the same ending; nothing stands there yet.
        Whatever the block leaves there is removed if the block raises.

    Example:

    >>> with written_whole("/tmp/lstm_zoo_example.txt") as beside:
    ...     _ = beside.write_text("whole")
    >>> Path("/tmp/lstm_zoo_example.txt").read_text()
    'whole'
    """
    path = Path(path)
    # A directory of one's own, so that writers at the same time never share a name.
    room = Path(tempfile.mkdtemp(prefix=".writing-", dir=path.parent))
    try:
        beside = room / path.name
        yield beside
        os.replace(beside, path)
    finally:
        shutil.rmtree(room, ignore_errors=True)
