"""ONNX exports that are pipelines: their directories, and what they hold. No TensorFlow."""

import importlib
import os
from pathlib import Path
from typing import Any

from lstm_zoo import families
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.files import file_digest, read_json, reading, write_json
from lstm_zoo.runs import presets
from lstm_zoo.runs.directory import CONFIG, WEIGHTS, parse_config
from lstm_zoo.runs.reading import check_files

MODEL = "model.onnx"
PIPELINE = "pipeline.json"  # the config.json of the run
MADE_OF = "weights"  # its entry for ONNX files that belong to a run: the digest of its weights


def locate(path: str | os.PathLike, prefer: bool = False) -> Path | None:
    """Return the directory of an ONNX export; None if a path is none.

    Args:
        path: the directory, or the export's `model.onnx`.
        prefer: whether a run that has ONNX files of its weights, as presets have, counts as an
            export, if ONNX Runtime can be imported. An export that is in a run's directory does
            not: it can be of other weights, or int8.

    Example:

    >>> locate("preset:trec-questions") is None
    True
    >>> locate("preset:trec-questions", prefer=True).name
    'trec-questions'
    """
    place = presets.locate(path)
    if place.name == MODEL and place.is_file():
        return place.parent
    if not (place / MODEL).is_file():
        return None
    is_run = (place / CONFIG).is_file()
    return None if is_run and not (prefer and _is_of_run(place) and _has_runtime()) else place


def mark(run: Path) -> None:
    """Mark the ONNX files in a run's directory as those of its weights."""
    content = {**read_json(run / PIPELINE), MADE_OF: file_digest(run / WEIGHTS)}
    write_json(run / PIPELINE, content)


def _is_of_run(run: Path) -> bool:
    """Return whether ONNX files are of the weights beside them, which may have changed since."""
    try:
        return read_json(run / PIPELINE).get(MADE_OF) == file_digest(run / WEIGHTS)
    except (DataError, OSError):
        return False


def _has_runtime() -> bool:
    try:
        importlib.import_module("onnxruntime")
    except ImportError:  # also one that lacks a library of the system
        return False
    return True


def write(directory: Path, pipeline: families.Pipeline) -> None:
    """Write the configuration of an export: that of its run, and what the report shows of it.

    Args:
        directory: the export's directory.
        pipeline: the pipeline that is exported, whose beam width is kept.
    """
    settings = pipeline.config["settings"]
    if pipeline.beam_width is not None:
        settings = {**settings, "beam_width": pipeline.beam_width}
    shown = {
        "parameters": pipeline.parameters,
        "environment": {"versions": pipeline.environment["versions"]},
    }
    write_json(directory / PIPELINE, {**pipeline.config, "settings": settings, **shown})


def read_config(directory: Path, family: str | None = None) -> dict[str, Any]:
    """Read the configuration of an export.

    Args:
        directory: the export's directory.
        family: the family that it must be of; None for any.

    Returns:
        The `config.json` of its run.

    Raises:
        CallError: if it is of an earlier version, which wrote none, or of another family.
        DataError: if it is damaged, or the directory has a link that leads out of it.
    """
    if not (directory / PIPELINE).is_file():
        raise CallError(
            f"{directory}: an ONNX export without {PIPELINE}, which earlier versions did not "
            "write: the network alone. Export its run again."
        )
    check_files(directory)
    path = directory / PIPELINE
    config = parse_config(path, family)
    with reading(path):
        parameters, versions = config["parameters"], config["environment"]["versions"]
        if not isinstance(parameters, int) or not isinstance(versions, dict):
            raise DataError(f"{path}: parameters is a number, and versions an object.")
    return {**config, "environment": {"versions": versions}}  # what `write` writes, and no more
