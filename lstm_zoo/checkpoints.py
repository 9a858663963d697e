"""Checkpoints: all that a training needs to go on as if it had never stopped."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from lstm_zoo.errors import CallError
from lstm_zoo.files import written_whole
from lstm_zoo.runs import CHECKPOINT


def save(run: Path, model: keras.Model, history: Sequence[dict[str, Any]]) -> None:
    """Write the weights, the optimizer's state, the dropout seeds, and the history so far."""
    directory = run / CHECKPOINT
    directory.mkdir(exist_ok=True)
    arrays = {str(i): variable.numpy() for i, variable in enumerate(_variables(model))}
    # One file, so that the state and the history can't be of different epochs.
    with written_whole(directory / "state.npz") as path:
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


def _variables(model: keras.Model) -> list[keras.Variable]:
    model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]
