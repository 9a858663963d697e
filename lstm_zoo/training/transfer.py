"""Starting a training from another run: which tokenizer and weights it takes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from lstm_zoo import families
from lstm_zoo.errors import CallError
from lstm_zoo.files import file_digest
from lstm_zoo.printing import log
from lstm_zoo.runs import presets
from lstm_zoo.runs.directory import WEIGHTS
from lstm_zoo.runs.loading import load
from lstm_zoo.settings import format_value
from lstm_zoo.training.corpora import DEMO, IN_MEMORY


class Source(NamedTuple):
    """The run from which a training starts.

    Attributes:
        pipeline: the run, loaded.
        task: its task, with what it learned.
        keep_vocabulary: whether its tokenizer is kept, rather than a new one learned.
    """

    pipeline: families.Pipeline
    task: families.Task
    keep_vocabulary: bool

    @property
    def tokenizer(self) -> Any:
        """The tokenizer to keep; None to learn one."""
        return self.task.tokenizer if self.keep_vocabulary else None


def read(family: str, init_from: Any, keep_vocabulary: bool) -> Source | None:
    """Load the run from which a training starts.

    It may be a stranger's: all of it is checked as `lstm_zoo.load` does.

    Args:
        family: the family's name.
        init_from: the run, as `lstm_zoo.load` takes it; None for no run.
        keep_vocabulary: whether to keep its tokenizer.

    Returns:
        The run; None without one.

    Raises:
        CallError: if there is no such run, or it is of another family.
        DataError: if a file of the run is damaged.
    """
    if init_from is None:
        return None
    pipeline = load(init_from, family=family)
    task = families.task(family).load(pipeline.run, pipeline.config)
    return Source(pipeline, task, keep_vocabulary)


def check_inputs(task: families.Task, source: Source) -> None:
    """Check that the network's inputs are computed as those of a run.

    Raises:
        CallError: if not, naming each setting that differs.
    """
    old = source.task.input_settings
    differing = {name: value for name, value in task.input_settings.items() if value != old[name]}
    if differing:
        found = ", ".join(f"{name}={format_value(value)}" for name, value in differing.items())
        needed = ", ".join(f"{name}={format_value(old[name])}" for name in differing)
        raise CallError(
            f"The weights of {source.pipeline.run} need inputs with {needed}. Received: {found}. "
            f"Set {needed} to start from it."
        )


def take_weights(
    model: keras.Model, task: families.Task, source: Source, data: Mapping[str, Any]
) -> dict[str, Any]:
    """Replace the weights of a new network by those of a run, as far as they fit, and log which.

    Weights of one path fit if their shapes are equal. Along the axes that the tasks name, entries
    of equal names are taken, and the sizes may differ. What the run has fitted on its validation
    data is not taken if the new network is validated on them.

    Args:
        model: the new network, which is changed.
        task: its task.
        source: the run.
        data: the entry `data` of the new `config.json`.

    Returns:
        The entry `init_from` of `config.json`: `run`, its path or preset; `weights_sha256`, the
        digest of its weights; `keep_vocabulary`; `taken`, the paths of weights that are taken
        whole; `partly`, what is taken of others, such as "80 of 100 tokens", by path; `fresh`, why
        others are not, by path; and `unused`, the paths of the run's weights that the network
        lacks.

    Raises:
        CallError: if no weight fits.
    """
    old_data = source.pipeline.config["data"]
    has_validation = old_data["validation"].get("sha256") == data["validation"]["sha256"]
    is_same_file = data["source"] == old_data["source"] not in (IN_MEMORY, DEMO)
    if is_same_file and not has_validation:
        log(
            f"Warning: {source.pipeline.run} was trained on {data['source']} too, with another "
            "split: the validation data have examples that it has seen, and their scores mislead."
        )
    old_weights = {weight.path: weight for weight in source.pipeline.model.weights}
    named, old_named = task.named_axes, source.task.named_axes
    taken, partly, fresh = [], {}, {}
    for weight in model.weights:
        path = weight.path
        if path not in old_weights:
            fresh[path] = "the run has no such weight"
            continue
        if has_validation and path in source.task.refitted:
            fresh[path] = "the run's was fitted on these validation data too"
            continue
        old = old_weights[path].numpy()
        matches, obstacle = _match(
            weight.shape, old.shape, named.get(path, {}), old_named.get(path, {})
        )
        if obstacle:
            fresh[path] = obstacle
            continue
        values = weight.numpy()
        values[np.ix_(*(new for new, _ in matches))] = old[np.ix_(*(index for _, index in matches))]
        weight.assign(values)
        parts = [
            f"{len(matches[axis][0]):,} of {weight.shape[axis]:,} {names.kind}"
            for axis, names in named.get(path, {}).items()
            if axis is not None and len(matches[axis][0]) < weight.shape[axis]
        ]
        if parts:
            partly[path] = ", ".join(parts)
        else:
            taken.append(path)
    run = source.pipeline.run
    unused = [path for path in old_weights if path not in {weight.path for weight in model.weights}]
    if not taken and not partly:
        reasons = "; ".join(f"{path}: {reason}" for path, reason in fresh.items())
        raise CallError(f"init_from: no weight of {run} fits this network: {reasons}.")
    log(f"{run}: {len(taken)} of the network's {len(model.weights)} weights start from it")
    for paths, sign in ((partly, ""), (fresh, "new: ")):
        for path, text in paths.items():
            log(f"  {path}: {sign}{text}")
    if unused:
        log(f"  of the run, not used: {', '.join(unused)}")
    return {
        "run": presets.name_of(run),
        "weights_sha256": file_digest(run / WEIGHTS),
        "keep_vocabulary": source.keep_vocabulary,
        "taken": taken,
        "partly": partly,
        "fresh": fresh,
        "unused": unused,
    }


def _match(
    shape: Sequence[int],
    old_shape: Sequence[int],
    named: Mapping[int | None, families.Names],
    old_named: Mapping[int | None, families.Names],
) -> tuple[list[tuple[np.ndarray, np.ndarray]], str]:
    """Match the entries of two weights of one path.

    Returns:
        For each axis the indices of equal entries, `(matches,)` in each of the weights; and why the
        weight can't be taken, "" if it can.
    """
    if None in named and [*named[None].names] != [*old_named[None].names]:
        return [], f"it depends on all {named[None].kind} and their order, which differ"
    # An axis of names may have another size.
    compared, old_compared = (
        [None if axis in named else size for axis, size in enumerate(sizes)]
        for sizes in (shape, old_shape)
    )
    if compared != old_compared:
        return [], f"its shape is {[*shape]}, the run's {[*old_shape]}"
    matches = []
    for axis, size in enumerate(shape):
        pairs = [(index, index) for index in range(size)]
        if axis in named:
            positions = {name: index for index, name in enumerate(old_named[axis].names)}
            pairs = [
                (index, positions[name])
                for index, name in enumerate(named[axis].names)
                if name in positions
            ]
        if not pairs:
            return [], f"no {named[axis].kind} in common"
        matches.append(tuple(np.array(pairs).T))
    return matches, ""
