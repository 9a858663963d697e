"""ONNX export, verified with ONNX Runtime in a separate process."""

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
from lstm_zoo.files import reading, user_path
from lstm_zoo.runs import cards
from lstm_zoo.runs.environment import versions

MODEL = "model.onnx"


def export_onnx(
    pipeline: families.Pipeline, directory: str | os.PathLike, int8: bool = False
) -> Path:
    """Export a pipeline's network as ONNX, with its tokenizer's or feature extraction's files.

    `model.onnx` maps ids or features to logits. Its metadata hold, as JSON, the card and how raw
    inputs are preprocessed. A translator also has `encoder.onnx` and `decoder.onnx`, for decoding
    step by step. The files appear only after a separate process without TensorFlow has loaded them
    and compared their outputs with the network's, within 1e-4.

    Args:
        pipeline: a family's pipeline.
        directory: the export's directory; it may hold other exports of the same run.
        int8: whether to quantize weights to 8 bits, and activations dynamically, where ONNX Runtime
            can: embeddings, dense layers and LSTMs, not GRUs and simple RNNs. The root mean square
            error of the outputs is then up to a tenth of their root mean square, and outputs depend
            slightly on the rest of the batch.

    Returns:
        The path of `model.onnx`.

    Raises:
        CallError: if onnx or onnxruntime is not installed, the directory can't be written, or it
            holds a `model.onnx` or another run's files.
        ExportError: if a layer can't be converted, or a file does not load or has other outputs
            than the network; no file is left.

    Example:

    >>> path = export_onnx(lstm_zoo.load("runs/imdb"), "exports/imdb-onnx")
    >>> describe(path)["inputs"], describe(path)["outputs"]
    ({'ids': 'int32[batch, time]'}, {'logits': 'float32[batch, 2]'})
    """
    directory = user_path(directory)
    _check_free(directory / MODEL)
    check_writable(directory)
    with staging_directory(directory) as staging:
        written, probes = staging / "written", staging / "probes"
        written.mkdir()
        probes.mkdir()
        _write(pipeline, written, probes, int8)
        run_checks(
            onnx_checks, [written.absolute(), probes.absolute(), "near" if int8 else "exact"]
        )
        return publish(written, directory, MODEL)


def describe(path: str | os.PathLike) -> dict[str, Any]:
    """Describe an ONNX file: its card, inputs, outputs and operators.

    Args:
        path: the file.

    Returns:
        The card's entries; `inputs` and `outputs`, types by name, such as `float32[batch, 2]`; and
        `ops`, the sorted names of its operators.

    Raises:
        DataError: if it is not an ONNX file, or damaged.
    """
    with reading(path):
        # Not the files that a model may name for its weights: ours names none.
        model = onnx.load(path, load_external_data=False)
        onnx.checker.check_model(model)
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        return {
            **cards.read(json.loads(metadata.get("card", "{}"))),
            "inputs": {value.name: _format_type(value.type) for value in model.graph.input},
            "outputs": {value.name: _format_type(value.type) for value in model.graph.output},
            "ops": sorted({node.op_type for node in model.graph.node}),
        }


def _write(pipeline: families.Pipeline, directory: Path, probes: Path, int8: bool) -> None:
    """Write the files of an export, and the probes of each ONNX file into another directory."""
    family = families.module(pipeline.config["family"], "onnx")
    network = pipeline.rebuilt(use_cudnn=False).model
    parts = family.parts(network, pipeline.config["network"])
    unused = set.intersection(*(set(part.graph.unused(network.weights)) for part in parts.values()))
    if unused:
        raise ExportError(f"ONNX: there is no conversion of {', '.join(sorted(unused))}.")
    runtimes = {module.__name__: module.__version__ for module in (onnx, onnxruntime)}
    card = {**cards.describe(pipeline), "exported_with": {**versions(), **runtimes}}
    metadata = {"card": card, **family.metadata(pipeline)}
    properties = {key: json.dumps(value, default=list) for key, value in metadata.items()}
    for name, part in parts.items():
        model = part.graph.to_model(name)
        if int8:
            model = _quantize(model)
        onnx.helper.set_model_props(model, properties)
        onnx.save(model, directory / f"{name}.onnx")
        np.savez(probes / f"{name}.npz", **dict(_named_probes(part)))
    pipeline.save_files(directory)


def _named_probes(part: Part) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the inputs and the network's outputs of each probe, as `onnx_checks` names them."""
    for number, inputs in enumerate(part.probes):
        for side, arrays in (("inputs", inputs), ("outputs", part.reference(inputs))):
            for name, array in arrays.items():
                yield f"{number}/{side}/{name}", array


def _quantize(model: onnx.ModelProto) -> onnx.ModelProto:
    """Quantize a model dynamically to 8 bits."""
    from onnxruntime import quantization

    # It warns that shape inference should come first, which these graphs do not need.
    with compat.warnings_not_logged(), tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / MODEL
        quantization.quantize_dynamic(model, path, weight_type=quantization.QuantType.QInt8)
        model = onnx.load(path)
    del model.metadata_props[:]  # added by the quantization, and not JSON
    return model


def _check_free(path: Path) -> None:
    if path.exists():
        raise CallError(f"{path} exists already.")


def _format_type(kind: onnx.TypeProto) -> str:
    """Format a type and shape, as in `float32[batch, 2]`."""
    tensor = kind.tensor_type
    sizes = [dimension.dim_param or str(dimension.dim_value) for dimension in tensor.shape.dim]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    return f"{dtype.name}[{', '.join(sizes)}]"
