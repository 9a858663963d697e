"""The columns of a corpus: those on disk equal lists, and are found again."""

import os
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.data import rows, splits
from lstm_zoo.data.arrays import Texts
from lstm_zoo.data.rows import Source, gather
from lstm_zoo.errors import DataError

NAMES = ("texts", "places")


@pytest.fixture
def on_disk(monkeypatch):
    """Keep corpora of any size on disk, written in several blocks."""
    monkeypatch.setattr(rows, "IN_MEMORY", 0)
    monkeypatch.setattr(rows, "BLOCK", 3)


@pytest.fixture
def source(on_disk, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("text")
    return Source(path, ("settings",), tmp_path / "cache")


def read(texts, source=None, **options):
    found = (
        ("" if text.strip() else "no text", (text, f"{source and source.path}:{number}"))
        for number, text in enumerate(texts)
    )
    return gather(found, NAMES, "a text", texts=("texts",), source=source, **options)


def unread():
    raise AssertionError("a row is read again")
    yield


@settings(max_examples=40)
@given(st.lists(st.text(st.characters(codec=None), max_size=5), max_size=20))
def test_columns_on_disk_are_the_lists_and_are_not_read_again(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("data") / "data.csv"
    path.write_text("text")
    source = Source(path, (), path.parent / "cache")
    expected = read(texts)
    places = [f"{path}:{number}" for number, text in enumerate(texts) if text.strip()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "IN_MEMORY", 1)
        patch.setattr(rows, "BLOCK", 3)
        first = read(texts, source)
        again = read(texts if len(expected.columns[0]) < 2 else unread(), source)
    for found in (first, again):
        assert [*found.columns[0]] == expected.columns[0]
        assert [*found.columns[1]] == places
        assert found.skipped_rows == expected.skipped_rows
        assert [reason for _, reason in found.skipped] == [r for _, r in expected.skipped]
        if len(places) > 1:
            assert all(isinstance(column, Texts) for column in found.columns)
            kept = splits.content_hashes(found.columns[0])
            assert np.array_equal(kept, splits.content_hashes(expected.columns[0]))


def test_few_rows_stay_in_memory(tmp_path):
    source = Source(tmp_path, (), tmp_path / "cache")
    assert isinstance(read(["good"], source).columns[0], list)
    assert not source.folder.exists()


def test_another_file_or_setting_is_read_anew(source):
    def text(source, content):
        (found,) = read([content], source).columns[0]
        return found

    assert text(source, "first") == text(source, "not read") == "first"
    other = source._replace(settings=("others",))
    assert text(other, "of other settings") == "of other settings"
    status = os.stat(source.path)
    os.utime(source.path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert text(source, "changed") == "changed"
    source.path.write_text("longer")
    os.utime(source.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert text(source, "of another size") == "of another size"


def test_a_new_file_in_a_folder_or_of_a_prefix_changes_the_key(tmp_path):
    for path in (tmp_path, tmp_path / "pairs"):
        source = Source(path, (), tmp_path)
        (tmp_path / "pairs.de").write_text("Hund")
        key = source.key
        (tmp_path / "pairs.en").write_text("dog")
        assert source.key not in (key, source._replace(path=tmp_path / "pairs.en").key)
        (tmp_path / "pairs.en").unlink()
        assert source.key == key


def test_a_name_with_a_pattern_and_linked_folders_are_seen(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pos").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "nothing").symlink_to(tmp_path / "missing")
    for path, changed in (
        (tmp_path / "pairs[1]", tmp_path / "pairs[1].de"),
        (tmp_path / "data", tmp_path / "elsewhere" / "1.txt"),
    ):
        source = Source(path, (), tmp_path / "cache")
        key = source.key
        changed.write_text("good")
        assert source.key != key


def test_a_file_that_changes_while_it_is_read_is_refused(source):
    def growing():
        yield "good"
        source.path.write_text("another text")
        yield "film"

    with pytest.raises(DataError, match="data.csv: changed while it was read"):
        read(growing(), source)
    assert [*source.folder.iterdir()] == []


def test_damaged_columns_are_written_again(source):
    read(["good", "film"], source)
    (folder,) = source.folder.iterdir()
    data = folder / "texts.uint8"
    data.write_bytes(b"xood" + data.read_bytes()[4:])
    assert [*read(["good", "film"], source).columns[0]] == ["good", "film"]


def test_an_interrupted_reading_leaves_nothing_and_starts_again(source):
    def interrupted():
        yield from ["good"] * 10
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read(interrupted(), source)
    assert [*source.folder.iterdir()] == []
    assert len(read(["good"] * 10, source).columns[0]) == 10


def test_strict_refuses_the_first_skipped_row_from_the_disk_too(source):
    texts = ["good", " ", ""]
    for _ in range(2):
        with pytest.raises(DataError, match="data.csv:1: no text; expected a text"):
            read(texts, source, strict=True)
        assert len(read(texts, source).skipped) == 2


@pytest.mark.parametrize("place", ["{path}:3", "neg/1.txt", ""])
def test_places_need_not_start_with_the_path(source, place):
    place = place.format(path=source.path)
    found = gather([("", ("good", place))], NAMES, "a text", source=source)
    assert [*found.columns[1]] == [place] and found.columns[1][0] == place


def test_reading_needs_memory_for_a_block_alone(source, monkeypatch):
    """Of 20 MB of texts, 64 KB are written at once."""
    monkeypatch.setattr(rows, "BLOCK", 64)
    tracemalloc.start()
    columns = read((f"{number:1000}" for number in range(20_000)), source).columns
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(columns[0]) == 20_000 and columns[0][7] == f"{7:1000}"
    assert peak < 5_000_000
