"""Readers: each layout, and the errors for malformed data."""

import json

import numpy as np
import pytest

from lstm_zoo.data import rows
from lstm_zoo.data.arrays import Texts
from lstm_zoo.data.prepared import fingerprint
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.sentiment.corpus import read


def test_a_folder_of_classes(tmp_path):
    for name, text in {
        "pos/2.txt": "fine\n",
        "pos/10.txt": "\ufeffgood",
        "neg/1.txt": "bad",
        "unsup/1.txt": "unknown",
        "neg/readme.md": "not a text",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    corpus = read(tmp_path)
    assert corpus.places[0] == str(tmp_path / "neg/1.txt")
    assert (corpus.texts, corpus.labels) == (["bad", "good", "fine\n"], ["neg", "pos", "pos"])
    assert corpus.classes == ["neg", "pos"]


def test_a_tsv_has_no_quoting_and_any_order_of_columns(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes('label\tid\ttext\r\n\r\nx \t1\t"quoted, once\r\ny\t2\té\r\n'.encode())
    corpus = read(path)
    assert (corpus.texts, corpus.labels) == (['"quoted, once', "é"], ["x", "y"])


def test_a_csv_has_quoting_and_long_fields(tmp_path):
    path = tmp_path / "a.csv"
    long = "w" * 200_000
    path.write_text(f'\ufefftext,label\n"two\nlines, ""x""",pos\n\n{long},neg\n', encoding="utf-8")
    corpus = read(str(path))
    assert (corpus.texts, corpus.labels) == (['two\nlines, "x"', long], ["pos", "neg"])


def test_unicode_line_ends_do_not_split_csv_rows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\r\na\u2028b\x0bc,pos\r\n".encode())
    assert read(path).texts == ["a\u2028b\x0bc"]


def test_jsonl(tmp_path):
    path = tmp_path / "a.jsonl"
    row = json.dumps({"text": "a\u2028b", "label": 3}, ensure_ascii=False)
    path.write_text(f'{row}\n\n{{"text": "b", "label": null}}\n')
    corpus = read(path)
    assert corpus.skipped == [(f"{path}:3", "no label")]
    assert (corpus.texts, corpus.labels) == (["a\u2028b"], ["3"])


def test_rows_without_text_or_label_are_skipped_with_their_place(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\n \tpos\ngood\tpos\nbad\t\n")
    corpus = read(path)
    assert corpus.texts == ["good"]
    assert corpus.skipped == [(f"{path}:2", "no text"), (f"{path}:4", "no label")]
    with pytest.raises(DataError, match=r"a.tsv:2: no text"):
        read(path, strict=True)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.csv", b"text,stars\ngood,5\n", r"a.csv:1: no column named label .*text, stars"),
        ("a.csv", b"", r"a.csv:1: no column named text or label .*found: nothing"),
        ("a.csv", b"text,label\ngood,pos,5\n", r"a.csv:2: 3 fields; expected 2"),
        ("a.csv", b'text,label\n"open,pos\n', r"a.csv:2: not valid CSV"),
        ("a.tsv", b"text\tlabel\ngood\n", r"a.tsv:2: 1 fields; expected 2"),
        ("a.tsv", b"text\tlabel\nb\xe4d\tneg\n", r"a.tsv:2: byte 0xe4 is not UTF-8"),
        ("a.jsonl", b'{"text": "a", "label": "x"}\n{"text": "b"\n', r"a.jsonl:2: not valid JSON"),
        ("a.jsonl", b'{"text": "a"}\n', r"a.jsonl:1: expected an object with the keys"),
        ("a.jsonl", b'{"text": "a", "label": true}\n', r"a.jsonl:1: expected text to be a string"),
        ("a.jsonl", b'{"text": "a", "label": ' + b"9" * 5_000 + b"}", r"a.jsonl:1: not valid JSON"),
        ("a.jsonl", b"[" * 100_000, r"a.jsonl:1: not valid JSON"),
        ("a.jsonl", b"[1]\n", r"a.jsonl:1: expected a JSON object"),
        ("a.jsonl", b'{"text": 1, "label": "x"}\n', r"a.jsonl:1: expected text to be a string"),
        ("a.jsonl", b"", r"a.jsonl: no labelled text"),
        ("a.tsv", b"text\tlabel\n\tpos\n", r"no labelled text \(1 rows were skipped\)"),
    ],
)
def test_malformed_data_is_an_error_with_the_file_and_the_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path / name)


