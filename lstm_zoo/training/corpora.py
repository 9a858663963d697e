"""The data of a training: training data, validation data and a test set."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_zoo import families
from lstm_zoo.data.prepared import fingerprint, remember
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.files import user_path
from lstm_zoo.printing import log

# In place of a path in config.json:
DEMO = "demo"  # the demo corpus
IN_MEMORY = "in memory"  # columns
VALIDATION_SPLIT = 0.1


class Corpora(NamedTuple):
    """The corpora of a training.

    Attributes:
        training: the training data.
        validation: the validation data, which chooses the best epoch.
        test: the test set, evaluated once at the end; None except for the demo corpus.
        training_skipped: (place, reason) of each row of the data that can't be used.
        validation_skipped: the same of given validation data.
        duplicates: how many rows of the training data equal an earlier one.
        overlap: how many validation rows have the content of a training row.
        description: the sources, the split and the fingerprints, for `config.json`.
    """

    training: families.Corpus
    validation: families.Corpus
    test: families.Corpus | None
    training_skipped: list[tuple[str, str]]
    validation_skipped: list[tuple[str, str]]
    duplicates: int
    overlap: int
    description: dict[str, Any]

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """(place, reason) of each row that can't be used."""
        return [*self.training_skipped, *self.validation_skipped]


def check_split(fraction: float | None, validation: Any = None) -> float:
    """Return the fraction of the data to split off as validation data.

    Args:
        fraction: the fraction that was given; None for `VALIDATION_SPLIT`.
        validation: validation data that was given; None if there is none.

    Raises:
        CallError: if it is not between 0 and 1, or has no effect.

    Example:

    >>> check_split(None), check_split(0.2)
    (0.1, 0.2)
    """
    if fraction is None:
        return VALIDATION_SPLIT
    if validation is not None and fraction != VALIDATION_SPLIT:
        raise CallError(
            f"validation_split={fraction} has no effect with validation; give only one."
        )
    if not 0 < fraction < 1:
        raise CallError(f"validation_split is a fraction between 0 and 1. Received: {fraction}")
    return fraction


def read(
    task: type[families.Task],
    data: Any,
    validation: Any,
    validation_split: float | None,
    strict: bool,
    settings: Mapping[str, Any],
    cache: Path | None = None,
) -> Corpora:
    """Read the data of a new run, and split off validation data.

    Args:
        task: the family's task, which reads the data.
        data: the training data, as `lstm_zoo.train` takes it; None for the demo corpus.
        validation: the validation data; None to split it off `data`.
        validation_split: the fraction to split off; None for `VALIDATION_SPLIT`.
        strict: whether a row that can't be used is an error, rather than skipped.
        settings: a value for every setting; `seed` decides the split.
        cache: the folder of prepared examples; None for memory alone.

    Returns:
        The corpora.

    Raises:
        CallError: if a path does not exist, or the fraction is not between 0 and 1.
        DataError: if the data is malformed, or too small to be split.
    """
    validation_split = check_split(validation_split)
    if data is None:
        training, test = task.read_demo(settings)
        source = DEMO
    else:
        training, test = task.read(data, settings, strict, cache), None
        source = _source(data)
    training_skipped, validation_skipped = training.skipped, []
    overlap = 0
    if validation is None:
        try:
            training, validation_corpus = training.split(validation_split, settings["seed"])
        except ValueError as error:
            raise DataError(f"{source}: can't split off validation data: {error}") from error
        if training.groups:  # a split by groups may leave a text on both sides
            overlap = training.overlap(validation_corpus)
    else:
        validation_corpus = task.read(validation, settings, strict, cache)
        validation_skipped = validation_corpus.skipped
        overlap = training.overlap(validation_corpus)
    described, duplicates = _describe(training)
    description = {
        "source": source,
        "validation_source": _source(validation),
        "validation_split": validation_split,
        "strict": strict,
        "seed": settings["seed"],
        "training": described,
        "validation": _describe(validation_corpus)[0],
    }
    return Corpora(
        training,
        validation_corpus,
        test,
        training_skipped,
        validation_skipped,
        duplicates,
        overlap,
        description,
    )


