"""Corpus readers: formats, places of rows, and errors."""

import json

import pytest

from lstm_zoo.data import rows
from lstm_zoo.data.arrays import Texts
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.translation.corpus import read


def write(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("_", ".")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


def test_a_file_per_language(tmp_path):
    # Only \n and \r\n end a line, and a byte order mark is dropped.
    write(tmp_path, train_de="\ufeffein\u2028Hund\r\n\r\nzwei\u0085\n", train_en="a dog\nnone\ntwo")
    corpus = read(tmp_path / "train", "de", "en")
    assert corpus.columns == (["ein\u2028Hund", "zwei\u0085"], ["a dog", "two"])
    assert corpus.places == [f"{tmp_path}/train.de:1", f"{tmp_path}/train.de:3"]
    assert corpus.skipped == [(f"{tmp_path}/train.de:2", "no source")]
    assert read(tmp_path / "train", "en", "de").sources == ["a dog", "two"]
    with pytest.raises(DataError, match=r"train\.de:2: no source"):
        read(tmp_path / "train", "de", "en", strict=True)


def test_tab_separated_columns(tmp_path):
    write(tmp_path, pairs_txt="Go.\tVa !\tCC-BY\nHi.\tSalut !\tCC-BY\n \tvide\tCC-BY\n")
    corpus = read(tmp_path / "pairs.txt", "en", "fr")
    assert corpus.columns == (["Go.", "Hi."], ["Va !", "Salut !"])
    assert corpus.skipped == [(f"{tmp_path}/pairs.txt:3", "no source")]
    write(tmp_path, named_tsv="id\tfr\ten\n1\tVa !\tGo.\n")
    assert read(tmp_path / "named.tsv", "en", "fr").columns == (["Go."], ["Va !"])
    assert read(str(tmp_path / "named.tsv"), "fr", "en").columns == (["Va !"], ["Go."])


def test_columns_in_memory():
    assert read((["a", " "], ["b", "c"])).skipped == [("row 1", "no source")]
    with pytest.raises(DataError, match="2 sources but 1 targets"):
        read((["a", "b"], ["c"]))
    with pytest.raises(DataError, match="0: expected a str. Received: int"):
        read((["a"], [3]))
    for wrong in ("ab", 7, (["a"],)):
        with pytest.raises(CallError):
            read(("x", "y") if wrong == "ab" else wrong)


def test_a_mismatch_names_both_files(tmp_path):
    write(tmp_path, train_de="eins\nzwei\n", train_en="one\n")
    with pytest.raises(DataError, match=r"train\.de has 2 lines, .*train\.en 1"):
        read(tmp_path / "train", "de", "en")


def test_a_wrong_encoding_names_the_line(tmp_path):
    write(tmp_path, train_de="eins\nzw\xf6lf\n".encode("latin-1"), train_en="one\ntwelve\n")
    with pytest.raises(DataError, match=r"train\.de:2: byte 0xf6 is not UTF-8"):
        read(tmp_path / "train", "de", "en")


def test_a_line_without_a_tab_names_its_place(tmp_path):
    write(tmp_path, pairs_tsv="a\tb\nc\n")
    with pytest.raises(DataError, match=r"pairs\.tsv:2: 1 columns; expected at least 2"):
        read(tmp_path / "pairs.tsv")


@pytest.mark.parametrize(
    "languages, message",
    [
        ((None, None), "Found: de, en; requested: no source and no target"),
        (("de", "fr"), "requested: source de and target fr"),
    ],
)
def test_missing_languages_are_named(tmp_path, languages, message):
    write(tmp_path, train_de="eins\n", train_en="one\n")
    with pytest.raises(CallError, match=message):
        read(tmp_path / "train", *languages)


def test_data_that_does_not_exist(tmp_path):
    for path in (tmp_path / "none", tmp_path / "no" / "where", tmp_path):
        with pytest.raises(CallError, match="no file .*LANGUAGE found. Expected a prefix"):
            read(path, "de", "en")
    write(tmp_path, a_xml="x,y\n")
    with pytest.raises(CallError, match="not a supported corpus format"):
        read(tmp_path / "a.xml", "de", "en")
    write(tmp_path, e_tsv=" \t \n")
    with pytest.raises(DataError, match=r"no pair of sentences \(1 rows were skipped\)"):
        read(tmp_path / "e.tsv")


def test_the_shared_corpora(shared_data):
    corpus = read(shared_data / "multi30k/val", "de", "en")
    assert len(corpus) == 1_014 and not corpus.skipped
    corpus = read(shared_data / "tatoeba-fra-eng/fra.txt", "en", "fr")
    assert len(corpus) == 167_130
    assert (corpus.sources[0], corpus.targets[0]) == ("Go.", "Va !")


ENGLISH = [
    "The cat is in the house.",
    "A dog is not at the tree.",
    "Here is my book and a pen.",
] * 4
GERMAN = ["Die Katze ist im Haus.", "Ein Hund ist nicht an dem Baum.", "Hier ist mein Buch."] * 4
IDS = [f"{number}" for number in range(12)]
SCORES = [f"1.{number}" for number in range(12)]


def table(path, *columns, header=()):
    rows = [*([header] if header else []), *zip(*columns, strict=True)]
    path.write_text("".join("\t".join(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "columns, message",
    [
        (
            (IDS, ENGLISH, IDS, GERMAN),
            "column 1 has numbers; .*--source-column 2 --target-column 4",
        ),
        ((SCORES, ENGLISH, GERMAN), "column 1 has numbers; .*--source-column 2 --target-column 3"),
        ((ENGLISH, SCORES, GERMAN), "column 2 has numbers; .*the target is expected there"),
        ((["en"] * 12, ["de"] * 12, ENGLISH, GERMAN), "'en' in every row; .*--source-column 3 "),
        ((GERMAN, ENGLISH), "column 1 is in de and column 2 in en; .*--source-column 2 --target"),
    ],
)
def test_columns_without_a_header_must_be_sentences_of_the_languages(tmp_path, columns, message):
    path = table(tmp_path / "pairs.tsv", *columns)
    with pytest.raises(DataError, match=rf"pairs.tsv: .*{message}"):
        read(path, "en", "de")
    chosen = {
        f"{side}_column": columns.index(texts) + 1
        for side, texts in (("source", ENGLISH), ("target", GERMAN))
    }
    for options in ({"given": chosen}, {"fallback": chosen}):
        assert read(path, "en", "de", **options).columns == (ENGLISH, GERMAN)


@pytest.mark.parametrize(
    "columns, header, message",
    [
        (
            (IDS, ENGLISH, GERMAN),
            ("id", "from text", "to"),
            "column 1 has numbers.* 'from text' .* to",
        ),
        (
            (ENGLISH, GERMAN, SCORES),
            ("from", "to", "score"),
            "first line seems .*from --target.* to",
        ),
        (
            (["en"] * 12, ENGLISH, GERMAN),
            ("by", "x", "y"),
            "'en' in every row.*column 2 .*column 3",
        ),
    ],
)
def test_an_unknown_header_is_noticed_by_what_is_below_it(tmp_path, columns, header, message):
    with pytest.raises(DataError, match=rf"pairs.tsv: .*{message}"):
        read(table(tmp_path / "pairs.tsv", *columns, header=header), "en", "de")


def test_the_order_of_columns_without_a_header_is_printed(tmp_path, capsys):
    path = table(tmp_path / "pairs.txt", ENGLISH, GERMAN, ["CC-BY"] * 12)
    assert read(path, "en", "de").columns == (ENGLISH, GERMAN)
    assert "column 1 is the source (en), column 2 the target (de)" in capsys.readouterr().err
    table(path, ENGLISH, GERMAN, header=("en", "de"))
    assert read(path, "de", "en").columns == (GERMAN, ENGLISH)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "header", [("English", "German"), ("english", "Deutsch"), ("source", "target"), ("en", "de_AT")]
)
def test_a_header_names_languages_and_is_no_pair(tmp_path, header):
    path = table(tmp_path / "pairs.tsv", ENGLISH, GERMAN, header=header)
    assert read(path, "en", "de_AT").columns == (ENGLISH, GERMAN)
    rows = [*zip(ENGLISH, GERMAN, strict=True)]
    (tmp_path / "pairs.csv").write_text("".join(";".join(row) + "\n" for row in [header, *rows]))
    lines = [json.dumps(dict(zip(header, row, strict=True))) for row in rows]
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines))
    for suffix in ("csv", "jsonl"):
        assert read(tmp_path / f"pairs.{suffix}", "en", "de_AT").columns == (ENGLISH, GERMAN)
    names = {"source_column": header[1], "target_column": header[0]}
    assert read(path, "en", "de", given=names).columns == (GERMAN, ENGLISH)


