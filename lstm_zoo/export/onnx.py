"""ONNX: the network in files that ONNX Runtime answers from, checked in it by a fresh process."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from lstm_zoo import compat, families
from lstm_zoo.errors import CallError, ExportError
from lstm_zoo.export import onnx_checks
from lstm_zoo.export.onnx_graph import Part
from lstm_zoo.export.staging import check_writable, publish, run_checks, staging_directory
from lstm_zoo.runs import cards
from lstm_zoo.runs.environment import versions

MODEL = "model.onnx"


def export_onnx(
    pipeline: families.Pipeline, directory: str | os.PathLike, int8: bool = False
) -> Path:
    """Write a pipeline's network as ONNX, with what a caller needs to feed it.

    `model.onnx` takes ids or features and gives logits; its metadata hold the card and how raw
    inputs become its own, as JSON, and the tokenizer's or the features' files stand beside it. A
    translator has `encoder.onnx` and `decoder.onnx` too, a step of decoding. Before any of them
    appears, a fresh process without TensorFlow checks and loads them, and compares their answers to
    the network's within 1e-4.

    Args:
        pipeline: a family's pipeline.
        directory: where to write; it may hold other exports of the same run.
        int8: whether weights are kept in 8 bits, and activations brought to 8 bits as they come,
            where ONNX Runtime can: in embeddings, dense layers and LSTMs, not in GRUs and simple
            RNNs. Answers are then near the network's (in the root mean square within a tenth), and
            change a little with what shares the batch.

    Returns:
        The path of `model.onnx`.

    Raises:
        CallError: if onnx or onnxruntime is not installed, the directory can't be written, or it
            holds a `model.onnx`, or another run's files.
        ExportError: if the network has a layer that is not converted, or the files do not load or
            answer otherwise than it; nothing is left behind.

    Example:

    >>> export_onnx(lstm_zoo.load("runs/imdb"), "exports/imdb-onnx")  # doctest: +SKIP
    PosixPath('exports/imdb-onnx/model.onnx')
    """
    directory = Path(directory)
    _check_free(directory / MODEL)
    check_writable(directory)
    with staging_directory(directory) as staging, tempfile.TemporaryDirectory() as probes:
        written = staging / "written"
        written.mkdir()
        _write(pipeline, written, Path(probes), int8)
        run_checks(onnx_checks, [written.absolute(), probes, "near" if int8 else "exact"])
        return publish(written, directory, MODEL)


def describe(path: str | os.PathLike) -> dict[str, Any]:
    """Describe an ONNX file: the card in it, what goes in and out, and its ops.

    Args:
        path: the file.

    Returns:
        The card's entries, `inputs`, `outputs` and `ops`.

    Raises:
        CallError: if it is not an ONNX file.
    """
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's, which has no class of its own that stays
        raise CallError(f"{path}: not an ONNX file ({error}).") from error
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    return {
        **cards.read(json.loads(metadata.get("card", "{}"))),
        "inputs": {value.name: _format_type(value.type) for value in model.graph.input},
        "outputs": {value.name: _format_type(value.type) for value in model.graph.output},
        "ops": sorted({node.op_type for node in model.graph.node}),
    }


def _write(pipeline: families.Pipeline, directory: Path, probes: Path, int8: bool) -> None:
    """Write the files of an export, and beside them the probes of the ONNX files among them."""
    family = families.module(pipeline.config["family"], "onnx")
    network = pipeline.rebuilt(use_cudnn=False).model
    parts = family.parts(network, pipeline.config["network"])
    unread = set.intersection(*(set(part.graph.unread(network.weights)) for part in parts.values()))
    if unread:
        raise ExportError(f"ONNX: there is no conversion of {', '.join(sorted(unread))}.")
    runtimes = {module.__name__: module.__version__ for module in (onnx, onnxruntime)}
    card = {**cards.describe(pipeline), "exported_with": {**versions(), **runtimes}}
    metadata = {"card": card, **family.metadata(pipeline)}
    properties = {key: json.dumps(value, default=list) for key, value in metadata.items()}
    for name, part in parts.items():
        model = part.graph.to_model(name)
        if int8:
            model = _quantized(model)
        onnx.helper.set_model_props(model, properties)
        onnx.save(model, directory / f"{name}.onnx")
        np.savez(probes / f"{name}.npz", **dict(_answered(part)))
    pipeline.save_files(directory)


def _answered(part: Part) -> Iterator[tuple[str, np.ndarray]]:
    """Name the arrays of a part's probes and of the network's own answers to them."""
    for number, inputs in enumerate(part.probes):
        for side, arrays in (("inputs", inputs), ("outputs", part.answer(inputs))):
            for name, array in arrays.items():
                yield f"{number}/{side}/{name}", array


def _quantized(model: onnx.ModelProto) -> onnx.ModelProto:
    """Bring a model's weights to 8 bits."""
    from onnxruntime import quantization

    # It asks for a preparation by shape inference, which these graphs do not need.
    with compat.warnings_not_logged(), tempfile.TemporaryDirectory() as place:
        path = Path(place) / MODEL
        quantization.quantize_dynamic(model, path, weight_type=quantization.QuantType.QInt8)
        model = onnx.load(path)
    del model.metadata_props[:]  # its own notes, which are not JSON
    return model


def _check_free(path: Path) -> None:
    if path.exists():
        raise CallError(f"{path} exists already.")


def _format_type(kind: onnx.TypeProto) -> str:
    """Spell a type and shape, as in `float32[batch, 2]`."""
    tensor = kind.tensor_type
    sizes = [dimension.dim_param or str(dimension.dim_value) for dimension in tensor.shape.dim]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    return f"{dtype.name}[{', '.join(sizes)}]"
