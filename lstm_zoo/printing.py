"""Lines of output: how all that is printed gets to standard output and standard error.

What is said about the work goes through Python's logger `lstm_zoo`, to standard error: at its level
WARNING only warnings are left, without progress bars; at DEBUG each training step has a line, and
TensorFlow's own log is kept. `--quiet` and `--verbose` set this level.
"""

import contextlib
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

# What could control a terminal or hide a part of a line: control characters (C0 and C1, of which
# a newline and a tab are kept), bidirectional embeddings, overrides and isolates, line and
# paragraph separators; and lone surrogates, which UTF-8 can't encode.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escape(text: str) -> str:
    r"""Escape the characters that must not reach a terminal, as JSON does: `\u001b`.

    JSON stays valid JSON of the same value.

    Args:
        text: one or several lines; newlines and tabs are kept.

    Returns:
        Text that UTF-8 can encode.

    Example:

    >>> print(escape("good\x1b[31m\tмёд \udcff"))
    good\u001b[31m	мёд \udcff
    """
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def shorten(text: str, width: int = 40) -> str:
    """Shorten a text to a line, at a space where one is near, as in languages that have them.

    Args:
        text: any text; white space becomes single spaces.
        width: the maximum number of characters, with the ` …` that marks what is left out.

    Example:

    >>> shorten("a very moving film", 14), shorten("这部电影非常精彩", 6)
    ('a very …', '这部电影 …')
    """
    line = " ".join(text.split())
    if len(line) <= width:
        return line
    words, _, _ = line[: width - 1].rpartition(" ")
    return f"{words if len(words) > width // 3 else line[: width - 2]} …"


def write_line(text: object, *, err: bool = False) -> None:
    """Print a text, escaped, and a newline; what runs behind a pipe gets it at once.

    Args:
        text: one or several lines, or what `str` makes into them.
        err: whether it goes to standard error, rather than to standard output.

    Example:

    >>> write_line("tidy")
    tidy
    """
    print(escape(str(text)), file=sys.stderr if err else sys.stdout, flush=True)


class _Handler(logging.Handler):
    """Prints to the standard error of the moment, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm  # --help does without

        with tqdm.external_write_mode(file=sys.stderr):
            write_line(record.getMessage(), err=True)


logger = logging.getLogger("lstm_zoo")
logger.addHandler(_Handler())
if logger.level == logging.NOTSET:  # the program has set none
    logger.setLevel(logging.INFO)
logger.propagate = False


def log(line: str) -> None:
    """Log a line at the level INFO; at WARNING if it begins with `Warning: `."""
    logger.log(logging.WARNING if line.startswith("Warning: ") else logging.INFO, "%s", line)


def progress_bar(*arguments: Any, **options: Any) -> Any:
    """Return a `tqdm` that disappears at its end, and is shown on a terminal alone.

    Args:
        *arguments: those of `tqdm`.
        **options: likewise.

    Example:

    >>> [*progress_bar(range(3), "reading")]
    [0, 1, 2]
    """
    from tqdm import tqdm

    hidden = None if logger.isEnabledFor(logging.INFO) else True  # None: without a terminal
    return tqdm(*arguments, leave=False, disable=hidden, **options)


# A line of the C++ logs of TensorFlow and its libraries, and the notice before the first.
_NATIVE_LOG = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\)"
    rb"|[IWE]\d{4} .*\.(cc|h):\d+\]|\d{4}-\d\d-\d\d .*: [IWE] .*\.(cc|h):\d+\]"
)


@contextlib.contextmanager
def without_native_log() -> Iterator[None]:
    """Drop the lines that TensorFlow's C++ code logs to standard error in the block.

    For its import: what it logs before it reads `TF_CPP_MIN_LOG_LEVEL` has no switch. All other
    lines are printed at the end of the block.

    Example:

    >>> with without_native_log():
    ...     _ = os.write(2, b"I0000 00:00:17.5 99 stub.cc:31] Could not find cuda drivers.\\n")
    """
    try:
        kept = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not _NATIVE_LOG.match(line):
                    os.write(2, line)


def use_utf8() -> None:
    """Make this process's output UTF-8, whatever the locale; for a command, not for a library.

    A stream that the process was started without is one to nowhere.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        getattr(sys, name).reconfigure(encoding="utf-8", errors="backslashreplace")