def test_unusable_paths_are_errors(tmp_path):
    with pytest.raises(CallError, match=r"none: no such file or folder. Expected a folder"):
        read(tmp_path / "none")
    (tmp_path / "a.parquet").write_bytes(b"")
    with pytest.raises(CallError, match=r"a.parquet: not a known kind"):
        read(tmp_path / "a.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no folder of .txt files"):
        read(tmp_path / "empty")


def test_the_parent_of_the_class_folders_is_suggested(tmp_path):
    (tmp_path / "aclImdb/train/pos").mkdir(parents=True)
    (tmp_path / "aclImdb/train/pos/1.txt").write_text("good")
    with pytest.raises(DataError, match=r"Did you mean .*train\?"):
        read(tmp_path / "aclImdb")


def test_pairs_in_memory():
    assert read((("a", "b"), (0, 1))).labels == ["0", "1"]
    with pytest.raises(DataError, match="2 texts but 1 labels"):
        read((["a", "b"], ["x"]))
    with pytest.raises(DataError, match="text 1: expected a str. Received: int"):
        read((["a", 1], ["x", "y"]))
    assert read((["a", "b"], ["x", None])).skipped == [("row 1", "no label")]
    for data in (3, ["a", "b", "c"], ["a.tsv", "b.tsv"]):
        with pytest.raises(CallError, match="a path or columns"):
            read(data)


def test_a_missing_label_is_no_class_and_numbers_are_the_same_as_integers_and_floats():
    corpus = read((["a", "b", "c", None], [0.0, float("nan"), 1, "x"]))
    assert corpus.classes == ["0", "1"]
    assert corpus.skipped == [("row 1", "no label"), ("row 3", "no text")]
    assert corpus.skipped_rows == [1, 3]
    with pytest.raises(DataError, match="row 1: no label"):
        read((["a", "b"], ["x", None]), strict=True)


@pytest.mark.parametrize(
    "labels, classes",
    [
        ([10, 9, 2, -1], ["-1", "2", "9", "10"]),
        (["10", "9", "07", "7"], ["07", "7", "9", "10"]),
        ([0.5, 10, 5], ["0.5", "5", "10"]),
        (["10", "9", "other"], ["10", "9", "other"]),
        ([True, False], ["False", "True"]),
    ],
)
def test_classes_that_are_numbers_are_in_the_order_of_numbers(labels, classes, tmp_path):
    texts = ["a"] * len(labels)
    assert read((texts, labels)).classes == classes
    if isinstance(labels[0], str):
        path = tmp_path / "a.tsv"
        path.write_text("text\tlabel\n" + "".join(f"a\t{label}\n" for label in labels))
        assert read(path).classes == classes


