"""Loading a run, or an ONNX export, as a pipeline; a run also as a builder's network."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_zoo import families, prepare_tensorflow
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.files import CHECKSUMS, find_damage, reading
from lstm_zoo.printing import log
from lstm_zoo.runs import exports, presets
from lstm_zoo.runs.directory import WEIGHTS, how_to_continue, read_config

if TYPE_CHECKING:  # `load` checks a call before it imports what is slow
    import keras


def load(
    run: str | os.PathLike,
    *,
    family: str | None = None,
    use_cudnn: bool | str = "auto",
    prefer_onnx: bool = False,
) -> families.Predictor:
    """Load a trained run, or an ONNX export of one, as a pipeline.

    The network of a run is rebuilt by the current builder, then its weights are read. An ONNX
    export answers without TensorFlow. Both may be a stranger's: see `docs/security.md`.

    Args:
        run: the directory that `train` wrote, or that of an ONNX export; or the name of a preset
            (`lstm_zoo.presets`): a directory of that name comes first, and `preset:NAME` is always
            the preset.
        family: the family that it must be of; None for any.
        use_cudnn: "auto" for cuDNN where it can run, False for never; an export has no effect of
            it.
        prefer_onnx: whether to answer with ONNX Runtime if the run has ONNX files too, as presets
            have: it starts in a tenth of a second, and predicts and evaluates alone. Where
            TensorFlow is not installed, it is always preferred.

    Returns:
        The family's pipeline, such as `lstm_zoo.sentiment.pipeline.Pipeline`; of an ONNX export
        one that predicts and evaluates alone, such as `lstm_zoo.sentiment.runtime.Pipeline`.

    Raises:
        CallError: if there is no run, it is of another family, it has not finished an epoch, or
            `use_cudnn` is something else.
        DataError: if a file of the run is damaged.
        BackendError: (an ImportError) if TensorFlow or ONNX Runtime is missing, or Keras has
            another backend.

    Example:

    >>> lstm_zoo.load("runs/imdb").predict(["a moving film"])[0].label
    'pos'
    """
    if type(use_cudnn) is not bool and (type(use_cudnn) is not str or use_cudnn != "auto"):
        raise CallError(f"use_cudnn is 'auto', True or False. Received: {use_cudnn!r}")
    export = exports.locate(run, prefer_onnx)
    if export is None and not find_spec("tensorflow"):
        export = exports.locate(run, prefer=True)
    if export is None:
        prepare_tensorflow()
    run, config = find(
        run if export is None else export / exports.MODEL, family, allow_exports=True
    )
    if not (run / CHECKSUMS).is_file():
        log(f"Warning: {run} was made without checksums; damage may go unnoticed.")
    if export is not None:
        runtime = families.runtime(config["family"])
        with reading(run / exports.PIPELINE):
            return runtime(run, config)
    return families.pipeline(config["family"]).load(run, config, use_cudnn=use_cudnn)


def find(
    run: str | os.PathLike, family: str | None = None, *, allow_exports: bool = False
) -> tuple[Path, dict[str, Any]]:
    """Check that there is a run to load, and that it is whole; imports no TensorFlow.

    Args:
        run: the directory that `train` wrote, or the name of a preset.
        family: the family that the run must be of; None for any.
        allow_exports: whether it may be an ONNX export instead.

    Returns:
        Its path and its `config.json`; of an ONNX export its directory, and that of its run.

    Raises:
        CallError: if there is no run, it is of another family, or it has not finished an epoch.
        DataError: if a file of it is damaged.

    Example:

    >>> find("runs/imdb")[1]["family"]
    'sentiment'
    """
    if allow_exports and (export := exports.locate(run)) is not None:
        config = exports.read_config(export, family)
        verify(export)
        return export, config
    path = presets.locate(run)
    config = read_config(path, family)
    if not (path / WEIGHTS).is_file():
        raise CallError(
            f"{path}: no {WEIGHTS} in it; this run has not finished an epoch. "
            f"{how_to_continue(path)}"
        )
    verify(path)
    return path, config


def pretrained(
    build: Callable[..., keras.Model],
    family: str,
    weights: str | os.PathLike,
    given: Mapping[str, Any],
    use_cudnn: bool | str,
    **changed: Any,
) -> keras.Model:
    """Build a network with the weights of a run or a preset, for a family's builder.

    Args:
        build: the builder.
        family: its family.
        weights: what `load` takes.
        given: the builder's arguments that the weights decide; none may have been given.
        use_cudnn: the builder's argument.
        **changed: arguments that differ from the run's, and leave out layers; none for all layers.

    Returns:
        The network, with the run's sizes.

    Raises:
        CallError: if there is no such run, or an argument was given that the weights decide.
        DataError: if a file of the run is damaged.

    Example:

    >>> from lstm_zoo import build_sentiment
    >>> pretrained(build_sentiment, "sentiment", "runs/imdb", {}, "auto").name
    'sentiment'
    """
    defaults = inspect.signature(build).parameters
    names = [
        name
        for name, value in given.items()
        if name not in defaults or value is not defaults[name].default
    ]
    if names:
        raise CallError(f"The weights decide {', '.join(names)}; give weights alone.")
    find(weights, family)  # not an export
    pipeline = load(weights, family=family, use_cudnn=use_cudnn)
    if not changed:
        return pipeline.model
    model = build(**{**pipeline.config["network"], **changed}, use_cudnn=use_cudnn)
    found = {weight.path: weight for weight in pipeline.model.weights}
    for weight in model.weights:
        weight.assign(found[weight.path])
    return model


def verify(directory: str | os.PathLike) -> bool:
    """Compare the files of a run or an export with their checksums.

    Args:
        directory: the run's or export's directory.

    Returns:
        Whether there are checksums; earlier versions wrote none.

    Raises:
        DataError: if a file has changed or is missing, naming each.
    """
    damage = find_damage(directory)
    if damage:
        raise DataError(f"{directory}: damaged: {'; '.join(damage)}.")
    return damage is not None
