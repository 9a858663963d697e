"""Tables: the same rows and places from each format."""

import csv
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.data import tables
from lstm_zoo.data.headers import Column
from lstm_zoo.errors import DataError

TEXT, LABEL = Column(("text", "sentence")), Column(("label",))


@pytest.mark.parametrize("suffix", tables.SUFFIXES)
def test_each_format_gives_the_same_rows(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    rows = [("1", "é\u2028x", "ann"), ("2", "b", "")]
    separator = {".tsv": "\t", ".csv": ","}.get(suffix)
    if separator:
        lines = [separator.join(row) for row in (("id", "sentence", "by"), *rows)]
    else:
        keys = ("id", "sentence", "by")
        lines = [json.dumps(dict(zip(keys, row, strict=True)), ensure_ascii=False) for row in rows]
    path.write_bytes(("\ufeff" + "\r\n\r\n".join(lines)).encode())
    read = list(tables.read_rows(path, [TEXT], [Column(("by",)), Column(("accent",))]))
    assert [row for _, row in read] == [["é\u2028x", "ann", None], ["b", "", None]]
    first = 3 if separator else 1
    assert [place for place, _ in read] == [f"{path}:{first}", f"{path}:{first + 2}"]


def test_the_first_alternative_name_is_preferred(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("sentence\ttext\nb\ta\n")
    assert list(tables.read_rows(path, [TEXT])) == [(f"{path}:2", ["a"])]
    path = tmp_path / "a.jsonl"
    path.write_text('{"sentence": "b", "text": "a"}\n{"sentence": 3}')
    assert [row for _, row in tables.read_rows(path, [TEXT])] == [["a"], [3]]


def test_the_error_for_a_missing_column_lists_its_alternative_names(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,text\n")
    with pytest.raises(DataError, match=r"named path \(or file\) in the header. Expected path \("):
        list(tables.read_rows(path, [Column(("path", "file")), TEXT]))


FIELDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@given(rows=st.lists(st.tuples(FIELDS, FIELDS), max_size=5))
@settings(max_examples=60)
def test_a_csv_is_read_as_python_writes_it(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    read = [tuple(row) for _, row in tables.read_rows(path, [TEXT, LABEL])]
    assert read == rows


def test_the_field_size_limit_of_csv_is_restored(tmp_path):
    path = tmp_path / "a.csv"
    long = "w" * 200_000
    path.write_text(f"text\n{long}\nshort\n")
    malformed = tmp_path / "malformed.csv"
    malformed.write_text('text\n"open\n')
    default = csv.field_size_limit(5_000)
    try:
        one, other = (tables.read_rows(path, [TEXT]) for _ in range(2))
        for reader, expected in [(one, long), (other, long), (one, "short"), (other, "short")]:
            assert next(reader)[1] == [expected]
            assert csv.field_size_limit() == 5_000
        one.close()
        assert list(other) == []
        with pytest.raises(DataError, match=r"malformed.csv:2: not valid CSV"):
            list(tables.read_rows(malformed, [TEXT]))
        assert csv.field_size_limit() == 5_000
    finally:
        csv.field_size_limit(default)
