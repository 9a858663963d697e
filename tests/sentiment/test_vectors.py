"""Word vectors: GloVe's and word2vec's text, word2vec's binary form, and gzip."""

import contextlib
import gzip

import numpy as np
import pytest

from lstm_zoo.errors import CallError, DataError
from lstm_zoo.sentiment.vectors import read_vectors, vector_words

WORDS = ["<pad>", "bad", "good", "été"]
ROWS = {"good": [1, 2, 0.5], "other": [7, 8, 9], "été": [0, -0.25, 4], "bad": [-1, -2, 3]}
TEXT = "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in ROWS.items())


def binary(end=b"\n"):
    rows = (
        word.encode() + b" " + np.array(row, "<f4").tobytes() + end for word, row in ROWS.items()
    )
    return b"4 3\n" + b"".join(rows)


def test_words_in_the_file_get_their_row_and_others_a_random_one(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("good 1 2\n. . . 0.5 -1\nbad -1 -2\n", encoding="utf-8")
    matrix, found = read_vectors(path, ["<pad>", "bad", "good", ". . ."], seed=1)
    assert found == 3
    assert matrix[1:].tolist() == [[-1, -2], [1, 2], [0.5, -1]]
    assert matrix.dtype == np.float32
    assert np.array_equal(matrix, read_vectors(path, ["<pad>", "bad", "good", ". . ."], seed=1)[0])


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.replace(" ", "\t").replace("\n", "\r\n").encode(),
        ("\n4 3\n\n" + TEXT.replace("\n", "\n \n")).encode(),
        binary(),
        binary(end=b""),
    ],
    ids=["GloVe", "tabs", "word2vec with blank lines", "binary", "binary without line ends"],
)
def test_every_format_gives_the_same_vectors(tmp_path, monkeypatch, data, compress):
    path = tmp_path / "vectors"
    path.write_bytes(compress(data))
    monkeypatch.setattr("lstm_zoo.sentiment.vectors.CHUNK", 20)  # a vector spans two
    matrix, found = read_vectors(path, WORDS)
    assert found == 3
    assert matrix[1:].tolist() == [ROWS[word] for word in WORDS[1:]]
    assert [*vector_words(path)] == [*ROWS]


@pytest.mark.parametrize("line", ["bad 1", "7", "bad 1 x", "bad 1 nan"])
def test_a_malformed_line_is_an_error_with_its_number_and_leaves_no_bar(
    tmp_path, monkeypatch, line
):
    bars = []

    class Bar(contextlib.nullcontext):
        n = 0

        def __exit__(self, *error):
            bars.append(self)

    monkeypatch.setattr("lstm_zoo.sentiment.vectors.progress_bar", lambda **options: Bar())
    path = tmp_path / "vectors.txt"
    path.write_text(f"good 1 2\n\n{line}\n")
    message = rf"vectors.txt:3: expected a word and 2 numbers. Received: '{line}'"
    with pytest.raises(DataError, match=message):
        try:
            read_vectors(path, ["good", "bad", "7"])
        finally:
            assert len(bars) == 1


@pytest.mark.parametrize(
    "data, message",
    [
        (b"PK\x03\x04\x00", r"vectors:1: expected a word and its numbers \(GloVe's or word2vec's"),
        (binary()[:-9], "vector 4 of 4: expected a word and 3 float32 numbers; the file ends"),
        (binary().replace(np.float32(-2).tobytes(), b"\xff" * 4), "'bad' is not finite"),
        (gzip.compress(TEXT.encode())[:-9], r"vectors: damaged gzip data \(.*; expected GloVe's"),
        (b"\x1f\x8bnonsense", "vectors: damaged gzip data"),
        (b"", "none of the vocabulary"),
    ],
    # gzip's header holds the time, and pytest-xdist's processes need the same names.
    ids=["zip", "cut", "nan", "gzip cut", "no gzip", "empty"],
)
def test_a_damaged_file_is_an_error_with_its_name(tmp_path, data, message):
    (tmp_path / "vectors").write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_vectors(tmp_path / "vectors", WORDS)


def test_no_file_and_no_known_word_are_errors(tmp_path):
    with pytest.raises(CallError, match="no such file"):
        read_vectors(tmp_path / "none.txt", ["good"])
    (tmp_path / "vectors.txt").write_text("other 1 2\n")
    with pytest.raises(DataError, match="none of the vocabulary"):
        read_vectors(tmp_path / "vectors.txt", ["good"])
