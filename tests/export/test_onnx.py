"""ONNX: graphs against the networks they stand for, and the export around them."""

import itertools
import json
import sys

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo import build_sentiment, build_speech, build_translation, families
from lstm_zoo.cli import cli
from lstm_zoo.errors import CallError, ExportError
from lstm_zoo.export import onnx_graph
from lstm_zoo.runs.environment import write_environment
from lstm_zoo.speech.model import output_lengths
from lstm_zoo.text import tokenizers
from lstm_zoo.text.tokenizers import END, START
from lstm_zoo.translation import beam
from lstm_zoo.translation.model import encoder

CELLS = {"lstm": "LSTM", "gru": "GRU", "simple_rnn": "RNN"}
# Few sizes, none of them square: TensorFlow traces a layer anew for each.
SENTIMENT = {"vocabulary_size": 20, "num_classes": 3, "embedding_size": 5, "units": (4,)}
SPEECH = {"vocabulary_size": 7, "num_features": 5, "units": (4,), "mask_fill": "zero"}
TRANSLATION = {
    "source_vocabulary_size": 17,
    "target_vocabulary_size": 19,
    "embedding_size": 5,
    "encoder_units": (4,),
    "decoder_units": (4,),
}


def randomized(model, seed=0):
    """Give every weight, the biases among them, values that show where it is missing."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(0, 0.5, weight.shape) for weight in model.get_weights()])
    return model


def session(model):
    onnx.checker.check_model(model, full_check=True)
    loaded = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in loaded.get_outputs()]
    return lambda inputs: dict(zip(names, loaded.run(None, inputs), strict=True))


def composed(family, build, network):
    """Build a network, compose its graphs, and give it with a function for each of these."""
    model = randomized(build(**network))
    parts = families.module(family, "onnx").parts(model, network)
    models = {name: part.graph.to_model(name) for name, part in parts.items()}
    runners = {name: session(graph) for name, graph in models.items()}
    for name, part in parts.items():
        for probe in part.probes:
            assert_equal(part.answer(probe), runners[name](probe))
    assert parts["model"].graph.unread(model.weights) == []
    nodes = {name: [*graph.graph.node] for name, graph in models.items()}
    return model, runners, nodes


def assert_equal(expected, answers):
    assert expected.keys() == answers.keys()
    for name, array in expected.items():
        assert array.shape == answers[name].shape, name
        real = ~np.isnan(array)
        np.testing.assert_allclose(answers[name][real], array[real], atol=1e-5, err_msg=name)


def recurrent_nodes(nodes, cell):
    return [node for node in nodes if node.op_type == CELLS[cell]]


def attribute(node, name):
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}.get(name)


def ragged(rows, width):
    ids = np.zeros((len(rows), width), np.int32)
    for row, values in zip(ids, rows, strict=True):
        row[: len(values)] = values
    return ids


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("pooling", ["last", "mean", "max", "max+last+mean"])
def test_every_sentiment_network_answers_the_same(cell, bidirectional, pooling):
    network = {**SENTIMENT, "cell": cell, "bidirectional": bidirectional, "pooling": pooling}
    _, _, nodes = composed("sentiment", build_sentiment, network)
    (node,) = recurrent_nodes(nodes["model"], cell)
    assert attribute(node, "direction") == (b"bidirectional" if bidirectional else b"forward")
    assert attribute(node, "linear_before_reset") == (1 if cell == "gru" else None)
    assert node.input[4]  # sequence_lens
    assert not {"Loop", "Scan", "If"} & {node.op_type for node in nodes["model"]}


@pytest.fixture(scope="module")
def deep_sentiment():
    network = {
        **SENTIMENT,
        "units": (4, 4),
        "pooling": "last+mean+max",
        "class_ratios": True,
        "ngrams": 3,
        "ngram_buckets": 50,
    }
    return composed("sentiment", build_sentiment, network)


@given(
    rows=st.lists(st.lists(st.integers(0, 19), max_size=9), max_size=4),
    extra=st.integers(1, 5),
)
@settings(max_examples=15)
def test_any_ids_alone_and_in_any_batch_answer_as_in_keras(deep_sentiment, rows, extra):
    model, runners, _ = deep_sentiment
    ids = ragged(rows, max(map(len, rows), default=0) + extra)
    together = runners["model"]({"ids": ids})["logits"]
    np.testing.assert_allclose(together, model(ids), atol=1e-5)
    for row, logits in zip(rows, together, strict=True):
        alone = runners["model"]({"ids": ragged([row], max(1, len(row)))})["logits"][0]
        np.testing.assert_allclose(alone, logits, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"cell": cell, "subsampling_kind": kind}
        for cell, kind in itertools.product(CELLS, ("stack", "conv"))
    ]
    + [
        {"subsampling": 1, "units": (4, 4)},
        {"subsampling": 4, "subsampling_kind": "conv", "bidirectional": False},
        {"subsampling": 4, "bidirectional": False, "units": (4, 4)},
    ],
)
def test_every_speech_network_answers_the_same_whatever_the_padding(options):
    network = {**SPEECH, **options}
    model, runners, nodes = composed("speech", build_speech, network)
    assert len(recurrent_nodes(nodes["model"], options.get("cell", "lstm"))) == len(
        network["units"]
    )
    rng = np.random.default_rng(1)
    features = rng.normal(size=(4, 14, 5)).astype(np.float32)
    lengths = np.array([14, 13, 5, 1], np.int32)
    together = runners["model"]({"features": features, "lengths": lengths})["logits"]
    for clip, length, logits in zip(features, lengths, together, strict=True):
        alone = model([clip[np.newaxis, :length], np.array([length])])[0]
        real = output_lengths(length, options.get("subsampling", 3))
        np.testing.assert_allclose(logits[:real], alone, atol=1e-5)
    empty = {"features": features[:0], "lengths": lengths[:0]}
    assert runners["model"](empty)["logits"].shape == (0, *together.shape[1:])


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "lstm"},
        {"cell": "gru", "reverse_source": True, "context": False},
        {"cell": "simple_rnn", "bidirectional": False, "pooling": "last", "tied": False},
        {"cell": "lstm", "encoder_units": (4, 4), "decoder_units": (4, 4), "residual": True},
        {"cell": "gru", "decoder_units": (4, 4), "pooling": "max", "reverse_source": True},
    ],
)
def test_every_translation_network_answers_the_same_and_decodes_the_same(options):
    network = {**TRANSLATION, **options}
    model, runners, nodes = composed("translation", build_translation, network)
    decoder = recurrent_nodes(nodes["decoder"], options["cell"])
    assert len(decoder) == len(network["decoder_units"])
    sources = ragged([[5, 6, 7, END], [8, END], [END]], 6)
    limits = [12, 9, 7]
    expected = greedy_in_keras(model, sources, limits)
    assert greedy_in_onnx(runners, sources, limits) == expected
    assert any(expected)


def greedy_in_keras(model, sources, limits):
    decoder = model.get_layer("decoder")
    summary = encoder(model)(sources)

    @tf.function
    def search():
        def step(last, states):
            logits, new = decoder.step(last, *states)
            return logits, (states[0], new)

        states = (summary, decoder.initial_states(summary))
        return beam.search(step, states, tf.constant(limits), width=1).ids[:, 0]

    return [[int(i) for i in row if i] for row in search().numpy()]


def greedy_in_onnx(runners, sources, limits):
    """Decode as a caller would who has the two files and ONNX Runtime."""
    state = runners["encoder"]({"source": sources})
    summary = state.pop("summary")
    ids = np.full(len(sources), START, np.int32)
    found, done = [[] for _ in limits], [False] * len(limits)
    while not all(done):
        answer = runners["decoder"]({"ids": ids, "summary": summary, **state})
        logits = answer.pop("logits")
        logits[:, :END] = -np.inf  # padding, unknown, start
        ids = logits.argmax(axis=1).astype(np.int32)
        state = {name.removeprefix("next_"): array for name, array in answer.items()}
        for row, chosen in enumerate(ids):
            done[row] = done[row] or chosen == END or len(found[row]) == limits[row]
            if not done[row]:
                found[row].append(int(chosen))
    return found


def untrained(family, run):
    """Make a pipeline of a small network that nobody has trained, with its run's files."""
    module = families.module(family, "task")
    defaults = {name: setting.default for name, setting in families.settings(family).items()}
    values = {**defaults, "variant": "tiny", "epochs": 1, "tokens": "words"}
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
    model, network = task.build(None, 0)
    run.mkdir()
    write_environment(run, None, 0)
    learned = {**task.learned, "languages": ["en", "de"]}
    config = {
        "family": family, "settings": values, "network": network, "learned": learned, "data": {},
    }  # fmt: skip
    return families.pipeline(family)(task, randomized(model), config, run)


