"""Tables: the same rows from each kind of file, with their places."""

import json

import pytest

from lstm_zoo.data import tables
from lstm_zoo.errors import DataError


@pytest.mark.parametrize("suffix", tables.SUFFIXES)
def test_each_kind_of_file_gives_the_same_rows(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    rows = [("1", "é\u2028x", "ann"), ("2", "b", "")]
    joint = {".tsv": "\t", ".csv": ","}.get(suffix)
    if joint:
        lines = [joint.join(row) for row in (("id", "sentence", "by"), *rows)]
    else:
        keys = ("id", "sentence", "by")
        lines = [json.dumps(dict(zip(keys, row, strict=True)), ensure_ascii=False) for row in rows]
    path.write_bytes(("\ufeff" + "\r\n\r\n".join(lines)).encode())
    read = list(tables.read_rows(path, ["text/sentence"], ["by", "accent"]))
    assert [row for _, row in read] == [["é\u2028x", "ann", None], ["b", "", None]]
    first = 3 if joint else 1
    assert [place for place, _ in read] == [f"{path}:{first}", f"{path}:{first + 2}"]


def test_the_first_of_several_names_is_taken(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("sentence\ttext\nb\ta\n")
    assert list(tables.read_rows(path, ["text/sentence"])) == [(f"{path}:2", ["a"])]
    path = tmp_path / "a.jsonl"
    path.write_text('{"sentence": "b", "text": "a"}\n{"sentence": 3}')
    assert [row for _, row in tables.read_rows(path, ["text/sentence"])] == [["a"], [3]]


def test_missing_columns_are_named_with_their_other_names(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,text\n")
    with pytest.raises(DataError, match=r"named path \(or file\) in the header. Expected path \("):
        list(tables.read_rows(path, ["path/file", "text"]))
