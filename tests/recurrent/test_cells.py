"""Each cell against the NumPy oracle: outputs, final states and every gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.recurrent import CELLS, recurrent_layer
from tests.recurrent import oracle

# float32 is held to its rounding; float64 so closely that only the same equations pass.
TOLERANCES = {"float32": 1e-5, "float64": 1e-10}

# Time steps, features, units, and the lengths, one a row.
SHAPES = {
    "mixed lengths": (5, 4, 3, [5, 1, 3]),
    "one row of full length": (4, 2, 3, [4]),
    "one row of one real step": (6, 1, 2, [1]),
    "one time step": (1, 3, 2, [1, 1]),
    "one unit": (4, 3, 1, [2, 4]),
}

every_cell = pytest.mark.parametrize("cell", CELLS)
both_ways = pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both ways"])


@pytest.fixture
def dtype(request):
    """Make a dtype Keras's own for one test.

    A layer's `dtype` alone would not do: a bidirectional layer is a wrapper with a dtype too.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


def case(cell, bidirectional, shape, seed=0):
    """Draw a layer's weights, inputs and initial states, in float64."""
    time, features, units, lengths = shape
    rng = np.random.default_rng(seed)
    weights = oracle.random_weights(rng, cell, features, units, bidirectional=bidirectional)
    inputs = rng.normal(size=(len(lengths), time, features))
    number = oracle.STATES[cell] * (2 if bidirectional else 1)
    states = [rng.normal(size=(len(lengths), units)) for _ in range(number)]
    return rng, weights, inputs, states


def keras_layer(cell, units, weights, features, **options):
    layer = recurrent_layer(cell, units, return_sequences=True, return_state=True, **options)
    layer.build((None, None, features))
    layer.set_weights(weights)
    return layer


def reference(bidirectional):
    if bidirectional:
        return oracle.bidirectional_forward, oracle.bidirectional_backward
    return oracle.forward, oracle.backward


def in_order(gradients, bidirectional):
    """List the oracle's gradients: weights as Keras orders them, inputs, initial states."""
    sides = gradients if bidirectional else (gradients,)
    return [
        *(side[name] for side in sides for name in ("kernel", "recurrent_kernel", "bias")),
        sides[0]["inputs"],
        *(state for side in sides for state in side["initial_states"]),
    ]


def rounded(arrays, dtype):
    """Round to a dtype and return to float64, so that both sides start from the same numbers."""
    return [array.astype(dtype).astype("float64") for array in arrays]


def assert_close(actual, expected, tolerance):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)], indirect=True
)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@both_ways
@every_cell
def test_outputs_states_and_gradients_are_the_oracles(cell, bidirectional, shape, dtype):
    time, features, units, lengths = shape
    rng, weights, inputs, states = case(cell, bidirectional, shape)
    weights = rounded(weights, dtype)
    inputs, *states = rounded([inputs, *states], dtype)
    real = oracle.real_steps(lengths, len(lengths), time)

    # The loss is a random linear functional, so that no gradient cancels another by symmetry. It
    # leaves padded outputs out, as any model under a mask does.
    width = units * (2 if bidirectional else 1)
    output_weights = rng.normal(size=(len(lengths), time, width)) * real[..., None]
    state_weights = [rng.normal(size=state.shape) for state in states]
    output_weights, *state_weights = rounded([output_weights, *state_weights], dtype)

    layer = keras_layer(cell, units, weights, features, bidirectional=bidirectional, dtype=dtype)
    tensors = [tf.constant(array, dtype) for array in (inputs, *states)]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        outputs, *final = layer(tensors[0], initial_state=tensors[1:], mask=tf.constant(real))
        loss = tf.reduce_sum(outputs * output_weights.astype(dtype))
        for state, weight in zip(final, state_weights, strict=True):
            loss += tf.reduce_sum(state * weight.astype(dtype))
    variables = [weight.value for weight in layer.trainable_weights]
    gradients = tape.gradient(loss, [*variables, *tensors])

    run, run_back = reference(bidirectional)
    expected_outputs, expected_final, record = run(cell, weights, inputs, lengths, states)
    expected = run_back(cell, weights, record, output_weights, state_weights)
    expected_gradients = in_order(expected, bidirectional)

    tolerance = TOLERANCES[dtype]
    assert outputs.dtype == dtype
    assert_close(outputs.numpy()[real], expected_outputs[real], tolerance)
    assert len(final) == len(expected_final)
    for actual, wanted in zip(final, expected_final, strict=True):
        assert_close(actual, wanted, tolerance)
    assert len(gradients) == len(expected_gradients)
    for actual, wanted in zip(gradients, expected_gradients, strict=True):
        assert np.any(wanted), "a gradient of zeros would test nothing"
        assert_close(actual, wanted, tolerance)
    assert not np.any(gradients[len(variables)].numpy()[~real]), "padding has no gradient"


