"""Exports: written beside, checked in a fresh process, and renamed; the SavedModel among them."""

import base64
import contextlib
import fcntl
import filecmp
import importlib
import inspect
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import tensorflow as tf

from lstm_zoo import cards, runs, verification
from lstm_zoo.errors import CallError, ExportError

ROOM = ".writing-"  # what is not whole yet has a name that begins so; TF Serving passes it over
ABANDONED = 60  # seconds after which a room that no process holds may be swept away
PATIENCE = 900  # seconds given to the checks
EXTRA = "assets.extra"  # TF Serving's name for what lies beside the graph
CARD = "card.json"
WARM_UP = "tf_serving_warmup_requests"  # TF Serving's name too
# Where each format's exporter is, imported where it is used: it may need the extra of its name.
EXPORTERS = {
    "tf_saved_model": ("lstm_zoo.export", "export_saved_model"),
    "onnx": ("lstm_zoo.onnx_export", "export_onnx"),
    "litert": ("lstm_zoo.litert", "export_litert"),
}
FORMATS = tuple(EXPORTERS)


class Exportable:
    """What can be exported: the base of every family's pipeline."""

    def export(
        self, directory: str | os.PathLike, *, format: str = "tf_saved_model", **options: Any
    ) -> Path:
        """Write the pipeline for other programs, checked before it is called done.

        Args:
            directory: where to write.
            format: "tf_saved_model" for all from raw inputs to answers, as `directory/<version>`,
                or for the network alone "onnx", as `directory/model.onnx`, or "litert", as
                `directory/model.tflite`.
            **options: what the format takes; None and False say nothing.
                version: of a SavedModel; None for the next free one.
                beam_width: of a SavedModel of a family that decodes: the answers kept while
                    decoding, fixed in the export; None for the pipeline's.
                int8: of ONNX: whether weights are kept in 8 bits.
                batch_size: of LiteRT: the rows of a batch, fixed in the file; None for 1.

        Returns:
            The path of the version, or of the file.

        Raises:
            CallError: if the directory can't be written, what is asked for exists, the format is
                unknown or lacks its extra, or an option is not one of the format's.
            ExportError: if the export does not pass its checks; nothing is left of it.

        Example:

        >>> lstm_zoo.load("runs/imdb").export("exports/imdb")  # doctest: +SKIP
        PosixPath('exports/imdb/1')
        """
        if format not in EXPORTERS:
            raise CallError(f"format is {' or '.join(FORMATS)}. Received: {format!r}")
        exporter = getattr(module(format), EXPORTERS[format][1])
        _, _, *known = inspect.signature(exporter).parameters
        given = {
            key: value for key, value in options.items() if value is not None and value is not False
        }
        for option in given:
            if option not in known:
                raise CallError(f"{option} is no option of {format}, which has {', '.join(known)}.")
        return exporter(self, directory, **given)

    def save_files(self, directory: Path) -> None:
        """Write the files that a run holds of its tokenizers and features."""
        self._task.save(directory)


def module(format: str) -> ModuleType:
    """Import the module that writes a format, and reads it.

    Args:
        format: one of `FORMATS`.

    Returns:
        The module.

    Raises:
        CallError: if the format's extra is not installed.
    """
    try:
        return importlib.import_module(EXPORTERS[format][0])
    except ImportError as error:
        extra = f"pip install 'lstm_zoo[{format}]'"
        raise CallError(f"{format} is an extra: {extra} ({error}).") from error


def export_saved_model(
    pipeline: Any,
    directory: str | os.PathLike,
    version: int | None = None,
    beam_width: int | None = None,
) -> Path:
    """Write a pipeline as a SavedModel that loads on any machine, raw inputs to answers.

    The network is rebuilt without cuDNN, traced into the pipeline's signatures, and written beside
    with a card and with requests that warm a server up. Then it is moved, made read-only and
    verified by a fresh process: its ops, its signatures, and its answers to the pipeline's probes
    (see `lstm_zoo.verification`). Only then it is renamed to `directory/<version>`.

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
        if not hasattr(pipeline, "with_beam_width"):
            raise CallError("beam_width is of what decodes; a classifier does not.")
        pipeline = pipeline.with_beam_width(beam_width)
    check_writable(directory)
    with writing_room(directory) as room:
        _write(pipeline, room / "written")
        # Where it was written is gone before it is verified: an export must not hang on it.
        moved = (room / "written").rename(room / "moved")
        _verify(moved, _probes(pipeline))
        return _publish(moved, directory, version)


def check_writable(directory: str | os.PathLike) -> None:
    """Make sure that an export directory can be made, or written to; nothing is left of it.

    Raises:
        CallError: if it can't.
    """
    place = Path(directory)
    try:
        there = next(path for path in (place, *place.parents) if path.exists())
        with tempfile.TemporaryDirectory(prefix=ROOM, dir=there):
            pass
    except OSError as error:
        raise CallError(f"{directory}: can't write an export there: {error.strerror}.") from error


@contextlib.contextmanager
def writing_room(directory: Path) -> Iterator[Path]:
    """Give a directory to write in, gone in the end; sweep away those that the killed have left.

    Args:
        directory: the export's directory, in which it is; made if it is not there.

    Yields:
        The path of an empty directory.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for room in directory.glob(ROOM + "*"):
        with contextlib.suppress(OSError):  # held by a living exporter, or gone already
            if time.time() - room.stat().st_mtime > ABANDONED:
                with _held(room):
                    _remove(room)
    room = Path(tempfile.mkdtemp(prefix=ROOM, dir=directory))
    try:
        with _held(room):
            yield room
    finally:
        with contextlib.suppress(OSError):
            _remove(room)


