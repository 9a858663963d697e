"""The fused layers compared with Keras's: results, gradients and weights files, under any mask."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.recurrent import CELLS, fused, recurrent_layer
from tests.recurrent import oracle
from tests.recurrent.helpers import both_directions, every_cell, pair, stock_layer

both_modes = pytest.mark.parametrize("training", [False, True], ids=["predict", "train"])


def results(layer, inputs, mask, states=None, training=False):
    """Return outputs, states, and the gradients of weights, inputs and initial states."""
    states = states or []
    # The shapes are not static, as in `fit`.
    open_shapes = [
        tf.TensorSpec([*[None] * (array.ndim - 1), array.shape[-1]], array.dtype)
        for array in (inputs, *states)
    ]

    @tf.function(input_signature=open_shapes)
    def run(inputs, *states):
        with tf.GradientTape() as tape:
            tape.watch([inputs, *states])
            tensors = layer(
                inputs, mask=mask, initial_state=list(states) or None, training=training
            )
            tensors = tf.nest.flatten(tensors)
            loss = sum(
                tf.reduce_sum(tf.sin(tf.cast(tensor, tf.float64) * (number + 1)))
                for number, tensor in enumerate(tensors)
            )
        weights = [weight.value for weight in layer.trainable_weights]
        return tensors, tape.gradient(loss, [*weights, inputs, *states])

    return [tensor.numpy() for tensor in tf.nest.flatten(run(inputs, *states))]


def assert_equal_results(ours, stock, tolerance):
    assert len(ours) == len(stock)
    for a, b in zip(ours, stock, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        scale = max(1.0, np.abs(b).max(initial=0))
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


@pytest.fixture(autouse=True, scope="module")
def lower_thresholds():
    """Run layers that are quick to test as large ones too: split batches, short chunks, loops."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "SMALL_STATE", 8)
        patch.setattr(fused, "BLOCK_PRODUCT", 100)
        yield


# Batch, time steps, features, units: on both sides of every threshold, of the short and the long
# chunks, the unrolled steps, the split batch and TensorFlow's LSTM op.
SHAPES = [
    *(pytest.param(shape, marks=pytest.mark.slow) for shape in [(1, 1, 1, 1), (1, 70, 3, 4)]),
    pytest.param((9, 16, 2, 3), marks=pytest.mark.slow),
    (19, 35, 3, 5),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@both_modes
@every_cell
def test_results_and_gradients_equal_those_of_keras(cell, training, shape):
    batch, time, features, units = shape
    rng = np.random.default_rng(0)
    ours, stock = pair(cell, units, features, return_sequences=True, return_state=True)
    inputs = rng.normal(size=(batch, time, features)).astype("float32")
    lengths = rng.integers(1, time + 1, batch)
    number = oracle.STATES[cell]
    states = [rng.normal(size=(batch, units)).astype("float32") for _ in range(number)]
    for mask in (None, np.arange(time) < lengths[:, None]):
        arguments = (inputs, mask, states, training)
        assert_equal_results(results(ours, *arguments), results(stock, *arguments), 2e-5)


@st.composite
def masked_problems(draw):
    batch, time = draw(st.integers(1, 10)), draw(st.integers(1, 20))
    mask = draw(st.lists(st.booleans(), min_size=batch * time, max_size=batch * time))
    if draw(st.booleans()):  # padded on the right, with rows of padding only
        lengths = draw(st.lists(st.integers(0, time), min_size=batch, max_size=batch))
        mask = np.arange(time) < np.array(lengths)[:, None]
    options = {
        "return_sequences": draw(st.booleans()),
        "return_state": draw(st.booleans()),
        "use_bias": draw(st.booleans()),
    }
    bidirectional = draw(st.booleans())
    if not bidirectional:
        options["go_backwards"] = draw(st.booleans())
        options["zero_output_for_mask"] = draw(st.booleans())
    return (
        draw(st.sampled_from(list(CELLS))),
        bidirectional,
        options,
        np.array(mask).reshape(batch, time),
        draw(st.integers(0, 2**31)),
    )


@pytest.mark.slow
@settings(max_examples=12)
@given(masked_problems())
def test_results_equal_those_of_keras_for_any_mask(problem):
    cell, bidirectional, options, mask, seed = problem
    ours, stock = pair(cell, 3, 2, bidirectional, **options)
    inputs = np.random.default_rng(seed).normal(size=(*mask.shape, 2)).astype("float32")
    assert_equal_results(results(ours, inputs, mask), results(stock, inputs, mask), 2e-5)


@every_cell
def test_the_compiled_loop_equals_the_oracle_in_float64(cell):
    lengths, time, features, units = [35, 16, 1, 20, 33, 17, 32, 2, 9], 35, 3, 2
    rng = np.random.default_rng(3)
    weights = oracle.random_weights(rng, cell, features, units)
    inputs = rng.normal(size=(len(lengths), time, features))
    states = [rng.normal(size=(len(lengths), units)) for _ in range(oracle.STATES[cell])]
    outputs, last, tape = oracle.forward(cell, weights, inputs, lengths, states)
    valid = oracle.valid_steps(lengths, len(lengths), time)
    d_outputs = rng.normal(size=outputs.shape) * valid[..., None]
    d_last = [rng.normal(size=state.shape) for state in last]
    expected = oracle.backward(cell, weights, tape, d_outputs, d_last)

    variables = [tf.constant(array) for array in (*weights, inputs, *states)]

    @tf.function
    def run():
        with tf.GradientTape() as gradients:
            gradients.watch(variables)
            kernel, recurrent_kernel, bias, x, *initial = variables
            outputs, last = fused.run(
                cell,
                x,
                initial,
                kernel,
                recurrent_kernel,
                bias,
                tf.constant(lengths),
                compiled=True,
            )
            loss = tf.reduce_sum(outputs * d_outputs)
            loss += sum(tf.reduce_sum(a * b) for a, b in zip(last, d_last, strict=True))
        return outputs, last, gradients.gradient(loss, variables)

    actual_outputs, actual_last, actual = run()
    np.testing.assert_allclose(actual_outputs.numpy()[valid], outputs[valid], atol=1e-10)
    for a, b in zip(actual_last, last, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)
    expected_gradients = [
        expected[name] for name in ("kernel", "recurrent_kernel", "bias", "inputs")
    ]
    for a, b in zip(actual, [*expected_gradients, *expected["initial_states"]], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "tolerance"), [("mixed_float16", 2e-2), ("mixed_bfloat16", 0.1)]
)
@both_modes
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_mixed_precision_is_near_float32(cell, training, policy, tolerance):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(9, 12, 3)).astype("float32")
    mixed, _ = pair(cell, 4, 3, return_sequences=True, dtype=policy)
    exact, _ = pair(cell, 4, 3, return_sequences=True)
    ours = results(mixed, inputs, None, training=training)
    assert ours[0].dtype == tf.as_dtype(policy.removeprefix("mixed_")).as_numpy_dtype
    for a, b in zip(ours, results(exact, inputs, None, training=training), strict=True):
        scale = max(1.0, np.abs(b).max())
        np.testing.assert_allclose(a.astype("float32"), b, rtol=0, atol=tolerance * scale)


