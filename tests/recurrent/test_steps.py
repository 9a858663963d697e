"""The cells' steps in float64, compared with the oracle, TensorFlow's gradients, known values."""

import numpy as np
import pytest
import tensorflow as tf

from lstm_zoo.recurrent import cells, steps
from tests.recurrent import oracle
from tests.recurrent.helpers import every_cell

BATCH, UNITS = 3, 2
TOLERANCE = 1e-12


def draw(cell):
    """Draw projected inputs, states, a recurrent kernel and bias, and gradients of new states."""
    rng = np.random.default_rng(0)
    width = oracle.GATES[cell] * UNITS
    states = [rng.normal(size=(BATCH, UNITS)) for _ in range(oracle.STATES[cell])]
    gradients = [rng.normal(size=(BATCH, UNITS)) for _ in states]
    kernel = rng.normal(size=(UNITS, width))
    bias = rng.normal(size=width) * steps.CELLS[cell].has_recurrent_bias
    return rng.normal(size=(BATCH, width)), states, kernel, bias, gradients


def step(cell, projected, states, kernel, bias):
    tensors = [tf.convert_to_tensor(array) for array in (projected, *states, kernel, bias)]
    projected, *states, kernel, bias = tensors
    return steps.CELLS[cell].step(projected, tuple(states), kernel, bias)


def backward_step(cell, saved, states, gradients, kernel):
    """Run a backward step: the saved activations are followed by an LSTM's old cell state."""
    return steps.CELLS[cell].backward_step(
        [*saved, *map(tf.constant, states[1:])],
        tuple(map(tf.constant, gradients)),
        tf.transpose(tf.constant(kernel)),
    )


def oracle_arguments(cell, projected, kernel, bias):
    """Make the oracle's weights and inputs for given projections: an identity kernel."""
    zeros = np.zeros_like(bias)
    biases = np.stack([zeros, bias]) if cell == "gru" else zeros
    return [np.eye(projected.shape[1]), kernel, biases], projected[:, np.newaxis]


def assert_all_close(actual, expected):
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE)


def test_every_layer_has_its_steps():
    assert set(steps.CELLS) == set(cells.CELLS)


@every_cell
def test_new_states_equal_the_oracles(cell):
    projected, states, kernel, bias, _ = draw(cell)
    new, _ = step(cell, projected, states, kernel, bias)
    weights, inputs = oracle_arguments(cell, projected, kernel, bias)
    _, expected, _ = oracle.forward(cell, weights, inputs, None, states)
    assert_all_close(new, expected)


@every_cell
def test_gradients_equal_the_oracles(cell):
    projected, states, kernel, bias, gradients = draw(cell)
    _, saved = step(cell, projected, states, kernel, bias)
    d_states, d_projections = backward_step(cell, saved, states, gradients, kernel)
    weights, inputs = oracle_arguments(cell, projected, kernel, bias)
    outputs, _, tape = oracle.forward(cell, weights, inputs, None, states)
    expected = oracle.backward(cell, weights, tape, np.zeros_like(outputs), gradients)
    assert_all_close(d_states, expected["initial_states"])
    # The kernel is the identity: the inputs' gradients are those of their projections.
    np.testing.assert_allclose(d_projections[0], expected["inputs"][:, 0], rtol=TOLERANCE)
    d_recurrent_kernel = states[0].T @ d_projections[-1].numpy()
    np.testing.assert_allclose(d_recurrent_kernel, expected["recurrent_kernel"], rtol=TOLERANCE)
    d_bias = tf.reduce_sum(d_projections[-1], axis=0)
    recurrent_bias = expected["bias"][1] if cell == "gru" else expected["bias"]
    np.testing.assert_allclose(d_bias, recurrent_bias, rtol=TOLERANCE)


@every_cell
def test_gradients_equal_those_of_tensorflow(cell):
    projected, states, kernel, bias, gradients = draw(cell)
    variables = [tf.constant(array) for array in (projected, *states, kernel, bias)]
    with tf.GradientTape() as tape:
        tape.watch(variables)
        new, saved = step(cell, variables[0], variables[1:-2], *variables[-2:])
    expected = tape.gradient(new, variables, output_gradients=[*map(tf.constant, gradients)])
    d_states, d_projections = backward_step(cell, saved, states, gradients, kernel)
    d_kernel = states[0].T @ d_projections[-1].numpy()
    assert_all_close([d_projections[0], *d_states, d_kernel], expected[:-1])
    if steps.CELLS[cell].has_recurrent_bias:
        assert_all_close([tf.reduce_sum(d_projections[-1], axis=0)], expected[-1:])
    else:
        assert expected[-1] is None


@every_cell
def test_the_numbers_of_saved_activations_and_projections_are_as_declared(cell):
    projected, states, kernel, bias, gradients = draw(cell)
    _, saved = step(cell, projected, states, kernel, bias)
    assert [tuple(values.shape) for values in saved] == [(BATCH, UNITS)] * len(saved)
    assert len(saved) == steps.CELLS[cell].num_saved
    _, d_projections = backward_step(cell, saved, states, gradients, kernel)
    assert [values.shape for values in d_projections] == [projected.shape] * len(d_projections)
    assert len(d_projections) == steps.CELLS[cell].num_projections


def test_only_a_gru_has_a_recurrent_bias():
    found = {cell: steps.CELLS[cell].has_recurrent_bias for cell in steps.CELLS}
    assert found == {"simple_rnn": False, "lstm": False, "gru": True}


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        # All gates are 1/2, and all candidates 0.
        ("simple_rnn", [0]),
        ("gru", [0.4]),
        ("lstm", [np.tanh(0.4) / 2, 0.4]),
    ],
)
def test_zero_projections_halve_the_states(cell, expected):
    projected, states, kernel, bias, _ = draw(cell)
    states = [np.full_like(state, 0.8) for state in states]
    new, _ = step(cell, 0 * projected, states, 0 * kernel, 0 * bias)
    assert_all_close(new, [np.full((BATCH, UNITS), value) for value in expected])


def test_an_open_forget_gate_keeps_the_cell_state_and_its_gradient():
    # Gates i f g o: the input gate closed, the forget gate open.
    projected = np.repeat([[-1e3, 1e3, 1.0, 0.0]], UNITS, axis=1)
    states = [np.array([[0.3, -0.2]]), np.array([[0.5, -1.5]])]
    kernel = np.zeros((UNITS, 4 * UNITS))
    new, saved = step("lstm", projected, states, kernel, kernel[0])
    assert_all_close(new, [np.tanh(states[1]) / 2, states[1]])
    gradients = [np.zeros((1, UNITS)), np.array([[2.0, 3.0]])]
    d_states, _ = backward_step("lstm", saved, states, gradients, kernel)
    assert_all_close(d_states, gradients)


def test_a_closed_update_gate_keeps_the_state_of_a_gru():
    # Gates z r n: z is the share that is kept.
    projected = np.repeat([[1e3, 0.0, 1.0]], UNITS, axis=1)
    states, gradients = [np.array([[0.3, -0.2]])], [np.array([[2.0, 3.0]])]
    kernel = np.zeros((UNITS, 3 * UNITS))
    new, saved = step("gru", projected, states, kernel, kernel[0])
    assert_all_close(new, states)
    assert_all_close(backward_step("gru", saved, states, gradients, kernel)[0], gradients)
