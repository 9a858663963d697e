"""Pretrained word vectors, from a text file in GloVe's format."""

import os
from collections.abc import Sequence

import numpy as np

from lstm_zoo.errors import CallError, DataError


def read_vectors(
    path: str | os.PathLike, words: Sequence[str], seed: int = 0
) -> tuple[np.ndarray, int]:
    """Read the vectors of a vocabulary from a file in GloVe's format.

    Args:
        path: a text file: on each line a word and its numbers, separated by spaces. A first line of
            two fields, the header of word2vec and fastText, is skipped.
        words: the vocabulary, in the order of the rows.
        seed: the seed of the rows of missing words: normal, with the mean and standard deviation
            of the rows found.

    Returns:
        A float32 matrix `(words, size)`, and the number of words found.

    Raises:
        CallError: if the file does not exist.
        DataError: if a line is not a word and `size` numbers, or no word is found.

    Example:

    >>> _ = Path("vectors.txt").write_text("good 1 2\\nbad -1 -2\\n")
    >>> matrix, found = read_vectors("vectors.txt", ["bad", "good"])
    >>> matrix.tolist(), found
    ([[-1.0, -2.0], [1.0, 2.0]], 2)
    """
    if not os.path.isfile(path):
        raise CallError(f"{path}: no such file of word vectors.")
    row_of_word = {word: row for row, word in enumerate(words)}
    found: dict[int, np.ndarray] = {}
    size = None
    with open(path, encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            fields = line.rstrip().split(" ")
            if number == 1 and len(fields) == 2:
                continue
            size = size or len(fields) - 1
            # Some of GloVe's words contain spaces: count the numbers from the end.
            word = " ".join(fields[:-size])
            try:
                vector = np.array(fields[-size:], dtype=np.float32) if word else None
            except ValueError:
                vector = None
            if vector is None or not np.isfinite(vector).all():
                raise DataError(f"{path}:{number}: expected a word and {size} numbers.")
            if word in row_of_word:
                found[row_of_word[word]] = vector
    if not found:
        raise DataError(f"{path}: none of the vocabulary's {len(words)} words is in this file.")
    rows = np.stack(list(found.values()))
    generator = np.random.default_rng(seed)
    matrix = generator.normal(rows.mean(), rows.std(), (len(words), size)).astype(np.float32)
    matrix[list(found)] = rows
    return matrix, len(found)
