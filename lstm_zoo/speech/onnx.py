"""ONNX export of a recognizer: the network's graph, and metadata for its inputs and outputs."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from lstm_zoo.export.onnx_graph import (
    Graph,
    Part,
    Tensor,
    dense,
    recurrent_stack,
    step_mask,
    steps,
)
from lstm_zoo.export.onnx_weights import WeightsFile
from lstm_zoo.settings import network_sizes
from lstm_zoo.speech import SETTINGS, VARIANTS, features
from lstm_zoo.speech.audio import wav_bytes
from lstm_zoo.speech.feature_settings import output_lengths
from lstm_zoo.speech.labels import BLANK


def parts(
    model: keras.Model, network: Mapping[str, Any], weights: WeightsFile | None = None
) -> dict[str, Part]:
    """Build the graphs of an export by file name.

    Args:
        model: a model from `build_speech(**network)`.
        network: the arguments that built it.
        weights: see `lstm_zoo.export.onnx_graph.Graph`.

    Returns:
        `model`: from `features` float32 `(batch, frames, num_features)`, right-padded, and
        `lengths` int32 `(batch,)` to `logits` float32 `(batch, output frames, vocabulary_size)`.
        The first `output_lengths` frames of each row are valid.
    """
    network = {name: value for name, value in network.items() if name != "mask_fill"}
    vocabulary_size, width = network.pop("vocabulary_size"), network.pop("num_features")
    sizes = network_sizes(SETTINGS, VARIANTS, **network)
    cell, factor = sizes["cell"], sizes["subsampling"]

    graph = Graph(weights)
    sequence = graph.input("features", "float32", ["batch", "frames", width])
    lengths = graph.input("lengths", "int32", ["batch"])

    # Padding is set to zero, since subsampling mixes neighboring frames.
    lengths = graph.add("Max", lengths, np.int32(1))
    lengths = graph.add("Min", lengths, steps(graph, sequence))
    valid = step_mask(graph, sequence, lengths)
    sequence = graph.add("Where", valid, sequence, np.float32(0))

    # Subsampling
    if factor > 1 and sizes["subsampling_kind"] == "stack":
        sequence = _stack_frames(graph, sequence, factor)
    elif factor > 1:
        sequence = _convolve(graph, model.get_layer("conv"), sequence, factor)
    lengths = graph.add("Add", lengths, np.int32(factor - 1))
    lengths = graph.add("Div", lengths, np.int32(factor))

    # Recurrent layers
    layers = [model.get_layer(f"{cell}_{n}") for n, _ in enumerate(sizes["units"], 1)]
    sequence, _ = recurrent_stack(graph, layers, cell, sequence, lengths)

    # Logits
    logits = dense(graph, model.get_layer("logits"), sequence)
    graph.output("logits", logits, "float32", ["batch", "output_frames", vocabulary_size])

    def reference(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        logits = model([inputs["features"], inputs["lengths"]]).numpy()
        for row, length in zip(logits, output_lengths(inputs["lengths"], factor), strict=True):
            row[max(length, 1) :] = np.nan
        return {"logits": logits}

    return {"model": Part(graph, _probes(width), reference)}


def metadata(pipeline: Any) -> dict[str, Any]:
    """Return the settings of the features and the tokenizer's vocabulary."""
    settings = pipeline.features.settings
    labels = {"tokens": pipeline.config["settings"]["tokens"], "blank": BLANK}
    return {
        "features": {
            **asdict(settings),
            "n_fft": settings.n_fft,
            "hop_length": settings.hop_length,
            "log_floor": features.LOG_FLOOR,
            "variance_floor": features.VARIANCE_FLOOR,
            "file": features.FILE,
        },
        "tokenizer": {**labels, "vocabulary": pipeline.tokenizer.vocabulary},
    }


def save_tables(directory: Path) -> None:
    """Write nothing: the run's files are all that a recognizer needs."""


def inputs(pipeline: Any) -> list[bytes]:
    """Return WAV files of several lengths and rates, and files that are none."""
    rate = pipeline.sample_rate
    times = np.arange(2 * rate) / rate
    sweep = np.sin(2 * np.pi * (200 + 500 * times) * times)
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * rate)
    # No digital silence: its features are all equal, and normalized they are what is rounded off.
    clips = [sweep, sweep[: rate // 3], sweep[:1], noise, 1e-3 * noise[:rate]]
    files = [wav_bytes(clip, rate) for clip in clips]
    files += [wav_bytes(sweep, 3 * rate // 2), wav_bytes(np.stack([sweep, sweep**2], 1), rate)]
    return [*files, b"", b"RIFF", b"RIFF\0\0\0\0WAVE", files[0][:60], b"\0" * 100]


def _stack_frames(graph: Graph, sequence: Tensor, factor: int) -> Tensor:
    """Concatenate adjacent frames, as `FrameStack` does."""
    margin = factor - 1
    padded = graph.add("Pad", sequence, np.array([0, 0, 0, 0, margin, 0]))
    ends = [*range(-margin, 0), np.iinfo(np.int64).max]
    frames = [
        graph.add("Slice", padded, *(np.array([n]) for n in (start, end, 1, factor)))
        for start, end in enumerate(ends)
    ]
    return graph.add("Concat", *frames, axis=2)


def _convolve(graph: Graph, layer: keras.layers.Conv1D, sequence: Tensor, factor: int) -> Tensor:
    """Apply the strided convolution; in ONNX frames are the last axis."""
    kernel, bias = map(graph.read, layer.weights)  # kernel: (frames, features, filters)
    transposed = graph.add("Transpose", sequence, perm=[0, 2, 1])
    outputs = graph.add(
        "Conv",
        transposed,
        kernel.transpose(2, 1, 0),
        bias,
        strides=[factor],
        pads=[factor, factor],
    )
    return graph.add("Transpose", graph.add("Relu", outputs), perm=[0, 2, 1])


def _probes(width: int) -> list[dict[str, np.ndarray]]:
    """Return batches of several, one and no rows, with noise as padding."""
    frames = np.random.default_rng(0).normal(size=(5, 50, width)).astype(np.float32)
    lengths = np.array([50, 31, 6, 1, 0], np.int32)
    chosen = [(0, 5, 50), (3, 4, 1), (0, 1, 50), (1, 2, 31), (4, 5, 3), (0, 0, 2)]
    return [{"features": frames[a:b, :n], "lengths": lengths[a:b]} for a, b, n in chosen]
