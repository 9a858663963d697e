"""The optimizer: its learning rate over the steps, weight decay and clipping."""

import math

import keras
import numpy as np
import pytest

from lstm_zoo.settings import TRAINING
from lstm_zoo.training.optimizer import make_optimizer

SETTINGS = {name: setting.default for name, setting in TRAINING.items()}


# The share of the peak after the warmup, from the literature's equations.
DECAYS = {
    "cosine": lambda step, warmup, total: (1 + math.cos(math.pi * done(step, warmup, total))) / 2,
    "linear": lambda step, warmup, total: 1 - done(step, warmup, total),
    "inverse_sqrt": lambda step, warmup, total: math.sqrt(warmup) / math.sqrt(step),
    "constant": lambda step, warmup, total: 1,
}


def done(step, warmup, total):
    return min(1, (step - warmup) / max(1, total - warmup))


@pytest.mark.parametrize("schedule", DECAYS)
@pytest.mark.parametrize(
    "epochs, steps, warmup, warmup_steps",
    [(10, 7, 0.1, 7), (4, 5, 0.25, 5), (2, 4, 0.0, 1), (1, 1, 0.5, 1)],
)
def test_the_learning_rate_rises_linearly_and_falls_by_its_schedule(
    schedule, epochs, steps, warmup, warmup_steps
):
    settings = {**SETTINGS, "epochs": epochs, "warmup": warmup, "learning_rate": 0.3}
    optimizer = make_optimizer({**settings, "schedule": schedule}, steps)
    restored = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    total = epochs * steps
    for step in range(total + 3):
        if step < warmup_steps:
            expected = 0.3 * step / warmup_steps
        else:
            expected = 0.3 * DECAYS[schedule](step, warmup_steps, total)
        for found in (optimizer, restored):
            found.iterations.assign(step)
            assert float(found.learning_rate) == pytest.approx(expected, abs=1e-7), step


def test_an_assigned_learning_rate_replaces_the_schedule():
    settings = {**SETTINGS, "epochs": 2, "warmup": 0.5, "learning_rate": 0.1}
    optimizer = make_optimizer(settings, steps=4)
    weight = keras.Variable([0.0])
    optimizer.build([weight])
    optimizer.learning_rate = float(optimizer.learning_rate) * 0.9  # 0, as before the first step
    optimizer.iterations.assign(2)
    assert float(optimizer.learning_rate) == pytest.approx(0.05)  # the schedule goes on
    optimizer.learning_rate = np.float32(0.03)
    optimizer.iterations.assign(4)
    assert float(optimizer.learning_rate) == pytest.approx(0.03)
    optimizer.apply([np.array([1.0], np.float32)])
    bias_correction = math.sqrt(1 - 0.999**5) / (1 - 0.9**5) * 0.1 / math.sqrt(0.001)
    assert float(weight[0]) == pytest.approx(-0.03 * bias_correction, rel=1e-4)
    # It is part of a checkpoint, and of a compiled model's file.
    (assigned,) = [v for v in optimizer.variables if v.name == "assigned_learning_rate"]
    assert float(assigned) == pytest.approx(0.03)
    config = keras.optimizers.serialize(optimizer)
    assert type(keras.optimizers.deserialize(config)) is type(optimizer)


def test_weights_decay_but_biases_do_not():
    settings = {**SETTINGS, "epochs": 2, "warmup": 0.5, "learning_rate": 0.1, "weight_decay": 0.2}
    optimizer = make_optimizer(settings, steps=4)
    layer = keras.layers.Dense(3, bias_initializer="ones")
    layer.build((None, 2))
    kernel = layer.kernel.numpy()
    optimizer.build(layer.trainable_variables)
    optimizer.iterations.assign(4)  # the peak of the learning rate
    optimizer.apply([np.zeros((2, 3), np.float32), np.zeros(3, np.float32)])
    np.testing.assert_allclose(layer.kernel.numpy(), kernel * (1 - 0.1 * 0.2), rtol=1e-6)
    np.testing.assert_array_equal(layer.bias.numpy(), np.ones(3))


@pytest.mark.parametrize("clip_norm, factor", [(1.0, 0.2), (5.0, 1.0), (10.0, 1.0), (0.0, 1.0)])
def test_gradients_are_clipped_by_their_global_norm(clip_norm, factor):
    # Adam's steps do not depend on the scale of the gradients, unless epsilon is large: a step is
    # then the gradient times learning_rate / epsilon.
    settings = {
        **SETTINGS, "epochs": 1, "warmup": 0.5, "learning_rate": 1e3, "weight_decay": 0.0,
        "epsilon": 1e6, "clip_norm": clip_norm,
    }  # fmt: skip
    optimizer = make_optimizer(settings, steps=2)
    variables = [keras.Variable([0.0, 0.0]), keras.Variable([0.0])]
    optimizer.build(variables)
    optimizer.iterations.assign(1)
    bias_correction = math.sqrt(1 - 0.999**2) / (1 - 0.9**2) * (1 - 0.9)
    optimizer.apply([np.array([3.0, 0.0], np.float32), np.array([4.0], np.float32)])  # norm 5
    changes = np.concatenate([variable.numpy() for variable in variables])
    expected = -factor * bias_correction * 1e3 / 1e6 * np.array([3.0, 0.0, 4.0])
    np.testing.assert_allclose(changes, expected, rtol=1e-4, atol=1e-9)


def test_lower_layers_learn_more_slowly_and_begin_later():
    settings = {
        **SETTINGS, "epochs": 4, "warmup": 0.0, "learning_rate": 0.1, "weight_decay": 0.2,
        "layer_decay": 0.5, "freeze": 1,
    }  # fmt: skip
    variables = [keras.Variable([1.0, 2.0], name=name) for name in ("low", "middle", "top")]
    alike = [keras.Variable([1.0, 2.0], name="alike")]
    optimizer = make_optimizer(settings, steps=2, depths=[2, 1, 0])
    other = make_optimizer({**settings, "layer_decay": None, "freeze": 0}, steps=2)
    optimizer.build(variables)
    other.build(alike)
    gradient = np.array([0.1, -0.2], np.float32)
    for step in range(6):
        before = [variable.numpy() for variable in variables]
        optimizer.apply([gradient] * 3)
        other.apply([gradient])
        moved = [np.abs(v.numpy() - b).max() > 0 for v, b in zip(variables, before, strict=True)]
        # One more layer after each epoch of 2 steps; the first step of the warmup has the rate 0.
        assert moved == [step >= 4, step >= 2, step >= 1]
        np.testing.assert_array_equal(variables[2].numpy(), alike[0].numpy())
        if step == 4:  # the first step of the lowest layer, weight decay and all
            top, low = (
                (variable.numpy() - old) / scale
                for variable, old, scale in (
                    (variables[2], before[2], 1),
                    (variables[0], before[0], 0.25),
                )
            )
            decay = 0.2 * float(other.learning_rate)
            assert np.all(np.abs(low - top) < 2 * decay)  # they decay from different values
    config = keras.optimizers.serialize(optimizer)
    assert keras.optimizers.deserialize(config).get_config() == optimizer.get_config()


def test_without_a_rate_only_the_top_layer_learns():
    settings = {**SETTINGS, "epochs": 2, "warmup": 0.0, "layer_decay": 0.0}
    low, top = keras.Variable([1.0]), keras.Variable([1.0])
    optimizer = make_optimizer(settings, steps=4, depths=[1, 0])
    optimizer.build([low, top])
    for _ in range(3):
        optimizer.apply([np.array([1.0], np.float32)] * 2)
    assert float(low[0]) == 1 and float(top[0]) < 1
