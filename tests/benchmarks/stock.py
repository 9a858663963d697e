"""Keras's own recurrent layers, the baseline of the benchmarks."""

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
def replace_ours() -> Iterator[None]:
    """Make the builders of networks use Keras's layers inside the block."""
    ours = dict(cells.CELLS), cells.Bidirectional
    cells.CELLS.update(LAYERS)
    cells.Bidirectional = keras.layers.Bidirectional
    try:
        yield
    finally:
        cells.CELLS.update(ours[0])
        cells.Bidirectional = ours[1]
