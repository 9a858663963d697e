"""Checkpoints, which a training resumes from as if it had not been interrupted."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from lstm_zoo.errors import CallError
from lstm_zoo.files import atomic_write
from lstm_zoo.runs import cards
from lstm_zoo.runs.directory import CHECKPOINT
from lstm_zoo.training.optimizer import ASSIGNED


def save(run: Path, model: keras.Model, history: Sequence[dict[str, Any]]) -> None:
    """Write the weights, the optimizer's state, the dropout seeds and the history so far.

    Args:
        run: the run's directory.
        model: the compiled network.
        history: a row for each epoch.
    """
    directory = run / CHECKPOINT
    directory.mkdir(exist_ok=True)
    arrays = {str(i): variable.numpy() for i, variable in enumerate(_variables(model))}
    # In one file, the state and the history are always of the same epoch.
    with atomic_write(directory / "state.npz") as path:
        np.savez(path, history=json.dumps(history), **arrays)


def restore(run: Path, model: keras.Model) -> list[dict[str, Any]]:
    """Load the checkpoint of a run into a compiled model.

    Args:
        run: the run's directory.
        model: the compiled network, which is changed.

    Returns:
        The history, a row for each epoch; empty if there is no checkpoint.

    Raises:
        CallError: if the checkpoint is of another network.
    """
    path = run / CHECKPOINT / "state.npz"
    if not path.is_file():
        return []
    variables = _variables(model)
    with np.load(path, allow_pickle=False) as state:
        shapes = [state[str(i)].shape for i in range(len(state.files) - 1)]
        if len(shapes) < len(variables):  # of version 0.1, where the schedule always applied
            variables = [variable for variable in variables if variable.name != ASSIGNED]
        if shapes != [tuple(variable.shape) for variable in variables]:
            raise CallError(f"{path}: a checkpoint of another network; shapes differ.")
        for index, variable in enumerate(variables):
            variable.assign(state[str(index)])
        return [cards.rename(row) for row in json.loads(str(state["history"]))]


def keep_weights(run: Path, model: keras.Model, epoch: int, count: int) -> None:
    """Write the weights after an epoch, for `averaged`, and delete those no longer needed.

    Args:
        run: the run's directory.
        model: the network, as it is after `epoch`.
        epoch: the number of the epoch, from 1.
        count: the number of last epochs to average; 1 writes nothing.
    """
    if count > 1:
        path = _weights_path(run, epoch)
        path.parent.mkdir(exist_ok=True)
        with atomic_write(path) as temporary:
            np.savez(temporary, *model.get_weights())
        _weights_path(run, epoch - count).unlink(missing_ok=True)


@contextlib.contextmanager
def averaged(run: Path, model: keras.Model, epoch: int, count: int) -> Iterator[None]:
    """Replace a model's weights in the block by their mean over the last `count` epochs.

    After the block, also if it raises, the model has its own weights again.

    Args:
        run: the run's directory, to which `keep_weights` wrote the weights.
        model: the network, as it is after `epoch`.
        epoch: the number of the last epoch, from 1.
        count: the number of epochs, or all so far if there are fewer; 1 changes nothing.
    """
    if count == 1:
        yield
        return
    before = model.get_weights()
    numbers = range(max(1, epoch - count + 1), epoch + 1)
    total = [np.zeros_like(array) for array in before]
    for number in numbers:
        with np.load(_weights_path(run, number), allow_pickle=False) as arrays:
            for index, array in enumerate(total):
                array += arrays[f"arr_{index}"]
    model.set_weights([array / len(numbers) for array in total])
    try:
        yield
    finally:
        model.set_weights(before)


def _weights_path(run: Path, epoch: int) -> Path:
    return run / CHECKPOINT / f"epoch-{epoch}.npz"


def _variables(model: keras.Model) -> list[keras.Variable]:
    model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]