@pytest.fixture(scope="module", params=families.FAMILIES)
def pipeline(request, tmp_path_factory):
    return untrained(request.param, tmp_path_factory.mktemp("runs") / request.param)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return untrained("sentiment", tmp_path_factory.mktemp("runs") / "sentiment")


FILES = {
    "sentiment": {"vocabulary.txt"},
    "speech": {"alphabet.txt", "features.npz"},
    "translation": {
        "encoder.onnx", "decoder.onnx", "source/pieces.model", "target/pieces.model",
    },
}  # fmt: skip


def files(directory):
    return {str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()}


def metadata(path):
    return {entry.key: json.loads(entry.value) for entry in onnx.load(path).metadata_props}


@pytest.fixture(scope="module")
def exported(pipeline, tmp_path_factory):
    return pipeline.export(tmp_path_factory.mktemp("exports") / "new", format="onnx")


def test_an_export_holds_all_that_a_caller_needs(pipeline, exported):
    family, path = pipeline.config["family"], exported
    assert path.name == "model.onnx"
    assert files(path.parent) == {"model.onnx", *FILES[family]}
    told = metadata(path)
    assert told["card"]["family"] == family
    assert {"onnx", "onnxruntime", "keras"} <= set(told["card"]["exported_with"])
    tokenizer = told["tokenizer"]
    if family == "sentiment":
        assert tokenizer["vocabulary"][4:] == ["good", "film"] and tokenizer["fold_case"] is True
        assert told["card"]["classes"] == ["neg", "pos"]
    if family == "speech":
        assert tokenizer == {
            "tokens": "characters", "blank": 0, "vocabulary": ["<blank>", "a", "b", "c"],
        }  # fmt: skip
        assert (told["features"]["sample_rate"], told["features"]["n_fft"]) == (8_000, 200)
    if family == "translation":
        assert (path.parent / tokenizer["target"]).read_bytes() == (pipeline.tokenizer.target.model)