@both_directions
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_weights_files_are_exchangeable_with_keras(cell, bidirectional, tmp_path):
    def model(layer):
        return keras.Sequential([keras.Input((None, 3)), layer, keras.layers.Dense(2)])

    ours, stock = (
        model(recurrent_layer(cell, 4, bidirectional=bidirectional)),
        model(stock_layer(cell, 4, bidirectional)),
    )
    inputs = np.random.default_rng(0).normal(size=(5, 7, 3)).astype("float32")
    for number, (source, target) in enumerate([(ours, stock), (stock, ours)]):
        for weight in source.weights:
            weight.assign(np.random.default_rng(number).normal(size=weight.shape) / 2)
        source.save_weights(tmp_path / "model.weights.h5")
        target.load_weights(tmp_path / "model.weights.h5")
        np.testing.assert_allclose(source(inputs), target(inputs), atol=1e-5)


@every_cell
def test_a_saved_model_reloads_in_safe_mode_as_ours(cell, tmp_path):
    layer = recurrent_layer(cell, 4, bidirectional=True)
    model = keras.Sequential([keras.Input((None, 3)), layer])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again.layers[0]) is type(layer)
    assert type(again.layers[0].forward_layer) is CELLS[cell]
    inputs = np.random.default_rng(0).normal(size=(5, 7, 3)).astype("float32")
    assert np.array_equal(model(inputs), again(inputs))


@every_cell
@pytest.mark.parametrize("units", [4, 10])  # for an LSTM: in TensorFlow's op, and in a loop
def test_no_rows_or_no_steps_have_empty_outputs(cell, units):
    layer = recurrent_layer(cell, units, bidirectional=True, return_sequences=True)

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3])])
    def run(inputs):
        return layer(inputs)

    for rows, time in ((0, 5), (0, 0), (2, 0)):
        assert run(tf.zeros((rows, time, 3))).shape == (rows, time, 2 * units)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_fit_learns_with_batches_of_any_size(cell):
    # The last batch is smaller than the others.
    keras.utils.set_random_seed(0)
    layer = recurrent_layer(cell, 8, bidirectional=True)
    model = keras.Sequential([keras.Input((None, 2)), layer, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    inputs = np.random.default_rng(0).normal(size=(21, 18, 2)).astype("float32")
    history = model.fit(inputs, inputs[:, 3, :1], epochs=30, batch_size=16, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]


def test_unsupported_options_run_on_keras_own_loop():
    ours, stock = pair("lstm", 3, 2, activation="relu", return_sequences=True)
    inputs = np.random.default_rng(0).normal(size=(2, 5, 2)).astype("float32")
    assert np.array_equal(ours(inputs), stock(inputs))
    with pytest.raises(ValueError, match="cuDNN is not supported"):
        recurrent_layer("lstm", 3, use_cudnn=True, activation="relu")(inputs)
