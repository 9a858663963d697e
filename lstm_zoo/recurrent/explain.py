"""Why each recurrent layer runs the way it does."""

from collections.abc import Iterator
from typing import NamedTuple

import keras
import tensorflow as tf


class Path(NamedTuple):
    """How one layer runs: its name, kind and units, the path, and the condition that decided."""

    layer: str
    kind: str
    units: int | None
    path: str
    reason: str


def explain(model: keras.Model) -> list[Path]:
    """Tell for every recurrent layer which path it takes on this machine, and why.

    Args:
        model: any Keras model.

    Returns:
        A `Path` for each recurrent layer, both directions of a bidirectional one on its own;
        `path` is "cuDNN" or "loop".

    Example:

    >>> [row.path for row in explain(keras.Sequential([keras.layers.SimpleRNN(4)]))]
    ['loop']
    """
    rows = []
    for layer in _recurrent_layers(model):
        obstacle = _cudnn_obstacle(layer)
        path = "loop" if obstacle else "cuDNN"
        reason = obstacle or "a GPU is here, and the layer is one that cuDNN has"
        # A layer of a cell has no units of its own.
        units = getattr(layer, "units", None)
        rows.append(Path(layer.name, type(layer).__name__, units, path, reason))
    return rows


def _recurrent_layers(layer: keras.Layer) -> Iterator[keras.layers.RNN]:
    """Find the recurrent layers in a layer, in their order, those inside of others too."""
    for inner in layer._layers:
        if isinstance(inner, keras.layers.RNN):
            yield inner
        else:
            yield from _recurrent_layers(inner)


def _cudnn_obstacle(layer: keras.layers.RNN) -> str | None:
    """Return the first condition of cuDNN's that a layer misses, or None."""
    if not isinstance(layer, (keras.layers.LSTM, keras.layers.GRU)):
        return f"cuDNN has no {type(layer).__name__} in Keras"
    if layer.use_cudnn is False:
        return "use_cudnn is False"
    conditions = {
        "activation is not tanh": layer.activation is keras.activations.tanh,
        "recurrent_activation is not sigmoid": (
            layer.recurrent_activation is keras.activations.sigmoid
        ),
        "unroll is set": not layer.unroll,
        "use_bias is False": layer.use_bias,
        "recurrent_dropout is set": not layer.recurrent_dropout,
        "reset_after is False": getattr(layer, "reset_after", True),
        "TensorFlow sees no GPU": bool(tf.config.list_physical_devices("GPU")),
    }
    return next((text for text, met in conditions.items() if not met), None)
