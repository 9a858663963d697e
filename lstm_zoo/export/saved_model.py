"""SavedModels: from raw inputs to answers, for TF Serving and wherever TensorFlow is."""

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from lstm_zoo import families
from lstm_zoo.errors import CallError, ExportError
from lstm_zoo.export import saved_model_checks
from lstm_zoo.export.staging import check_writable, run_checks, staging_directory
from lstm_zoo.files import write_json
from lstm_zoo.runs import cards
from lstm_zoo.runs.environment import versions

EXTRA = "assets.extra"  # TF Serving's name for what lies beside the graph
WARM_UP = "tf_serving_warmup_requests"  # TF Serving's name too


def export_saved_model(
    pipeline: families.Pipeline,
    directory: str | os.PathLike,
    version: int | None = None,
    beam_width: int | None = None,
) -> Path:
    """Write a pipeline as a SavedModel that loads on any machine, raw inputs to answers.

    The network is rebuilt without cuDNN, traced into the pipeline's signatures, and written beside
    with a card and with requests that warm a server up. Then it is moved, made read-only and
    verified by a fresh process: its ops, its signatures, and its answers to the pipeline's probes
    (see `lstm_zoo.export.saved_model_checks`). Only then it is renamed to `directory/<version>`.

    Args:
        pipeline: a family's pipeline, with `rebuilt`, `signatures` and `probes`.
        directory: the model's directory, as TF Serving's `model_base_path` takes it.
        version: the version's number, 1 at least; None for the next free one.
        beam_width: answers kept while decoding, fixed in the export; None for the pipeline's.

    Returns:
        The path of the version's directory.

    Raises:
        CallError: if the directory can't be written, the version exists, or a pipeline that does
            not decode is given a beam width.
        ExportError: if the SavedModel can't be written, holds an op that a server lacks, has a
            signature that a server can't batch, or answers otherwise than the pipeline; nothing is
            left behind.

    Example:

    >>> export_saved_model(lstm_zoo.load("runs/imdb"), "exports/imdb")  # doctest: +SKIP
    PosixPath('exports/imdb/1')
    """
    directory = Path(directory)
    if version is not None and version < 1:
        raise CallError(f"version is an integer of at least 1. Received: {version}")
    if version is not None and (directory / str(version)).exists():
        raise CallError(f"{directory / str(version)} exists already.")
    if beam_width is not None:
        pipeline = pipeline.with_beam_width(beam_width)
    check_writable(directory)
    with staging_directory(directory) as staging:
        _write(pipeline, staging / "written")
        # Where it was written is gone before it is verified: an export must not hang on it.
        moved = (staging / "written").rename(staging / "moved")
        _verify(moved, _probes(pipeline))
        return _publish(moved, directory, version)


def read_signatures(export: str | os.PathLike) -> dict[str, dict[str, dict[str, str]]]:
    """Describe a SavedModel's signatures: name → {"inputs", "outputs"} → name → type and shape."""
    meta_graph = saved_model_checks.read_meta_graph(Path(export))
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
    return saved_model_checks.kinds(saved_model_checks.read_meta_graph(Path(export)).graph_def)


def read_card(export: str | os.PathLike) -> dict[str, Any]:
    """Read what a SavedModel tells of itself; {} of one that was not written here."""
    path = Path(export) / EXTRA / cards.FILE
    return cards.read(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def format_spec(specification: tf.TensorSpec) -> str:
    """Spell a type and shape, "?" where a size is open, as in `float32[?, 2]`."""
    sizes = ["?" if size is None else str(size) for size in specification.shape]
    return f"{specification.dtype.name}[{', '.join(sizes)}]"


def is_export(path: str | os.PathLike) -> bool:
    """Tell whether a path is a SavedModel's directory."""
    return (Path(path) / "saved_model.pb").is_file()


def _write(pipeline: families.Pipeline, path: Path) -> None:
    """Write the SavedModel, its card, and the requests of its warm-up."""
    portable = pipeline.rebuilt(use_cudnn=False)
    module = tf.Module()
    # What the signatures capture must hang on the module, or it is not saved.
    module.tokenizer = portable.tokenizer
    module.network_variables = [variable.value for variable in portable.model.weights]
    try:
        tf.saved_model.save(module, str(path), signatures=portable.signatures)
    except AssertionError as error:
        raise ExportError(f"The graph uses what the export does not hold: {error}") from error
    extra = path / EXTRA
    extra.mkdir()
    card = {
        **cards.describe(pipeline),
        "exported_with": versions(),
        "signatures": read_signatures(path),
        "ops": read_ops(path),
    }
    write_json(extra / cards.FILE, card)
    _write_warm_up(extra / WARM_UP, pipeline.probes)


def _write_warm_up(path: Path, probes: Mapping[str, list[dict[str, tf.Tensor]]]) -> None:
    """Write requests that TF Serving sends itself before it serves: each signature's probes."""
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, rows in probes.items():
            for row in rows:
                if 0 in (len(tensor) for tensor in row.values()):
                    continue  # a server takes no empty batch for a request to learn from
                request = predict_pb2.PredictRequest()
                request.model_spec.name = "default"  # of no account: the model at hand is meant
                request.model_spec.signature_name = signature
                for key, tensor in row.items():
                    request.inputs[key].CopyFrom(tf.make_tensor_proto(tensor))
                log = prediction_log_pb2.PredictLog(request=request)
                writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())


def _probes(pipeline: families.Pipeline) -> dict[str, list[dict[str, dict[str, str]]]]:
    """Spell the pipeline's probes and its own answers to them, as the verification reads them."""

    def spell(tensors: Mapping[str, tf.Tensor]) -> dict[str, str]:
        return {
            key: base64.b64encode(tf.make_tensor_proto(tensor).SerializeToString()).decode()
            for key, tensor in tensors.items()
        }

    return {
        name: [
            {"inputs": spell(probe), "outputs": spell(function(**probe))}
            for probe in pipeline.probes[name]
        ]
        for name, function in pipeline.signatures.items()
    }


def _verify(path: Path, probes: Any) -> None:
    """Have a fresh process check a SavedModel, the files read-only."""
    paths = [path, *path.rglob("*")]
    modes = [entry.stat().st_mode for entry in paths]
    for entry, mode in zip(paths, modes, strict=True):
        entry.chmod(mode & ~0o222)
    try:
        run_checks(saved_model_checks, [path.absolute()], json.dumps(probes).encode())
    finally:
        for entry, mode in zip(paths, modes, strict=True):
            entry.chmod(mode)


def _publish(written: Path, directory: Path, version: int | None) -> Path:
    """Rename an export to its version; with none asked for, to the next free one."""
    while True:
        taken = [int(entry.name) for entry in directory.iterdir() if entry.name.isdecimal()]
        target = directory / str(version or max(taken, default=0) + 1)
        try:
            # Fails if another exporter took the number: a directory that holds files stays.
            os.rename(written, target)
        except OSError as error:
            if version is None and target.exists():
                continue
            raise CallError(f"{target}: can't write an export there: {error.strerror}.") from error
        return target


def _describe(info: Any) -> str:
    return format_spec(tf.TensorSpec(info.tensor_shape, tf.as_dtype(info.dtype)))
