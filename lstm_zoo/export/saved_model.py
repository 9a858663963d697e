"""Export to SavedModel, from raw inputs to answers, for TF Serving and TensorFlow."""

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from lstm_zoo import families
from lstm_zoo.errors import CallError, ExportError
from lstm_zoo.export import formats, saved_model_checks
from lstm_zoo.export.staging import run_checks, staging_directory
from lstm_zoo.files import flush, reading, user_path, write_checksums, write_json
from lstm_zoo.runs import cards
from lstm_zoo.runs.environment import versions

# TF Serving's names, of the folder of additional files and of the requests for warmup in it.
EXTRA = "assets.extra"
WARMUP = "tf_serving_warmup_requests"


def export_saved_model(
    pipeline: families.Pipeline,
    directory: str | os.PathLike,
    version: int | None = None,
    beam_width: int | None = None,
) -> Path:
    """Export a pipeline to a SavedModel that takes raw inputs and loads on any machine.

    The network is rebuilt without cuDNN and traced into the pipeline's signatures. A card and
    requests for a server's warmup are added. A fresh process checks the SavedModel, moved and
    read-only: its ops, its signatures, and its outputs for the pipeline's probes (see
    `lstm_zoo.export.saved_model_checks`). Only then is it renamed to `directory/<version>`.

    Args:
        pipeline: a family's pipeline.
        directory: the model's directory: TF Serving's `model_base_path`.
        version: the version's number, at least 1; None for the next free one.
        beam_width: the beam width of decoding, fixed in the export; None for the pipeline's.

    Returns:
        The path of the version's directory.

    Raises:
        CallError: if the directory can't be written, the version exists, or the family does not
            decode and a beam width is given.
        ExportError: if the SavedModel can't be written, or a check fails; nothing is left behind.

    Example:

    >>> path = export_saved_model(lstm_zoo.load("runs/imdb"), "exports/imdb")
    >>> path
    PosixPath('exports/imdb/1')
    >>> serve = tf.saved_model.load(path).signatures["serving_default"]
    >>> serve(text=tf.constant(["a moving film", ""]))["probabilities"].shape
    TensorShape([2, 2])
    >>> read_signatures(path)["serving_default"]["inputs"]
    {'text': 'string[?]'}
    """
    directory = user_path(directory)
    formats.check(directory, version=version)
    if beam_width is not None:
        pipeline = pipeline.with_beam_width(beam_width)
    with staging_directory(directory) as staging:
        _write(pipeline, staging / "written")
        # Moved before the checks, so that they fail if it depends on where it was written.
        staged = (staging / "written").rename(staging / "moved")
        _check(staged, _evaluate_probes(pipeline))
        return _publish(staged, directory, version)


def read_signatures(export: str | os.PathLike) -> dict[str, dict[str, dict[str, str]]]:
    """Read a SavedModel's signatures: name → "inputs" and "outputs" → name → type and shape."""
    meta_graph = _read_meta_graph(export)
    return {
        name: {
            "inputs": {key: _format_info(info) for key, info in sorted(signature.inputs.items())},
            "outputs": {key: _format_info(info) for key, info in sorted(signature.outputs.items())},
        }
        for name, signature in sorted(meta_graph.signature_def.items())
        if not name.startswith("__")
    }


def read_ops(export: str | os.PathLike) -> list[str]:
    """List the op types in a SavedModel, its functions included, sorted."""
    return saved_model_checks.op_types(_read_meta_graph(export).graph_def)


def read_card(export: str | os.PathLike) -> dict[str, Any]:
    """Read a SavedModel's card; an empty dict if it has none, such as one of another program."""
    path = Path(export) / EXTRA / cards.FILE
    return cards.read_file(path) if path.is_file() else {}


def format_spec(specification: tf.TensorSpec) -> str:
    """Format a type and shape, with "?" for an open size.

    Example:

    >>> format_spec(tf.TensorSpec([None, 2], tf.float32))
    'float32[?, 2]'
    """
    if specification.shape.rank is None:
        return f"{specification.dtype.name}[...]"
    sizes = ["?" if size is None else str(size) for size in specification.shape]
    return f"{specification.dtype.name}[{', '.join(sizes)}]"


def is_export(path: str | os.PathLike) -> bool:
    """Return whether a path is a SavedModel's directory."""
    return (Path(path) / "saved_model.pb").is_file()


def _read_meta_graph(export: str | os.PathLike) -> Any:
    with reading(Path(export) / "saved_model.pb"):
        return saved_model_checks.read_meta_graph(Path(export))


def _write(pipeline: families.Pipeline, path: Path) -> None:
    """Write the SavedModel, its card, the requests for warmup, and the files' checksums."""
    portable = pipeline.rebuilt(use_cudnn=False)
    module = tf.Module()
    # What the signatures capture is saved only if it is an attribute of the module.
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
    _write_warmup(extra / WARMUP, pipeline.probes)
    write_checksums(path)


def _write_warmup(path: Path, probes: Mapping[str, list[dict[str, tf.Tensor]]]) -> None:
    """Write each signature's probes as requests that TF Serving runs before it serves."""
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, rows in probes.items():
            for row in rows:
                if 0 in (len(tensor) for tensor in row.values()):
                    continue  # TF Serving refuses an empty batch for warmup
                request = predict_pb2.PredictRequest()
                request.model_spec.name = "default"  # ignored: it is always this model
                request.model_spec.signature_name = signature
                for key, tensor in row.items():
                    request.inputs[key].CopyFrom(tf.make_tensor_proto(tensor))
                log = prediction_log_pb2.PredictLog(request=request)
                writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())


def _evaluate_probes(
    pipeline: families.Pipeline,
) -> dict[str, list[dict[str, dict[str, str]]]]:
    """Return the probes and the pipeline's outputs, encoded as `saved_model_checks` reads them."""

    def encode(tensors: Mapping[str, tf.Tensor]) -> dict[str, str]:
        return {
            key: base64.b64encode(tf.make_tensor_proto(tensor).SerializeToString()).decode()
            for key, tensor in tensors.items()
        }

    return {
        name: [
            {"inputs": encode(probe), "outputs": encode(function(**probe))}
            for probe in pipeline.probes[name]
        ]
        for name, function in pipeline.signatures.items()
    }


def _check(path: Path, probes: Any) -> None:
    """Check a SavedModel in a fresh process, its files read-only."""
    paths = [path, *path.rglob("*")]
    modes = [entry.stat().st_mode for entry in paths]
    for entry, mode in zip(paths, modes, strict=True):
        entry.chmod(mode & ~0o222)
    try:
        run_checks(saved_model_checks, [path.absolute()], json.dumps(probes).encode())
    finally:
        for entry, mode in zip(paths, modes, strict=True):
            entry.chmod(mode)


def _publish(staged: Path, directory: Path, version: int | None) -> Path:
    """Rename an export to its version; None for the next free one."""
    flush(staged)
    while True:
        taken = [int(entry.name) for entry in directory.iterdir() if entry.name.isdecimal()]
        target = directory / str(version or max(taken, default=0) + 1)
        try:
            # Fails if another exporter has taken the number: a non-empty directory is not replaced.
            os.rename(staged, target)
        except OSError as error:
            if version is None and target.exists():
                continue
            raise CallError(f"{target}: can't write an export there: {error.strerror}.") from error
        return target


def _format_info(info: Any) -> str:
    return format_spec(tf.TensorSpec(info.tensor_shape, tf.as_dtype(info.dtype)))
