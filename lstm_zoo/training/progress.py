"""What a person is told while something long runs, on standard error."""

import sys

from tqdm import tqdm


def say(*lines: str, sep: str = " ") -> None:
    """Print to standard error, above a bar that may stand there."""
    tqdm.write(sep.join(lines), file=sys.stderr)
