"""Atomic writes: an error keeps the old file and leaves no temporary one. JSON and tables."""

import errno
import json
import os
from pathlib import Path

import pytest

from lstm_zoo.errors import DataError
from lstm_zoo.files import (
    atomic_write,
    find_damage,
    replace_files,
    staging_directory,
    write_checksums,
    write_json,
    write_table,
)


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


def test_temporary_directories_of_killed_processes_are_removed_but_no_locked_ones(tmp_path):
    for folder in (".writing-killed/written", "1/.writing-other"):
        (tmp_path / folder).mkdir(parents=True)
    with staging_directory(tmp_path) as running, staging_directory(tmp_path) as folder:
        assert {path for path in tmp_path.iterdir()} == {running, folder, tmp_path / "1"}
    assert [*tmp_path.rglob("*")] == [tmp_path / "1", tmp_path / "1/.writing-other"]


def test_where_the_file_system_has_no_locks_nothing_is_taken_for_abandoned(tmp_path, monkeypatch):
    def unsupported(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", unsupported)
    (tmp_path / ".writing-other").mkdir()
    with atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert {path.name for path in tmp_path.iterdir()} == {".writing-other", "a.txt"}


def test_an_error_of_the_disk_names_the_file_that_was_to_be_written(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError) as error, atomic_write(tmp_path / "a.txt"):
        raise full
    assert str(error.value) == f"[Errno 28] No space left on device: '{tmp_path / 'a.txt'}'"
    with pytest.raises(OSError) as error, replace_files(tmp_path) as staging:
        (staging / "none" / "b.txt").write_text("")
    assert error.value.filename == str(tmp_path / "none/b.txt")


def test_json_has_unicode_and_escaped_lone_surrogates(tmp_path):
    value = {"text": "é\ud800", "units": (32, 16)}
    write_json(tmp_path / "a.json", value)
    data = (tmp_path / "a.json").read_bytes()
    assert "é\\ud800".encode() in data
    assert json.loads(data) == {"text": "é\ud800", "units": [32, 16]}


def test_a_table_has_one_line_a_row(tmp_path):
    write_table(tmp_path / "a.tsv", ["place", "n"], [["a\tb\r\n c", 1], ["\ud800", ""]])
    assert (tmp_path / "a.tsv").read_bytes() == b"place\tn\na b c\t1\n\\ud800\t\n"


def test_checksums_find_what_is_damaged_or_missing(tmp_path):
    (tmp_path / "source").mkdir()
    names = ["config.json", "source/pieces.model", "history.csv", ".hidden"]
    for name in names:
        (tmp_path / name).write_text("whole")
    assert find_damage(tmp_path) is None
    write_checksums(tmp_path)
    assert json.loads((tmp_path / "checksums.json").read_text()).keys() == {*names[:2]}
    assert find_damage(tmp_path) == []
    (tmp_path / "config.json").unlink()
    for name in names[1:]:
        (tmp_path / name).write_text("other")
    assert find_damage(tmp_path) == [
        "config.json is missing",
        "source/pieces.model has changed since it was written",
    ]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"../secret": []}', '{"/etc/x": []}', '{"a": 1}'])
def test_damaged_checksums_are_damage(tmp_path, text):
    (tmp_path / "checksums.json").write_text(text)
    assert find_damage(tmp_path) == ["checksums.json is damaged"]
    with pytest.raises(DataError, match=r"checksums.json is damaged"), replace_files(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["checksums.json"]


def test_files_are_whole_at_every_moment_of_their_replacement(tmp_path, monkeypatch):
    """A kill leaves what is there between two system calls: each is checked."""
    for name in ("weights", "metrics", "kept"):
        (tmp_path / name).write_text("old")
    write_checksums(tmp_path)
    states = []

    def observed(function):
        def call(*arguments, **options):
            states.append(find_damage(tmp_path))
            function(*arguments, **options)
            states.append(find_damage(tmp_path))

        return call

    monkeypatch.setattr("os.replace", observed(os.replace))
    monkeypatch.setattr("pathlib.Path.unlink", observed(Path.unlink))
    with replace_files(tmp_path, remove=["metrics", "absent"]) as staging:
        (staging / "source").mkdir()
        for name in ("weights", "source/vocabulary"):
            (staging / name).write_text("new")
    assert states
    assert not any(states)
    digests = json.loads((tmp_path / "checksums.json").read_text())
    assert {name: len(values) for name, values in digests.items()} == {
        "kept": 1, "source/vocabulary": 1, "weights": 1
    }  # fmt: skip
    assert (tmp_path / "weights").read_text() == (tmp_path / "source/vocabulary").read_text()
    with pytest.raises(RuntimeError), replace_files(tmp_path) as staging:
        (staging / "weights").write_text("newer")
        raise RuntimeError
    assert (tmp_path / "weights").read_text() == "new"
    assert find_damage(tmp_path) == []
