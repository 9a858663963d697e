"""What decoders share."""

import numpy as np
import pytest
import tensorflow as tf

from lstm_zoo.runtime import numerics


def test_probabilities_are_tensorflows():
    logits = np.random.default_rng(0).normal(0, 9, (4, 7)).astype(np.float32)
    logits[0, 0] = -np.inf
    np.testing.assert_allclose(numerics.softmax(logits), tf.nn.softmax(logits), rtol=1e-5)
    expected = tf.nn.log_softmax(logits)
    np.testing.assert_allclose(numerics.log_softmax(logits), expected, rtol=1e-5, atol=1e-6)
    assert numerics.softmax(logits).dtype == numerics.log_softmax(logits).dtype == np.float32


@pytest.mark.parametrize("count", [1, 3, 8])
def test_the_highest_values_are_tensorflows(count):
    """Equal values too: the first of them is first."""
    values = np.random.default_rng(0).permutation(8)[np.newaxis].astype(np.float32)
    expected = tf.math.top_k(values, count)
    found, places = numerics.top_k(values, count)
    np.testing.assert_array_equal(found, expected.values)
    np.testing.assert_array_equal(places, expected.indices)
    assert numerics.top_k(np.zeros((1, 4)), 4)[1].tolist() == [[0, 1, 2, 3]]
