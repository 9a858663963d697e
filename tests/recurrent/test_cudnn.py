"""The cuDNN path: its results, and that nothing undefined at padding leaves it.

Without a GPU, with cuDNN faked on a processor.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from lstm_zoo import build_sentiment, build_speech, build_translation
from lstm_zoo.recurrent import recurrent_layer, recurrent_stack
from tests.recurrent import oracle
from tests.recurrent.fake_cudnn import fake_cudnn, fake_gpus
from tests.recurrent.helpers import STOCK, both_directions

TIME, FEATURES, UNITS = 5, 3, 4

with_cudnn = pytest.mark.parametrize("cell", ["gru", "lstm"])


def results(network, mask, training=False):
    """Return a network's outputs at valid steps, its states, and every gradient, in a graph."""
    batch = 3 if mask is None else len(mask)
    valid = np.ones((batch, TIME), bool) if mask is None else mask
    rng = np.random.default_rng(0)
    inputs = tf.constant(rng.normal(size=(batch, TIME, FEATURES)), "float32")

    @tf.function
    def run():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs, *states = network.call(inputs, mask, training)
            outputs *= valid[..., np.newaxis].astype("float32")  # would keep a NaN
            loss = sum(tf.reduce_sum(tf.sin(tensor)) for tensor in (outputs, *states))
        variables = [weight.value for weight in network.layer.trainable_weights]
        return outputs, *states, *tape.gradient(loss, [inputs, *variables])

    return [tensor.numpy() for tensor in run()]


class Network(NamedTuple):
    """A Keras layer or model, and how it is called with inputs, a mask and `training`."""

    layer: keras.Layer
    call: Callable

    def with_fixed_weights(self):
        rng = np.random.default_rng(1)
        for weight in self.layer.trainable_weights:
            weight.assign(rng.normal(size=weight.shape) / 2)
        return self


def one_layer(cell, **options):
    layer = recurrent_layer(cell, UNITS, return_sequences=True, return_state=True, **options)
    layer.build((None, None, FEATURES))

    def call(inputs, mask, training):
        outputs, *states = layer(inputs, mask=mask, training=training)
        if options.get("go_backwards"):  # the outputs are in the order of reading
            outputs = tf.reverse(outputs, [1])
        return outputs, *states

    return Network(layer, call).with_fixed_weights()


def stack(cell, bidirectional, use_cudnn="auto"):
    """Build two layers with a residual, so that a gradient goes around the second one too."""
    inputs, mask = keras.Input((None, FEATURES)), keras.Input((None,), dtype="bool")
    outputs, states = recurrent_stack(
        inputs,
        mask,
        cell=cell,
        units=(UNITS, UNITS),
        bidirectional=bidirectional,
        dropout=0.0,
        residual=True,
        use_cudnn=use_cudnn,
    )
    model = keras.Model([inputs, mask], [outputs, *states])
    return Network(
        model,
        lambda inputs, mask, training: model([inputs, tf.constant(mask)], training=training),
    ).with_fixed_weights()


def assert_equal(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)  # a NaN is not close