def read_again(
    task: type[families.Task],
    config: Mapping[str, Any],
    data: Any,
    validation: Any,
    validation_split: float | None,
    strict: bool,
    cache: Path | None = None,
) -> Corpora:
    """Read the data of a run to resume, and check that it has not changed.

    Args:
        task: the family's task, which reads the data.
        config: the run's `config.json`.
        data: the training data; None to read it from the run's source.
        validation: the validation data; None likewise.
        validation_split: None, or the run's fraction.
        strict: False, or the run's value.
        cache: the folder of prepared examples; None for memory alone.

    Returns:
        The corpora, equal to those that the run was started with.

    Raises:
        CallError: if data in memory is not given again, or `validation_split` or `strict` is not
            the run's.
        DataError: if the data has changed.
    """
    old = config["data"]
    check_kept(config, validation_split, strict)
    sources = ((data, old["source"]), (validation, old["validation_source"]))
    named = [name for given, name in sources if given is None and name not in (None, DEMO)]
    if data is None and old["source"] != DEMO:
        data = old["source"]
    if validation is None and old["validation_source"] is not None:
        validation = old["validation_source"]
    if any(isinstance(given, str) and given == IN_MEMORY for given in (data, validation)):
        raise CallError("This run was trained on data in memory; give the same data to resume it.")
    if named:
        log(f"Reading the data that the run names: {' and '.join(named)}")
    corpora = read(
        task, data, validation, old["validation_split"], old["strict"], config["settings"], cache
    )
    for name in ("training", "validation"):
        found = corpora.description[name]
        if {key: found.get(key) for key in old[name]} != old[name]:  # version 0.1 wrote fewer
            raise DataError(
                f"The {name} data has changed since this run was started; can't resume it."
            )
    return corpora


def check_kept(config: Mapping[str, Any], validation_split: float | None, strict: bool) -> None:
    """Check that a resumed run is given no other split, nor another way to read its data.

    Raises:
        CallError: if it is.
    """
    old = config["data"]
    if validation_split not in (None, old["validation_split"]) or strict > old["strict"]:
        raise CallError("A resumed run keeps its validation_split and strict; give neither.")


def check_unread(run: Path, config: Mapping[str, Any], data: Any, validation: Any) -> None:
    """Check that a finished run, whose data are not read again, is given no other files.

    Raises:
        CallError: if it is.
    """
    old = config["data"]
    parts = ("data", data, "source"), ("validation data", validation, "validation_source")
    for name, given, key in parts:
        if given is not None and _source(given) != old[key]:
            raise CallError(
                f"{run} is finished; its {name}: {old[key] or 'split off its data'}. Received: "
                f"{_source(given)}. For other data, start a new run from it (init_from)."
            )


def _source(data: Any) -> str | None:
    if data is None:
        return None
    return os.path.abspath(user_path(data)) if isinstance(data, (str, os.PathLike)) else IN_MEMORY


def _describe(corpus: families.Corpus) -> tuple[dict[str, Any], int]:
    """Return the entry of a corpus in `config.json`, and how many rows equal an earlier one."""
    identity = corpus.identity

    def identify() -> dict[str, Any]:
        hashes = np.sort(np.fromiter(map(hash, zip(*identity, strict=True)), np.int64))
        duplicates = int(np.count_nonzero(hashes[1:] == hashes[:-1]))
        return {"sha256": fingerprint(*identity), "duplicates": duplicates}

    found = remember("identity", identity, identify)
    description = {"examples": len(corpus), "sha256": found["sha256"]}
    if digests := corpus.file_digests:
        description["files_sha256"] = fingerprint(digests)
    return description, found["duplicates"]
