"""The export formats by name."""

import contextlib
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from lstm_zoo import families
from lstm_zoo.errors import CallError
from lstm_zoo.export.staging import check_writable
from lstm_zoo.files import user_path
from lstm_zoo.settings import check_integer


class Exporter(NamedTuple):
    """Where a format is written: module and function; a line of help; the options that it has.

    The module is imported on use only, since a format may need its optional dependencies: the extra
    of its name.
    """

    module: str
    function: str
    help: str
    options: tuple[str, ...]
    file: str  # that an export is not written over; "" for one that has versions
    is_extra: bool = True


EXPORTERS = {
    "tf_saved_model": Exporter(
        "lstm_zoo.export.saved_model",
        "export_saved_model",
        "DIR/<version>, raw inputs to predictions, for TF Serving",
        ("version", "beam_width"),
        "",
        is_extra=False,
    ),
    "onnx": Exporter(
        "lstm_zoo.export.onnx",
        "export_onnx",
        "DIR/model.onnx, and all that answers need, for ONNX Runtime",
        ("int8",),
        "model.onnx",
    ),
    "litert": Exporter(
        "lstm_zoo.export.litert",
        "export_litert",
        "DIR/model.tflite, the network alone, for phones and small boards",
        ("batch_size",),
        "model.tflite",
    ),
}
FORMATS = tuple(EXPORTERS)
MAX_BATCH_SIZE = 4_096  # of a LiteRT file
MAX_VERSION = 2**63 - 1  # of a SavedModel: TF Serving's


def module(format: str) -> ModuleType:
    """Import the module of a format.

    Args:
        format: one of `FORMATS`.

    Returns:
        The module.

    Raises:
        CallError: if the format's extra is not installed.

    Example:

    >>> module("tf_saved_model").__name__
    'lstm_zoo.export.saved_model'
    """
    try:
        return importlib.import_module(EXPORTERS[format].module)
    except ImportError as error:
        if not EXPORTERS[format].is_extra:
            raise
        raise CallError(
            f"The format {format} needs an extra: pip install 'lstm_zoo[{format}]' ({error})."
        ) from error


def check(
    directory: str | os.PathLike, format: str = "tf_saved_model", **options: Any
) -> dict[str, Any]:
    """Check the call of an export, without TensorFlow.

    Args:
        directory: where to write.
        format: one of `FORMATS`.
        **options: the options of the format; None and False are not given.

    Returns:
        The options that are given.

    Raises:
        CallError: if the format or an option is unknown, the directory can't be written, or an
            export is there already.

    Example:

    >>> check("exports/imdb", "onnx", int8=True, version=None)
    {'int8': True}
    """
    if format not in EXPORTERS:
        raise CallError(f"format is one of {', '.join(FORMATS)}. Received: {format!r}")
    exporter = EXPORTERS[format]
    # The command line passes every option; None and False are its "not given".
    given = {
        key: value for key, value in options.items() if value is not None and value is not False
    }
    for option in given:
        if option not in exporter.options:
            known = ", ".join(exporter.options)
            raise CallError(f"{format} has no option {option}. Known: {known}.")
    version = given.get("version")
    if version is not None and not 1 <= version <= MAX_VERSION:
        raise CallError(
            f"version is an integer of at least 1 and at most {MAX_VERSION}. Received: {version}"
        )
    if "batch_size" in given:
        check_integer("batch_size", given["batch_size"], 1, MAX_BATCH_SIZE)
    name = exporter.file or str(version or "")
    if name and (user_path(directory) / name).exists():
        raise CallError(f"{user_path(directory) / name} exists already.")
    check_writable(directory)
    return given


def export(
    pipeline: families.Pipeline,
    directory: str | os.PathLike,
    format: str = "tf_saved_model",
    **options: Any,
) -> Path:
    """Export a pipeline; see `lstm_zoo.pipeline.Pipeline.export`."""
    given = check(directory, format, **options)
    exporter = getattr(module(format), EXPORTERS[format].function)
    with _full_float32():
        return exporter(pipeline, directory, **given)


@contextlib.contextmanager
def _full_float32() -> Iterator[None]:
    """Switch off TF32, a GPU's short float32: the checks compare with answers of a processor."""
    import tensorflow as tf

    enabled = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(enabled)
