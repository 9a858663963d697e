"""Lines of output: how all that is printed gets to standard output and standard error."""

import re
import sys

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


def use_utf8() -> None:
    """Make this process's output UTF-8, whatever the locale; for a command, not for a library."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
