"""Staging: atomic exports, the removal of abandoned ones, and checks in a fresh process."""

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from lstm_zoo.errors import CallError, ExportError
from lstm_zoo.export import staging
from lstm_zoo.files import find_damage


def names(directory):
    return {path.name for path in directory.iterdir()}


def test_a_directory_that_can_be_created_is_writable_and_stays_as_it_was(tmp_path):
    staging.check_writable(tmp_path)
    staging.check_writable(tmp_path / "not/yet/there")
    assert names(tmp_path) == set()


def test_a_directory_that_can_not_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(CallError, match=f"{place}: can't write an export there: "):
            staging.check_writable(place)
    assert names(tmp_path) == {"file"}


def test_a_staging_directory_is_removed_at_the_end_of_its_block(tmp_path):
    directory = tmp_path / "exports/new"
    with staging.staging_directory(directory) as folder:
        assert folder.parent == directory and names(folder) == set()
        (folder / "export").mkdir()
        (folder / "export/model").write_text("weights")
        (folder / "export").chmod(0o500)  # read-only, as during the checks
    assert names(directory) == set()


def test_a_staging_directory_is_removed_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), staging.staging_directory(tmp_path) as folder:
        (folder / "model").write_text("weights")
        raise ZeroDivisionError
    assert names(tmp_path) == set()


def test_exports_are_never_taken_for_abandoned(tmp_path):
    (tmp_path / "1").mkdir()
    os.utime(tmp_path / "1", (0, 0))
    with staging.staging_directory(tmp_path):
        pass
    assert names(tmp_path) == {"1"}


@pytest.fixture
def staged(tmp_path):
    """The files of an export: a model, a card, and a file in a folder."""
    folder = tmp_path / "staged"
    (folder / "source").mkdir(parents=True)
    for name in ("card.json", "model.onnx", "source/pieces.model"):
        (folder / name).write_text(name)
    return folder


def test_the_model_is_published_last(staged, tmp_path, monkeypatch):
    moved, replace = [], os.replace

    def watched(source, target):
        if Path(target).is_relative_to(tmp_path / "export"):
            moved.append(str(Path(target).relative_to(tmp_path / "export")))
        replace(source, target)

    (tmp_path / "export").mkdir()
    monkeypatch.setattr(os, "replace", watched)
    path = staging.publish(staged, tmp_path / "export", "model.onnx")
    assert path == tmp_path / "export/model.onnx"
    assert moved == ["card.json", "checksums.json", "source/pieces.model", "model.onnx"]
    for name in ("card.json", "source/pieces.model", "model.onnx"):
        assert (tmp_path / "export" / name).read_text() == name


def test_a_directory_has_the_checksums_of_all_its_exports(staged, tmp_path):
    target = tmp_path / "export"
    target.mkdir()
    staging.publish(staged, target, "model.onnx")
    staged.joinpath("card.json").write_text("card.json")
    staged.joinpath("model.tflite").write_text("another format")
    staging.publish(staged, target, "model.tflite")
    recorded = json.loads((target / "checksums.json").read_text())
    assert sorted(recorded) == ["card.json", "model.onnx", "model.tflite", "source/pieces.model"]
    assert find_damage(target) == []
    (target / "model.onnx").write_text("")
    assert find_damage(target) == ["model.onnx has changed since it was written"]


def test_equal_files_may_be_there_already(staged, tmp_path):
    target = tmp_path / "export"
    target.mkdir()
    (target / "card.json").write_text("card.json")
    (target / "other.txt").write_text("untouched")
    staging.publish(staged, target, "model.onnx")
    assert names(target) == {"card.json", "checksums.json", "model.onnx", "other.txt", "source"}


def test_a_file_of_another_export_stops_it_before_anything_is_moved(staged, tmp_path):
    target = tmp_path / "export"
    (target / "source").mkdir(parents=True)
    (target / "source/pieces.model").write_text("another")
    with pytest.raises(CallError, match=r"source/pieces\.model exists already, from another expo"):
        staging.publish(staged, target, "model.onnx")
    assert names(target) == {"source"}
    assert (target / "source/pieces.model").read_text() == "another"
    assert len(list(staged.rglob("*"))) == 5  # with its checksums


def test_a_directory_that_is_lost_is_named(staged, tmp_path):
    with pytest.raises(CallError, match="gone/deep: can't write an export there: No such file"):
        staging.publish(staged, tmp_path / "gone/deep", "model.onnx")


@pytest.fixture
def program(tmp_path):
    """Write a program of checks, as the module that `run_checks` takes."""

    def write(text):
        path = tmp_path / "checks.py"
        path.write_text(text)
        return SimpleNamespace(__file__=str(path))

    return write


def test_an_export_that_passes_raises_nothing(program):
    staging.run_checks(program("print('null')"), [])


def test_the_reason_of_a_refusal_is_the_error(program):
    with pytest.raises(ExportError, match=r"^The graph has an op …\.$"):
        staging.run_checks(program("import json; print(json.dumps('The graph has an op ….'))"), [])


def test_a_crash_has_the_last_lines_of_its_errors(program):
    text = "import sys\nprint('early', file=sys.stderr)\ndef f():\n  raise OSError('no file')\nf()"
    with pytest.raises(ExportError) as error:
        staging.run_checks(program(text), [])
    message = str(error.value)
    assert message.startswith("The export does not load in a fresh process: ")
    assert message.endswith("OSError: no file") and "early" not in message


def test_a_process_that_is_killed_is_a_failure(program):
    with pytest.raises(ExportError, match="does not load in a fresh process"):
        staging.run_checks(program("import os; os.kill(os.getpid(), 9)"), [])


def test_a_program_that_hangs_is_ended(program, monkeypatch):
    monkeypatch.setattr(staging, "TIMEOUT", 0.5)
    start = time.monotonic()
    with pytest.raises(ExportError, match=r"did not end within 0\.5 seconds"):
        staging.run_checks(program("import time; time.sleep(60)"), [])
    assert time.monotonic() - start < 30


def test_the_program_has_its_arguments_and_its_input(program):
    text = """
import json, sys
given = sys.stdin.buffer.read()
assert given == bytes(range(256)) * 1000, len(given)
assert sys.argv[1:] == ["/some/path", "5"], sys.argv
print(json.dumps(None))
"""
    staging.run_checks(program(text), [Path("/some/path"), 5], bytes(range(256)) * 1_000)


def test_the_program_has_no_gpu_and_is_in_an_empty_directory(program):
    text = """
import json, os, sys
assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"
assert os.listdir() == [], os.listdir()
assert not any(name.startswith("lstm_zoo") for name in sys.modules)
print(json.dumps(None))
"""
    staging.run_checks(program(text), [])
