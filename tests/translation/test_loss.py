"""The loss against its definition."""

import numpy as np
import pytest
import tensorflow as tf

from lstm_zoo.translation.loss import SmoothedCrossEntropy


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_it_is_the_mean_over_ids_that_are_not_padding(smoothing):
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(3, 4, 6)).astype(np.float32)
    targets = np.array([[4, 5, 3, 0], [3, 0, 0, 0], [5, 4, 4, 3]], np.int32)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    losses = []
    for row, step in zip(*np.nonzero(targets), strict=True):
        smoothed = np.full(6, smoothing / 6)
        smoothed[targets[row, step]] += 1 - smoothing
        losses.append(-(smoothed * log_p[row, step]).sum())
    loss = SmoothedCrossEntropy(smoothing)
    assert float(loss(targets, logits)) == pytest.approx(np.mean(losses), abs=1e-6)
    # Neither the logits at padding nor the amount of padding matters.
    logits[0, 3] = logits[1, 1:] = 1e3
    wider = np.pad(targets, ((0, 0), (0, 2)))
    padded = np.pad(logits, ((0, 0), (0, 2), (0, 0)), constant_values=7)
    assert float(loss(wider, padded)) == pytest.approx(np.mean(losses), abs=1e-6)


def test_padding_has_zero_gradient_and_a_batch_of_padding_zero_loss():
    logits = tf.Variable(tf.random.stateless_normal((2, 3, 5), (1, 2)))
    targets = tf.constant([[4, 3, 0], [3, 0, 0]])
    with tf.GradientTape() as tape:
        loss = SmoothedCrossEntropy(0.1)(targets, logits)
    gradient = tape.gradient(loss, logits).numpy()
    assert np.all(gradient[targets.numpy() == 0] == 0)
    assert np.all(np.abs(gradient[targets.numpy() != 0]).sum(-1) > 0)
    assert float(SmoothedCrossEntropy(0.1)(tf.zeros((2, 3), tf.int32), logits)) == 0


def test_it_is_rebuilt_from_its_configuration():
    again = SmoothedCrossEntropy.from_config(SmoothedCrossEntropy(0.2).get_config())
    assert again.smoothing == 0.2
