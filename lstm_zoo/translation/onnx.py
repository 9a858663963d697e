"""The network as ONNX graphs, whole and in the two parts that decoding takes."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import keras
import numpy as np

from lstm_zoo.export.onnx_graph import (
    Arrays,
    Graph,
    Part,
    Tensor,
    dense,
    embedding,
    pool,
    recurrent_stack,
    token_lengths,
)
from lstm_zoo.text.tokenizers import END, PADDING, START
from lstm_zoo.translation.model import Decoder, encoder, resolve_sizes

SIDES = ("source", "target")


def parts(model: keras.Model, network: Mapping[str, Any]) -> dict[str, Part]:
    """Compose the graphs of an export by the names of their files.

    Args:
        model: what `build_translation(**network)` built.
        network: its arguments.

    Returns:
        `model`: from `source` and `target`, int32 ids `(batch, time)` each, to `logits` float32
        `(batch, target time, target_vocabulary_size)`.
        `encoder`: from `source` to `summary` `(batch, width)` and the states that decoding begins
        with, `hidden_1` `(batch, units)` and for an LSTM `cell_1`, the same of further layers.
        `decoder`: from `ids` int32 `(batch,)`, the last id of each row, `summary` and the states
        to `logits` `(batch, target_vocabulary_size)` of the next id, and the states after it,
        `next_hidden_1` and so on.
    """
    network = dict(network)
    vocabularies = [network.pop(f"{side}_vocabulary_size") for side in SIDES]
    sizes = resolve_sizes(**network)
    return {
        "model": _whole(model, sizes, *vocabularies),
        "encoder": _encoder(model, sizes, vocabularies[0]),
        "decoder": _decoder(model, sizes, vocabularies[1]),
    }


def metadata(pipeline: Any) -> dict[str, Any]:
    """Tell how texts become ids and ids text: the files of the pieces, and the ids in between."""
    special = {"padding": PADDING, "start": START, "end": END}
    files = {side: f"{side}/pieces.model" for side in SIDES}
    length = pipeline.config["settings"]["max_length"]
    return {"tokenizer": {"tokens": "pieces", **files, **special, "max_length": length}}


def _whole(
    model: keras.Model, sizes: Mapping[str, Any], source_size: int, target_size: int
) -> Part:
    graph, layer = Graph(), model.get_layer("decoder")
    source = graph.input("source", "int32", ["batch", "source_time"])
    target = graph.input("target", "int32", ["batch", "target_time"])
    summary = _summary(graph, model, sizes, source)
    logits, _ = _decoded(
        graph, layer, sizes, target, summary, _bridged(graph, layer, summary)
    )  # (batch, target time, vocabulary)
    graph.output("logits", logits, "float32", ["batch", "target_time", target_size])

    def answer(inputs: Arrays) -> Arrays:
        return {"logits": model([inputs["source"], inputs["target"]]).numpy()}

    probes = [
        {"source": source, "target": target}
        for source, target in zip(_ids(source_size, 30), _ids(target_size, 20), strict=True)
    ]
    return Part(graph, probes, answer)


def _encoder(model: keras.Model, sizes: Mapping[str, Any], source_size: int) -> Part:
    graph, layer = Graph(), model.get_layer("decoder")
    source = graph.input("source", "int32", ["batch", "time"])
    summary = _summary(graph, model, sizes, source)
    graph.output("summary", summary, "float32", ["batch", _summary_width(layer)])
    names = [*chain(*_states(sizes))]
    for (name, units), state in zip(names, chain(*_bridged(graph, layer, summary)), strict=True):
        graph.output(name, state, "float32", ["batch", units])
    encode = encoder(model)

    def answer(inputs: Arrays) -> Arrays:
        summary = encode(inputs["source"])
        states = zip(names, chain(*layer.initial_states(summary)), strict=True)
        return {
            "summary": summary.numpy(),
            **{name: state.numpy() for (name, _), state in states},
        }

    return Part(graph, [{"source": ids} for ids in _ids(source_size, 30)], answer)


def _decoder(model: keras.Model, sizes: Mapping[str, Any], target_size: int) -> Part:
    graph, layer = Graph(), model.get_layer("decoder")
    names = _states(sizes)
    widths = {"summary": _summary_width(layer), **dict(chain(*names))}
    ids = graph.input("ids", "int32", ["batch"])
    given = {n: graph.input(n, "float32", ["batch", width]) for n, width in widths.items()}
    # A step is a target of one id.
    ids = graph.add("Unsqueeze", ids, np.array([1]))
    states = [[given[name] for name, _ in row] for row in names]
    logits, new = _decoded(graph, layer, sizes, ids, given["summary"], states)
    logits = graph.add("Squeeze", logits, np.array([1]))
    graph.output("logits", logits, "float32", ["batch", target_size])
    for (name, units), state in zip(chain(*names), chain(*new), strict=True):
        state = graph.add("Squeeze", state, np.array([0]))
        graph.output(f"next_{name}", state, "float32", ["batch", units])

    def answer(inputs: Arrays) -> Arrays:
        states = [[keras.ops.convert_to_tensor(inputs[name]) for name, _ in row] for row in names]
        logits, new = layer.step(inputs["ids"], inputs["summary"], states)
        after = zip(chain(*names), chain(*new), strict=True)
        return {
            "logits": logits.numpy(),
            **{f"next_{name}": state.numpy() for (name, _), state in after},
        }

    rng = np.random.default_rng(0)
    probes = [
        {
            "ids": rng.integers(0, target_size, rows, np.int32),
            **{n: rng.uniform(-1, 1, (rows, w)).astype(np.float32) for n, w in widths.items()},
        }
        for rows in (4, 1)
    ]
    return Part(graph, probes, answer)


def _summary(graph: Graph, model: keras.Model, sizes: Mapping[str, Any], source: Tensor) -> Tensor:
    """Sum sources up: `(batch, time)` to `(batch, summary width)`."""
    lengths = token_lengths(graph, source)
    embedded = embedding(graph, model.get_layer("source_embedding"), source)
    if sizes["reverse_source"]:
        longs = graph.cast(lengths, "int64")
        embedded = graph.add("ReverseSequence", embedded, longs, batch_axis=0, time_axis=1)
    cell = sizes["cell"]
    layers = [model.get_layer(f"{cell}_{n}") for n, _ in enumerate(sizes["encoder_units"], 1)]
    sequence, states = recurrent_stack(
        graph, layers, cell, embedded, lengths, residual=sizes["residual"]
    )
    return pool(graph, sizes["pooling"], sequence, states[-1][0], lengths)


def _bridged(graph: Graph, layer: Decoder, summary: Tensor) -> list[list[Tensor]]:
    """Return the states, `(batch, units)` each, that every layer of the decoder begins with."""
    return [[dense(graph, bridge, summary) for bridge in bridges] for bridges in layer.bridges]


def _decoded(
    graph: Graph,
    layer: Decoder,
    sizes: Mapping[str, Any],
    ids: Tensor,
    summary: Tensor,
    states: Sequence[Sequence[Tensor]],
) -> tuple[Tensor, list[list[Tensor]]]:
    """Predict the id after each of `(batch, time)` ids.

    Returns:
        Logits `(batch, time, vocabulary)`, and of each layer its last states `(1, batch, units)`.
    """
    summary = graph.add("Unsqueeze", summary, np.array([1]))  # (batch, 1, width)
    vectors = embedding(graph, layer.embedding, ids)
    if layer.fed is not None:
        vectors = graph.add("Add", vectors, dense(graph, layer.fed, summary))
    states = [[graph.add("Unsqueeze", one, np.array([0])) for one in group] for group in states]
    vectors, last = recurrent_stack(
        graph,
        layer.layers,
        sizes["cell"],
        vectors,
        initial_states=states,
        residual=sizes["residual"],
    )
    vectors = dense(graph, layer.readout, vectors)
    if layer.shown is not None:
        vectors = graph.add("Add", vectors, dense(graph, layer.shown, summary))
    if layer.logits is not None:
        logits = dense(graph, layer.logits, vectors)
    else:  # a copy of the table, which quantization and ONNX Runtime would make of it anyway
        (table,) = map(graph.read, layer.embedding.weights)
        logits = graph.add("MatMul", vectors, table.T)
    return graph.add("Add", logits, graph.read(layer.bias)), last


def _states(sizes: Mapping[str, Any]) -> list[list[tuple[str, int]]]:
    """Name the states of each decoder layer, with their widths."""
    kinds = ["hidden", "cell"] if sizes["cell"] == "lstm" else ["hidden"]
    return [
        [(f"{kind}_{number}", units) for kind in kinds]
        for number, units in enumerate(sizes["decoder_units"], 1)
    ]


def _summary_width(layer: Decoder) -> int:
    return layer.bridges[0][0].kernel.shape[0]


def _ids(vocabulary_size: int, width: int) -> list[np.ndarray]:
    """Several rows, one and none, of several lengths, among them one of padding alone."""
    ids = np.random.default_rng(width).integers(1, vocabulary_size, (4, width), np.int32)
    for row, length in zip(ids, (width, width // 2, 1, 0), strict=True):
        row[length:] = PADDING
    return [ids, ids[2:3, :1], ids[:1], ids[1:2], ids[:0]]