def test_columns_are_named_or_positions(tmp_path):
    given = {"text_column": "review", "label_column": "stars"}
    for name, content in {
        "a.tsv": "id\treview\tstars\n1\tgood\t5\n",
        "a.csv": "id;Review;stars\n1;good;5\n",
        "a.jsonl": '{"id": 1, "review": "good", "stars": 5}\n',
    }.items():
        (tmp_path / name).write_text(content)
        for corpus in (read(tmp_path / name, given=given), read(tmp_path / name, fallback=given)):
            assert corpus.columns == (["good"], ["5"])
        with pytest.raises(DataError, match="text and label; found: id, .eview, stars. Choose .*-"):
            read(tmp_path / name)
    messages = tmp_path / "SMSSpamCollection"
    messages.write_text("ham\tOk lar...\nspam\tFree entry\n")
    corpus = read(messages, given={"text_column": 2, "label_column": 1})
    assert corpus.columns == (["Ok lar...", "Free entry"], ["ham", "spam"])
    with pytest.raises(CallError, match="not a known kind .*with the columns' positions given"):
        read(messages)
    (tmp_path / "pos").mkdir()
    (tmp_path / "pos/1.txt").write_text("good")
    for data in (tmp_path, (["good"], ["pos"])):
        assert len(read(data, fallback=given)) == 1
        with pytest.raises(CallError, match="text_column and label_column has no effect"):
            read(data, given=given)