def test_int8_is_smaller_and_near(pipeline, exported, tmp_path):
    small = pipeline.export(tmp_path, format="onnx", int8=True)
    assert files(tmp_path) == files(exported.parent)
    assert small.stat().st_size < exported.stat().st_size / 2
    assert "DynamicQuantizeLSTM" in {node.op_type for node in onnx.load(small).graph.node}
    assert metadata(small) == metadata(exported)


def test_two_exports_share_a_directory_only_if_they_are_of_one_run(classifier, tmp_path):
    path = classifier.export(tmp_path, format="onnx")
    before = path.read_bytes()
    with pytest.raises(CallError, match=r"model\.onnx exists already"):
        classifier.export(tmp_path, format="onnx")
    assert path.read_bytes() == before
    path.unlink()
    (tmp_path / "vocabulary.txt").write_text("of\nanother\n")
    with pytest.raises(
        CallError, match=r"vocabulary\.txt exists already, and is of another export"
    ):
        classifier.export(tmp_path, format="onnx")
    assert files(tmp_path) == {"vocabulary.txt"}


@pytest.mark.parametrize(
    "change, int8, message",
    [
        (lambda x: x[:, :1], False, r"float32\[5, 2\], not float32\[5, 1\]: output logits"),
        (lambda x: x + 1e-3, False, r"output logits, probe 0, by up to 0\.001\."),
        (lambda x: x[:, ::-1], True, "output logits, by .* of its root mean square; int8 may take"),
    ],
)
def test_a_wrong_answer_is_refused_and_leaves_nothing(
    classifier, tmp_path, monkeypatch, change, int8, message
):
    module = families.module("sentiment", "onnx")
    compose = module.parts

    def parts(model, network):
        part = compose(model, network)["model"]
        # To the comparison, it is the file that is wrong.
        return {
            "model": part._replace(
                answer=lambda probe: {"logits": change(model(probe["ids"]).numpy())}
            )
        }

    monkeypatch.setattr(module, "parts", parts)
    with pytest.raises(ExportError, match=rf"model\.onnx answers .*{message}"):
        classifier.export(tmp_path, format="onnx", int8=int8)
    assert files(tmp_path) == set()


def test_a_layer_that_is_not_converted_is_named(classifier, tmp_path, monkeypatch):
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


def test_without_the_extra_it_is_named(classifier, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "lstm_zoo.export.onnx", raising=False)
    with pytest.raises(CallError, match=r"pip install 'lstm_zoo\[onnx\]'"):
        classifier.export(tmp_path, format="onnx")
    assert files(tmp_path) == set()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"format": "onnx", "version": 2}, "version is no option of onnx, which has int8"),
        ({"format": "onnx", "beam_width": 2}, "beam_width is no option of onnx"),
        ({"int8": True}, "int8 is no option of tf_saved_model, which has version, beam_width"),
        ({"beam_width": 3}, "beam_width is of families that decode; sentiment does not"),
        ({"format": "onnx", "typo": 3}, "typo is no option of onnx"),
    ],
)
def test_options_of_another_format_are_refused(classifier, tmp_path, options, message):
    with pytest.raises(CallError, match=message):
        classifier.export(tmp_path, **options)
    assert files(tmp_path) == set()


def test_the_command_line_exports_and_inspects(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr("lstm_zoo.load", lambda run: classifier)
    path = tmp_path / "model.onnx"

    def invoke(*arguments):
        return CliRunner().invoke(cli, [*map(str, arguments)])

    done = invoke("sentiment", "export", "RUN", tmp_path, "--format", "onnx", "--int8")
    assert (done.exit_code, done.output) == (0, f"{path}\n"), done.output
    told = json.loads(invoke("inspect", path, "--json").output)
    assert told["kind"] == "export" and told["classes"] == ["neg", "pos"]
    assert told["inputs"] == {"ids": "int32[batch, time]"}
    assert told["outputs"] == {"logits": "float32[batch, 2]"}
    assert "DynamicQuantizeLSTM" in told["ops"]
    done = invoke("sentiment", "export", "RUN", tmp_path, "--format", "onnx", "--version", 3)
    assert done.exit_code == 2 and "version is no option of onnx" in done.output
    path.write_bytes(b"nothing of the kind")
    done = invoke("inspect", path)
    assert done.exit_code == 2 and "not an ONNX file" in done.output
