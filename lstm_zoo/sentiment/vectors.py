"""Pretrained word vectors, from a text file in GloVe's format."""

import os
from collections.abc import Sequence

import numpy as np

from lstm_zoo.errors import CallError, DataError


def read_vectors(
    path: str | os.PathLike, words: Sequence[str], seed: int = 0
) -> tuple[np.ndarray, int]:
    """Read the vectors of a vocabulary.

    Args:
        path: a text file with a word and its numbers a line, a space between each (GloVe's
            format; a first line of two numbers, as word2vec and fastText write it, is passed over).
        words: the vocabulary, in the order of the rows wanted.
        seed: draws the rows of words that the file lacks, with the spread of those it has.

    Returns:
        A float32 matrix `(words, size)`, and how many of the words the file has.

    Raises:
        CallError: if there is no such file.
        DataError: if a line is not a word and as many numbers as the others, or no word is known.
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
            # Some of GloVe's words hold spaces: the numbers are counted from the end.
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
        raise DataError(f"{path}: none of the vocabulary's {len(words)} words is in it.")
    rows = np.stack(list(found.values()))
    generator = np.random.default_rng(seed)
    matrix = generator.normal(rows.mean(), rows.std(), (len(words), size)).astype(np.float32)
    matrix[list(found)] = rows
    return matrix, len(found)
