"""Word vectors in GloVe's text format."""

import numpy as np
import pytest

from lstm_zoo.errors import CallError, DataError
from lstm_zoo.sentiment.vectors import read_vectors


def test_words_in_the_file_get_their_row_and_others_a_random_one(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("good 1 2\n. . . 0.5 -1\nbad -1 -2\n", encoding="utf-8")
    matrix, found = read_vectors(path, ["<pad>", "bad", "good", ". . ."], seed=1)
    assert found == 3
    assert matrix[1:].tolist() == [[-1, -2], [1, 2], [0.5, -1]]
    assert matrix.dtype == np.float32
    assert np.array_equal(matrix, read_vectors(path, ["<pad>", "bad", "good", ". . ."], seed=1)[0])


def test_a_word2vec_header_is_skipped(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("2 3\ngood 1 2 3\nbad 4 5 6\n")
    assert read_vectors(path, ["bad"])[0].tolist() == [[4, 5, 6]]


@pytest.mark.parametrize("line", ["bad 1", "bad 1 x", "bad 1 nan", ""])
def test_a_malformed_line_is_an_error_with_its_number(tmp_path, line):
    path = tmp_path / "vectors.txt"
    path.write_text(f"good 1 2\n{line}\n")
    with pytest.raises(DataError, match=r"vectors.txt:2: expected a word and 2 numbers"):
        read_vectors(path, ["good", "bad"])


def test_no_file_and_no_known_word_are_errors(tmp_path):
    with pytest.raises(CallError, match="no such file"):
        read_vectors(tmp_path / "none.txt", ["good"])
    (tmp_path / "vectors.txt").write_text("other 1 2\n")
    with pytest.raises(DataError, match="none of the vocabulary"):
        read_vectors(tmp_path / "vectors.txt", ["good"])
