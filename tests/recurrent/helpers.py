"""Layers and parametrizations that the tests of recurrent layers share."""

import keras
import numpy as np
import pytest

from lstm_zoo.recurrent import CELLS, recurrent_layer

STOCK = {"simple_rnn": keras.layers.SimpleRNN, "gru": keras.layers.GRU, "lstm": keras.layers.LSTM}

every_cell = pytest.mark.parametrize("cell", CELLS)
both_directions = pytest.mark.parametrize(
    "bidirectional", [False, True], ids=["forward", "bidirectional"]
)


def layer_with(weights, cell, units, features, **options):
    """Build a layer with these weights that returns its outputs and its states."""
    layer = recurrent_layer(cell, units, return_sequences=True, return_state=True, **options)
    layer.build((None, None, features))
    layer.set_weights(weights)
    return layer


def stock_layer(cell, units, bidirectional=False, **options):
    """Make Keras's own layer, which never runs on cuDNN: that takes masks of one form only."""
    layer = STOCK[cell](units, **options)
    directions = [layer]
    if bidirectional:
        layer = keras.layers.Bidirectional(layer)
        directions = [layer.forward_layer, layer.backward_layer]
    for direction in directions:
        direction.use_cudnn = False
    return layer


def pair(cell, units, features, bidirectional=False, **options):
    """Make our layer and Keras's with the same random weights, neither of them on cuDNN."""
    layers = [
        recurrent_layer(cell, units, bidirectional=bidirectional, use_cudnn=False, **options),
        stock_layer(cell, units, bidirectional, **options),
    ]
    rng = np.random.default_rng(1)
    for layer in layers:
        layer.build((None, None, features))
    weights = [rng.normal(size=weight.shape) / 2 for weight in layers[0].weights]
    for layer in layers:
        layer.set_weights(weights)
    return layers


def assert_close(actual, expected, tolerance):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)
