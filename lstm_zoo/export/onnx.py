"""ONNX export, verified with ONNX Runtime in separate processes."""

import base64
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from lstm_zoo import compat, families
from lstm_zoo.errors import ExportError
from lstm_zoo.export import formats, onnx_checks, onnx_pipeline_checks
from lstm_zoo.export.onnx_graph import Part
from lstm_zoo.export.onnx_weights import WeightsFile
from lstm_zoo.export.staging import publish, run_checks, staging_directory
from lstm_zoo.files import reading, user_path, write_checksums, write_json
from lstm_zoo.runs import cards, exports
from lstm_zoo.runs.directory import CALIBRATION
from lstm_zoo.runs.environment import versions
from lstm_zoo.runs.exports import MODEL

N_BEST = 3  # hypotheses that are compared


def export_onnx(
    pipeline: families.Pipeline, directory: str | os.PathLike, int8: bool = False
) -> Path:
    """Export a pipeline as ONNX: its network, and all that `lstm_zoo.load` needs to answer with it.

    `model.onnx` maps ids or features to logits. Its metadata hold, as JSON, the card and how raw
    inputs are preprocessed. A translator also has `encoder.onnx` and `decoder.onnx`, for decoding
    step by step. Beside them are `pipeline.json`, the configuration of the run, and the files of
    its tokenizer or features. All appear only after separate processes without TensorFlow have
    compared the networks' outputs, within 1e-4, and the answers to raw inputs with the run's.

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
    formats.check(directory, "onnx")
    with staging_directory(directory) as staging:
        return publish(_export(pipeline, staging, int8), directory, MODEL)


def add_onnx(pipeline: families.Pipeline) -> None:
    """Add an ONNX export to a run, as presets have one: `lstm_zoo.load` can then answer with it.

    Its ONNX files refer to the run's weights, so they are small, and stay beside them. If the run
    is trained further, they are not used any more. Its checksums are written anew.

    Args:
        pipeline: the pipeline of the run.

    Raises:
        CallError: if onnx or onnxruntime is not installed, or there are such files.
        ExportError: as `export_onnx`.

    Example:

    >>> add_onnx(lstm_zoo.load("runs/imdb"))
    """
    formats.check(pipeline.run, "onnx")
    with staging_directory(pipeline.run) as staging:
        written = _export(pipeline, staging, weights=pipeline.weights_file)
        for path in written.rglob("*"):
            place = pipeline.run / path.relative_to(written)
            if path.is_file() and not place.exists():
                path.replace(place)
    exports.mark(pipeline.run)
    write_checksums(pipeline.run)


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
        # By its path: it may refer to a file of weights, which must be beside it and is not read.
        onnx.checker.check_model(os.fspath(path))
        model = onnx.load(path, load_external_data=False)
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        return {
            **cards.read(json.loads(metadata.get("card", "{}"))),
            "inputs": {value.name: _format_type(value.type) for value in model.graph.input},
            "outputs": {value.name: _format_type(value.type) for value in model.graph.output},
            "ops": sorted({node.op_type for node in model.graph.node}),
        }


def _export(
    pipeline: families.Pipeline, staging: Path, int8: bool = False, weights: Path | None = None
) -> Path:
    """Write an export below a directory, check it, and return its own directory."""
    written, probes = staging / "written", staging / "probes"
    written.mkdir()
    probes.mkdir()
    if weights is not None:
        shutil.copy(weights, written)
    _write(pipeline, written, probes, int8, weights)
    mode = "near" if int8 else "exact"
    run_checks(onnx_checks, [written.absolute(), probes.absolute(), mode])
    expected = probes / "answers.json"
    write_json(expected, _expected(pipeline))
    paths = json.dumps([*map(os.path.abspath, sys.path)])
    run_checks(onnx_pipeline_checks, [written.absolute(), expected.absolute(), paths, mode])
    return written


def _write(
    pipeline: families.Pipeline, directory: Path, probes: Path, int8: bool, weights: Path | None
) -> None:
    """Write the files of an export, and the probes of each ONNX file into another directory."""
    family = families.module(pipeline.config["family"], "onnx")
    network = pipeline.rebuilt(use_cudnn=False).model
    stored = None if weights is None else WeightsFile(weights)
    parts = family.parts(network, pipeline.config["network"], stored)
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
    family.save_tables(directory)
    exports.write(directory, pipeline)
    if (pipeline.run / CALIBRATION).is_file():
        shutil.copy(pipeline.run / CALIBRATION, directory)


def _expected(pipeline: families.Pipeline) -> dict[str, Any]:
    """Return the pipeline's answers to raw inputs, as `onnx_pipeline_checks` takes them."""
    name = pipeline.config["family"]
    inputs = families.module(name, "onnx").inputs(pipeline)
    calls: list[dict[str, Any]] = [{}]
    if pipeline.beam_width is not None:
        calls = [{"beam_width": 1}, {"n_best": min(N_BEST, pipeline.beam_width)}]
    return {
        "family": [name, *families.FAMILIES[name]],
        "inputs": [base64.b64encode(row).decode() for row in inputs],
        "calls": [
            {
                "options": options,
                "answers": [answer._asdict() for answer in pipeline.predict(inputs, **options)],
            }
            for options in calls
        ],
    }


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


def _format_type(kind: onnx.TypeProto) -> str:
    """Format a type and shape, as in `float32[batch, 2]`."""
    tensor = kind.tensor_type
    sizes = [dimension.dim_param or str(dimension.dim_value) for dimension in tensor.shape.dim]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    return f"{dtype.name}[{', '.join(sizes)}]"