def test_lines_of_fasttext(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("\ufeff__label__pos  a good one \n\n__label__neg\tbad\n__label__neg\n", "utf-8")
    corpus = read(path)
    assert corpus.columns == (["a good one", "bad"], ["pos", "neg"])
    assert corpus.skipped == [(f"{path}:4", "no text")]
    for line, found in {
        "__label__a __label__b text": "2 labels .__label__a __label__b",
        "text": "0 labels .none",
        "text __label__a": "1 labels",
    }.items():
        path.write_text(f"__label__pos good\n{line}\n")
        with pytest.raises(DataError, match=rf"train.txt:2: {found}.*; expected one, at the start"):
            read(path)
    with pytest.raises(CallError, match="text_column has no effect: .*fastText's format"):
        read(path, given={"text_column": "text"})


def test_a_split_has_no_group_on_both_sides(tmp_path):
    films = [f"film {i // 5}" for i in range(100)]
    rows = [(f"text {i}", "np"[i % 2], film) for i, film in enumerate(films)]
    path = tmp_path / "reviews.csv"
    path.write_text("text,label,film\n" + "".join(",".join(row) + "\n" for row in rows))
    named = read(path, given={"group_column": "film"})
    path.write_text("text,label,Group\n" + "".join(",".join(row) + "\n" for row in rows))
    found = read(path, given={"group_column": "auto"})
    positions = {"text_column": 1, "label_column": 2, "group_column": 3}
    path.write_text("".join(",".join(row) + "\n" for row in rows))
    memory = read([*zip(*rows, strict=True)], given={"group_column": "auto"})
    corpora = [named, found, memory, read(path, given=positions)]
    for corpus in corpora:
        assert corpus.groups == films and corpus.columns == (corpus.texts, corpus.labels, films)
        rest, held_out = corpus.split(0.1, seed=1)
        assert held_out.texts == named.split(0.1, seed=1)[1].texts and len(held_out) == 10
        assert not {*rest.groups} & {*held_out.groups}
    assert named.identity == (named.texts, named.labels)


def test_groups_are_read_where_they_are_asked_for(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("text\tgroup\ngood\ta\nbad\tb\n")
    for given in (None, {"group_column": None}, {"group_column": "auto"}):
        # The column of the labels is not that of the groups too.
        corpus = read(path, given={"label_column": "group", **(given or {})})
        assert (corpus.labels, corpus.groups) == (["a", "b"], [])
    assert read((["good"], ["pos"], ["a"])).columns == (["good"], ["pos"])
    for data in (["good"], ["pos"]), tmp_path:
        (tmp_path / "pos").mkdir(exist_ok=True)
        (tmp_path / "pos/1.txt").write_text("good")
        with pytest.raises(CallError, match="group_column has no effect"):
            read(data, given={"group_column": "film"})
    with pytest.raises(DataError, match="a.tsv:1: no column named film in the header.*--group-col"):
        read(path, given={"label_column": "group", "group_column": "film"})
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": "x", "group": 7}\n{"text": "b", "label": "x"}\n')
    assert read(path, given={"group_column": "auto"}).groups == ["7", ""]
    path.write_text('{"text": "a", "label": "x", "group": [7]}\n')
    with pytest.raises(DataError, match="a.jsonl:1: group: expected a str or a number"):
        read(path, given={"group_column": "auto"})


LAYOUTS = {
    "table.csv": "text,label,group\n"
    + "".join(f"text {n % 40},{n % 3},{n % 7}\n" for n in range(90)),
    "table.tsv": "label\ttext\n" + "".join(f"{n % 2}\ttext {n}\n" for n in range(90)) + "1\t\n",
    "table.jsonl": "".join(
        f'{{"text": "text {n} \\ud800", "label": {n % 2}}}\n' for n in range(90)
    ),
    "fasttext.txt": "".join(f"__label__{n % 2} text {n}\n" for n in range(90)),
}


@pytest.mark.parametrize("layout", [*LAYOUTS, "folder"])
def test_a_corpus_on_disk_is_that_in_memory(layout, tmp_path, monkeypatch):
    if layout == "folder":
        path = tmp_path / "data"
        for number in range(30):
            folder = path / ("neg", "pos")[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}.txt").write_text(f"text {number // 2}")
    else:
        path = tmp_path / layout
        path.write_text(LAYOUTS[layout])
    options = {"given": {"group_column": "auto"}}
    memory = read(path, **options)
    monkeypatch.setattr(rows, "IN_MEMORY", 20)
    for _ in range(2):
        disk = read(path, cache=tmp_path / "cache", **options)
        assert isinstance(disk.texts, Texts) and isinstance(memory.texts, list)
        parts = zip((memory, *memory.split(0.2, 3)), (disk, *disk.split(0.2, 3)), strict=True)
        for expected, found in parts:
            for name in ("texts", "labels", "places", "groups", "skipped", "skipped_rows"):
                assert [*getattr(found, name)] == [*getattr(expected, name)]
            assert found.classes == expected.classes
            assert found.label_counts == expected.label_counts
            classes = expected.classes
            assert (found.targets(classes) == expected.targets(classes)).all()
            assert found.overlap(disk) == expected.overlap(memory)
            assert fingerprint(*found.identity) == fingerprint(*expected.identity)
    assert len([*(tmp_path / "cache").iterdir()]) == 1


def test_a_runs_positions_are_no_obstacle_for_fasttexts_lines(tmp_path):
    path = tmp_path / "films"
    path.write_text("__label__pos good film\n__label__neg bad film\n")
    columns = {"text_column": "2", "label_column": "1"}
    assert read(path, fallback=columns).labels == ["pos", "neg"]
    with pytest.raises(DataError, match="films:1: no column 2"):
        read(path, given=columns)
    path.write_text("pos\tgood film\nneg\tbad film\n")
    assert read(path, fallback=columns).labels == ["pos", "neg"]


def test_a_label_that_is_no_class_is_named_with_its_place():
    labelled = read((["a", "b", "c"], ["x", "y", "z"]))
    with pytest.raises(DataError, match="row 1: the label 'y' is not one .*: x, z"):
        labelled.targets(["x", "z"])


def test_several_labels_are_read_from_each_kind_of_data(tmp_path):
    files = {
        "a.csv": 'text,label\nx,new| art\ny,\n"",art\nz,art|art|\n',
        "a.tsv": "label\ttext\n art|new\tx\n\ty\nart\t\nart\tz\n",
        "a.jsonl": '{"text": "x", "label": ["new", "art"]}\n{"text": "y", "label": []}\n'
        '{"text": "", "label": null}\n{"text": "z", "label": "art"}\n',
        "a.txt": "__label__new x __label__art\ny\n__label__art\n__label__art z\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    data = [tmp_path / name for name in files]
    memory = (["x", "y", "", "z"], [("new", "art"), None, "art", "art"])
    for each in [*data, memory]:
        corpus = read(each, multi_label=True)
        assert (corpus.texts, corpus.labels) == (["x", "y", "z"], ["art|new", "", "art"]), each
        assert [reason for _, reason in corpus.skipped] == ["no text"]
        assert corpus.classes == ["art", "new"]
        assert corpus.label_counts == {"art": 2, "new": 1}
        assert corpus.targets(["art", "new"]).tolist() == [[1, 1], [0, 0], [1, 0]]
        again = read(corpus.columns, multi_label=True)
        assert again.columns == corpus.columns
    with pytest.raises(DataError, match="a.csv:2: the label 'new' is not one of the training"):
        read(data[0], multi_label=True).targets(["art"])
    with pytest.raises(DataError, match="2 labels .* set multi_label=true"):
        read(data[-1])
    with pytest.raises(DataError, match="a.jsonl:1: label: expected a str or a number"):
        read(data[2])


def test_fasttext_lines_of_several_labels_may_start_with_texts_without_one(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\ufeffno label\nx __label__art y __label__new\n", encoding="utf-8")
    corpus = read(path, multi_label=True)
    assert (corpus.texts, corpus.labels) == (["no label", "x y"], ["", "art|new"])
    with pytest.raises(CallError, match="a.txt: not a known kind of corpus"):
        read(path)
    path.write_text("no label\n" * 10)
    with pytest.raises(CallError, match="a.txt: not a known kind of corpus"):
        read(path, multi_label=True)


def test_one_of_several_labels_has_no_separator(tmp_path):
    table, lines = tmp_path / "a.jsonl", tmp_path / "a.txt"
    table.write_text('{"text": "x", "label": ["pop"]}\n{"text": "y", "label": ["R&B|Soul"]}\n')
    lines.write_text("__label__pop x\n__label__R&B|Soul y\n")
    memory = (["x", "y"], [["pop"], ["R&B|Soul"]])
    for data, place in ((table, "a.jsonl:2"), (lines, "a.txt:2"), (memory, "label 1")):
        with pytest.raises(DataError, match=f"{place}.*: the label 'R&B.Soul' contains '.', which"):
            read(data, multi_label=True)
    assert read(lines).classes == ["R&B|Soul", "pop"]  # of one label it separates nothing


def test_several_labels_may_be_arrays():
    """As pandas has them after reading a file with lists."""
    labels = np.empty(3, object)
    labels[:] = [np.array(["new", "art"], object), np.array([], object), np.array([2, 1])]
    assert read((["x", "y", "z"], labels), multi_label=True).labels == ["art|new", "", "1|2"]


def test_a_split_of_several_labels_keeps_each_label_and_its_share():
    """Also where each combination is rare."""
    names = [f"{number:02}" for number in range(12)]
    generator = np.random.default_rng(0)
    labels = ["|".join(name for name in names if generator.random() < 0.2) for _ in range(1_000)]
    labels[3] += "|once"
    assert len({*labels}) > 400
    texts = [f"text {number}" for number in range(1_000)]
    corpus = read((texts, labels), multi_label=True)
    rest, held_out = corpus.split(0.1, seed=1)
    assert rest.multi_label and len(held_out) == 100
    assert rest.classes == corpus.classes
    for name in names:
        share = held_out.label_counts[name] / corpus.label_counts[name]
        assert share == pytest.approx(0.1, abs=0.02)
    with pytest.raises(ValueError, match="None of the 60 .* each, or its group, has a label that"):
        unique = [f"topic {number % 3}|id {number}" for number in range(60)]
        read((texts[:60], unique), multi_label=True).split(0.1, seed=0)


def test_large_tables_of_several_labels_are_kept_apart_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "IN_MEMORY", 10)
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\n" + "".join(f"text {n}\tb|a\n" for n in range(30)))
    several = read(path, cache=tmp_path / "cache", multi_label=True)
    one = read(path, cache=tmp_path / "cache")
    assert (several.labels[0], one.labels[0]) == ("a|b", "b|a")
    assert isinstance(several.texts, Texts) and isinstance(one.texts, Texts)
