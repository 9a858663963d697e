"""What all tokenizers have in common."""

import pytest

from lstm_zoo.errors import DataError
from lstm_zoo.text.vocabulary import as_bytes, read_words


def test_a_line_ends_at_a_line_feed_alone(tmp_path):
    path = tmp_path / "vocabulary.txt"
    path.write_text("a\n\u2028\nb\x85c\n", encoding="utf-8", newline="\n")
    assert read_words(path) == ["a", "\u2028", "b\x85c"]
    path.write_bytes(b"\xff\n")
    with pytest.raises(DataError, match="vocabulary.txt: damaged"):
        read_words(path)


def test_lone_surrogates_are_encoded():
    assert as_bytes(["\ud800", b"\xff"]) == [b"\xed\xa0\x80", b"\xff"]
