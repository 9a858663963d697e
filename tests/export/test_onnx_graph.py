"""ONNX graphs: outputs equal to Keras's for every kind of network, and the nodes they use."""

import itertools

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo import build_sentiment, build_speech, build_translation, families
from lstm_zoo.export.onnx_graph import Graph
from lstm_zoo.export.onnx_weights import WeightsFile
from lstm_zoo.speech.model import output_lengths
from lstm_zoo.text.tokenizers import END, START
from lstm_zoo.translation import beam
from lstm_zoo.translation.model import encoder
from tests.export.networks import randomized

CELLS = {"lstm": "LSTM", "gru": "GRU", "simple_rnn": "RNN"}
# Few sizes, because TensorFlow retraces a layer for each; none equal, to find transpositions.
SENTIMENT = {"vocabulary_size": 20, "num_classes": 3, "embedding_size": 5, "units": (4,)}
SPEECH = {"vocabulary_size": 7, "num_features": 5, "units": (4,), "mask_fill": "zero"}
TRANSLATION = {
    "source_vocabulary_size": 17,
    "target_vocabulary_size": 19,
    "embedding_size": 5,
    "encoder_units": (4,),
    "decoder_units": (4,),
}


def session(model):
    """Load a model in ONNX Runtime, and return it as a function of arrays by name."""
    onnx.checker.check_model(model, full_check=True)
    loaded = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in loaded.get_outputs()]
    return lambda inputs: dict(zip(names, loaded.run(None, inputs), strict=True))


def composed(family, build, network):
    """Build a network and its graphs, and check that their outputs are the network's.

    Returns:
        The network; and of each graph a function that runs it, and its nodes.
    """
    model = randomized(build(**network))
    parts = families.module(family, "onnx").parts(model, network)
    models = {name: part.graph.to_model(name) for name, part in parts.items()}
    runners = {name: session(graph) for name, graph in models.items()}
    for name, part in parts.items():
        for probe in part.probes:
            assert_equal(part.reference(probe), runners[name](probe))
    assert parts["model"].graph.unused(model.weights) == []
    nodes = {name: [*graph.graph.node] for name, graph in models.items()}
    return model, runners, nodes


def assert_equal(expected, outputs):
    assert expected.keys() == outputs.keys()
    for name, array in expected.items():
        assert array.shape == outputs[name].shape, name
        compared = ~np.isnan(array)
        np.testing.assert_allclose(
            outputs[name][compared], array[compared], atol=1e-5, err_msg=name
        )


def recurrent_nodes(nodes, cell):
    return [node for node in nodes if node.op_type == CELLS[cell]]


def attribute(node, name):
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}.get(name)


def padded(rows, width):
    ids = np.zeros((len(rows), width), np.int32)
    for row, values in zip(ids, rows, strict=True):
        row[: len(values)] = values
    return ids


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("pooling", ["last", "mean", "max", "max+last+mean"])
def test_every_sentiment_network_has_the_same_outputs(cell, bidirectional, pooling):
    network = {**SENTIMENT, "cell": cell, "bidirectional": bidirectional, "pooling": pooling}
    _, _, nodes = composed("sentiment", build_sentiment, network)
    (node,) = recurrent_nodes(nodes["model"], cell)
    assert attribute(node, "direction") == (b"bidirectional" if bidirectional else b"forward")
    assert attribute(node, "linear_before_reset") == (1 if cell == "gru" else None)
    assert node.input[4]  # sequence_lens
    assert not {"Loop", "Scan", "If"} & {node.op_type for node in nodes["model"]}


@pytest.fixture(scope="module", params=[False, True])
def deep_sentiment(request):
    network = {
        **SENTIMENT,
        "fitted_ngrams": request.param,
        "units": (4, 4),
        "pooling": "last+mean+max",
        "class_ratios": True,
        "ngrams": 3,
        "ngram_buckets": 50,
    }
    return composed("sentiment", build_sentiment, network)


# Not with padding on the left, which is moved to the right in Keras alone.
RIGHT_PADDED = st.lists(st.integers(0, 19), max_size=9).filter(lambda row: not row or row[0])


