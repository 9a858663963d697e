"""The training loop: equal to Keras's on one device, and to one device on several replicas."""

import functools
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from lstm_zoo.errors import TrainingError
from lstm_zoo.training import distribution, initialization, process
from lstm_zoo.training.dataset import BatchOrder, make_dataset
from lstm_zoo.training.optimizer import make_optimizer
from tests.kills import SMALL, data_of


def prepared(family, folder, **settings):
    """The start of a small training, its examples, and how to build its compiled network."""
    data, own = data_of(family)
    settings = {**SMALL, **own, "batch_size": 5, "batch_tokens": None, "clip_norm": 0.5, **settings}
    start = initialization.fresh(family, folder / "run", data, None, 0.2, False, settings)
    examples = start.task.encode(start.corpora.training, training=True, cache=start.cache)

    def build(optimizer=None, strategy=None):
        process.set_seed(0)
        with (strategy or tf.distribute.get_strategy()).scope():
            model, _ = start.task.build(examples, 0)
            optimizer = optimizer or make_optimizer(start.settings, 8)
            model.compile(optimizer, start.task.loss(), jit_compile=False)
        return model

    return start, examples, build


def dataset_of(start, examples, replicas=None):
    order = BatchOrder(examples.lengths, start.settings)
    make = functools.partial(start.task.batch, examples)
    if not replicas:  # for Keras, which begins an epoch early if it does not know its steps
        dataset = make_dataset(order, make)
        return order, dataset.apply(tf.data.experimental.assert_cardinality(order.steps))
    return order, make_dataset(order, lambda *chosen: distribution.split(make, *chosen, replicas))


def fit(model, start, examples, accumulate=1, epochs=2, callbacks=(), strategy=None):
    """Train with our loop; return the loss after each step."""
    strategy = strategy or tf.distribute.get_strategy()
    order, dataset = dataset_of(start, examples, strategy.num_replicas_in_sync)
    losses = Losses()
    step = distribution.make_step(model, strategy, start.task.loss_terms, accumulate)
    distribution.fit(
        model, step, dataset, steps=order.steps, first_epoch=0, epochs=epochs,
        callbacks=[order, losses, *callbacks], describe=str,
    )  # fmt: skip
    assert step.experimental_get_tracing_count() == 1
    return losses.found


class Losses(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.found = []

    def on_train_batch_end(self, batch, logs=None):
        self.found.append(logs["loss"])

    def on_epoch_end(self, epoch, logs=None):
        self.found.append(logs["loss"])


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sentiment", "speech", "translation"])
def test_on_one_device_training_is_keras_own_bit_for_bit(family, tmp_path):
    start, examples, build = prepared(family, tmp_path)
    order, dataset = dataset_of(start, examples)
    stock, losses = build(), Losses()
    stock.fit(dataset, epochs=2, shuffle=False, verbose=0, callbacks=[order, losses])
    ours = build()
    assert fit(ours, start, examples) == losses.found
    for first, second in zip(stock.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def step_of(loss=1.0, examples=2.0, gradient_norm=3.0):
    return distribution.Step(*map(tf.constant, (loss, examples, gradient_norm)))


def test_a_gradient_that_is_not_finite_stops_unless_the_optimizer_skips_it():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    seen = []

    def run():
        distribution.fit(
            model,
            lambda iterator: step_of(gradient_norm=float("inf")),
            tf.data.Dataset.range(3),
            steps=1, first_epoch=0, epochs=1, callbacks=[], describe=str,
            record=lambda number, result: seen.append((number, float(result.loss))),
        )  # fmt: skip

    model.compile(keras.optimizers.SGD(), "mse")
    with pytest.raises(TrainingError, match="The gradient norm is inf in epoch 1/1, step 1, 0"):
        run()
    assert seen == []
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()), "mse")
    run()
    assert seen == [(0, 1.0)]


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_not_finite_stops_at_its_step(loss):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(), "mse")
    seen = []
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=lambda n, logs: seen.append(n))
    values = iter([1.0, loss])
    with pytest.raises(TrainingError) as error:
        distribution.fit(
            model,
            lambda iterator: step_of(loss=next(values)),
            tf.data.Dataset.range(3),
            steps=3, first_epoch=1, epochs=4, callbacks=[callback],
            describe="examples of step {}".format,
        )  # fmt: skip
    assert str(error.value) == f"The loss is {loss} in epoch 2/4, step 2, examples of step 1."
    assert seen == [0]


