"""Tables with answers: rows are kept, columns are added."""

import csv
import json

import pytest

from lstm_zoo.data import answers
from lstm_zoo.data.headers import Column
from lstm_zoo.errors import CallError, DataError

TEXT = Column(("text",), "text_column")


def annotated(source, target, column=TEXT):
    """Copy a table, with the length of each text."""
    inputs = answers.read(source, column)
    answers.check_names(source, inputs.names, ["length", "error"])
    with answers.writing(target, inputs, ["length", "error"]) as write:
        for row in inputs.rows:
            write(row, {"length": len(row.value or ""), "error": ""})
    return target.read_text("utf-8")


def test_a_csv_keeps_its_delimiter_quotes_and_line_breaks(tmp_path):
    source = tmp_path / "a.csv"
    source.write_text('\ufeffid;Text;note\n1;"a; b";"two\nlines"\n2;"say ""x""";\n', "utf-8")
    text = annotated(source, tmp_path / "b.csv")
    assert text == ('id;Text;note;length;error\n1;"a; b";"two\nlines";4;\n2;"say ""x""";;7;\n')


@pytest.mark.parametrize("text", ["a\rb", "a\r\nb", "\r", "\n", 'a "b"\r\n', "a,b\r\n"])
def test_line_ends_inside_of_a_field_are_kept(tmp_path, text):
    source, target = tmp_path / "a.csv", tmp_path / "b.csv"
    with source.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "text"], ["1", text], ["2", "next"]])
    annotated(source, target)
    with target.open(newline="") as file:
        rows = [*csv.reader(file)]
    assert [row[:2] for row in rows] == [["id", "text"], ["1", text], ["2", "next"]]


def test_a_later_row_with_a_column_that_is_added_is_refused(tmp_path):
    source = tmp_path / "a.jsonl"
    source.write_text('{"text": "x"}\n{"text": "y", "Length": 9}\n')
    with pytest.raises(DataError, match=r"a.jsonl:2: it has a column named length"):
        annotated(source, tmp_path / "b.jsonl")
    assert not (tmp_path / "b.jsonl").exists()


def test_every_format_becomes_every_format(tmp_path):
    files = {
        "a.csv": "id,text\n1,één\n2,\n",
        "a.tsv": "id\ttext\n1\téén\n2\t\n",
        "a.jsonl": '{"id": "1", "text": "één"}\n{"id": "2", "text": ""}\n',
    }
    for name, content in files.items():
        source = tmp_path / name
        source.write_text(content, "utf-8")
        assert annotated(source, tmp_path / "b.csv") == "id,text,length,error\n1,één,3,\n2,,0,\n"
        assert annotated(source, tmp_path / "b.tsv") == (
            "id\ttext\tlength\terror\n1\téén\t3\t\n2\t\t0\t\n"
        )
        rows = [json.loads(line) for line in annotated(source, tmp_path / "b.jsonl").splitlines()]
        assert rows == [
            {"id": "1", "text": "één", "length": 3, "error": ""},
            {"id": "2", "text": "", "length": 0, "error": ""},
        ]


def test_json_values_are_kept_or_written_as_json(tmp_path):
    source = tmp_path / "a.jsonl"
    source.write_text('{"text": "x", "n": 1.50, "deep": {"a": [null, true]}}\n{"n": 2}\n')
    first, second = map(json.loads, annotated(source, tmp_path / "b.jsonl").splitlines())
    assert first == {"text": "x", "n": 1.5, "deep": {"a": [None, True]}, "length": 1, "error": ""}
    assert second == {"n": 2, "length": 0, "error": ""}
    annotated(source, tmp_path / "b.csv")
    with (tmp_path / "b.csv").open(newline="") as file:
        assert [*csv.reader(file)][1:] == [
            ["x", "1.5", '{"a": [null, true]}', "1", ""],
            ["", "2", "", "0", ""],
        ]
    source.write_text('{"text": "x"}\n{"text": "y", "new": 2}\n')
    with pytest.raises(DataError, match=r"a.jsonl:2: the key new is not in the first line"):
        annotated(source, tmp_path / "c.csv")
    assert not (tmp_path / "c.csv").exists()


def test_a_file_without_a_header_stays_without_one(tmp_path):
    source = tmp_path / "a.tsv"
    source.write_text("pos\tgood\nneg\tbad\n")
    column = Column(("text",), "text_column", "2")
    assert annotated(source, tmp_path / "b.tsv", column) == "pos\tgood\t4\t\nneg\tbad\t3\t\n"
    rows = annotated(source, tmp_path / "b.jsonl", column).splitlines()
    assert json.loads(rows[0]) == {"1": "pos", "2": "good", "length": 4, "error": ""}


def test_lines_of_a_text_file_are_all_kept(tmp_path):
    source = tmp_path / "a.txt"
    source.write_text("one\n\nthree\n")
    assert annotated(source, tmp_path / "b.tsv") == (
        "text\tlength\terror\none\t3\t\n\t0\t\nthree\t5\t\n"
    )
    source.write_text("")
    assert annotated(source, tmp_path / "b.csv") == "text,length,error\n"
    with pytest.raises(CallError, match="text_column has no effect: .*a.txt, a text file, has no"):
        annotated(source, tmp_path / "c.csv", Column(("text",), "text_column", "review"))


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "a.csv:1: no column named text"),
        ("id,review\n1,x\n", "a.csv:1: no column named text in the header.*--text-column"),
        ("text,id,id\nx,1,2\n", "several columns have the same name"),
        ("text,Error\nx,1\n", "has a column named error, as the answers have; rename it"),
        ("id,text\n1,x\n2,y,z\n", "a.csv:3: 3 fields; expected 2"),
        ("id,text\n1,x\n2,\xff\n", "a.csv:3: byte 0xff is not UTF-8"),
    ],
)
def test_a_table_that_cannot_be_answered_leaves_nothing(tmp_path, content, message):
    source, target = tmp_path / "a.csv", tmp_path / "b.csv"
    source.write_text(content, "latin-1")
    with pytest.raises(DataError, match=message):
        annotated(source, target)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_a_tsv_refuses_what_it_cannot_hold(tmp_path):
    source = tmp_path / "a.csv"
    source.write_text('text\n"two\nlines"\n')
    with pytest.raises(DataError, match=r"can't hold the tab or line break in 'two\\nlines'"):
        annotated(source, tmp_path / "b.tsv")
    assert not (tmp_path / "b.tsv").exists()


def test_paths_are_checked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("text\nx\n")
    (tmp_path / "a.parquet").write_text("")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "link.csv").symlink_to("a.csv")
    for source, target, message in (
        ("none.csv", "b.csv", "none.csv: no such file"),
        ("folder.csv", "b.csv", "folder.csv: a folder"),
        ("a.parquet", "b.csv", "a.parquet: expected a file named .tsv, .csv, .jsonl, .txt"),
        ("a.csv", "b.txt", "b.txt: expected a file named .tsv, .csv, .jsonl"),
        ("a.csv", "none/b.csv", "the folder does not exist"),
        ("a.csv", "folder.csv", "not a file"),
        ("a.csv", "link.csv", "the file of the inputs"),
    ):
        with pytest.raises(CallError, match=message):
            answers.check_paths(source, target)
    answers.check_paths("a.csv", "b.jsonl")