def test_a_header_of_other_languages_is_an_error_and_a_word_list_is_none(tmp_path):
    path = table(tmp_path / "pairs.tsv", ENGLISH, GERMAN, header=("English", "German"))
    for languages, wrong in (
        (("fr", "en"), "fr and en"),
        ((None, None), "no source and no target"),
    ):
        with pytest.raises(DataError, match=rf"pairs.tsv:1: English and German .* but {wrong}"):
            read(path, *languages)
    positions = {"source_column": 1, "target_column": 2}
    with pytest.raises(DataError, match="pairs.tsv:1: 'English' and 'German' seem to be a header"):
        read(path, "en", "de", given=positions)
    table(path, ["it", "in"], ["es", "in"])
    assert read(path, "en", "de").sources == ["it", "in"]
    with pytest.raises(DataError, match="pairs.tsv:1: it and es seem to be a header"):
        read(path)
    assert read(path, given=positions).targets == ["es", "in"]
    table(path, ["English", "German"], ["Englisch", "Deutsch"])
    assert read(path, "en", "de").sources == ["English", "German"]


def test_columns_need_a_table(tmp_path):
    write(tmp_path, train_de="eins\n", train_en="one\n")
    for data in (tmp_path / "train", (["eins"], ["one"])):
        with pytest.raises(CallError, match="source_column has no effect"):
            read(data, "de", "en", given={"source_column": "de"})
        assert len(read(data, "de", "en", fallback={"source_column": "x"})) == 1
    write(tmp_path, a_jsonl='{"de": "eins", "en": 1}\n')
    with pytest.raises(DataError, match="a.jsonl:1: expected .* to be strings"):
        read(tmp_path / "a.jsonl", "de", "en")


