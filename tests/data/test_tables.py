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


@pytest.mark.parametrize("delimiter", tables.DELIMITERS)
def test_the_delimiter_of_a_csv_is_found(tmp_path, delimiter):
    path = tmp_path / "a.csv"
    rows = [("Score", "Text", "Label"), ("0,9", 'a "b"; c, d|e', "x"), ("1", "two\nlines", "y")]
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    read = list(tables.read_rows(path, [TEXT, LABEL]))
    assert read == [(f"{path}:2", ['a "b"; c, d|e', "x"]), (f"{path}:4", ["two\nlines", "y"])]
    positions = [TEXT._replace(given="2"), LABEL._replace(given="3")]
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows[1:])
    assert [row for _, row in tables.read_rows(path, positions)] == [row for _, row in read]


def test_rows_of_a_csv_without_its_delimiter_or_with_more_are_errors(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text;label\ngood, really;x\ngood; really;x\n")
    with pytest.raises(DataError, match="a.csv:3: 3 fields; expected 2, as in line 1. .* quotes"):
        list(tables.read_rows(path, [TEXT, LABEL]))
    with pytest.raises(DataError, match="a.tsv:1: .*not separated by tabs need a file named .csv"):
        list(tables.read_rows(path.rename(tmp_path / "a.tsv"), [TEXT, LABEL]))
    path.write_text("text:label\n")
    with pytest.raises(DataError, match="a.csv:1: no column named text .*found: text:label"):
        list(tables.read_rows(path, [TEXT, LABEL]))
    path.write_text("good;x,y\n" * 2)
    positions = [TEXT._replace(given="1"), LABEL._replace(given="2")]
    with pytest.raises(DataError, match="a.csv: fields may be separated by several of"):
        list(tables.read_rows(path, positions))


def test_positions_read_a_file_without_a_header(tmp_path):
    path = tmp_path / "messages"
    path.write_text('ham\t"Ok\nspam\tFree!\n')
    positions = [TEXT._replace(given="2"), LABEL._replace(given="1")]
    read = list(tables.read_rows(path, positions, [Column(("speaker",))]))
    assert read == [(f"{path}:1", ['"Ok', "ham", None]), (f"{path}:2", ["Free!", "spam", None])]
    # A name in the header is a name, also if it is a number.
    path.write_text("2\t1\nFree!\tspam\n")
    assert [row for _, row in tables.read_rows(path, positions)] == [["Free!", "spam"]]


def test_a_csv_may_be_a_list_of_texts(tmp_path):
    path, first = tmp_path / "a.csv", TEXT._replace(given="1")
    path.write_text('good\n"bad, really"\n')
    assert [row for _, row in tables.read_rows(path, [first])] == [["good"], ["bad, really"]]
    path.write_text("good\nbad, really\n")
    with pytest.raises(DataError, match="a.csv:2: 2 fields; expected 1, as in line 1. .* quotes"):
        list(tables.read_rows(path, [first]))
    for others in ([TEXT._replace(given="2")], [first, LABEL._replace(given="2")]):
        path.write_text("good\n" * 2)
        with pytest.raises(DataError, match="a.csv:1: no column named "):
            list(tables.read_rows(path, others))


def test_quoting_in_a_tsv_is_an_error_and_quotes_in_texts_are_not(tmp_path):
    path = tmp_path / "a.tsv"
    for quoted in (
        'text\tlabel\nx\ty\n"He said ""no""."\ty\n',
        '"text"\t"label"\n"x"\t"y"\n',
    ):
        path.write_text(quoted)
        with pytest.raises(DataError, match=r"a.tsv:[13]: fields are quoted .* Name the file .csv"):
            list(tables.read_rows(path, [TEXT, LABEL]))
        renamed = path.rename(tmp_path / "a.csv")
        assert '"x"' not in [field for _, row in tables.read_rows(renamed, [TEXT]) for field in row]
    path.write_text('text\tlabel\n"two\nlines"\ty\n')
    with pytest.raises(DataError, match=r"a.tsv:2: 1 fields; .* which a file named .csv has"):
        list(tables.read_rows(path, [TEXT, LABEL]))
    texts = ['"Go!"', 'He said ""no"".', '"Yes" and "no"', '"once', '""']
    path.write_text("text\tlabel\n" + "".join(f"{text}\ty\n" for text in texts))
    assert [row for _, row in tables.read_rows(path, [TEXT])] == [[text] for text in texts]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_an_error_that_says_so(tmp_path, encoding):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n", encoding=encoding)
    with pytest.raises(DataError, match="a.csv: UTF-16, as it seems; expected UTF-8"):
        list(tables.read_rows(path, [TEXT, LABEL]))


@pytest.mark.parametrize("line", ["5", "null", '["good", "pos"]', '"good"'])
def test_a_line_of_jsonl_that_is_no_object_is_an_error(tmp_path, line):
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"text": "a"}}\n{line}\n')
    with pytest.raises(DataError) as error:
        list(tables.read_rows(path, [TEXT]))
    assert str(error.value) == f"{path}:2: expected a JSON object; found: {line}."


def test_objects_of_jsonl_may_order_their_keys_differently(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": "x"}\n{"Label": "y", "Text": "b"}\n{"text": "c"}\n')
    rows = tables.read_rows(path, [TEXT, LABEL])
    assert [next(rows)[1], next(rows)[1]] == [["a", "x"], ["b", "y"]]
    with pytest.raises(DataError, match="a.jsonl:3: expected an object with .*; found: text"):
        next(rows)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"text,label\n" + b"good,1\n" * 600 + b'"bad"x,1\n', "a.csv:602: not valid CSV"),
        ("a.jsonl", b'{"text": "good"}\n' * 600 + b"{\n", "a.jsonl:601: not valid JSON"),
        ("a.tsv", b"text\tlabel\n" + b"good\t1\n" * 600 + b"bad\n", "a.tsv:602: 1 fields"),
    ],
)
def test_rows_before_an_error_are_read(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    rows, found = tables.read_rows(tmp_path / name, [Column(("text",))]), []
    with pytest.raises(DataError, match=message):
        for _, (text,) in rows:
            found.append(text)
    assert found == ["good"] * 600


@pytest.mark.parametrize(
    ("name", "first", "line"),
    [
        ("a.csv", b"text\n", b"good\n"),
        ("a.tsv", b"text\n", b"good\n"),
        ("a.jsonl", b"", b'{"text": "good"}\n'),
    ],
)
def test_a_byte_that_is_not_utf8_is_named_with_its_line(tmp_path, name, first, line):
    path = tmp_path / name
    path.write_bytes(first + 3_000 * line + line.replace(b"good", b"\xe4") + line)
    number = 3_001 + bool(first)
    with pytest.raises(DataError, match=f"{name}:{number}: byte 0xe4 is not UTF-8"):
        list(tables.read_rows(path, [Column(("text",))]))
