"""Why each recurrent layer runs the way it does."""

from collections.abc import Iterator
from typing import NamedTuple

import keras

from lstm_zoo import compat
from lstm_zoo.recurrent.cells import cudnn_obstacle, fused_obstacle


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
        `path` is "cuDNN", "fused" (lstm_zoo's loop) or "loop" (Keras's), and `reason` the
        condition that kept the layer from the path before.

    Example:

    >>> [row.path for row in explain(keras.Sequential([keras.layers.SimpleRNN(4)]))]
    ['loop']
    """
    rows = []
    for layer in _recurrent_layers(model):
        path, reason = "cuDNN", "a GPU is here, and the layer is one that cuDNN has"
        if obstacle := cudnn_obstacle(layer):
            path, reason = "fused", obstacle
        if obstacle and (obstacle := fused_obstacle(layer)):
            path, reason = "loop", obstacle
        # A layer of a cell has no units of its own.
        units = getattr(layer, "units", None)
        rows.append(Path(layer.name, type(layer).__name__, units, path, reason))
    return rows


def _recurrent_layers(layer: keras.Layer) -> Iterator[keras.layers.RNN]:
    """Find the recurrent layers in a layer, in their order, those inside of others too."""
    for inner in compat.sublayers(layer):
        if isinstance(inner, keras.layers.RNN):
            yield inner
        else:
            yield from _recurrent_layers(inner)
