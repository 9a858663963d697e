"""Why each recurrent layer runs the way it does."""

from typing import NamedTuple

import keras
import tensorflow as tf


class Path(NamedTuple):
    """How one layer runs: its name, kind and units, the path, and the condition that decided."""

    layer: str
    kind: str
    units: int
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
    for layer in model.layers:
        if isinstance(layer, keras.layers.Bidirectional):
            for side in (layer.forward_layer, layer.backward_layer):
                rows.append(_explain_layer(f"{layer.name}/{side.name}", side))
        elif isinstance(layer, keras.layers.RNN):
            rows.append(_explain_layer(layer.name, layer))
    return rows


def _explain_layer(name: str, layer: keras.layers.RNN) -> Path:
    obstacle = _cudnn_obstacle(layer)
    path = "loop" if obstacle else "cuDNN"
    reason = obstacle or "a GPU is here, and the layer is one that cuDNN has"
    return Path(name, type(layer).__name__, layer.units, path, reason)


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
