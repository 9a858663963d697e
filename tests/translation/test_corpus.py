"""Corpus readers: formats, places of rows, and errors."""

import pytest

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
