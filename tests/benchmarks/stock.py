"""Keras's own recurrent layers, to compare ours with."""

import contextlib
from collections.abc import Iterator

import keras

from lstm_zoo.recurrent import cells

LAYERS = {
    "simple_rnn": keras.layers.SimpleRNN,
    "gru": keras.layers.GRU,
    "lstm": keras.layers.LSTM,
}


@contextlib.contextmanager
def in_place_of_ours() -> Iterator[None]:
    """Have the builders of networks take Keras's layers."""
    ours = dict(cells.CELLS), cells.Bidirectional
    cells.CELLS.update(LAYERS)
    cells.Bidirectional = keras.layers.Bidirectional
    try:
        yield
    finally:
        cells.CELLS.update(ours[0])
        cells.Bidirectional = ours[1]
