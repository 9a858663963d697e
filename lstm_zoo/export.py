"""SavedModels: written beside, scanned, checked, and renamed to the next version."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from lstm_zoo.errors import CallError, ExportError

# What a server on another machine can't run: Python inside the graph, files, cuDNN's kernels.
DENIED_OPS = ("PyFunc", "PyFuncStateless", "EagerPyFunc", "ReadFile", "WriteFile")
DENIED_PREFIXES = ("Cudnn",)
FORMATS = ("tf_saved_model",)


def export_saved_model(
    pipeline: Any, directory: str | os.PathLike, version: int | None = None
) -> Path:
    """Write a pipeline as a SavedModel that loads on any machine, raw inputs to answers.

    The network is rebuilt without cuDNN, traced into the pipeline's signatures, written beside,
    scanned for ops that a server lacks, loaded again and compared with the pipeline on its probes,
    and only then renamed to `directory/<version>`.

    Args:
        pipeline: a family's pipeline, with `rebuilt`, `signatures` and `probes`.
        directory: the model's directory, as TF Serving's `model_base_path` takes it.
        version: the version's number, 1 at least; None for the next free one.

    Returns:
        The path of the version's directory.

    Raises:
        CallError: if the directory can't be written, or the version exists.
        ExportError: if the SavedModel holds a denied op or answers otherwise than the pipeline;
            nothing is left behind.

    Example:

    >>> export_saved_model(lstm_zoo.load("runs/imdb"), "exports/imdb")  # doctest: +SKIP
    PosixPath('exports/imdb/1')
    """
    directory = Path(directory)
    if version is not None and version < 1:
        raise CallError(f"version is an integer of at least 1. Received: {version}")
    if version is not None and (directory / str(version)).exists():
        raise CallError(f"{directory / str(version)} exists already.")
    check_writable(directory)
    room = Path(tempfile.mkdtemp(prefix=".writing-", dir=directory))
    try:
        written = room / "export"
        _write(pipeline.rebuilt(use_cudnn=False), written)
        _scan(written)
        _check(pipeline, written)
        return _publish(written, directory, version)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def check_format(format: str) -> None:
    """Make sure that an export of this format can be made.

    Raises:
        CallError: if not, naming those that can.
    """
    if format not in FORMATS:
        raise CallError(f"format is {' or '.join(FORMATS)}. Received: {format!r}")


def check_writable(directory: str | os.PathLike) -> None:
    """Make an export directory, and make sure that it can be written to.

    Raises:
        CallError: if it can't.
    """
    try:
        Path(directory).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=directory):
            pass
    except OSError as error:
        raise CallError(f"{directory}: can't write an export there: {error.strerror}.") from error


def read_signatures(export: str | os.PathLike) -> dict[str, dict[str, dict[str, str]]]:
    """Describe a SavedModel's signatures: name → {"inputs", "outputs"} → name → type and shape."""
    meta_graph = _read_meta_graph(Path(export))
    return {
        name: {
            "inputs": {key: _describe(info) for key, info in sorted(signature.inputs.items())},
            "outputs": {key: _describe(info) for key, info in sorted(signature.outputs.items())},
        }
        for name, signature in sorted(meta_graph.signature_def.items())
        if not name.startswith("__")
    }


def read_ops(export: str | os.PathLike) -> list[str]:
    """List the kinds of ops in a SavedModel, its functions included, sorted."""
    graph = _read_meta_graph(Path(export)).graph_def
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    functions = {f.signature.name for f in graph.library.function}
    return sorted({node.op for node in nodes} - functions)


def spelled(specification: tf.TensorSpec) -> str:
    """Spell a type and shape, "?" where a size is open, as in `float32[?, 2]`."""
    sizes = ["?" if size is None else str(size) for size in specification.shape]
    return f"{specification.dtype.name}[{', '.join(sizes)}]"


def is_export(path: str | os.PathLike) -> bool:
    """Tell whether a path is a SavedModel's directory."""
    return (Path(path) / "saved_model.pb").is_file()


def _write(pipeline: Any, path: Path) -> None:
    module = tf.Module()
    # What the signatures capture must hang on the module, or it is not saved.
    module.tokenizer = pipeline.tokenizer
    module.network_variables = [variable.value for variable in pipeline.model.weights]
    tf.saved_model.save(module, str(path), signatures=pipeline.signatures)


def _scan(path: Path) -> None:
    denied = [op for op in read_ops(path) if op in DENIED_OPS or op.startswith(DENIED_PREFIXES)]
    if denied:
        raise ExportError(f"The graph holds ops that a server can't run: {', '.join(denied)}.")
    functions = _read_meta_graph(path).graph_def.library.function
    compiled = [f.signature.name for f in functions if f.attr["_XlaMustCompile"].b]
    if compiled:
        raise ExportError(f"XLA, which a server lacks, must compile: {', '.join(compiled)}.")


def _check(pipeline: Any, path: Path) -> None:
    """Compare the SavedModel's answers with the pipeline's."""
    loaded = _load(path)
    for name, function in pipeline.signatures.items():
        for probe in pipeline.probes[name]:
            expected = function(**probe)
            answers = loaded.signatures[name](**probe)
            for key, tensor in expected.items():
                _compare(f"{name}, output {key}, probe {probe}", tensor, answers[key])


def _load(path: Path) -> Any:
    """Load a SavedModel without the warning that it can't be trained on: no export is."""
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        return tf.saved_model.load(str(path))
    finally:
        logging.set_verbosity(before)


def _compare(place: str, expected: tf.Tensor, answer: tf.Tensor) -> None:
    if expected.dtype == tf.string:
        equal = expected.shape == answer.shape and bool(tf.reduce_all(expected == answer))
    else:
        equal = expected.shape == answer.shape and np.allclose(expected, answer, atol=1e-4)
    if not equal:
        raise ExportError(f"The export answers otherwise than the pipeline: {place}.")


def _publish(written: Path, directory: Path, version: int | None) -> Path:
    """Rename an export to its version; with none asked for, to the next free one."""
    while True:
        taken = [int(entry.name) for entry in directory.iterdir() if entry.name.isdigit()]
        target = directory / str(version or max(taken, default=0) + 1)
        try:
            # Fails if another exporter took the number: a directory that holds files stays.
            os.rename(written, target)
        except OSError as error:
            if version is None and target.exists():
                continue
            raise CallError(f"{target}: can't write an export there: {error.strerror}.") from error
        return target


def _read_meta_graph(path: Path) -> Any:
    from tensorflow.core.protobuf import saved_model_pb2

    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString((path / "saved_model.pb").read_bytes())
    return saved_model.meta_graphs[0]


def _describe(info: Any) -> str:
    return spelled(tf.TensorSpec(info.tensor_shape, tf.as_dtype(info.dtype)))
