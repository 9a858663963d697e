"""A translation network as ONNX graphs: the whole model, the encoder, and a decoder step."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
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
from lstm_zoo.export.onnx_weights import WeightsFile
from lstm_zoo.settings import network_sizes
from lstm_zoo.text import probes, unicode_tables
from lstm_zoo.text.vocabulary import END, PADDING, PIECES, START
from lstm_zoo.translation import SETTINGS, VARIANTS
from lstm_zoo.translation.model import Decoder, encoder
from lstm_zoo.translation.predictor import SIDES


def parts(
    model: keras.Model, network: Mapping[str, Any], weights: WeightsFile | None = None
) -> dict[str, Part]:
    """Compose the graphs of an export, by file name.

    Args:
        model: what `build_translation(**network)` returned.
        network: its arguments.
        weights: see `lstm_zoo.export.onnx_graph.Graph`.

    Returns:
        `model`: from `source` and `target`, int32 ids `(batch, time)` each, to `logits` float32
        `(batch, target time, target_vocabulary_size)`.
        `encoder`: from `source` to `summary`, the context vector float32 `(batch, width)`, and the
        decoder's initial states float32 `(batch, units)`: `hidden_1`, for an LSTM `cell_1`, and
        likewise for further layers.
        `decoder`: from `ids` int32 `(batch,)`, the last id of each row, `summary` and the states
        to `logits` float32 `(batch, target_vocabulary_size)` of the next id, and the new states,
        `next_hidden_1` and so on.

    Example:

    >>> from lstm_zoo import build_translation
    >>> network = {"source_vocabulary_size": 20, "target_vocabulary_size": 20, "variant": "tiny"}
    >>> sorted(parts(build_translation(**network), network))
    ['decoder', 'encoder', 'model']
    """
    network = dict(network)
    vocabularies = [network.pop(f"{side}_vocabulary_size") for side in SIDES]
    sizes = network_sizes(SETTINGS, VARIANTS, **network)
    return {
        "model": _model(model, sizes, *vocabularies, weights),
        "encoder": _encoder(model, sizes, vocabularies[0], weights),
        "decoder": _decoder(model, sizes, vocabularies[1], weights),
    }


def metadata(pipeline: Any) -> dict[str, Any]:
    """Return how texts become ids: the SentencePiece files, the special ids, `max_length`."""
    special = {"padding": PADDING, "start": START, "end": END}
    files = {side: f"{side}/{PIECES}" for side in SIDES}
    length = pipeline.config["settings"]["max_length"]
    return {"tokenizer": {"tokens": "pieces", **files, **special, "max_length": length}}


def save_tables(directory: Path) -> None:
    """Write what the graph's ops know of Unicode."""
    unicode_tables.save(directory)


def inputs(pipeline: Any) -> list[bytes]:
    """Return texts of many kinds."""
    return probes.TEXTS


def _model(
    model: keras.Model,
    sizes: Mapping[str, Any],
    source_size: int,
    target_size: int,
    weights: WeightsFile | None,
) -> Part:
    graph, layer = Graph(weights), model.get_layer("decoder")
    source = graph.input("source", "int32", ["batch", "source_time"])
    target = graph.input("target", "int32", ["batch", "target_time"])
    context = _context(graph, model, sizes, source)
    logits, _ = _decode(
        graph, layer, sizes, target, context, _initial_states(graph, layer, context)
    )  # (batch, target time, vocabulary)
    graph.output("logits", logits, "float32", ["batch", "target_time", target_size])

    def reference(inputs: Arrays) -> Arrays:
        return {"logits": model([inputs["source"], inputs["target"]]).numpy()}

    probes = [
        {"source": source, "target": target}
        for source, target in zip(
            _probe_ids(source_size, 30), _probe_ids(target_size, 20), strict=True
        )
    ]
    return Part(graph, probes, reference)


def _encoder(
    model: keras.Model, sizes: Mapping[str, Any], source_size: int, weights: WeightsFile | None
) -> Part:
    graph, layer = Graph(weights), model.get_layer("decoder")
    source = graph.input("source", "int32", ["batch", "time"])
    context = _context(graph, model, sizes, source)
    graph.output("summary", context, "float32", ["batch", _context_width(layer)])
    names = [*chain(*(row.items() for row in layer.state_widths))]
    for (name, units), state in zip(
        names, chain(*_initial_states(graph, layer, context)), strict=True
    ):
        graph.output(name, state, "float32", ["batch", units])
    encode = encoder(model)

    def reference(inputs: Arrays) -> Arrays:
        context = encode(inputs["source"])
        states = zip(names, chain(*layer.initial_states(context)), strict=True)
        return {
            "summary": context.numpy(),
            **{name: state.numpy() for (name, _), state in states},
        }

    return Part(graph, [{"source": ids} for ids in _probe_ids(source_size, 30)], reference)


