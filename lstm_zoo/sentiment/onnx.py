"""The network as an ONNX graph, and what a caller needs to feed it."""

from collections.abc import Mapping
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
from lstm_zoo.sentiment.model import resolve_sizes
from lstm_zoo.sentiment.ngrams import FACTOR, GAIN, NgramScores
from lstm_zoo.text.tokenizers import PADDING


def parts(model: keras.Model, network: Mapping[str, Any]) -> dict[str, Part]:
    """Compose the graphs of an export by the names of their files.

    Args:
        model: what `build_sentiment(**network)` built.
        network: its arguments.

    Returns:
        `model`: from `ids` int32 `(batch, time)` to `logits` float32 `(batch, num_classes)`.
    """
    network = dict(network)
    vocabulary_size, num_classes = network.pop("vocabulary_size"), network.pop("num_classes")
    sizes = resolve_sizes(**network)
    cell = sizes["cell"]

    graph = Graph()
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
        logits = graph.add("Mul", graph.add("Add", logits, scores), np.float32(0.5))
    graph.output("logits", logits, "float32", ["batch", num_classes])

    def answer(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"logits": model(inputs["ids"]).numpy()}

    return {"model": Part(graph, _probes(vocabulary_size), answer)}


def metadata(pipeline: Any) -> dict[str, Any]:
    """Tell how texts become ids: the vocabulary in the order of the ids, or the pieces' file."""
    settings = pipeline.config["settings"]
    tokenizer = {name: settings[name] for name in ("tokens", "fold_case", "max_length")}
    if settings["tokens"] == "words":
        return {"tokenizer": {**tokenizer, "vocabulary": pipeline.tokenizer.vocabulary}}
    return {"tokenizer": {**tokenizer, "file": "pieces.model"}}


def _ngram_scores(graph: Graph, layer: NgramScores, ids: Tensor) -> Tensor:
    """Score the n-grams, as `NgramScores` does."""
    buckets = np.int64(layer.buckets)
    ids = graph.cast(ids, "int64")
    hashed = graph.add("Mul", ids, np.int64(0))
    rows, real = [], []
    for number in range(layer.length):
        padded = graph.add("Pad", ids, np.array([0, 0, 0, number]))
        end = np.iinfo(np.int64).max
        token = graph.add("Slice", padded, *(np.array([n]) for n in (number, end, 1)))
        shifted = graph.add("Mod", graph.add("Mul", hashed, np.int64(FACTOR)), buckets)
        hashed = graph.add("Add", shifted, token)
        rows.append(graph.add("Mod", hashed, buckets))
        real.append(graph.add("Not", graph.add("Equal", token, np.int64(PADDING))))
    rows, real = (graph.add("Concat", *each, axis=1) for each in (rows, real))
    (table,) = map(graph.read, layer.weights)
    real = graph.add("Unsqueeze", graph.cast(real, "float32"), np.array([2]))
    scores = graph.add("Mul", graph.add("Gather", table, rows), real)
    total = graph.add("ReduceSum", scores, np.array([1]), keepdims=0)  # (batch, num_classes)
    count = graph.add("ReduceSum", real, np.array([1]), keepdims=0)
    root = graph.add("Sqrt", graph.add("Max", count, np.float32(1)))
    return graph.add("Mul", total, graph.add("Div", np.float32(GAIN), root))


def _probes(vocabulary_size: int) -> list[dict[str, np.ndarray]]:
    """Several rows, one and none, of several lengths, with padding inside, and of padding alone."""
    ids = np.random.default_rng(0).integers(1, vocabulary_size, (5, 40), np.int32)
    for row, length in zip(ids, (40, 17, 3, 1, 0), strict=True):
        row[length:] = 0
    ids[0, 5:9] = 0
    return [{"ids": rows} for rows in (ids, ids[3:4, :1], ids[:1], ids[1:2], ids[4:, :2], ids[:0])]