@st.composite
def problems(draw):
    shape = [draw(st.integers(1, 6)), draw(st.integers(1, 4)), draw(st.integers(1, 4))]
    lengths = draw(st.lists(st.integers(1, shape[0]), min_size=1, max_size=4))
    cell = draw(st.sampled_from(list(CELLS)))
    return cell, draw(st.booleans()), (*shape, lengths), draw(st.integers(0, 2**31))


@settings(max_examples=40)
@given(problems())
def test_outputs_and_states_are_the_oracles_for_any_shape(problem):
    cell, bidirectional, shape, seed = problem
    time, features, units, lengths = shape
    _, weights, inputs, states = case(cell, bidirectional, shape, seed)
    real = oracle.real_steps(lengths, len(lengths), time)
    outputs, *final = keras_layer(cell, units, weights, features, bidirectional=bidirectional)(
        tf.constant(inputs, "float32"),
        initial_state=[tf.constant(state, "float32") for state in states],
        mask=tf.constant(real),
    )
    expected_outputs, expected_final, _ = reference(bidirectional)[0](
        cell, weights, inputs, lengths, states
    )
    assert_close(outputs.numpy()[real], expected_outputs[real], 1e-5)
    for actual, wanted in zip(final, expected_final, strict=True):
        assert_close(actual, wanted, 1e-5)


@both_ways
@every_cell
def test_without_mask_and_states_all_steps_are_real_and_states_start_at_zero(cell, bidirectional):
    _, weights, inputs, _ = case(cell, bidirectional, (4, 2, 3, [4, 4]))
    layer = keras_layer(cell, 3, weights, 2, bidirectional=bidirectional)
    outputs, *final = layer(tf.constant(inputs, "float32"))
    expected_outputs, expected_final, _ = reference(bidirectional)[0](cell, weights, inputs)
    assert_close(outputs, expected_outputs, 1e-5)
    for actual, wanted in zip(final, expected_final, strict=True):
        assert_close(actual, wanted, 1e-5)


@every_cell
def test_past_the_length_the_loop_repeats_the_last_output(cell):
    lengths = [1, 5, 3]
    _, weights, inputs, states = case(cell, False, (5, 2, 3, lengths))
    # cuDNN has zeros there instead.
    outputs, *_ = keras_layer(cell, 3, weights, 2, use_cudnn=False)(
        tf.constant(inputs, "float32"),
        initial_state=[tf.constant(state, "float32") for state in states],
        mask=tf.constant(oracle.real_steps(lengths, 3, 5)),
    )
    assert_close(outputs, oracle.forward(cell, weights, inputs, lengths, states)[0], 1e-5)
    assert np.array_equal(outputs[0], np.repeat(outputs[0, :1], 5, axis=0))


@every_cell
def test_an_unsequenced_layer_gives_the_last_real_output(cell):
    lengths = [2, 4]
    _, weights, inputs, _ = case(cell, True, (4, 2, 3, lengths))
    layer = recurrent_layer(cell, 3, bidirectional=True, name="encoder")
    layer.build((None, None, 2))
    layer.set_weights(weights)
    mask = tf.constant(oracle.real_steps(lengths, 2, 4))
    outputs = layer(tf.constant(inputs, "float32"), mask=mask)
    _, states, _ = oracle.bidirectional_forward(cell, weights, inputs, lengths)
    hidden = [states[0], states[oracle.STATES[cell]]]
    assert_close(outputs, np.concatenate(hidden, axis=-1), 1e-5)
    assert layer.name == "encoder"


