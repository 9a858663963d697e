"""What all tokenizers have in common: special ids, files, limits. It imports no TensorFlow."""

from collections.abc import Iterable
from pathlib import Path

from lstm_zoo.files import reading

PADDING, UNKNOWN, START, END = range(4)
SPECIAL_TOKENS = ("<pad>", "<unk>", "<s>", "</s>")
MAX_CHARACTERS = 100_000  # of a text; the rest is cut
WORDS, PIECES = "vocabulary.txt", "pieces.model"  # files


def as_bytes(texts: Iterable[str | bytes]) -> list[bytes]:
    """Encode texts as UTF-8, lone surrogates too: normalization replaces them.

    Example:

    >>> as_bytes(["good", b"film"])
    [b'good', b'film']
    """
    return [
        text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass") for text in texts
    ]


def read_words(path: Path) -> list[str]:
    """Read a `vocabulary.txt`: a word a line, by id from 4.

    Raises:
        DataError: if it is damaged.

    Example:

    >>> read_words(Path("runs/imdb/vocabulary.txt"))[:2]
    ['the', ',']
    """
    with reading(path):
        # Not splitlines(): a word may be a character that it treats as a line end.
        return path.read_text(encoding="utf-8").split("\n")[:-1]
