"""The path of each recurrent layer, and the reason reported for it."""

import keras
import pytest
import tensorflow as tf

from lstm_zoo.recurrent import CELLS, explain, recurrent_layer
from tests.recurrent.fake_cudnn import fake_gpus

KINDS = {"simple_rnn": "SimpleRNN", "gru": "GRU", "lstm": "LSTM"}
NO_GPU = "TensorFlow sees no GPU"
CUDNN_FITS = "TensorFlow sees a GPU, and cuDNN supports the layer"

with_cudnn = pytest.mark.parametrize("cell", ["gru", "lstm"])


@pytest.fixture
def gpu(monkeypatch):
    fake_gpus(monkeypatch, count=1)


@pytest.fixture
def no_gpu(monkeypatch):
    fake_gpus(monkeypatch, count=0)


def explain_one(layer):
    (row,) = explain(keras.Sequential([layer]))
    return row


@pytest.mark.parametrize("cell", CELLS)
def test_a_row_has_name_class_and_units(cell):
    row = explain_one(recurrent_layer(cell, 5, name="encoder"))
    assert (row.layer, row.kind, row.units) == ("encoder", KINDS[cell], 5)


@pytest.mark.parametrize("cell", CELLS)
def test_each_direction_has_its_own_row(cell):
    rows = explain(keras.Sequential([recurrent_layer(cell, 5, bidirectional=True, name="encoder")]))
    assert [(row.kind, row.units) for row in rows] == [(KINDS[cell], 5)] * 2
    assert {row.layer for row in rows} == {"forward_encoder", "backward_encoder"}


def test_rows_are_of_recurrent_layers_only_in_the_models_order(no_gpu):
    inputs = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(10, 4)(inputs)
    x = recurrent_layer("lstm", 4, return_sequences=True, bidirectional=True, name="first")(x)
    x = keras.layers.Dropout(0.5)(x)
    x = recurrent_layer("gru", 3, return_sequences=True, use_cudnn=False, name="second")(x)
    x = recurrent_layer("simple_rnn", 2, name="third")(x)
    rows = explain(keras.Model(inputs, keras.layers.Dense(1)(x)))
    assert [tuple(row)[:1] + tuple(row)[2:] for row in rows] == [
        ("forward_first", 4, "fused", NO_GPU),
        ("backward_first", 4, "fused", NO_GPU),
        ("second", 3, "fused", "use_cudnn is False"),
        ("third", 2, "fused", "cuDNN has no SimpleRNN in Keras"),
    ]


def test_nested_layers_have_rows_too():
    inner = keras.Sequential([recurrent_layer("gru", 3, name="inside")])
    rows = explain(keras.Sequential([keras.Input((4, 2)), inner]))
    assert [row.layer for row in rows] == ["inside"]


def test_keras_rnn_has_a_row_without_units():
    row = explain_one(keras.layers.RNN(keras.layers.LSTMCell(2)))
    assert (row.units, row.path, row.reason) == (
        None,
        "loop",
        "RNN is not one of lstm_zoo's layers",
    )


def test_a_model_without_recurrent_layers_has_no_rows():
    assert explain(keras.Sequential([keras.layers.Dense(2)])) == []


@with_cudnn
def test_without_a_gpu_the_path_is_fused(cell, no_gpu):
    row = explain_one(recurrent_layer(cell, 4))
    assert (row.path, row.reason) == ("fused", NO_GPU)


@pytest.mark.parametrize("bidirectional", [False, True])
@with_cudnn
def test_with_a_gpu_the_path_is_cudnn(cell, bidirectional, gpu):
    rows = explain(keras.Sequential([recurrent_layer(cell, 4, bidirectional=bidirectional)]))
    assert [(row.path, row.reason) for row in rows] == [("cuDNN", CUDNN_FITS)] * (1 + bidirectional)


def test_keras_own_layer_runs_in_its_loop(no_gpu):
    row = explain_one(keras.layers.LSTM(4))
    assert (row.path, row.reason) == ("loop", "LSTM is not one of lstm_zoo's layers")


@pytest.mark.parametrize("bidirectional", [False, True])
@with_cudnn
def test_without_bias_a_layer_is_fused_even_with_a_gpu(cell, bidirectional, gpu):
    layer = recurrent_layer(cell, 4, bidirectional=bidirectional, use_bias=False)
    rows = explain(keras.Sequential([layer]))
    assert [(row.path, row.reason) for row in rows] == [("fused", "use_bias is False")] * (
        1 + bidirectional
    )


def test_a_simple_rnn_is_fused_even_with_a_gpu(gpu):
    row = explain_one(recurrent_layer("simple_rnn", 4))
    assert (row.path, row.reason) == ("fused", "cuDNN has no SimpleRNN in Keras")


@pytest.mark.parametrize("bidirectional", [False, True])
@with_cudnn
def test_use_cudnn_false_is_fused_even_with_a_gpu(cell, bidirectional, gpu):
    layer = recurrent_layer(cell, 4, bidirectional=bidirectional, use_cudnn=False)
    rows = explain(keras.Sequential([layer]))
    reasons = [("fused", "use_cudnn is False")] * (1 + bidirectional)
    assert [(row.path, row.reason) for row in rows] == reasons


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"activation": "relu"}, "activation is not tanh"),
        ({"activation": None}, "activation is not tanh"),
        ({"recurrent_activation": "hard_sigmoid"}, "recurrent_activation is not sigmoid"),
        ({"unroll": True}, "unroll is set"),
        ({"recurrent_dropout": 0.1}, "recurrent_dropout is set"),
    ],
    ids=str,
)
@pytest.mark.parametrize("bidirectional", [False, True])
@with_cudnn
def test_an_unmet_condition_is_the_reason(cell, bidirectional, options, reason, gpu):
    layer = recurrent_layer(cell, 4, bidirectional=bidirectional, **options)
    rows = explain(keras.Sequential([layer]))
    assert [(row.path, row.reason) for row in rows] == [("loop", reason)] * (1 + bidirectional)


def test_a_gru_with_reset_before_the_product_runs_in_keras_loop(gpu):
    row = explain_one(recurrent_layer("gru", 4, reset_after=False))
    assert (row.path, row.reason) == ("loop", "reset_after is False")


@with_cudnn
def test_input_dropout_is_no_obstacle(cell, gpu):
    assert explain_one(recurrent_layer(cell, 4, dropout=0.5)).path == "cuDNN"


@with_cudnn
def test_a_layers_obstacle_is_reported_before_the_machines(cell, no_gpu):
    # The layer's holds on any machine.
    row = explain_one(recurrent_layer(cell, 4, unroll=True))
    assert row.reason == "unroll is set"


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="this machine has a GPU")
def test_a_machine_without_a_gpu_is_recognized():
    assert explain_one(recurrent_layer("lstm", 4)).reason == NO_GPU