def test_an_unknown_cell_is_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match=r"simple_rnn, gru, lstm\. Received: 'LSTM'"):
        recurrent_layer("LSTM", 4)


@pytest.mark.parametrize("use_cudnn", [False, "auto", True])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_use_cudnn_reaches_both_directions(cell, use_cudnn):
    layer = recurrent_layer(cell, 2, bidirectional=True, use_cudnn=use_cudnn)
    # `is`, since 1 == True would let a careless conversion through.
    assert layer.forward_layer.use_cudnn is use_cudnn
    assert layer.backward_layer.use_cudnn is use_cudnn
    assert recurrent_layer(cell, 2, use_cudnn=use_cudnn).use_cudnn is use_cudnn


def test_use_cudnn_is_nothing_to_a_simple_rnn():
    for bidirectional in (False, True):
        layer = recurrent_layer("simple_rnn", 2, bidirectional=bidirectional, use_cudnn=False)
        assert layer(np.ones((1, 3, 2), "float32")).shape == (1, 4 if bidirectional else 2)


@every_cell
def test_a_bidirectional_layer_computes_in_the_dtype_it_is_given(cell):
    _, weights, inputs, _ = case(cell, True, (4, 2, 3, [4, 4]))
    outputs, *_ = keras_layer(cell, 3, weights, 2, bidirectional=True, dtype="float64")(
        tf.constant(inputs)
    )
    assert outputs.dtype == "float64"
    assert_close(outputs, oracle.bidirectional_forward(cell, weights, inputs)[0], 1e-10)


@both_ways
@every_cell
def test_the_oracles_gradients_are_those_of_central_differences(cell, bidirectional):
    # The padded outputs are in this loss: their gradient flows to the step they repeat.
    shape = (3, 2, 2, [3, 1])
    rng, weights, inputs, states = case(cell, bidirectional, shape, seed=5)
    run, run_back = reference(bidirectional)
    outputs, final, record = run(cell, weights, inputs, shape[3], states)
    output_weights = rng.normal(size=outputs.shape)
    state_weights = [rng.normal(size=state.shape) for state in final]

    def loss():
        outputs, final, _ = run(cell, weights, inputs, shape[3], states)
        parts = zip([outputs, *final], [output_weights, *state_weights], strict=True)
        return sum(np.sum(part * weight) for part, weight in parts)

    def differences(array, step=1e-5):
        slopes = np.empty_like(array)
        for index in np.ndindex(array.shape):
            value = array[index]
            array[index] = value + step
            above = loss()
            array[index] = value - step
            slopes[index] = (above - loss()) / (2 * step)
            array[index] = value
        return slopes

    expected = run_back(cell, weights, record, output_weights, state_weights)
    gradients = in_order(expected, bidirectional)
    for gradient, array in zip(gradients, [*weights, inputs, *states], strict=True):
        assert_close(gradient, differences(array), 1e-8)


def test_the_oracle_halves_where_all_weights_are_zero():
    # All gates stand at 1/2 and all candidates at 0: these are the equations, worked by hand.
    state = np.array([[0.8, -2.0]])
    for cell, expected in {
        "simple_rnn": [[0, 0]],
        "gru": state / 2,
        "lstm": np.tanh(state / 2) / 2,
    }.items():
        weights = [0 * weight for weight in oracle.random_weights(np.random, cell, 3, 2)]
        states = [state] * oracle.STATES[cell]
        outputs, final, _ = oracle.forward(cell, weights, np.ones((1, 1, 3)), None, states)
        np.testing.assert_allclose(outputs[:, 0], expected, rtol=1e-15)
        np.testing.assert_allclose(final[-1], [[0, 0]] if cell == "simple_rnn" else state / 2)
