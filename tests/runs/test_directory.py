"""The run directory: reading its configuration, creating it atomically, and its state."""

import contextlib
import csv
import json
import re
import shutil
import time
from pathlib import Path

import pytest

from lstm_zoo import families
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.runs import directory
from lstm_zoo.runs.lock import locked
from tests.conftest import READY_RUNS


def write_config(run, config):
    run.mkdir(exist_ok=True)
    (run / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))


@pytest.fixture
def config():
    """The configuration of a ready run, as its file holds it."""
    return json.loads((READY_RUNS / "sentiment/config.json").read_text("utf-8"))


def test_a_path_without_a_configuration_is_no_run(tmp_path):
    with pytest.raises(CallError, match="none: no such run directory"):
        directory.read_config(tmp_path / "none")
    with pytest.raises(CallError, match="not a run directory; it has no config.json"):
        directory.read_config(str(tmp_path))
    (tmp_path / "file").write_text("{}")
    with pytest.raises(CallError, match="file: no such run directory"):
        directory.read_config(tmp_path / "file")


@pytest.mark.parametrize(
    "content, message",
    [
        ("{not JSON", r"config\.json: damaged, or not what is expected there: Expecting property"),
        ("[]", r"config\.json: expected a JSON object. Found: list"),
        ("{}", r"config\.json: not a run's configuration; it has no 'format'"),
        ({"format": 2}, r"config\.json: a run of format 2; this version reads 1\."),
        ({"format": 1}, r"not a run's configuration; it has no 'family'\."),
    ],
)
def test_a_malformed_configuration_is_refused(tmp_path, content, message):
    write_config(tmp_path, content)
    with pytest.raises((CallError, DataError), match=message):
        directory.read_config(tmp_path)


@pytest.mark.parametrize("key", ["family", "settings", "network", "learned", "data"])
def test_a_missing_entry_is_named(tmp_path, config, key):
    del config[key]
    write_config(tmp_path, config)
    with pytest.raises(DataError, match=f"it has no '{key}'"):
        directory.read_config(tmp_path)


def test_settings_newer_than_the_run_have_their_neutral_values(tmp_path, config):
    known = families.settings("sentiment")
    missing = known.keys() - config["settings"].keys()
    assert {"batch_tokens", "average_epochs"} <= missing
    write_config(tmp_path, config)
    settings = directory.read_config(tmp_path)["settings"]
    assert settings.keys() == known.keys()
    assert {name: settings[name] for name in missing} == {
        name: known[name].neutral for name in missing
    }
    assert {name: settings[name] for name in config["settings"]} == config["settings"]


def test_a_setting_of_a_later_version_is_kept(tmp_path, config):
    write_config(tmp_path, {**config, "settings": {**config["settings"], "epochs": 9, "later": 1}})
    settings = directory.read_config(tmp_path)["settings"]
    assert (settings["epochs"], settings["later"]) == (9, 1)


@pytest.mark.parametrize(
    "section, values, message",
    [
        ("settings", {"max_length": 10**9}, "max_length takes an integer .* at most 100000"),
        ("network", {"units": [6_000] * 99}, "units takes at most 64 positive integers"),
        ("network", {"units": 2**20}, "units takes .* of at most 16384"),
        ("network", {"ngrams": 10**6}, "ngrams takes an integer .* at most 16. Found: 1000000"),
        ("network", {"cell": "x" * 999}, "cell takes one of lstm, gru, simple_rnn. Found: 'x{99}$"),
    ],
)
def test_a_value_beyond_its_settings_limits_is_refused(tmp_path, config, section, values, message):
    write_config(tmp_path, {**config, section: {**config[section], **values}})
    with pytest.raises(DataError, match=rf"config\.json: {message}"):
        directory.read_config(tmp_path)


def test_a_setting_that_every_run_has_is_not_replaced_by_its_default(tmp_path, config):
    write_config(tmp_path, {**config, "settings": {}})
    with pytest.raises(DataError, match=r"config\.json: the setting epochs is missing"):
        directory.read_config(tmp_path)


def test_a_run_of_another_family_and_an_export_are_named(tmp_path):
    with pytest.raises(CallError, match="sentiment: a run of sentiment, not of speech"):
        directory.read_config(READY_RUNS / "sentiment", "speech")
    for export in ("sentiment-onnx", "sentiment-litert"):
        with pytest.raises(
            CallError, match=r"It holds an export, model\.\w+: name its run instead"
        ):
            directory.read_config(READY_RUNS / "exports" / export)


