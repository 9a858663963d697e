"""Descriptions of runs and of exports of every format, and their layout as text."""

import json
import shutil

import pytest
import tensorflow as tf

import lstm_zoo
from lstm_zoo import families
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.export import saved_model
from lstm_zoo.export.inspection import describe, to_text
from lstm_zoo.runs import cards
from tests.conftest import READY_RUNS

EXPORTS = READY_RUNS / "exports"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A SavedModel as an export writes it, without the checks of a fresh process."""
    path = tmp_path_factory.mktemp("exports") / "1"
    saved_model._write(lstm_zoo.load(READY_RUNS / "sentiment"), path)
    return path


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A SavedModel of another program: no card, one weight, one function."""
    path = tmp_path_factory.mktemp("exports") / "foreign"
    module = tf.Module()
    module.weight = tf.Variable(tf.zeros([2, 3]))
    module.serve = tf.function(
        lambda x: {"y": x @ module.weight},
        input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")],
    )
    tf.saved_model.save(module, str(path), signatures=module.serve)
    return path


@pytest.mark.parametrize("family", families.FAMILIES)
def test_a_run_is_described_with_signatures_and_layers(family):
    run = READY_RUNS / family
    described = describe(str(run))
    assert (described["kind"], described["path"]) == ("run", str(run))
    card = cards.describe(lstm_zoo.load(run))
    assert {key: described[key] for key in card} == card
    inputs = {
        "sentiment": {"serving_default": {"text": "string[?]"}},
        "speech": {
            "serving_default": {"wav": "string[?]"},
            "waveform": {"audio": "float32[?, ?]", "num_samples": "int32[?]"},
        },
        "translation": {
            "serving_default": {"text": "string[?]"},
            "n_best": {"text": "string[?]"},
        },
    }
    assert described["signatures"] == inputs[family]
    kinds = {"sentiment": ["LSTM"] * 2, "speech": ["GRU"] * 2, "translation": ["LSTM"] * 3}
    assert [row["kind"] for row in described["layers"]] == kinds[family]
    assert {row["path"] for row in described["layers"]} <= {"cuDNN", "fused"}


def test_a_saved_model_is_described_by_its_card_its_weights_and_its_graph(exported):
    described = describe(exported)
    run = describe(READY_RUNS / "sentiment")
    assert (described["kind"], described["path"]) == ("export", str(exported))
    for key in ("family", "classes", "network", "data", "scores", "trained_with"):
        assert described[key] == run[key]
    assert described["parameters"] == run["parameters"] == 4_562
    assert described["exported_with"]["tensorflow"] == tf.__version__
    assert described["signatures"] == saved_model.read_signatures(exported)
    assert described["recurrent_layers"] == "fused: the graph has no cuDNN kernel"
    assert "BlockLSTMV2" in described["ops"] and described["ops"] == sorted(described["ops"])


def test_a_saved_model_of_another_program_has_no_card(foreign):
    described = describe(str(foreign))
    assert set(described) == {
        "kind", "path", "checksums", "parameters", "signatures", "recurrent_layers", "ops",
    }  # fmt: skip
    assert described["parameters"] == 6
    assert described["signatures"] == {
        "serving_default": {"inputs": {"x": "float32[?, 2]"}, "outputs": {"y": "float32[?, 3]"}}
    }
    assert "MatMul" in described["ops"]


def test_cudnns_kernels_are_reported(foreign, monkeypatch):
    monkeypatch.setattr(saved_model, "read_ops", lambda path: ["CudnnRNNV3", "MatMul"])
    assert describe(foreign)["recurrent_layers"] == "cuDNN: the graph has its kernels"


def test_of_several_versions_the_newest_is_described(foreign, tmp_path):
    for version in ("9", "10"):
        shutil.copytree(foreign, tmp_path / version)
    (tmp_path / "11").mkdir()  # no export
    shutil.copytree(foreign, tmp_path / ".writing-12")
    assert describe(tmp_path)["path"] == str(tmp_path / "10")


