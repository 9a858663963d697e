"""The portable loop compared with Keras's layers: results and states, under any mask."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from lstm_zoo.recurrent import portable_loops
from tests.recurrent.helpers import every_cell, pair

STEPS = 11  # more than one iteration of the loop
MASK = np.zeros((4, STEPS), bool)  # the last row has no valid step
MASK[0] = True
MASK[1, :3] = True
MASK[2, [1, 3, 4, 9]] = True


@pytest.mark.parametrize("mask", [None, MASK], ids=["all steps", "a mask"])
@pytest.mark.parametrize("options", [{}, {"go_backwards": True}, {"zero_output_for_mask": True}])
@every_cell
def test_results_and_states_equal_those_of_keras(cell, options, mask):
    ours, stock = pair(cell, 3, 2, return_sequences=True, return_state=True, **options)
    rng = np.random.default_rng(2)
    inputs = rng.normal(size=(4, STEPS, 2)).astype(np.float32)
    states = [rng.normal(size=(4, 3)).astype(np.float32) for _ in range(1 + (cell == "lstm"))]
    with portable_loops():
        run = tf.function(lambda x, *s: ours(x, mask=mask, initial_state=[*s]))
        found = run(inputs, *states)
    assert "BlockLSTMV2" not in {
        node.op for node in run.get_concrete_function(inputs, *states).graph.as_graph_def().node
    }
    for a, b in zip(found, stock(inputs, mask=mask, initial_state=states), strict=True):
        assert a.numpy() == pytest.approx(keras.ops.convert_to_numpy(b), abs=1e-5)


def test_both_directions_without_biases():
    ours, stock = pair("gru", 3, 2, bidirectional=True, return_sequences=True, use_bias=False)
    inputs = np.random.default_rng(2).normal(size=(4, STEPS, 2)).astype(np.float32)
    with portable_loops():
        found = tf.function(lambda x: ours(x, mask=MASK))(inputs)
    expected = stock(inputs, mask=MASK)
    assert found.numpy() == pytest.approx(keras.ops.convert_to_numpy(expected), abs=1e-5)