@given(rows=st.lists(RIGHT_PADDED, max_size=4), extra=st.integers(1, 5))
@settings(max_examples=15)
def test_outputs_for_any_ids_are_kerass_in_any_batch(deep_sentiment, rows, extra):
    model, runners, _ = deep_sentiment
    ids = padded(rows, max(map(len, rows), default=0) + extra)
    together = runners["model"]({"ids": ids})["logits"]
    np.testing.assert_allclose(together, model(ids), atol=1e-5)
    for row, logits in zip(rows, together, strict=True):
        alone = runners["model"]({"ids": padded([row], max(1, len(row)))})["logits"][0]
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
def test_every_speech_network_has_the_same_outputs_with_any_padding(options):
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
        valid = output_lengths(length, options.get("subsampling", 3))
        np.testing.assert_allclose(logits[:valid], alone, atol=1e-5)
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
def test_every_translation_network_has_the_same_outputs_and_translations(options):
    network = {**TRANSLATION, **options}
    model, runners, nodes = composed("translation", build_translation, network)
    decoder = recurrent_nodes(nodes["decoder"], options["cell"])
    assert len(decoder) == len(network["decoder_units"])
    sources = padded([[5, 6, 7, END], [8, END], [END]], 6)
    limits = [12, 9, 7]
    expected = greedy_in_keras(model, sources, limits)
    assert greedy_in_onnx(runners, sources, limits) == expected
    assert any(expected)


def greedy_in_keras(model, sources, limits):
    decoder = model.get_layer("decoder")
    context = encoder(model)(sources)

    @tf.function
    def search():
        def step(last, states):
            logits, new = decoder.step(last, *states)
            return logits, (states[0], new)

        states = (context, decoder.initial_states(context))
        return beam.search(step, states, tf.constant(limits), width=1).ids[:, 0]

    return [[int(i) for i in row if i] for row in search().numpy()]


def greedy_in_onnx(runners, sources, limits):
    """Decode with `encoder.onnx` and `decoder.onnx` alone."""
    state = runners["encoder"]({"source": sources})
    context = state.pop("summary")
    ids = np.full(len(sources), START, np.int32)
    found, done = [[] for _ in limits], [False] * len(limits)
    while not all(done):
        outputs = runners["decoder"]({"ids": ids, "summary": context, **state})
        logits = outputs.pop("logits")
        logits[:, :END] = -np.inf  # padding, unknown, start
        ids = logits.argmax(axis=1).astype(np.int32)
        state = {name.removeprefix("next_"): array for name, array in outputs.items()}
        for row, chosen in enumerate(ids):
            done[row] = done[row] or chosen == END or len(found[row]) == limits[row]
            if not done[row]:
                found[row].append(int(chosen))
    return found


def test_an_empty_batch_has_an_empty_output():
    graph = Graph()
    ids = graph.input("ids", "int32", ["batch", "time"])
    graph.output("next", graph.add("Add", ids, np.int32(1)), "int32", ["batch", "time"])
    run = session(graph.to_model("example"))
    for shape in ((0, 3), (2, 0), (2, 3)):
        outputs = run({"ids": np.full(shape, 4, np.int32)})["next"]
        assert outputs.dtype == np.int32
        np.testing.assert_array_equal(outputs, np.full(shape, 5))


def test_unused_weights_are_named():
    graph, layer = Graph(), keras.layers.Dense(2, name="dense")
    layer.build((None, 3))
    graph.read(layer.kernel)
    assert graph.unused(layer.weights) == ["dense/bias"]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    "family, build, network",
    [
        ("sentiment", build_sentiment, {**SENTIMENT, "ngrams": 1, "ngram_buckets": 50}),
        ("speech", build_speech, SPEECH),
        ("translation", build_translation, TRANSLATION),
    ],
)
def test_a_graph_that_refers_to_a_weights_file_holds_no_kernels(
    cell, family, build, network, tmp_path
):
    network = {**network, "cell": cell}
    model = randomized(build(**network))
    model.save_weights(tmp_path / "model.weights.h5")
    weights = WeightsFile(tmp_path / "model.weights.h5")
    for name, part in families.module(family, "onnx").parts(model, network, weights).items():
        graph = part.graph.to_model(name)
        held = [t for t in graph.graph.initializer if t.data_location != t.EXTERNAL]
        assert max(np.prod(tensor.dims) for tensor in held) <= 2 * 8 * 4  # the biases of 4 gates
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(graph.SerializeToString())
        loaded = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        names = [output.name for output in loaded.get_outputs()]
        for probe in part.probes:
            found = dict(zip(names, loaded.run(None, probe), strict=True))
            assert_equal(part.reference(probe), found)
