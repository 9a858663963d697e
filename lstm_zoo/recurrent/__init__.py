"""Recurrent layers: the cells, stacks of them, pooling, and which path each layer takes."""

from lstm_zoo.recurrent.cells import CELLS, recurrent_layer
from lstm_zoo.recurrent.explain import explain
from lstm_zoo.recurrent.pooling import Pooling
from lstm_zoo.recurrent.portable import portable_loops
from lstm_zoo.recurrent.stack import (
    LengthMask,
    RightPadding,
    layer_names,
    recurrent_stack,
    state_names,
)

__all__ = [
    "CELLS",
    "LengthMask",
    "Pooling",
    "RightPadding",
    "explain",
    "layer_names",
    "portable_loops",
    "recurrent_layer",
    "recurrent_stack",
    "state_names",
]
