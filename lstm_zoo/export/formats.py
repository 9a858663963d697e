"""The export formats by name."""

import contextlib
import importlib
import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from lstm_zoo import families
from lstm_zoo.errors import CallError


class Exporter(NamedTuple):
    """Where a format is written: module and function, and a line of help.

    The module is imported on use only, since a format may need its optional dependencies: the extra
    of its name.
    """

    module: str
    function: str
    help: str
    is_extra: bool = True


EXPORTERS = {
    "tf_saved_model": Exporter(
        "lstm_zoo.export.saved_model",
        "export_saved_model",
        "DIR/<version>, raw inputs to predictions, for TF Serving",
        is_extra=False,
    ),
    "onnx": Exporter(
        "lstm_zoo.export.onnx",
        "export_onnx",
        "DIR/model.onnx, the network alone, for ONNX Runtime",
    ),
    "litert": Exporter(
        "lstm_zoo.export.litert",
        "export_litert",
        "DIR/model.tflite, the network alone, for phones and small boards",
    ),
}
FORMATS = tuple(EXPORTERS)


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


def export(
    pipeline: families.Pipeline,
    directory: str | os.PathLike,
    format: str = "tf_saved_model",
    **options: Any,
) -> Path:
    """Export a pipeline; see `lstm_zoo.pipeline.Pipeline.export`."""
    if format not in EXPORTERS:
        raise CallError(f"format is one of {', '.join(FORMATS)}. Received: {format!r}")
    exporter = getattr(module(format), EXPORTERS[format].function)
    _, _, *known = inspect.signature(exporter).parameters
    # The command line passes every option; None and False are its "not given".
    given = {
        key: value for key, value in options.items() if value is not None and value is not False
    }
    for option in given:
        if option not in known:
            raise CallError(f"{format} has no option {option}. Known: {', '.join(known)}.")
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