def test_a_split_has_no_group_on_both_sides(tmp_path):
    talks = [str(i // 5) for i in range(100)]
    sides = [f"Satz {i}" for i in range(100)], [f"sentence {i}" for i in range(100)]
    table(tmp_path / "pairs.tsv", *sides, talks, header=("de", "en", "group"))
    auto = read(tmp_path / "pairs.tsv", "de", "en", given={"group_column": "auto"})
    table(tmp_path / "pairs.tsv", *sides, talks, header=("de", "en", "talk"))
    named = read(tmp_path / "pairs.tsv", "de", "en", given={"group_column": "talk"})
    for corpus in (auto, named, read(auto.columns, given={"group_column": "auto"})):
        rest, held_out = corpus.split(0.1, seed=1)
        assert len(held_out) == 10 and not {*rest.groups} & {*held_out.groups}
    assert read(tmp_path / "pairs.tsv", "de", "en").groups == []
    write(tmp_path, train_de="eins\n", train_en="one\n")
    with pytest.raises(CallError, match="group_column has no effect"):
        read(tmp_path / "train", "de", "en", given={"group_column": "talk"})


@pytest.mark.parametrize("layout", ["pairs", "pairs.tsv", "pairs.csv"])
def test_a_corpus_on_disk_is_that_in_memory(layout, tmp_path, monkeypatch):
    pairs = [(f"Satz {n % 25}", f"sentence {n}" if n != 7 else " ", n % 9) for n in range(80)]
    path = tmp_path / layout
    if layout == "pairs":
        for code, index in (("de", 0), ("en", 1)):
            lines = "".join(f"{pair[index]}\n" for pair in pairs)
            (tmp_path / f"pairs.{code}").write_text(lines)
    else:
        separator = {"pairs.tsv": "\t", "pairs.csv": ";"}[layout]
        header = separator.join(("de", "en", "group")) + "\n" if layout == "pairs.csv" else ""
        path.write_text(header + "".join(separator.join(map(str, pair)) + "\n" for pair in pairs))
    arguments = (path, "de", "en")
    options = {"given": {"group_column": "auto"}}
    memory = read(*arguments, **options)
    monkeypatch.setattr(rows, "IN_MEMORY", 20)
    for _ in range(2):
        disk = read(*arguments, cache=tmp_path / "cache", **options)
        assert isinstance(disk.sources, Texts) and isinstance(memory.sources, list)
        parts = zip((memory, *memory.split(0.2, 3)), (disk, *disk.split(0.2, 3)), strict=True)
        for expected, found in parts:
            for name in ("sources", "targets", "places", "groups", "skipped", "skipped_rows"):
                assert [*getattr(found, name)] == [*getattr(expected, name)]
            assert [*(found.sources + found.targets)] == expected.sources + expected.targets
            assert found.overlap(disk) == expected.overlap(memory)
    assert len([*(tmp_path / "cache").iterdir()]) == 1