@pytest.mark.parametrize(
    ("cell", "bidirectional"),
    [
        ("lstm", False),
        pytest.param("lstm", True, marks=pytest.mark.slow),
        pytest.param("gru", False, marks=pytest.mark.slow),
        pytest.param("gru", True, marks=pytest.mark.slow),
    ],
)
def test_what_is_undefined_at_padding_reaches_no_result_and_no_gradient(
    cell, bidirectional, monkeypatch
):
    mask = oracle.valid_steps([5, 1, 3], 3, TIME)
    fused = results(stack(cell, bidirectional, use_cudnn=False), mask)
    fake_cudnn(monkeypatch)
    assert_equal(results(stack(cell, bidirectional), mask), fused)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bidirectional": True},
        {"go_backwards": True},
        {"bidirectional": True, "dropout": 0.5, "seed": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("lengths", [None, [5, 1, 3]], ids=str)
@with_cudnn
def test_results_and_gradients_of_a_layer_equal_the_fused_ones(cell, lengths, options, monkeypatch):
    mask = None if lengths is None else oracle.valid_steps(lengths, len(lengths), TIME)
    training = "dropout" in options
    fused = results(one_layer(cell, use_cudnn=False, **options), mask, training)
    fake_cudnn(monkeypatch)
    assert_equal(results(one_layer(cell, **options), mask, training), fused)


@both_directions
def test_the_last_output_alone_is_the_fused_one(bidirectional, monkeypatch):
    layer = recurrent_layer("gru", UNITS, bidirectional=bidirectional)
    inputs = np.random.default_rng(0).normal(size=(3, TIME, FEATURES)).astype("float32")
    mask = oracle.valid_steps([5, 1, 3], 3, TIME)
    fused = layer(inputs, mask=mask)
    fake_cudnn(monkeypatch)
    assert_equal(layer(inputs, mask=mask), fused)


@with_cudnn
def test_stock_keras_has_the_fault(cell, monkeypatch):
    # If this fails, Keras may have fixed it, and `lstm_zoo.recurrent.cudnn` be superfluous.
    fake_cudnn(monkeypatch)
    mask = oracle.valid_steps([5, 1, 3], 3, TIME)
    layer = STOCK[cell](UNITS)
    inputs = tf.ones((3, TIME, FEATURES))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, mask=mask)
    gradient = tape.gradient(outputs, inputs).numpy()
    assert np.array_equal(np.isnan(gradient).all(axis=-1), ~mask)


IDS = [[3, 4, 5, 6], [7, 0, 0, 0]]
SIZES = {"variant": "tiny", "bidirectional": True, "dropout": 0.0}  # a dropout is a select too
FAMILIES = {
    "sentiment": (build_sentiment, (9, 2), {"units": (3, 3)}, lambda: tf.constant(IDS)),
    "speech": (
        build_speech,
        (9, 4),
        {"units": (3, 3), "subsampling_kind": "conv"},  # which needs the gradient
        lambda: [tf.ones((2, 9, 4)), tf.constant([9, 1])],
    ),
    "translation": (
        build_translation,
        (9, 9),
        {"encoder_units": (3, 3), "reverse_source": True},
        lambda: [tf.constant(IDS), tf.constant([[2, 5, 6], [2, 5, 0]])],
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("cell", [pytest.param("gru", marks=pytest.mark.slow), "lstm"])
def test_in_every_familys_graph_a_select_cuts_off_the_gradient_of_padding(
    family, cell, monkeypatch
):
    fake_gpus(monkeypatch, count=1)  # with cuDNN's own op, which is traced and not run
    build, vocabularies, sizes, make_inputs = FAMILIES[family]
    model = build(*vocabularies, cell=cell, **SIZES, **sizes)

    @tf.function(autograph=False)
    def gradients(inputs):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(inputs, training=True))
        return tape.gradient(loss, [weight.value for weight in model.trainable_weights])

    operations = gradients.get_concrete_function(make_inputs()).graph.get_operations()
    passes = [op for op in operations if op.type == "CudnnRNNBackpropV3"]
    cut_off = [op for op in passes if ends(op.outputs[0]) == {"SelectV2"}]
    assert len(cut_off) == 4  # two layers of two directions
    # The decoder of translation has no mask: all its steps are valid.
    without_mask = [op for op in passes if op not in cut_off]
    assert len(without_mask) == (1 if family == "translation" else 0)
    assert all("Fill" in {x.op.type for x in op.inputs} for op in without_mask)


def ends(tensor):
    """Return the types of the ops that first change a gradient, but for its order and scale."""
    found = set()
    for op in tensor.consumers():
        found |= ends(op.outputs[0]) if op.type in ("ReverseSequence", "Mul") else {op.type}
    return found


@with_cudnn
@pytest.mark.parametrize("masked", [True, False])
def test_an_empty_batch_has_empty_results(monkeypatch, cell, masked):
    fake_cudnn(monkeypatch)
    network = one_layer(cell)
    mask = np.zeros((0, TIME), bool) if masked else None
    outputs, *states = network.call(tf.zeros((0, TIME, FEATURES)), mask, False)
    assert outputs.shape == (0, TIME, UNITS)
    assert all(state.shape == (0, UNITS) for state in states)