def passes(program: ModuleType, arguments: Sequence[Any], given: bytes = b"") -> None:
    """Have a fresh process run a program of checks: without a GPU, lstm_zoo, or our directory.

    Args:
        program: a module, run as a program; it prints as JSON why an export is refused, or null.
        arguments: paths among them are absolute.
        given: what the program reads from standard input.

    Raises:
        ExportError: if the export is refused, or the program does not come to its end.
    """
    # As text, so that the directory of lstm_zoo is not on the path of what it imports.
    text = Path(program.__file__).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as elsewhere:
        try:
            done = subprocess.run(
                [sys.executable, "-c", text, *map(str, arguments)],
                input=given,
                capture_output=True,
                cwd=elsewhere,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"},
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            raise ExportError(f"The checks did not end within {PATIENCE} seconds.") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ExportError(f"The export does not load in a fresh process: {' '.join(said[-3:])}")
    if refused := json.loads(done.stdout):
        raise ExportError(refused)


def publish(written: Path, directory: Path, model: str) -> Path:
    """Move the files of an export to their places, the model last: with it, all are there.

    Args:
        written: the directory that holds them.
        directory: where they shall stand.
        model: the name of the file that is the model.

    Returns:
        The model's path.

    Raises:
        CallError: if a file of another export is in the way, or the directory can't be written.
    """
    files = [path.relative_to(written) for path in sorted(written.rglob("*")) if path.is_file()]
    files.sort(key=lambda file: str(file) == model)
    for file in files:
        target = directory / file
        if target.exists() and not filecmp.cmp(written / file, target, shallow=False):
            raise CallError(
                f"{target} exists already, and is of another export; name a directory of its own."
            )
    try:
        for file in files:
            (directory / file).parent.mkdir(exist_ok=True)
            os.replace(written / file, directory / file)
    except OSError as error:
        raise CallError(f"{directory}: can't write an export there: {error.strerror}.") from error
    return directory / model


def read_signatures(export: str | os.PathLike) -> dict[str, dict[str, dict[str, str]]]:
    """Describe a SavedModel's signatures: name → {"inputs", "outputs"} → name → type and shape."""
    meta_graph = verification.read_meta_graph(Path(export))
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
    return verification.kinds(verification.read_meta_graph(Path(export)).graph_def)


def read_card(export: str | os.PathLike) -> dict[str, Any]:
    """Read what a SavedModel tells of itself; {} of one that was not written here."""
    path = Path(export) / EXTRA / CARD
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def spelled(specification: tf.TensorSpec) -> str:
    """Spell a type and shape, "?" where a size is open, as in `float32[?, 2]`."""
    sizes = ["?" if size is None else str(size) for size in specification.shape]
    return f"{specification.dtype.name}[{', '.join(sizes)}]"


def is_export(path: str | os.PathLike) -> bool:
    """Tell whether a path is a SavedModel's directory."""
    return (Path(path) / "saved_model.pb").is_file()


def _remove(room: Path) -> None:
    """Remove a directory whose files may be read-only, as they are while they are verified."""
    for folder in [room, *(path for path in room.rglob("*") if path.is_dir())]:
        folder.chmod(0o700)
    shutil.rmtree(room)


@contextlib.contextmanager
def _held(room: Path) -> Iterator[None]:
    """Hold a directory's lock, which the system takes back when the process dies."""
    descriptor = os.open(room, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _write(pipeline: Any, path: Path) -> None:
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
        "exported with": runs.versions(),
        "signatures": read_signatures(path),
        "ops": read_ops(path),
    }
    runs.write_json(extra / CARD, card)
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


def _probes(pipeline: Any) -> dict[str, list[dict[str, dict[str, str]]]]:
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
        passes(verification, [path.absolute()], json.dumps(probes).encode())
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
    return spelled(tf.TensorSpec(info.tensor_shape, tf.as_dtype(info.dtype)))
