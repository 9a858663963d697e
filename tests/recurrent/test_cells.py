"""Each cell compared with the NumPy oracle: outputs, final states and every gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.recurrent import CELLS, recurrent_layer
from tests.recurrent import oracle
from tests.recurrent.helpers import assert_close, both_directions, every_cell, layer_with

# float32 within its rounding; float64 so close that only the same equations pass.
TOLERANCES = {"float32": 1e-5, "float64": 1e-10}

# Time steps, features, units, and the length of each row.
SHAPES = {
    "mixed lengths": (5, 4, 3, [5, 1, 3]),
    "one row of full length": (4, 2, 3, [4]),
    "one row of one valid step": (6, 1, 2, [1]),
    "one time step": (1, 3, 2, [1, 1]),
    "one unit": (4, 3, 1, [2, 4]),
}


@pytest.fixture
def dtype(request):
    """Make a dtype Keras's default for one test.

    A layer's `dtype` is not enough: a bidirectional layer is a wrapper with a dtype too.
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


def reference(bidirectional):
    if bidirectional:
        return oracle.bidirectional_forward, oracle.bidirectional_backward
    return oracle.forward, oracle.backward


def in_order(gradients, bidirectional):
    """List the oracle's gradients: weights in Keras's order, inputs, initial states."""
    cells = gradients if bidirectional else (gradients,)
    return [
        *(cell[name] for cell in cells for name in ("kernel", "recurrent_kernel", "bias")),
        cells[0]["inputs"],
        *(state for cell in cells for state in cell["initial_states"]),
    ]


def rounded(arrays, dtype):
    """Round to a dtype, in float64, so that layer and oracle start from the same numbers."""
    return [array.astype(dtype).astype("float64") for array in arrays]


@pytest.mark.parametrize(
    "dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)], indirect=True
)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@both_directions
@every_cell
def test_outputs_states_and_gradients_are_the_oracles(cell, bidirectional, shape, dtype):
    time, features, units, lengths = shape
    rng, weights, inputs, states = case(cell, bidirectional, shape)
    weights = rounded(weights, dtype)
    inputs, *states = rounded([inputs, *states], dtype)
    valid = oracle.valid_steps(lengths, len(lengths), time)

    # The loss is a random linear functional, so that no gradients cancel by symmetry. It excludes
    # padded outputs, as any model with a mask does.
    width = units * (2 if bidirectional else 1)
    output_weights = rng.normal(size=(len(lengths), time, width)) * valid[..., None]
    state_weights = [rng.normal(size=state.shape) for state in states]
    output_weights, *state_weights = rounded([output_weights, *state_weights], dtype)

    layer = layer_with(weights, cell, units, features, bidirectional=bidirectional, dtype=dtype)
    tensors = [tf.constant(array, dtype) for array in (inputs, *states)]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        outputs, *final = layer(tensors[0], initial_state=tensors[1:], mask=tf.constant(valid))
        loss = tf.reduce_sum(outputs * output_weights.astype(dtype))
        for state, weight in zip(final, state_weights, strict=True):
            loss += tf.reduce_sum(state * weight.astype(dtype))
    variables = [weight.value for weight in layer.trainable_weights]
    gradients = tape.gradient(loss, [*variables, *tensors])

    run, run_backward = reference(bidirectional)
    expected_outputs, expected_final, tape = run(cell, weights, inputs, lengths, states)
    expected = run_backward(cell, weights, tape, output_weights, state_weights)
    expected_gradients = in_order(expected, bidirectional)

    tolerance = TOLERANCES[dtype]
    assert outputs.dtype == dtype
    assert_close(outputs.numpy()[valid], expected_outputs[valid], tolerance)
    assert len(final) == len(expected_final)
    for actual, expected in zip(final, expected_final, strict=True):
        assert_close(actual, expected, tolerance)
    assert len(gradients) == len(expected_gradients)
    for actual, expected in zip(gradients, expected_gradients, strict=True):
        assert np.any(expected), "a gradient of zeros would test nothing"
        assert_close(actual, expected, tolerance)
    assert not np.any(gradients[len(variables)].numpy()[~valid]), "padding has no gradient"


