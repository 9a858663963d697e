"""The ONNX export: files, metadata, quantization, refusals, command line."""

import json

import keras
import onnx
import pytest
from click.testing import CliRunner

from lstm_zoo import families
from lstm_zoo.cli import cli
from lstm_zoo.errors import CallError, ExportError
from lstm_zoo.export import onnx_graph
from lstm_zoo.runs.environment import write_environment
from lstm_zoo.sentiment import corpus
from lstm_zoo.text import tokenizers
from tests.conftest import READY_RUNS
from tests.export.networks import randomized


def untrained(family, run):
    """Make a pipeline of a small untrained network, with a run directory."""
    module = families.module(family, "task")
    defaults = {name: setting.default for name, setting in families.settings(family).items()}
    values = {**defaults, "variant": "tiny", "epochs": 1, "tokens": "words"}
    examples = None  # n-grams are fitted on them; the other families have none
    if family == "speech":
        from lstm_zoo.speech.alphabet import CharacterTokenizer
        from lstm_zoo.speech.features import Features, FeatureSettings

        values["tokens"] = "characters"
        feature_settings = FeatureSettings(sample_rate=8_000)
        task = module.Task(values, CharacterTokenizer("abc"), Features(feature_settings))
    elif family == "translation":
        texts = [f"word {number} and its {number * 7} others" for number in range(300)]
        pieces = tokenizers.PieceTokenizer.learn(texts, 320, fold_case=False)
        task = module.Task(values, pieces, pieces)
    else:
        task = module.Task(values, ["neg", "pos"], tokenizers.WordTokenizer(["good", "film"]))
        examples = task.encode(corpus.read((["film", "good film"], ["neg", "pos"])))
    model, network = task.build(examples, 0)
    run.mkdir()
    write_environment(run, None, 0)
    learned = {**task.learned, "languages": ["en", "de"]}
    data = json.loads((READY_RUNS / family / "config.json").read_text("utf-8"))["data"]
    config = {
        "format": 1, "family": family, "settings": values, "network": network,
        "learned": learned, "data": data,
    }  # fmt: skip
    return families.pipeline(family)(task, randomized(model), config, run)


@pytest.fixture(scope="module", params=families.FAMILIES)
def pipeline(request, tmp_path_factory):
    return untrained(request.param, tmp_path_factory.mktemp("runs") / request.param)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return untrained("sentiment", tmp_path_factory.mktemp("runs") / "sentiment")


FILES = {
    "sentiment": {"vocabulary.txt", "unicode.npz"},
    "speech": {"alphabet.txt", "features.npz"},
    "translation": {
        "encoder.onnx", "decoder.onnx", "source/pieces.model", "target/pieces.model", "unicode.npz",
    },
}  # fmt: skip


def files(directory):
    return {str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()}


def metadata(path):
    return {entry.key: json.loads(entry.value) for entry in onnx.load(path).metadata_props}


@pytest.fixture(scope="module")
def exported(pipeline, tmp_path_factory):
    return pipeline.export(tmp_path_factory.mktemp("exports") / "new", format="onnx")


def test_an_export_holds_the_preprocessing_of_its_inputs(pipeline, exported):
    family, path = pipeline.config["family"], exported
    assert path.name == "model.onnx"
    assert files(path.parent) == {
        "model.onnx", "pipeline.json", "checksums.json", *FILES[family],
    }  # fmt: skip
    entries = metadata(path)
    assert entries["card"]["family"] == family
    assert {"onnx", "onnxruntime", "keras"} <= set(entries["card"]["exported_with"])
    tokenizer = entries["tokenizer"]
    if family == "sentiment":
        assert tokenizer["vocabulary"][4:] == ["good", "film"] and tokenizer["fold_case"] is True
        assert entries["card"]["classes"] == ["neg", "pos"]
    if family == "speech":
        assert tokenizer == {
            "tokens": "characters", "blank": 0, "vocabulary": ["<blank>", "a", "b", "c"],
        }  # fmt: skip
        assert (entries["features"]["sample_rate"], entries["features"]["n_fft"]) == (8_000, 200)
    if family == "translation":
        assert (path.parent / tokenizer["target"]).read_bytes() == (pipeline.tokenizer.target.model)


def test_int8_is_smaller_and_has_the_same_metadata(pipeline, exported, tmp_path):
    small = pipeline.export(tmp_path, format="onnx", int8=True)
    assert files(tmp_path) == files(exported.parent)
    assert small.stat().st_size < exported.stat().st_size / 2
    assert "DynamicQuantizeLSTM" in {node.op_type for node in onnx.load(small).graph.node}
    assert metadata(small) == metadata(exported)


