"""Checkpoints: saved and restored values, and the mean of several epochs' weights."""

import keras
import numpy as np
import pytest

from lstm_zoo.errors import CallError, DataError
from lstm_zoo.training import checkpoints, layers
from lstm_zoo.training.optimizer import make_optimizer

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
Y = X.sum(axis=1, keepdims=True)


def network(units=4, seed=0):
    """A compiled network with all that a checkpoint holds: weights, Adam's moments, dropout."""
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(units), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((3,)), *layers], name="network")
    model.compile(keras.optimizers.AdamW(0.01), "mse")
    return model


def state_of(model):
    return [variable.numpy() for variable in [*model.variables, *model.optimizer.variables]]


def test_a_restored_network_continues_as_if_it_had_not_been_interrupted(tmp_path):
    model, history = network(), [{"epoch": 1, "loss": 0.5}]
    model.train_on_batch(X, Y)
    checkpoints.save(tmp_path, model, history)
    saved = state_of(model)
    model.train_on_batch(X, Y)

    restored = network(seed=1)
    assert checkpoints.restore(tmp_path, restored).history == history
    for array, expected in zip(state_of(restored), saved, strict=True):
        np.testing.assert_array_equal(array, expected)
    assert int(restored.optimizer.iterations) == 1
    restored.train_on_batch(X, Y)  # with the dropout mask of the second batch
    for array, expected in zip(state_of(restored), state_of(model), strict=True):
        np.testing.assert_array_equal(array, expected)


def test_an_assigned_learning_rate_is_restored_and_version_0_1_had_none(tmp_path):
    for folder in ("new", "old"):
        (tmp_path / folder).mkdir()
    models = []
    for _ in range(2):
        models.append(network())
        settings = {"epochs": 2, "warmup": 0.5, "learning_rate": 0.1}
        settings |= {"weight_decay": 0.0, "epsilon": 1e-7, "clip_norm": 1.0}
        settings |= {**layers.NEUTRAL, "schedule": "cosine", "precision": "float32"}
        models[-1].compile(make_optimizer(settings, steps=4), "mse")
    model, restored = models
    model.optimizer.learning_rate = 0.03
    checkpoints.save(tmp_path / "new", model, [{"epoch": 1}])
    checkpoints.restore(tmp_path / "new", restored)
    assert float(restored.optimizer.learning_rate) == pytest.approx(0.03)

    old = network()  # as version 0.1: with Keras's own optimizer, and other names in its history
    checkpoints.save(tmp_path / "old", old, [{"epoch": 1, "val_wer": 0.5, "val_accuracy": 0.5}])
    history = checkpoints.restore(tmp_path / "old", restored).history
    assert history == [{"epoch": 1, "val_wer_greedy": 0.5, "val_accuracy": 0.5}]


def test_the_last_checkpoint_counts(tmp_path):
    model = network()
    save_epochs(tmp_path, model, 3)
    restored = network(seed=1)
    assert checkpoints.restore(tmp_path, restored).history == [{"epoch": n} for n in (1, 2, 3)]
    assert all(np.all(array == 3) for array in restored.get_weights())
    assert [path.name for path in checkpoints.states(tmp_path)] == ["state-3.npz", "state-2.npz"]


def save_epochs(run, model, epochs):
    """Save a state after each epoch: all weights are the epoch's number."""
    for epoch in range(1, epochs + 1):
        model.set_weights([np.full_like(array, epoch) for array in model.get_weights()])
        checkpoints.save(run, model, [{"epoch": n} for n in range(1, epoch + 1)])