def test_an_onnx_file_is_described():
    pytest.importorskip("onnx")
    path = EXPORTS / "sentiment-onnx/model.onnx"
    described = describe(path)
    assert (described["kind"], described["path"]) == ("export", str(path))
    assert (described["family"], described["parameters"]) == ("sentiment", 4_562)
    assert described["inputs"] == {"ids": "int32[batch, time]"}
    assert described["outputs"] == {"logits": "float32[batch, 2]"}
    assert "LSTM" in described["ops"]


def test_a_litert_file_is_described_by_the_card_next_to_it(tmp_path):
    path = EXPORTS / "sentiment-litert/model.tflite"
    described = describe(path)
    assert (described["kind"], described["path"]) == ("export", str(path))
    assert (described["family"], described["parameters"]) == ("sentiment", 4_562)
    assert described["signatures"]["serving_default"]["inputs"] == {"ids": "int32[1, ?]"}
    assert "WHILE" in described["ops"]
    alone = shutil.copy(path, tmp_path)
    assert describe(alone) == {
        "kind": "export",
        "path": str(alone),
        "checksums": "none, so that damage may go unnoticed",
    }


def test_a_file_that_is_not_of_its_format_is_no_export(tmp_path):
    pytest.importorskip("onnx")
    for name in ("empty.onnx", "empty.tflite"):
        (tmp_path / name).touch()
        with pytest.raises(DataError, match=f"{name}: "):
            describe(tmp_path / name)


def test_the_checksums_of_an_export_are_verified(exported, tmp_path):
    assert describe(exported)["checksums"] == "verified"
    damaged = shutil.copytree(exported, tmp_path / "1")
    variables = damaged / "variables/variables.data-00000-of-00001"
    data = bytearray(variables.read_bytes())
    data[100] ^= 1
    variables.write_bytes(data)
    with pytest.raises(DataError, match=r"damaged: variables/variables\.data-\S+ has changed"):
        describe(damaged)


def test_a_card_replaces_neither_what_is_inspected_nor_its_checksums(tmp_path):
    shutil.copytree(EXPORTS / "sentiment-litert", tmp_path, dirs_exist_ok=True)
    card = {"path": "elsewhere", "checksums": "verified", "classes": ["pos\nchecksums: verified"]}
    (tmp_path / "card.json").write_text(json.dumps(card))
    described = describe(tmp_path / "model.tflite")
    assert described["path"] == str(tmp_path / "model.tflite")
    assert to_text(described).splitlines()[1:] == [
        f"path: {tmp_path / 'model.tflite'}",
        "checksums: none, so that damage may go unnoticed",
        "classes: pos\\nchecksums: verified",
    ]


@pytest.mark.parametrize("name", ["none", "empty", "file.txt", "none.onnx", "none.tflite"])
def test_what_is_neither_is_refused(tmp_path, name):
    (tmp_path / "empty/7").mkdir(parents=True)
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(CallError, match=rf"{name}: neither a run \(no config.json\) nor an export"):
        describe(str(tmp_path / name))


def test_the_text_is_a_line_a_value_with_what_is_nested_indented():
    card = {
        "family": "speech",
        "network": {"units": (8, 8), "dropout": 0.5, "inner": {"cell": None}},
        "classes": ["neg", "pos"],
        "layers": [{"layer": "lstm", "units": 8}, {"layer": "gru", "units": None}],
        "ops": [],
    }
    assert to_text(card) == (
        "family: speech\n"
        "network:\n"
        "  units: 8, 8\n"
        "  dropout: 0.5\n"
        "  inner:\n"
        "    cell: None\n"
        "classes: neg, pos\n"
        "layers:\n"
        "  lstm  8\n"
        "  gru  None\n"
        "ops: "
    )
    assert to_text({"a": 1}, indent="    ") == "    a: 1"


def test_every_value_of_a_run_is_in_its_text():
    described = describe(READY_RUNS / "sentiment")
    text = to_text(described)
    assert len(text.splitlines()) > 60
    assert f"sha256: {described['data']['training']['sha256']}" in text
    assert "  serving_default:\n    text: string[?]\n" in text
    json.dumps(described, default=list)
