"""Checkpoints: all that a training needs to go on as if it had never stopped."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from lstm_zoo.errors import CallError
from lstm_zoo.files import atomic_write
from lstm_zoo.runs.directory import CHECKPOINT


def save(run: Path, model: keras.Model, history: Sequence[dict[str, Any]]) -> None:
    """Write the weights, the optimizer's state, the dropout seeds, and the history so far."""
    directory = run / CHECKPOINT
    directory.mkdir(exist_ok=True)
    arrays = {str(i): variable.numpy() for i, variable in enumerate(_variables(model))}
    # One file, so that the state and the history can't be of different epochs.
    with atomic_write(directory / "state.npz") as path:
        np.savez(path, history=json.dumps(history), **arrays)


def restore(run: Path, model: keras.Model) -> list[dict[str, Any]]:
    """Read a checkpoint into a compiled model, and return the history so far, empty if none.

    Raises:
        CallError: if the checkpoint is of another network.
    """
    path = run / CHECKPOINT / "state.npz"
    if not path.is_file():
        return []
    variables = _variables(model)
    with np.load(path, allow_pickle=False) as state:
        shapes = [state[str(i)].shape for i in range(len(state.files) - 1)]
        if shapes != [tuple(variable.shape) for variable in variables]:
            raise CallError(f"{path}: the checkpoint of another network.")
        for index, variable in enumerate(variables):
            variable.assign(state[str(index)])
        return json.loads(str(state["history"]))


def keep_weights(run: Path, model: keras.Model, epoch: int, count: int) -> None:
    """Write the weights after an epoch, so that the last `count` epochs can be averaged."""
    if count > 1:
        _weights_of(run, epoch).parent.mkdir(exist_ok=True)
        with atomic_write(_weights_of(run, epoch)) as path:
            np.savez(path, *model.get_weights())
        _weights_of(run, epoch - count).unlink(missing_ok=True)


@contextlib.contextmanager
def averaged(run: Path, model: keras.Model, epoch: int, count: int) -> Iterator[None]:
    """Give a model, for the block, the mean of its weights after the last `count` epochs.

    Args:
        run: the run's directory, where `keep_weights` kept them.
        model: the network, as it is after `epoch`.
        epoch: the number of the last epoch.
        count: how many epochs to average over, as far as there are so many; 1: none but this.
    """
    if count == 1:
        yield
        return
    before = model.get_weights()
    numbers = range(max(1, epoch - count + 1), epoch + 1)
    total = [np.zeros_like(array) for array in before]
    for number in numbers:
        with np.load(_weights_of(run, number), allow_pickle=False) as arrays:
            for index, array in enumerate(total):
                array += arrays[f"arr_{index}"]
    model.set_weights([array / len(numbers) for array in total])
    try:
        yield
    finally:
        model.set_weights(before)


def _weights_of(run: Path, epoch: int) -> Path:
    return run / CHECKPOINT / f"epoch-{epoch}.npz"


def _variables(model: keras.Model) -> list[keras.Variable]:
    model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]