def test_exports_share_a_directory_only_if_of_the_same_run(classifier, tmp_path):
    path = classifier.export(tmp_path, format="onnx")
    before = path.read_bytes()
    with pytest.raises(CallError, match=r"model\.onnx exists already"):
        classifier.export(tmp_path, format="onnx")
    assert path.read_bytes() == before
    path.unlink()
    (tmp_path / "vocabulary.txt").write_text("of\nanother\n")
    with pytest.raises(CallError, match=r"vocabulary\.txt exists already, from another export"):
        classifier.export(tmp_path, format="onnx")
    others = {"pipeline.json", "unicode.npz", "checksums.json"}
    assert files(tmp_path) == {"vocabulary.txt", *others}


@pytest.mark.parametrize(
    "change, int8, message",
    [
        (
            lambda x: x[:, :1],
            False,
            r"output logits of probe 0 is float32\[5, 2\], the network's float32\[5, 1\]\.",
        ),
        (
            lambda x: x + 1e-3,
            False,
            r"outputs differ from the network's: output logits, probe 0, by up to 0\.001\.",
        ),
        (
            lambda x: x[:, ::-1],
            True,
            r"outputs differ .*: output logits, by .* of its root mean square; at most 0\.1 is",
        ),
    ],
)
def test_different_outputs_are_refused_and_no_file_is_left(
    classifier, tmp_path, monkeypatch, change, int8, message
):
    module = families.module("sentiment", "onnx")
    compose = module.parts

    def parts(model, network, weights):
        part = compose(model, network, weights)["model"]
        # Changing the reference has the effect of a wrong file.
        return {
            "model": part._replace(
                reference=lambda probe: {"logits": change(model(probe["ids"]).numpy())}
            )
        }

    monkeypatch.setattr(module, "parts", parts)
    with pytest.raises(ExportError, match=rf"model\.onnx: {message}"):
        classifier.export(tmp_path, format="onnx", int8=int8)
    assert files(tmp_path) == set()


def test_a_layer_without_conversion_is_named(classifier, tmp_path, monkeypatch):
    def rebuilt(use_cudnn):
        ids = keras.Input((None,), dtype="int32")
        wide = keras.layers.Embedding(6, 2, name="wide")(ids)
        logits = classifier.model(ids) + keras.ops.sum(wide, axis=1)
        model = keras.Model(ids, logits)
        model.get_layer = lambda name: classifier.model.get_layer(name)
        return type("Widened", (), {"model": model})

    monkeypatch.setattr(classifier, "rebuilt", rebuilt)
    with pytest.raises(ExportError, match=r"ONNX: there is no conversion of wide/embeddings\."):
        classifier.export(tmp_path, format="onnx")
    assert files(tmp_path) == set()


def test_a_file_that_does_not_load_is_refused(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_graph, "OPSET", 999)
    with pytest.raises(ExportError, match="does not load in a fresh process: .*"):
        classifier.export(tmp_path, format="onnx")
    assert files(tmp_path) == set()


def test_the_command_line_exports_and_inspects(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr("lstm_zoo.load", lambda run, **options: classifier)
    path = tmp_path / "model.onnx"

    def invoke(*arguments):
        return CliRunner().invoke(cli, [*map(str, arguments)])

    done = invoke(
        "sentiment", "export", READY_RUNS / "sentiment", tmp_path, "--format", "onnx", "--int8"
    )
    assert (done.exit_code, done.output) == (0, f"{path}\n"), done.output
    described = json.loads(invoke("inspect", path, "--json").output)
    assert described["kind"] == "export" and described["classes"] == ["neg", "pos"]
    assert described["inputs"] == {"ids": "int32[batch, time]"}
    assert described["outputs"] == {"logits": "float32[batch, 2]"}
    assert "DynamicQuantizeLSTM" in described["ops"]
    done = invoke(
        "sentiment",
        "export",
        READY_RUNS / "sentiment",
        tmp_path,
        "--format",
        "onnx",
        "--version",
        3,
    )
    assert done.exit_code == 2 and "onnx has no option version" in done.output
    path.write_bytes(b"not ONNX")
    done = invoke("inspect", path)
    assert done.exit_code == 1 and "model.onnx has changed since it was written" in done.output
