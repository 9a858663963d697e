"""Recurrent layers: the cells, their stacks, and why each layer runs as it does."""

from lstm_zoo.recurrent.cells import CELLS, recurrent_layer
from lstm_zoo.recurrent.explain import explain
from lstm_zoo.recurrent.stack import length_mask, recurrent_stack

__all__ = ["CELLS", "explain", "length_mask", "recurrent_layer", "recurrent_stack"]
