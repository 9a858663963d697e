"""Atomic writes: an error keeps the old file and leaves no temporary one. JSON and tables."""

import json

import pytest

from lstm_zoo.files import atomic_write, write_json, write_table


def test_an_error_keeps_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_the_file_is_replaced_when_the_block_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.suffix == path.suffix
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_json_has_unicode_and_escaped_lone_surrogates(tmp_path):
    value = {"text": "é\ud800", "units": (32, 16)}
    write_json(tmp_path / "a.json", value)
    data = (tmp_path / "a.json").read_bytes()
    assert "é\\ud800".encode() in data
    assert json.loads(data) == {"text": "é\ud800", "units": [32, 16]}


def test_a_table_has_one_line_a_row(tmp_path):
    write_table(tmp_path / "a.tsv", ["place", "n"], [["a\tb\r\n c", 1], ["\ud800", ""]])
    assert (tmp_path / "a.tsv").read_bytes() == b"place\tn\na b c\t1\n\\ud800\t\n"