def cut(data):
    return data[: len(data) // 2]


def flip(data):
    """Change a bit of an array."""
    return data[:300] + bytes([data[300] ^ 1]) + data[301:]


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: b"no zip", cut, flip])
def test_a_damaged_state_is_named_and_the_one_before_it_is_taken(tmp_path, capsys, damage):
    model = network()
    save_epochs(tmp_path, model, 2)
    last, previous = checkpoints.states(tmp_path)
    last.write_bytes(damage(last.read_bytes()))
    restored = network(seed=1)
    assert checkpoints.restore(tmp_path, restored).history == [{"epoch": 1}]
    assert all(np.all(array == 1) for array in restored.get_weights())
    message = f"Warning: {last} is damaged; continuing after epoch 1, from {previous}.\n"
    assert capsys.readouterr().err == message
    previous.write_bytes(damage(previous.read_bytes()))
    with pytest.raises(DataError, match=r"state-2.npz is damaged; .*state-1.npz is damaged: this"):
        checkpoints.restore(tmp_path, restored)


def test_a_run_that_has_lost_its_states_does_not_start_again(tmp_path):
    (tmp_path / "model.weights.h5").write_bytes(b"of an epoch")
    with pytest.raises(DataError, match="checkpoint has no state: this training can't be resumed"):
        checkpoints.restore(tmp_path, network())


def test_without_a_checkpoint_the_history_is_empty(tmp_path):
    model = network()
    before = model.get_weights()
    assert checkpoints.restore(tmp_path, model).history == []
    for array, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(array, expected)


def test_the_checkpoint_of_another_network_is_refused_and_changes_nothing(tmp_path):
    checkpoints.save(tmp_path, network(), [])
    wider = network(units=5)
    longer = keras.Sequential([keras.Input((3,)), *[keras.layers.Dense(4) for _ in range(3)]])
    longer.compile("adam", "mse")
    for model in (wider, longer):
        before = model.get_weights()
        with pytest.raises(CallError, match="state-0.npz: a checkpoint of another network"):
            checkpoints.restore(tmp_path, model)
        for array, expected in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(array, expected)


def train_epochs(run, model, epochs, count):
    """Keep random weights after each epoch, and return them."""
    generator = np.random.default_rng(1)
    seen = []
    for epoch in range(1, epochs + 1):
        weights = [generator.normal(size=array.shape) for array in model.get_weights()]
        model.set_weights(weights)
        checkpoints.keep_weights(run, model, epoch, count)
        seen.append(model.get_weights())
    return seen


@pytest.mark.parametrize("epochs, averaged", [(1, [0]), (2, [0, 1]), (5, [2, 3, 4])])
def test_the_mean_is_of_the_last_epochs_or_of_all_if_there_are_fewer(tmp_path, epochs, averaged):
    model = network()
    seen = train_epochs(tmp_path, model, epochs, count=3)
    with checkpoints.averaged(tmp_path, model, epochs, 3):
        inside = model.get_weights()
    for index, array in enumerate(inside):
        expected = np.mean([seen[epoch][index] for epoch in averaged], axis=0)
        np.testing.assert_allclose(array, expected, rtol=1e-6, atol=1e-7)
    for array, expected in zip(model.get_weights(), seen[-1], strict=True):
        np.testing.assert_array_equal(array, expected)
    kept = {path.name for path in (tmp_path / "checkpoint").iterdir()}
    assert kept >= {f"epoch-{epoch + 1}.npz" for epoch in averaged}
    # Two more: a training may resume from the state before the last.
    assert len(kept) <= 5


def test_the_weights_are_restored_after_an_error(tmp_path):
    model = network()
    seen = train_epochs(tmp_path, model, 2, count=2)
    with pytest.raises(ZeroDivisionError), checkpoints.averaged(tmp_path, model, 2, 2):
        assert np.any(model.get_weights()[0] != seen[-1][0])
        raise ZeroDivisionError
    for array, expected in zip(model.get_weights(), seen[-1], strict=True):
        np.testing.assert_array_equal(array, expected)


def test_without_averaging_nothing_is_written_or_changed(tmp_path):
    model = network()
    seen = train_epochs(tmp_path, model, 2, count=1)
    assert not [*tmp_path.iterdir()]
    with checkpoints.averaged(tmp_path, model, 2, 1):
        for array, expected in zip(model.get_weights(), seen[-1], strict=True):
            np.testing.assert_array_equal(array, expected)
