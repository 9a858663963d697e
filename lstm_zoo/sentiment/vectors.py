"""Pretrained word vectors, from files of GloVe, word2vec and fastText."""

import contextlib
import functools
import gzip
import os
import re
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import BinaryIO

import numpy as np

from lstm_zoo.errors import CallError, DataError
from lstm_zoo.printing import progress_bar

CHUNK = 2**20  # bytes of a binary file read at once
REPORT_INTERVAL = 1_000  # lines between two steps of the progress bar
EXPECTED = "GloVe's or word2vec's text, or word2vec's binary form; all of them also in gzip"


def read_vectors(
    path: str | os.PathLike, words: Sequence[str], seed: int = 0
) -> tuple[np.ndarray, int]:
    """Read the vectors of a vocabulary; the format is detected.

    Args:
        path: a file, plain or in gzip, with a progress bar on standard error if it takes long:
            text, on each line a word and its numbers, separated by spaces or tabs; a first line of
            two integers is the header of word2vec and fastText, and blank lines are skipped;
            or word2vec's binary form: after the header, words and float32 numbers.
        words: the vocabulary, in the order of the rows.
        seed: the seed of the rows of missing words: normal, with the mean and standard deviation
            of the rows found.

    Returns:
        A float32 matrix `(words, size)`, and the number of words found.

    Raises:
        CallError: if the file does not exist.
        DataError: if it is malformed, or no word is found; the message names the file and the
            line. Of words outside of the vocabulary, numbers are not read.

    Example:

    >>> _ = Path("vectors.txt").write_text("good 1 2\\nbad -1 -2\\n")
    >>> matrix, found = read_vectors("vectors.txt", ["bad", "good"])
    >>> matrix.tolist(), found
    ([[-1.0, -2.0], [1.0, 2.0]], 2)
    """
    row_of_word = {word: row for row, word in enumerate(words)}
    # Closed at once if a number is malformed, so that no bar is left below the error.
    with contextlib.closing(_vectors(path)) as pairs:
        found = {row_of_word[word]: vector() for word, vector in pairs if word in row_of_word}
    if not found:
        raise DataError(f"{path}: none of the vocabulary's {len(words)} words is in this file.")
    rows = np.stack(list(found.values()))
    generator = np.random.default_rng(seed)
    shape = (len(words), rows.shape[1])
    matrix = generator.normal(rows.mean(), rows.std(), shape).astype(np.float32)
    matrix[list(found)] = rows
    return matrix, len(found)


def vector_words(path: str | os.PathLike) -> Iterator[str]:
    """Yield the words of a file of vectors, in its order: as a rule the most frequent first.

    Args:
        path: the file, as for `read_vectors`; it is read as far as words are taken.

    Raises:
        CallError: if the file does not exist.
        DataError: if it is malformed.

    Example:

    >>> _ = Path("vectors.txt").write_text("good 1 2\\nbad -1 -2\\n")
    >>> [*vector_words("vectors.txt")]
    ['good', 'bad']
    """
    return (word for word, _ in _vectors(path))


def _vectors(
    path: str | os.PathLike,
) -> Generator[tuple[str, Callable[[], np.ndarray]], None, None]:
    """Yield each word, with the function that reads its vector, which is slower."""
    if not os.path.isfile(path):
        raise CallError(f"{path}: no such file of word vectors.")
    with _open(path) as (file, advance):
        read = _binary_vectors if _is_binary(file) else _text_vectors
        yield from read(file, path, advance)


@contextlib.contextmanager
def _open(path: str | os.PathLike) -> Iterator[tuple[BinaryIO, Callable[[], None]]]:
    """Open a file, decompressed; and return the function that moves its progress bar."""
    bar = progress_bar(
        total=os.path.getsize(path),
        desc=os.path.basename(path),
        unit="B",
        unit_scale=True,
        delay=1,  # second: small files have no bar
    )
    with open(path, "rb") as raw, bar:
        compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        try:
            yield (
                gzip.GzipFile(fileobj=raw) if compressed else raw,
                (lambda: bar.update(raw.tell() - bar.n)),
            )
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"{path}: damaged gzip data ({error}); expected {EXPECTED}.") from error


def _is_binary(file: BinaryIO) -> bool:
    header, sample = file.readline(100), file.read(CHUNK)
    file.seek(0)
    size = _header_size(header.split())
    # In text, each number takes two characters at least.
    numbers = sample.partition(b" ")[2][: 2 * (size or 0)]
    return re.search(rb"[^\t\n\r\x20-\x7e]", numbers) is not None


def _header_size(fields: Sequence[str | bytes]) -> int | None:
    """Return the size of the vectors if these are the fields of word2vec's header: count, size."""
    return int(fields[1]) if len(fields) == 2 and all(f.isdigit() for f in fields) else None


def _text_vectors(
    file: BinaryIO, path: str | os.PathLike, advance: Callable[[], None]
) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    size = None
    for number, line in enumerate(file, 1):
        if number % REPORT_INTERVAL == 0:
            advance()
        text = line.decode("utf-8", "replace").rstrip()
        fields = re.split(r"[ \t]+", text)
        if not text:
            continue
        if size is None:
            size = _header_size(fields)
            if size:
                continue
            size = len(fields) - 1
        count = f"{size} numbers" if size else f"its numbers ({EXPECTED})"
        wrong = f"{path}:{number}: expected a word and {count}. Received: {text[:40]!r}"
        # Some of GloVe's words contain spaces: count the numbers from the end.
        if not size or len(fields) <= size:
            raise DataError(wrong)
        word = " ".join(fields[:-size])
        yield word, functools.partial(_text_vector, fields[-size:], wrong)


def _text_vector(numbers: Sequence[str], wrong: str) -> np.ndarray:
    try:
        vector = np.array(numbers, dtype=np.float32)
    except ValueError:
        raise DataError(wrong) from None
    if not np.isfinite(vector).all():
        raise DataError(wrong)
    return vector


def _binary_vectors(
    file: BinaryIO, path: str | os.PathLike, advance: Callable[[], None]
) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    count, size = map(int, file.readline().split())
    data, start = b"", 0
    for number in range(1, count + 1):
        place = (
            f"{path}: vector {number:,} of {count:,}: expected a word and {size} float32 numbers"
        )
        while (space := data.find(b" ", start)) < 0 or len(data) < space + 1 + 4 * size:
            more = file.read(CHUNK)
            advance()
            if not more:
                raise DataError(f"{place}; the file ends there.")
            data, start = data[start:] + more, 0
        word = data[start:space].lstrip(b"\n").decode("utf-8", "replace")
        start = space + 1 + 4 * size
        wrong = f"{place}; a number of {word!r} is not finite."
        yield word, functools.partial(_binary_vector, data, size, space + 1, wrong)


def _binary_vector(data: bytes, size: int, start: int, wrong: str) -> np.ndarray:
    vector = np.frombuffer(data, "<f4", size, start)
    if not np.isfinite(vector).all():
        raise DataError(wrong)
    return vector