def test_callbacks_are_called_as_keras_calls_them():
    x, y = np.arange(12, dtype=np.float32).reshape(6, 2), np.ones((6, 1), np.float32)
    calls = {}

    class Record(keras.callbacks.Callback):
        def __init__(self, name):
            super().__init__()
            self.calls = calls.setdefault(name, [])

        def record(self, event, logs=None):
            self.calls.append((event, dict(logs or {}), dict(self.params)))

        def on_train_begin(self, logs=None):
            self.record("train begin", logs)

        def on_train_end(self, logs=None):
            self.record("train end", logs)

        def on_epoch_begin(self, epoch, logs=None):
            self.record(("epoch begin", epoch), logs)

        def on_epoch_end(self, epoch, logs=None):
            logs["added"] = epoch
            self.record(("epoch end", epoch), logs)

        def on_train_batch_begin(self, batch, logs=None):
            self.record(("batch begin", batch), logs)

        def on_train_batch_end(self, batch, logs=None):
            self.record(("batch end", batch), logs)
            if self.calls[-2][0] == ("batch begin", 1) and len(self.calls) > 8:
                self.model.stop_training = True  # in the second epoch, after its second step

    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(2)
    models = []
    for _ in range(2):
        process.set_seed(0)
        models.append(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
        models[-1].compile(keras.optimizers.SGD(1e-3), "mse", jit_compile=False)
    stock, ours = models
    stock.fit(dataset, epochs=3, verbose=0, callbacks=[Record("stock")])
    parts = dataset.map(lambda *batch: ((batch, 2),))
    step = distribution.make_step(
        ours, tf.distribute.get_strategy(), lambda targets: tf.shape(targets)[0]
    )
    distribution.fit(
        ours, step, parts, steps=3, first_epoch=0, epochs=3, callbacks=[Record("ours")],
        describe=str,
    )  # fmt: skip
    assert calls["ours"] == calls["stock"]
    assert ("batch end", 1) in [event for event, _, _ in calls["ours"]]
    assert calls["ours"][-2][0] == ("epoch end", 1)
    assert ours.history.history == stock.history.history


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sentiment", "speech", "translation"])
def test_accumulated_gradients_are_those_of_the_whole_batch(family, tmp_path):
    start, examples, build = prepared(family, tmp_path, **WITHOUT_DRAWS[family])
    results = []
    for accumulate in (1, 3):  # of batches of 5 or fewer: 3 chunks of 1 or 2 rows, or empty ones
        model = build(clipped_sgd())
        losses = fit(model, start, examples, accumulate)
        results.append((losses, model.get_weights()))
    (losses, weights), (found, accumulated) = results
    np.testing.assert_allclose(found, losses, rtol=1e-5)
    for first, second in zip(weights, accumulated, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)


# Settings with which nothing in a training step is random.
WITHOUT_DRAWS = {
    "sentiment": {"dropout": 0, "word_dropout": 0, "embedding_dropout": 0, "average_epochs": 1},
    "speech": {"dropout": 0, "time_masks": 0, "frequency_masks": 0},
    "translation": {"dropout": 0, "token_dropout": 0},
}


def clipped_sgd():
    """SGD, which does not magnify rounding as AdamW does; its gradients are clipped."""
    from lstm_zoo import compat

    class SGD(compat.SummedGradients, keras.optimizers.SGD):
        gradients_are_summed = True

    return SGD(0.1, global_clipnorm=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sentiment", "speech", "translation"])
def test_two_replicas_train_as_one_device_does(family, tmp_path):
    """Two virtual CPUs need a process in which TensorFlow has not started."""
    program = f"""
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from pathlib import Path
from tests.training import test_distribution
test_distribution.compare_replicas({family!r}, Path({str(tmp_path)!r}))
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def compare_replicas(family, folder):
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for name, settings in {
        "size": {"batch_size": 5},  # replicas of 3 and 2 rows
        "tokens": {"batch_size": 32, "batch_tokens": 60 if family != "speech" else 400},
        "one": {"batch_size": 1},  # one replica is empty in each step
    }.items():
        settings = {**WITHOUT_DRAWS[family], **settings}
        start, examples, build = prepared(family, folder / name, **settings)
        results = []
        for strategy in (tf.distribute.get_strategy(), mirrored):
            with strategy.scope():
                optimizer = clipped_sgd()
            model = build(optimizer, strategy)
            losses = fit(model, start, examples, epochs=1, strategy=strategy)
            results.append((losses, model.get_weights()))
        (losses, weights), (found, of_replicas) = results
        np.testing.assert_allclose(found, losses, rtol=1e-4)
        for first, second in zip(weights, of_replicas, strict=True):
            np.testing.assert_allclose(first, second, atol=1e-5)
