"""ONNX exports as pipelines: how they are recognized, and what they hold."""

import json
import os
import shutil
import sys

import pytest

import lstm_zoo
from lstm_zoo.errors import BackendError, CallError, DataError
from lstm_zoo.runs import exports
from lstm_zoo.runs.directory import read_config
from tests.conftest import READY_RUNS


def test_an_export_is_a_directory_or_its_model(onnx_export, tmp_path, monkeypatch):
    export = onnx_export("sentiment")
    assert exports.locate(export) == exports.locate(export / "model.onnx") == export
    for path in (READY_RUNS / "sentiment", export / "vocabulary.txt", tmp_path, tmp_path / "none"):
        assert exports.locate(path) is None
    monkeypatch.chdir(export)
    assert exports.locate("model.onnx").resolve() == exports.locate(".").resolve() == export


def test_a_run_with_an_export_in_it_is_a_run(onnx_export, tmp_path):
    both = shutil.copytree(READY_RUNS / "sentiment", tmp_path / "both")
    shutil.copy(onnx_export("sentiment") / "model.onnx", both)
    assert exports.locate(both) is None
    assert lstm_zoo.load(both).can_export


def test_the_configuration_is_the_runs(onnx_export):
    for family in ("sentiment", "speech"):
        found = exports.read_config(onnx_export(family), family)
        assert read_config(READY_RUNS / family).items() <= found.items()
        assert found["parameters"] > 1_000 and "keras" in found["environment"]["versions"]


def test_the_beam_width_of_a_pipeline_is_kept(tmp_path):
    narrow = lstm_zoo.load(READY_RUNS / "speech").with_beam_width(3)
    exports.write(tmp_path, narrow)
    assert exports.read_config(tmp_path)["settings"]["beam_width"] == 3


@pytest.mark.parametrize(
    "change, message",
    [
        ({"format": 9}, "a run of format 9; this version reads 1"),
        ({"settings": {}}, "the setting .* is missing"),
        ({"parameters": "many"}, "parameters is a number"),
        ({"environment": None}, "damaged"),
        ({"family": "x"}, "a run of 'x', which is no registered family"),
    ],
)
def test_a_wrong_configuration_is_named(onnx_export, tmp_path, change, message):
    content = json.loads((onnx_export("sentiment") / "pipeline.json").read_text())
    (tmp_path / "pipeline.json").write_text(json.dumps({**content, **change}))
    with pytest.raises((CallError, DataError), match=rf"pipeline\.json: .*{message}"):
        exports.read_config(tmp_path)


def test_a_link_that_leads_out_is_refused(onnx_export, tmp_path):
    export = shutil.copytree(onnx_export("sentiment"), tmp_path / "copy")
    (export / "vocabulary.txt").unlink()
    os.symlink("/etc/passwd", export / "vocabulary.txt")
    with pytest.raises(DataError, match="a symbolic link that leads out of its directory"):
        lstm_zoo.load(export)


def test_the_onnx_files_of_other_weights_are_not_preferred(tmp_path):
    """Such as of a run that was trained further, or an export that lies in its directory."""
    run = shutil.copytree(READY_RUNS / "sentiment", tmp_path / "run")
    lstm_zoo.load(run).export(run, format="onnx")
    assert exports.locate(run, prefer=True) is None  # it may be of other weights, or int8
    exports.mark(run)
    assert exports.locate(run, prefer=True) == run
    lstm_zoo.load(READY_RUNS / "interrupted").model.save_weights(run / "model.weights.h5")
    assert exports.locate(run, prefer=True) is None
    (run / "model.weights.h5").unlink()
    assert exports.locate(run, prefer=True) is None


def test_a_runtime_that_can_not_be_imported_is_not_preferred(monkeypatch):
    assert exports.locate("preset:trec-questions", prefer=True) is not None
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert exports.locate("preset:trec-questions", prefer=True) is None
    assert lstm_zoo.load("preset:trec-questions", prefer_onnx=True).can_export


def test_a_package_that_is_missing_is_no_damage(onnx_export, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendError, match="^An ONNX export needs ONNX Runtime: pip install"):
        lstm_zoo.load(onnx_export("sentiment"))
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(ModuleNotFoundError):
        lstm_zoo.load(onnx_export("translation"))
