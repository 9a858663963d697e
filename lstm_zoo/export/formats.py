"""The export formats by name."""

import importlib
import inspect
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from lstm_zoo import families
from lstm_zoo.errors import CallError

# Module and function; imported on use only, since a format may need its optional dependencies.
EXPORTERS = {
    "tf_saved_model": ("lstm_zoo.export.saved_model", "export_saved_model"),
    "onnx": ("lstm_zoo.export.onnx", "export_onnx"),
    "litert": ("lstm_zoo.export.litert", "export_litert"),
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
        return importlib.import_module(EXPORTERS[format][0])
    except ImportError as error:
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
    exporter = getattr(module(format), EXPORTERS[format][1])
    _, _, *known = inspect.signature(exporter).parameters
    # The command line passes every option; None and False are its "not given".
    given = {
        key: value for key, value in options.items() if value is not None and value is not False
    }
    for option in given:
        if option not in known:
            raise CallError(f"{format} has no option {option}. Known: {', '.join(known)}.")
    return exporter(pipeline, directory, **given)
