"""The formats of exports, by name."""

import importlib
import inspect
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from lstm_zoo import families
from lstm_zoo.errors import CallError

# Where each format's exporter is, imported where it is used: it may need the extra of its name.
EXPORTERS = {
    "tf_saved_model": ("lstm_zoo.export.saved_model", "export_saved_model"),
    "onnx": ("lstm_zoo.export.onnx", "export_onnx"),
    "litert": ("lstm_zoo.export.litert", "export_litert"),
}
FORMATS = tuple(EXPORTERS)


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


def export(
    pipeline: families.Pipeline,
    directory: str | os.PathLike,
    format: str = "tf_saved_model",
    **options: Any,
) -> Path:
    """Write a pipeline in a format; see `lstm_zoo.pipeline.Pipeline.export`."""
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
    return exporter(pipeline, directory, **given)
