"""The checks of a call of `train` that need neither TensorFlow nor the data: settings and paths."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lstm_zoo import families
from lstm_zoo.errors import CallError
from lstm_zoo.files import user_path
from lstm_zoo.printing import log
from lstm_zoo.runs import directory, presets
from lstm_zoo.runs.loading import find
from lstm_zoo.settings import (
    AUTO,
    TRAINING,
    Setting,
    format_value,
    ineffective,
    refuse_ineffective,
    resolve,
)
from lstm_zoo.training.corpora import check_split


def new_run(
    family: str,
    run: str | os.PathLike | None,
    data: Any,
    validation: Any,
    validation_split: float | None,
    settings: Mapping[str, Any],
    init_from: str | os.PathLike | None = None,
    keep_vocabulary: bool = False,
    overwrite: bool = False,
) -> tuple[dict[str, Any], Path]:
    """Check the call that starts a new run.

    Args:
        family: the family's name.
        run: the directory to create; None for `runs/FAMILY-<time>`.
        data: the training data, as `lstm_zoo.train` takes it.
        validation: the validation data, or None.
        validation_split: the fraction to split off, or None.
        settings: the settings that were given.
        init_from: the run whose weights the new one starts from, or None.
        keep_vocabulary: whether to keep the tokenizer of `init_from`.
        overwrite: whether a run at `run` is replaced.

    Returns:
        A value for every setting, and the run's path.

    Raises:
        CallError: if an argument is bad, the run exists, or a setting has no effect.
        DataError: if a path holds no data of the family.

    Example:

    >>> new_run("sentiment", "runs/new", None, None, None, {"units": "8,8"})[0]["units"]
    (8, 8)
    """
    table, package = families.settings(family), families.module(family)
    if init_from is not None:
        path, config = find(init_from, family)
        settings = inherited(family, path, config, settings, keep_vocabulary)
    elif keep_vocabulary:
        raise CallError("keep_vocabulary has no effect without init_from.")
    values = resolve(table, settings)
    refuse_ineffective(table, values, package.VARIANTS)
    names = (*package.COLUMNS, "group_column")
    columns = [name for name in names if values.get(name) not in (None, AUTO)]
    if data is None and columns:
        raise CallError(f"{' and '.join(columns)} has no effect on the demo corpus; give data.")
    check_split(validation_split, validation)
    if run is not None and os.fspath(run).startswith(presets.PREFIX):
        raise CallError(f"{run}: presets are only read; name a directory to write the run to.")
    path = user_path(run) if run is not None else directory.default_path(family)
    directory.check_free(path, overwrite)
    if overwrite:
        files = {n: v for n, v in values.items() if isinstance(v, str) and os.path.isabs(v)}
        needed = {"data": data, "validation": validation, "init_from": init_from, **files}
        _check_apart(path, run, needed)
    for given in (data, validation):
        if isinstance(given, (str, os.PathLike)):
            package.check_data(given, values, values)
    return values, path


def _check_apart(path: Path, run: Any, given: Mapping[str, Any]) -> None:
    """Check that a training needs nothing of the run that it replaces.

    Raises:
        CallError: if it does, or no run is named.
    """
    if run is None:
        raise CallError("overwrite has no effect without run.")
    for name, value in given.items():
        if isinstance(value, (str, os.PathLike)):
            place = user_path(value).resolve()
            for replaced in (path, path.with_name(f"{path.name}.old")):
                if replaced.resolve() in (place, *place.parents):
                    raise CallError(
                        f"{name} is in {replaced}, which overwrite would replace: {value}"
                    )


def resumed_run(
    family: str,
    run: str | os.PathLike | None,
    settings: Mapping[str, Any],
    init_from: str | os.PathLike | None = None,
    keep_vocabulary: bool = False,
) -> tuple[dict[str, Any], Path]:
    """Check the call that resumes a run.

    Args:
        family: the family's name.
        run: the run's directory.
        settings: `epochs`, or other settings with the run's values.
        init_from: None: the run has its weights already.
        keep_vocabulary: False, likewise.

    Returns:
        The run's `config.json`, with the settings to go on with, and its path.

    Raises:
        CallError: if there is no such run, or an argument is not the run's.
        DataError: if the run's `config.json` is damaged.

    Example:

    >>> resumed_run("sentiment", "runs/imdb", {"epochs": 3})[0]["settings"]["epochs"]
    3
    """
    if run is None:
        raise CallError("resume needs run, the directory of the run to resume.")
    if init_from is not None or keep_vocabulary:
        raise CallError(
            "A resumed run keeps its init_from and keep_vocabulary; give neither. To start from "
            "the weights of a run, give another one as run."
        )
    path = user_path(run)
    config = directory.read_config(path, family)
    values = _settings_to_resume(config["settings"], families.settings(family), settings)
    if directory.is_finished(path) and values["epochs"] != config["settings"]["epochs"]:
        raise CallError(f"{path} is finished; for other epochs, train a new run.")
    return {**config, "settings": values}, path


def from_config(
    family: str,
    path: str | os.PathLike,
    settings: Mapping[str, Any],
    keep_vocabulary: bool = False,
) -> dict[str, Any]:
    """Return the settings of a `config.json`, some of them replaced, and log what is used of it.

    Args:
        family: the family's name.
        path: the file.
        settings: the settings that were given, which win.
        keep_vocabulary: whether the tokenizer is another run's, and its settings too.

    Raises:
        CallError: if there is no such file, or it is of another family.
        DataError: if it is damaged.

    Example:

    >>> from_config("sentiment", "runs/imdb/config.json", {"epochs": 9})["epochs"]
    9
    """
    file = user_path(path)
    if not file.is_file():
        hint = " Give the config.json in it." if (file / directory.CONFIG).is_file() else ""
        raise CallError(f"{file}: no such file.{hint}")
    config = directory.parse_config(file, family)
    table = families.settings(family)
    taken = {
        name: value
        for name, value in config["settings"].items()
        if name in table and table[name].inherited
    }
    if keep_vocabulary:
        taken = {n: v for n, v in taken.items() if n not in families.module(family).TOKENIZER}
    taken = _without_ineffective(family, taken, settings)
    defaults = resolve(table, {})
    changed = [
        f"{name}={format_value(value)}"
        for name, value in taken.items()
        if name not in settings and _as_list(value) != _as_list(defaults[name])
    ]
    log(
        f"{file}: its settings are used: {', '.join(changed) or 'the defaults'}; not its data "
        f"({config['data'].get('source')}), with their columns and paths, nor its weights."
    )
    if unknown := sorted(config["settings"].keys() - table.keys()):
        log(f"Warning: {file}: this version does not know {', '.join(unknown)}.")
    return {**taken, **settings}


def inherited(
    family: str,
    run: Path,
    config: Mapping[str, Any],
    given: Mapping[str, Any],
    keep_vocabulary: bool,
) -> dict[str, Any]:
    """Complete the settings that were given by those of the run from which a training starts.

    The family's settings are the run's, without columns and paths; those of training are not. The
    sizes of the network are the run's too, unless another variant is given. What has no effect
    beside the settings that were given is left out.

    Args:
        family: the family's name.
        run: the run.
        config: its `config.json`.
        given: the settings that were given.
        keep_vocabulary: whether its tokenizer is kept.

    Returns:
        The settings that were given, and those of the run.

    Raises:
        CallError: if a setting of a tokenizer that is kept is given another value.
    """
    package, table = families.module(family), families.settings(family)
    old = config["settings"]
    names = [name for name in package.SETTINGS if name not in TRAINING and table[name].inherited]
    taken = {name: old[name] for name in names}
    sizes = {name for row in package.VARIANTS.values() for name in row}
    if given.get("variant", old["variant"]) == old["variant"]:
        taken |= {name: config["network"].get(name) for name in names if name in sizes}
    else:
        taken = {name: value for name, value in taken.items() if name not in sizes}
    if keep_vocabulary:
        values = resolve(table, given)
        for name in package.TOKENIZER:
            if name in given and values[name] != old[name]:
                raise CallError(
                    f"{name}={format_value(values[name])} has no effect with keep_vocabulary: the "
                    f"tokenizer of {run} has {name}={format_value(old[name])}."
                )
    return {**_without_ineffective(family, taken, given), **given}


def _without_ineffective(
    family: str, taken: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Leave out the settings taken from another run that have no effect beside those given."""
    table, variants = families.settings(family), families.module(family).VARIANTS
    kept = dict(taken)
    while found := ineffective(table, resolve(table, {**kept, **given}), variants).keys() - given:
        kept = {name: value for name, value in kept.items() if name not in found}
    return kept


def _settings_to_resume(
    old: Mapping[str, Any], table: Mapping[str, Setting], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the settings of a run, with `epochs` replaced if it is given.

    Raises:
        CallError: if another setting is given with a value that is not the run's.
    """
    resolved = resolve(table, given)
    for name in given:
        if name != "epochs" and _as_list(old[name]) != _as_list(resolved[name]):
            raise CallError(
                f"{name} is {old[name]} in this run; a resumed run keeps its settings "
                f"(only epochs may change). Received: {given[name]!r}"
            )
    return {**old, "epochs": resolved["epochs"] if "epochs" in given else old["epochs"]}


def _as_list(value: Any) -> list[Any]:
    """Return a setting's value as a list: JSON turns tuples into lists."""
    return [*value] if isinstance(value, (list, tuple)) else [value]
