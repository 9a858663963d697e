"""Which path each recurrent layer of a model takes, and why."""

from collections.abc import Iterator
from typing import NamedTuple

import keras

from lstm_zoo import compat
from lstm_zoo.recurrent.cells import cudnn_obstacle, fused_obstacle


class Path(NamedTuple):
    """The path of one recurrent layer: its name, class and units, the path, and the reason."""

    layer: str
    kind: str
    units: int | None
    path: str
    reason: str


def explain(model: keras.Model) -> list[Path]:
    """Return the path of every recurrent layer on this machine, and the reason for it.

    Args:
        model: any Keras model.

    Returns:
        A `Path` for each recurrent layer, and for each direction of a bidirectional one. `path` is
        "cuDNN", "fused" (lstm_zoo's loop) or "loop" (Keras's); `reason` is the condition that
        ruled out the path before it in this list.

    Example:

    >>> [row.path for row in explain(keras.Sequential([keras.layers.SimpleRNN(4)]))]
    ['loop']
    """
    rows = []
    for layer in _recurrent_layers(model):
        path, reason = "cuDNN", "TensorFlow sees a GPU, and cuDNN supports the layer"
        if obstacle := cudnn_obstacle(layer):
            path, reason = "fused", obstacle
        if obstacle and (obstacle := fused_obstacle(layer)):
            path, reason = "loop", obstacle
        # A `keras.layers.RNN` has no units.
        units = getattr(layer, "units", None)
        rows.append(Path(layer.name, type(layer).__name__, units, path, reason))
    return rows


def _recurrent_layers(layer: keras.Layer) -> Iterator[keras.layers.RNN]:
    """Find the recurrent layers in a layer, nested ones too, in their order."""
    for inner in compat.sublayers(layer):
        if isinstance(inner, keras.layers.RNN):
            yield inner
        else:
            yield from _recurrent_layers(inner)