def _decoder(
    model: keras.Model, sizes: Mapping[str, Any], target_size: int, weights: WeightsFile | None
) -> Part:
    graph, layer = Graph(weights), model.get_layer("decoder")
    names = [[*row.items()] for row in layer.state_widths]
    widths = {"summary": _context_width(layer), **dict(chain(*names))}
    ids = graph.input("ids", "int32", ["batch"])
    given = {n: graph.input(n, "float32", ["batch", width]) for n, width in widths.items()}
    # A step is a target sequence of length 1.
    ids = graph.add("Unsqueeze", ids, np.array([1]))
    states = [[given[name] for name, _ in row] for row in names]
    logits, new = _decode(graph, layer, sizes, ids, given["summary"], states)
    logits = graph.add("Squeeze", logits, np.array([1]))
    graph.output("logits", logits, "float32", ["batch", target_size])
    for (name, units), state in zip(chain(*names), chain(*new), strict=True):
        state = graph.add("Squeeze", state, np.array([0]))
        graph.output(f"next_{name}", state, "float32", ["batch", units])

    def reference(inputs: Arrays) -> Arrays:
        states = [[keras.ops.convert_to_tensor(inputs[name]) for name, _ in row] for row in names]
        logits, new = layer.step(inputs["ids"], inputs["summary"], states)
        new_states = zip(chain(*names), chain(*new), strict=True)
        return {
            "logits": logits.numpy(),
            **{f"next_{name}": state.numpy() for (name, _), state in new_states},
        }

    rng = np.random.default_rng(0)
    probes = [
        {
            "ids": rng.integers(0, target_size, rows, np.int32),
            **{n: rng.uniform(-1, 1, (rows, w)).astype(np.float32) for n, w in widths.items()},
        }
        for rows in (4, 1)
    ]
    return Part(graph, probes, reference)


def _context(graph: Graph, model: keras.Model, sizes: Mapping[str, Any], source: Tensor) -> Tensor:
    """Encode source ids `(batch, time)` as context vectors `(batch, context width)`."""
    lengths = token_lengths(graph, source)
    embedded = embedding(graph, model.get_layer("source_embedding"), source)
    if sizes["reverse_source"]:
        lengths_int64 = graph.cast(lengths, "int64")
        embedded = graph.add("ReverseSequence", embedded, lengths_int64, batch_axis=0, time_axis=1)
    cell = sizes["cell"]
    layers = [model.get_layer(f"{cell}_{n}") for n, _ in enumerate(sizes["encoder_units"], 1)]
    sequence, states = recurrent_stack(
        graph, layers, cell, embedded, lengths, residual=sizes["residual"]
    )
    return pool(graph, sizes["pooling"], sequence, states[-1][0], lengths)


def _initial_states(graph: Graph, layer: Decoder, context: Tensor) -> list[list[Tensor]]:
    """Return the initial states of each decoder layer, `(batch, units)` each."""
    return [[dense(graph, bridge, context) for bridge in bridges] for bridges in layer.bridges]


def _decode(
    graph: Graph,
    layer: Decoder,
    sizes: Mapping[str, Any],
    ids: Tensor,
    context: Tensor,
    states: Sequence[Sequence[Tensor]],
) -> tuple[Tensor, list[list[Tensor]]]:
    """Return the logits of the next id at every time step, as `Decoder.call` does.

    Args:
        graph: the graph to extend.
        layer: the decoder.
        sizes: the sizes of the network.
        ids: int32 `(batch, time)`.
        context: the context vectors `(batch, width)`.
        states: the initial states of each layer, `(batch, units)` each.

    Returns:
        Logits `(batch, time, vocabulary)`, and the last states of each layer, `(1, batch, units)`
        each.
    """
    context = graph.add("Unsqueeze", context, np.array([1]))  # (batch, 1, width)
    vectors = embedding(graph, layer.embedding, ids)
    if layer.fed is not None:
        vectors = graph.add("Add", vectors, dense(graph, layer.fed, context))
    states = [[graph.add("Unsqueeze", state, np.array([0])) for state in row] for row in states]
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
        vectors = graph.add("Add", vectors, dense(graph, layer.shown, context))
    if layer.logits is not None:
        logits = dense(graph, layer.logits, vectors)
    else:  # a transposed copy, which quantization and ONNX Runtime would make anyway
        (table,) = map(graph.weight, layer.embedding.weights)
        turned = graph.compute("Transpose", table, perm=[1, 0])
        logits = graph.add("MatMul", vectors, turned)
    return graph.add("Add", logits, graph.read(layer.bias)), last


def _context_width(layer: Decoder) -> int:
    return layer.bridges[0][0].kernel.shape[0]


def _probe_ids(vocabulary_size: int, width: int) -> list[np.ndarray]:
    """Return batches of 4, 1 and 0 rows of several lengths, padding alone included."""
    ids = np.random.default_rng(width).integers(1, vocabulary_size, (4, width), np.int32)
    for row, length in zip(ids, (width, width // 2, 1, 0), strict=True):
        row[length:] = PADDING
    return [ids, ids[2:3, :1], ids[:1], ids[1:2], ids[:0]]