def test_a_run_can_be_created_where_nothing_is(tmp_path):
    directory.check_free(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    directory.check_free(tmp_path / "empty")
    (tmp_path / "file").write_text("")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.json").write_text("{}")
    for name in ("file", "run"):
        with pytest.raises(CallError, match=f"{name} exists already; name another run. To cont"):
            directory.check_free(tmp_path / name)


def test_a_run_appears_when_its_block_ends(tmp_path):
    run = tmp_path / "runs/new"
    with directory.created(run) as temporary:
        assert list(temporary.iterdir()) == []
        (temporary / "config.json").write_text("{}")
        assert not run.exists()
    assert sorted(path.name for path in run.iterdir()) == ["checksums.json", "config.json"]
    assert list(run.parent.iterdir()) == [run]


def test_a_failed_block_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), directory.created(tmp_path / "run") as temporary:
        (temporary / "config.json").write_text("{}")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_an_existing_run_is_not_replaced(tmp_path):
    write_config(tmp_path / "run", "{}")
    with (
        pytest.raises(CallError, match="run exists already"),
        directory.created(tmp_path / "run"),
    ):
        pytest.fail("the block must not run")
    assert (tmp_path / "run/config.json").read_text() == "{}"


def test_a_run_that_can_not_be_created_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(CallError, match=r"file/run: can't create a run there: \w+"),
        directory.created(tmp_path / "file/run"),
    ):
        pytest.fail("the block must not run")


def test_a_run_is_finished_with_metrics_and_without_a_checkpoint(tmp_path):
    assert not directory.is_finished(tmp_path)
    (tmp_path / "metrics.json").write_text("{}")
    assert directory.is_finished(tmp_path)
    (tmp_path / "checkpoint").mkdir()
    assert directory.is_finished(tmp_path)  # a kill while version 0.1 removed it
    (tmp_path / "checkpoint/state-2.npz").write_text("")
    assert not directory.is_finished(tmp_path)
    directory.finish(tmp_path)
    assert directory.is_finished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]
    assert directory.is_finished(READY_RUNS / "sentiment")
    assert not directory.is_finished(READY_RUNS / "interrupted")


def test_the_default_path_has_family_and_time(monkeypatch):
    assert re.fullmatch(r"runs/speech-\d{8}-\d{6}", str(directory.default_path("speech")))
    moment = time.struct_time((2024, 2, 29, 13, 5, 9, 3, 60, 0))
    strftime = time.strftime
    monkeypatch.setattr(time, "strftime", lambda format: strftime(format, moment))
    assert directory.default_path("sentiment") == Path("runs/sentiment-20240229-130509")


def test_the_history_is_a_row_an_epoch(tmp_path):
    history = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.1234567890123}]
    directory.write_history(tmp_path, history[:1])
    directory.write_history(tmp_path, history)
    assert (tmp_path / "history.csv").read_text().splitlines()[0] == "epoch,loss"
    with (tmp_path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["epoch"]), float(row["loss"])) for row in rows] == [
        (1, 0.5),
        (2, 0.1234567890123),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


def make_run(path, note="old"):
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps({"family": "sentiment", **ENTRIES}))
    (path / "note.txt").write_text(note)


ENTRIES = {name: {} for name in directory.ENTRIES}


def test_an_empty_directory_is_not_set_aside(tmp_path):
    run, old = tmp_path / "run", tmp_path / "run.old"
    run.mkdir()
    make_run(old, "precious")
    with directory.created(run, overwrite=True) as staging:
        (staging / "config.json").write_text("{}")
    assert (old / "note.txt").read_text() == "precious"
    assert (run / "config.json").is_file()


def test_of_two_that_overwrite_a_run_the_slower_is_refused(tmp_path):
    run = tmp_path / "run"
    make_run(run)
    with (
        contextlib.ExitStack() as training,
        pytest.raises(CallError, match="is in training"),
        directory.created(run, overwrite=True),
    ):
        with directory.created(run, overwrite=True) as faster:
            shutil.copy(run / "config.json", faster)
        training.enter_context(locked(run))
    assert not (run / "note.txt").exists()
    assert (tmp_path / "run.old/note.txt").read_text() == "old"


def test_a_run_in_training_that_was_set_aside_is_not_removed(tmp_path):
    make_run(tmp_path / "run")
    make_run(tmp_path / "run.old")
    with locked(tmp_path / "run.old"), pytest.raises(CallError, match="run.old is in training"):
        directory.check_free(tmp_path / "run", overwrite=True)