@st.composite
def problems(draw):
    shape = [draw(st.integers(1, 6)), draw(st.integers(1, 4)), draw(st.integers(1, 4))]
    lengths = draw(st.lists(st.integers(1, shape[0]), min_size=1, max_size=4))
    cell = draw(st.sampled_from(list(CELLS)))
    return cell, draw(st.booleans()), (*shape, lengths), draw(st.integers(0, 2**31))


@pytest.mark.slow
@settings(max_examples=40)
@given(problems())
def test_outputs_and_states_are_the_oracles_for_any_shape(problem):
    cell, bidirectional, shape, seed = problem
    time, features, units, lengths = shape
    _, weights, inputs, states = case(cell, bidirectional, shape, seed)
    valid = oracle.valid_steps(lengths, len(lengths), time)
    outputs, *final = layer_with(weights, cell, units, features, bidirectional=bidirectional)(
        tf.constant(inputs, "float32"),
        initial_state=[tf.constant(state, "float32") for state in states],
        mask=tf.constant(valid),
    )
    expected_outputs, expected_final, _ = reference(bidirectional)[0](
        cell, weights, inputs, lengths, states
    )
    assert_close(outputs.numpy()[valid], expected_outputs[valid], 1e-5)
    for actual, expected in zip(final, expected_final, strict=True):
        assert_close(actual, expected, 1e-5)


@both_directions
@every_cell
def test_without_mask_and_states_all_steps_are_valid_and_states_start_at_zero(cell, bidirectional):
    _, weights, inputs, _ = case(cell, bidirectional, (4, 2, 3, [4, 4]))
    layer = layer_with(weights, cell, 3, 2, bidirectional=bidirectional)
    outputs, *final = layer(tf.constant(inputs, "float32"))
    expected_outputs, expected_final, _ = reference(bidirectional)[0](cell, weights, inputs)
    assert_close(outputs, expected_outputs, 1e-5)
    for actual, expected in zip(final, expected_final, strict=True):
        assert_close(actual, expected, 1e-5)


@every_cell
def test_at_padding_the_loop_repeats_the_last_output(cell):
    lengths = [1, 5, 3]
    _, weights, inputs, states = case(cell, False, (5, 2, 3, lengths))
    # cuDNN has zeros there instead.
    outputs, *_ = layer_with(weights, cell, 3, 2, use_cudnn=False)(
        tf.constant(inputs, "float32"),
        initial_state=[tf.constant(state, "float32") for state in states],
        mask=tf.constant(oracle.valid_steps(lengths, 3, 5)),
    )
    assert_close(outputs, oracle.forward(cell, weights, inputs, lengths, states)[0], 1e-5)
    assert np.array_equal(outputs[0], np.repeat(outputs[0, :1], 5, axis=0))


def test_an_unknown_cell_is_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match=r"simple_rnn, gru, lstm\. Received: 'LSTM'"):
        recurrent_layer("LSTM", 4)


def test_a_simple_rnn_ignores_use_cudnn():
    for bidirectional in (False, True):
        layer = recurrent_layer("simple_rnn", 2, bidirectional=bidirectional, use_cudnn=False)
        assert layer(np.ones((1, 3, 2), "float32")).shape == (1, 4 if bidirectional else 2)


@both_directions
@every_cell
def test_the_oracles_gradients_are_those_of_central_differences(cell, bidirectional):
    # This loss includes the padded outputs: their gradient flows to the step they repeat.
    shape = (3, 2, 2, [3, 1])
    rng, weights, inputs, states = case(cell, bidirectional, shape, seed=5)
    run, run_backward = reference(bidirectional)
    outputs, final, tape = run(cell, weights, inputs, shape[3], states)
    output_weights = rng.normal(size=outputs.shape)
    state_weights = [rng.normal(size=state.shape) for state in final]

    def loss():
        outputs, final, _ = run(cell, weights, inputs, shape[3], states)
        terms = zip([outputs, *final], [output_weights, *state_weights], strict=True)
        return sum(np.sum(result * weight) for result, weight in terms)

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

    expected = run_backward(cell, weights, tape, output_weights, state_weights)
    gradients = in_order(expected, bidirectional)
    for gradient, array in zip(gradients, [*weights, inputs, *states], strict=True):
        assert_close(gradient, differences(array), 1e-8)


def test_the_oracle_halves_the_states_where_all_weights_are_zero():
    # All gates are 1/2 and all candidates 0: the expected values are worked out by hand.
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
