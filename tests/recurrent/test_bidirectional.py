"""Bidirectional layers: outputs compared with the oracle and Keras, options, configuration."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from lstm_zoo.recurrent import recurrent_layer
from lstm_zoo.recurrent.bidirectional import Bidirectional
from tests.recurrent import oracle
from tests.recurrent.helpers import assert_close, every_cell, layer_with, pair


def case(cell, time, batch):
    """Draw weights for 2 features and 3 units, and inputs, in float64."""
    rng = np.random.default_rng(0)
    weights = oracle.random_weights(rng, cell, 2, 3, bidirectional=True)
    return weights, rng.normal(size=(batch, time, 2))


@every_cell
def test_each_half_of_the_outputs_is_one_directions_in_the_order_of_the_inputs(cell):
    weights, inputs = case(cell, time=4, batch=2)
    outputs, *_ = layer_with(weights, cell, 3, 2, bidirectional=True)(
        tf.constant(inputs, "float32")
    )
    forward, _, _ = oracle.forward(cell, weights[:3], inputs)
    backward, _, _ = oracle.forward(cell, weights[3:], inputs[:, ::-1])
    assert_close(outputs[..., :3], forward, 1e-5)
    assert_close(outputs[..., 3:], backward[:, ::-1], 1e-5)


@every_cell
def test_without_return_sequences_the_output_is_the_last_valid_one(cell):
    lengths = [2, 4]
    weights, inputs = case(cell, time=4, batch=2)
    layer = recurrent_layer(cell, 3, bidirectional=True, name="encoder")
    layer.build((None, None, 2))
    layer.set_weights(weights)
    mask = tf.constant(oracle.valid_steps(lengths, 2, 4))
    outputs = layer(tf.constant(inputs, "float32"), mask=mask)
    _, states, _ = oracle.bidirectional_forward(cell, weights, inputs, lengths)
    hidden = [states[0], states[oracle.STATES[cell]]]
    assert_close(outputs, np.concatenate(hidden, axis=-1), 1e-5)
    assert layer.name == "encoder"


@every_cell
def test_it_computes_in_its_dtype(cell):
    weights, inputs = case(cell, time=4, batch=2)
    outputs, *_ = layer_with(weights, cell, 3, 2, bidirectional=True, dtype="float64")(
        tf.constant(inputs)
    )
    assert outputs.dtype == "float64"
    assert_close(outputs, oracle.bidirectional_forward(cell, weights, inputs)[0], 1e-10)


@every_cell
def test_outputs_at_padding_are_zeros_as_in_keras(cell):
    ours, stock = pair(cell, 3, 2, bidirectional=True, return_sequences=True)
    inputs = np.random.default_rng(2).normal(size=(2, 5, 2)).astype("float32")
    mask = oracle.valid_steps([2, 5], 2, 5)
    outputs = ours(inputs, mask=mask).numpy()
    assert_close(outputs, stock(inputs, mask=mask), 1e-5)
    assert np.all(outputs[~mask] == 0) and np.all(outputs[mask] != 0)


@pytest.mark.parametrize("use_cudnn", [False, "auto", True])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_use_cudnn_reaches_both_directions(cell, use_cudnn):
    layer = recurrent_layer(cell, 2, bidirectional=True, use_cudnn=use_cudnn)
    # `is`, since 1 == True would hide a wrong conversion.
    assert layer.forward_layer.use_cudnn is use_cudnn
    assert layer.backward_layer.use_cudnn is use_cudnn
    assert recurrent_layer(cell, 2, use_cudnn=use_cudnn).use_cudnn is use_cudnn


@every_cell
def test_only_a_unidirectional_layer_splits_the_batch(cell):
    assert recurrent_layer(cell, 2).split_batch
    layer = recurrent_layer(cell, 2, bidirectional=True)
    for each in (layer, Bidirectional.from_config(layer.get_config())):
        assert not each.forward_layer.split_batch and not each.backward_layer.split_batch


@every_cell
def test_its_configuration_names_the_directions_and_restores_them(cell):
    layer = recurrent_layer(cell, 2, bidirectional=True, name="encoder", return_sequences=True)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is Bidirectional
    for each in (layer, again):
        names = [each.name, each.forward_layer.name, each.backward_layer.name]
        assert names == ["encoder", "forward_encoder", "backward_encoder"]
        assert not each.forward_layer.go_backwards and each.backward_layer.go_backwards
        assert each.return_sequences
