"""ONNX export of a classifier: the network's graph, and the metadata of its inputs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from lstm_zoo.export.onnx_graph import (
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
from lstm_zoo.sentiment import SETTINGS, VARIANTS
from lstm_zoo.sentiment.ngrams import GAIN, HASH_FACTOR, NgramScores
from lstm_zoo.settings import network_sizes
from lstm_zoo.text import probes, unicode_tables
from lstm_zoo.text.vocabulary import PADDING


def parts(
    model: keras.Model, network: Mapping[str, Any], weights: WeightsFile | None = None
) -> dict[str, Part]:
    """Build the graphs of an export, by file name.

    Args:
        model: the network that `build_sentiment(**network)` returned.
        network: the arguments of `build_sentiment`.
        weights: see `lstm_zoo.export.onnx_graph.Graph`.

    Returns:
        `model`: from `ids` int32 `(batch, time)` to `logits` float32 `(batch, num_classes)`.
    """
    network = dict(network)
    vocabulary_size, num_classes = network.pop("vocabulary_size"), network.pop("num_classes")
    fitted = network.pop("fitted_ngrams", False)
    sizes = network_sizes(SETTINGS, VARIANTS, **network)
    cell = sizes["cell"]

    graph = Graph(weights)
    ids = graph.input("ids", "int32", ["batch", "time"])
    lengths = token_lengths(graph, ids)  # (batch,)

    # Embedding
    embedded = embedding(graph, model.get_layer("embedding"), ids)  # (batch, time, embedding_size)
    if sizes["class_ratios"]:
        ratios = embedding(graph, model.get_layer("class_ratios"), ids)
        embedded = graph.add("Concat", embedded, ratios, axis=2)

    # Recurrent layers
    layers = [model.get_layer(f"{cell}_{n}") for n, _ in enumerate(sizes["units"], 1)]
    sequence, states = recurrent_stack(graph, layers, cell, embedded, lengths)

    # Pooling
    features = pool(graph, sizes["pooling"], sequence, states[-1][0], lengths)

    # Logits
    logits = dense(graph, model.get_layer("logits"), features)
    if sizes["ngrams"]:
        scores = _ngram_scores(graph, model.get_layer("ngrams"), ids)
        network_weight, ngrams_weight = np.float32([0.5, 0.5])
        if fitted:
            network_weight, ngrams_weight = graph.read(model.get_layer("weighted_sum").scale)
        logits = graph.add("Mul", logits, network_weight)
        logits = graph.add("Add", logits, graph.add("Mul", scores, ngrams_weight))
    graph.output("logits", logits, "float32", ["batch", num_classes])

    def reference(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"logits": model(inputs["ids"]).numpy()}

    return {"model": Part(graph, _probes(vocabulary_size), reference)}


def metadata(pipeline: Any) -> dict[str, Any]:
    """Return how texts become ids: settings, and the vocabulary by id or the pieces' file."""
    settings = pipeline.config["settings"]
    tokenizer = {name: settings[name] for name in ("tokens", "fold_case", "max_length")}
    if settings["tokens"] == "words":
        return {"tokenizer": {**tokenizer, "vocabulary": pipeline.tokenizer.vocabulary}}
    return {"tokenizer": {**tokenizer, "file": "pieces.model"}}


def save_tables(directory: Path) -> None:
    """Write what the graph's ops know of Unicode."""
    unicode_tables.save(directory)


def inputs(pipeline: Any) -> list[bytes]:
    """Return texts of many kinds."""
    return probes.TEXTS


def _ngram_scores(graph: Graph, layer: NgramScores, ids: Tensor) -> Tensor:
    """Add the ops of `NgramScores` to a graph."""
    buckets = np.int64(layer.buckets)
    ids = graph.cast(ids, "int64")
    hashed = graph.add("Mul", ids, np.int64(0))
    rows, valid = [], []
    for number in range(layer.length):
        padded = graph.add("Pad", ids, np.array([0, 0, 0, number]))
        end = np.iinfo(np.int64).max
        token = graph.add("Slice", padded, *(np.array([n]) for n in (number, end, 1)))
        shifted = graph.add("Mod", graph.add("Mul", hashed, np.int64(HASH_FACTOR)), buckets)
        hashed = graph.add("Add", shifted, token)
        rows.append(graph.add("Mod", hashed, buckets))
        valid.append(graph.add("Not", graph.add("Equal", token, np.int64(PADDING))))
    rows, valid = (graph.add("Concat", *each, axis=1) for each in (rows, valid))
    if layer.distinct:
        rows, valid = _first_ones(graph, graph.add("Where", valid, rows, buckets), buckets)
    table, *bias = map(graph.weight, layer.weights)
    valid = graph.add("Unsqueeze", graph.cast(valid, "float32"), np.array([2]))
    scores = graph.add("Mul", graph.add("Gather", table, rows), valid)
    total = graph.add("ReduceSum", scores, np.array([1]), keepdims=0)  # (batch, num_classes)
    count = graph.add("ReduceSum", valid, np.array([1]), keepdims=0)
    root = graph.add("Sqrt", graph.add("Max", count, np.float32(1)))
    logits = graph.add("Mul", total, graph.add("Div", np.float32(GAIN), root))
    return graph.add("Add", logits, *bias) if bias else logits


def _first_ones(graph: Graph, rows: Tensor, buckets: np.int64) -> tuple[Tensor, Tensor]:
    """Add the ops that sort rows, and find the first of equal ones below `buckets`."""
    width = graph.add("Shape", rows, start=1, end=2)
    rows, _ = graph.add("TopK", rows, width, outputs=2, axis=1, largest=0, sorted=1)
    before = graph.add("Pad", rows, np.array([0, 1, 0, 0]), np.int64(-1))
    before = graph.add("Slice", before, np.array([0]), np.array([-1]), np.array([1]))
    first = graph.add("Not", graph.add("Equal", rows, before))
    valid = graph.add("And", first, graph.add("Less", rows, buckets))
    return graph.add("Min", rows, buckets - 1), valid


def _probes(vocabulary_size: int) -> list[dict[str, np.ndarray]]:
    """Batches of 5, 1 and 0 rows: several lengths, id 0 inside a text, rows of padding alone."""
    ids = np.random.default_rng(0).integers(1, vocabulary_size, (5, 40), np.int32)
    for row, length in zip(ids, (40, 17, 3, 1, 0), strict=True):
        row[length:] = 0
    ids[0, 5:9] = 0
    return [{"ids": rows} for rows in (ids, ids[3:4, :1], ids[:1], ids[1:2], ids[4:, :2], ids[:0])]
