"""Descriptions of runs and exports, for `lstm-zoo inspect`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from lstm_zoo import recurrent
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.export import formats, saved_model
from lstm_zoo.files import CHECKSUMS, reading, user_path
from lstm_zoo.runs import cards, exports
from lstm_zoo.runs.directory import CONFIG
from lstm_zoo.runs.loading import load, verify
from lstm_zoo.runs.reading import check_files

LITERT = b"TFL3"  # bytes 4 to 7 of a LiteRT file
NO_CHECKSUMS = "none, so that damage may go unnoticed"


def describe(path: str | os.PathLike) -> dict[str, Any]:
    """Describe a run, a SavedModel or a directory of its versions, an ONNX export or LiteRT file.

    Args:
        path: the directory or file; of several versions, the newest is described.

    Returns:
        `kind` ("run" or "export"), `path` and the card; for a run or a SavedModel `parameters`
        and `signatures`, for an ONNX file `inputs` and `outputs`; for an export `ops`, for a run
        `layers` (see `lstm_zoo.recurrent.explain`); and `checksums`, whether the files were
        compared with theirs.

    Raises:
        CallError: if the path is none of them.
        DataError: if a file of it is damaged.

    Example:

    >>> run = describe("runs/imdb")
    >>> run["family"], run["classes"], run["signatures"]
    ('sentiment', ['neg', 'pos'], {'serving_default': {'text': 'string[?]'}})
    """
    place = user_path(path)
    if place.suffix != ".onnx" and (export := exports.locate(place)) is not None:
        place = export / exports.MODEL
    if place.suffix == ".onnx" and place.is_file():
        checked = _checked(place, place.parent)
        return {**checked, **formats.module("onnx").describe(place), **checked}
    if place.suffix == ".tflite" and place.is_file():
        return _describe_litert(place)
    if saved_model.is_export(place):
        return _describe_saved_model(place)
    versions = [entry for entry in place.glob("*") if entry.name.isdecimal()]
    versions = [entry for entry in versions if saved_model.is_export(entry)]
    if versions:
        return _describe_saved_model(max(versions, key=lambda entry: int(entry.name)))
    if not (place / CONFIG).is_file():
        raise CallError(f"{path}: neither a run (no {CONFIG}) nor an export.")
    return _describe_run(place)


def to_text(card: Mapping[str, Any], indent: str = "") -> str:
    """Format a description as text, one `name: value` a line, nested mappings indented.

    Args:
        card: the description, as `describe` returns it.
        indent: the spaces before each line.

    Returns:
        The lines, without a final newline.

    Example:

    >>> print(to_text({"family": "speech", "data": {"seed": 0, "units": [8, 8]}}))
    family: speech
    data:
      seed: 0
      units: 8, 8
    """
    lines = []
    for name, value in card.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{name}:", to_text(value, indent + "  ")]
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            lines += [f"{indent}{name}:"]
            lines += [f"{indent}  " + "  ".join(map(str, row.values())) for row in value]
        else:
            values = value if isinstance(value, (list, tuple)) else [value]
            # A value can't add lines that look like others.
            lines.append(f"{indent}{name}: {', '.join(map(str, values))}".replace("\n", "\\n"))
    return "\n".join(lines)


def _describe_run(run: Path) -> dict[str, Any]:
    pipeline = load(run)
    return {
        "kind": "run",
        "path": str(run),
        "checksums": "verified" if verify(run) else NO_CHECKSUMS,
        **cards.describe(pipeline),
        "signatures": {
            name: {spec.name: saved_model.format_spec(spec) for spec in function.input_signature}
            for name, function in pipeline.signatures.items()
        },
        "layers": [row._asdict() for row in recurrent.explain(pipeline.model)],
    }


def _checked(path: Path, directory: Path) -> dict[str, str]:
    """Verify an export's checksums, and return the first entries of its description.

    A card can't replace them: it may be a stranger's.
    """
    verified = verify(directory)
    return {
        "kind": "export",
        "path": str(path),
        "checksums": "verified" if verified else NO_CHECKSUMS,
    }


def _describe_litert(path: Path) -> dict[str, Any]:
    check_files(path.parent, [cards.FILE, CHECKSUMS])
    checked, card = _checked(path, path.parent), path.with_name(cards.FILE)
    with path.open("rb") as file:
        if file.read(8)[4:] != LITERT:
            raise DataError(f"{path}: not a LiteRT file; it does not begin as one.")
    return {**checked, **(cards.read_file(card) if card.is_file() else {}), **checked}


def _describe_saved_model(path: Path) -> dict[str, Any]:
    check_files(path)
    checked = _checked(path, path)
    ops = saved_model.read_ops(path)
    with reading(path / "variables"):
        reader = tf.train.load_checkpoint(str(path / "variables" / "variables"))
        shapes = reader.get_variable_to_shape_map()
    weights = [shape for name, shape in shapes.items() if name.endswith("VARIABLE_VALUE")]
    has_cudnn = any(op.startswith("Cudnn") for op in ops)
    return {
        **checked,
        **saved_model.read_card(path),
        **checked,
        "parameters": sum(int(tf.TensorShape(shape).num_elements()) for shape in weights),
        "signatures": saved_model.read_signatures(path),
        "recurrent_layers": (
            "cuDNN: the graph has its kernels"
            if has_cudnn
            else "fused: the graph has no cuDNN kernel"
        ),
        "ops": ops,
    }
