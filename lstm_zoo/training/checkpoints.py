"""Checkpoints, which a training resumes from as if it had not been interrupted."""

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from lstm_zoo.errors import CallError, DataError
from lstm_zoo.files import atomic_write, reading
from lstm_zoo.printing import log
from lstm_zoo.runs import cards
from lstm_zoo.runs.directory import CHECKPOINT, WEIGHTS
from lstm_zoo.training import optimizer


class Position(NamedTuple):
    """Where in an epoch a training goes on.

    Attributes:
        step: the number of training steps of the epoch so far.
        loss: the sum of their examples' losses.
        examples: the number of their examples.
    """

    step: int = 0
    loss: float = 0.0
    examples: float = 0.0


START = Position()


class State(NamedTuple):
    """What a training goes on with, beside the model.

    Attributes:
        history: a row for each epoch so far; empty if none has ended.
        position: where in the next epoch it goes on.
    """

    history: list[dict[str, Any]]
    position: Position


def save(
    run: Path,
    model: keras.Model,
    history: Sequence[dict[str, Any]],
    position: Position = START,
) -> None:
    """Write the weights, the optimizer's state, the dropout seeds and the history so far.

    The state before it is kept, in case that this one gets damaged.

    Args:
        run: the run's directory.
        model: the compiled network.
        history: a row for each epoch.
        position: where in the next epoch the model is.
    """
    directory = run / CHECKPOINT
    name = f"state-{len(history)}" + (f"-{position.step}" if position.step else "")
    directory.mkdir(exist_ok=True)
    arrays = {str(i): variable.numpy() for i, variable in enumerate(_variables(model))}
    # In one file, the state and the history are always of the same epoch.
    with atomic_write(directory / f"{name}.npz") as path:
        np.savez(path, history=json.dumps(history), **arrays, position=json.dumps(position))
    for path in states(run)[2:]:
        path.unlink()


def restore(run: Path, model: keras.Model) -> State:
    """Load the last state of a run that is whole into a compiled model.

    Args:
        run: the run's directory.
        model: the compiled network, which is changed.

    Returns:
        The history, and where in the next epoch the model is.

    Raises:
        CallError: if the state is of another network.
        DataError: if all states are damaged, or missing after the first epoch.
    """
    damage = []
    for path in states(run):
        try:
            arrays = _read(path)
            with reading(path):
                history = [cards.rename(row) for row in json.loads(str(arrays.pop("history")))]
                position = Position(*json.loads(str(arrays.pop("position", "[]"))))
                values = [arrays[str(i)] for i in range(len(arrays))]
        except DataError as error:
            damage.append(str(error))
            continue
        variables = _variables(model)
        if len(values) < len(variables):  # of version 0.1, where the schedule always applied
            variables = [variable for variable in variables if variable.name != optimizer.ASSIGNED]
        if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
            raise CallError(f"{path}: a checkpoint of another network; shapes differ.")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        for message in damage:
            log(f"Warning: {message}; continuing after epoch {len(history)}, from {path}.")
        return State(history, position)
    if damage or (run / WEIGHTS).is_file():
        reason = "; ".join(damage) or f"{run / CHECKPOINT} has no state"
        raise DataError(
            f"{reason}: this training can't be resumed. The best epoch is in {run / WEIGHTS}: "
            "if that is whole, it still predicts, is evaluated and exported."
        )
    return State([], START)


def states(run: Path) -> list[Path]:
    """List the files of a run's states, the newest first: `state-<epochs>-<steps>.npz`.

    The steps are those since the last epoch; after its end, they are left out. Version 0.1 wrote
    one, `state.npz`.
    """
    found = {}
    for path in (run / CHECKPOINT).glob("state*.npz"):
        if name := re.fullmatch(r"state(?:-(\d+))?(?:-(\d+))?", path.stem):
            found[int(name[1] or 0), int(name[2] or 0)] = path
    return [found[place] for place in sorted(found, reverse=True)]


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
        # Two more are kept: a training may resume from the state before the last.
        _weights_path(run, epoch - count - 2).unlink(missing_ok=True)


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
        arrays = _read(_weights_path(run, number))
        for index, array in enumerate(total):
            array += arrays[f"arr_{index}"]
    model.set_weights([array / len(numbers) for array in total])
    try:
        yield
    finally:
        model.set_weights(before)


def _read(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of a file, each with its checksum, which the format has.

    Raises:
        DataError: if the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # a damaged file raises errors of many types
        raise DataError(f"{path} is damaged") from error


def _weights_path(run: Path, epoch: int) -> Path:
    return run / CHECKPOINT / f"epoch-{epoch}.npz"


def _variables(model: keras.Model) -> list[keras.Variable]:
    optimizer.build_optimizer(model)
    return [*model.variables, *model.optimizer.variables]
