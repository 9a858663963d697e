"""The data of a training: what it learns from, what chooses the best epoch, and a test set."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from lstm_zoo import families
from lstm_zoo.errors import CallError, DataError

DEMO = "demo"  # stands for a path where the demo corpus was used
IN_MEMORY = "in memory"  # stands for a path where columns were given
VALIDATION_SPLIT = 0.1


class Corpora(NamedTuple):
    """The corpora of a training.

    training: what the network learns from.
    validation: what chooses the best epoch.
    test: what is evaluated once at the end; None where the data has no test set.
    skipped: a (place, reason) for each row that can't be used.
    overlap: how many validation examples stand, by content, in the training data too.
    description: what `config.json` keeps of the data.
    """

    training: families.Corpus
    validation: families.Corpus
    test: families.Corpus | None
    skipped: list[tuple[str, str]]
    overlap: int
    description: dict[str, Any]


def read(
    task: type[families.Task],
    data: Any,
    validation: Any,
    validation_split: float | None,
    strict: bool,
    settings: Mapping[str, Any],
) -> Corpora:
    """Read the data of a new run and cut off what chooses its best epoch.

    Args:
        task: the family's, with its readers.
        data: what to train on, as `lstm_zoo.train` takes it; None for the demo corpus.
        validation: what chooses the best epoch; None to cut it off `data`.
        validation_split: the share cut off; None for `VALIDATION_SPLIT`.
        strict: whether a row that can't be used is an error, not skipped.
        settings: the seed among them decides what is cut off.

    Returns:
        The corpora, with the description that `config.json` keeps.

    Raises:
        CallError: if there is no such data, or the share to cut off is not between 0 and 1.
        DataError: if it is malformed, or too small to be cut.
    """
    if validation_split is None:
        validation_split = VALIDATION_SPLIT
    if not 0 < validation_split < 1:
        raise CallError(
            f"validation_split is a share between 0 and 1. Received: {validation_split}"
        )
    if data is None:
        training, test = task.read_demo(settings)
        source = DEMO
    else:
        training, test = task.read(data, settings, strict), None
        source = _source(data)
    skipped = list(training.skipped)
    overlap = 0
    if validation is None:
        try:
            training, held_out = training.split(validation_split, settings["seed"])
        except ValueError as error:
            raise DataError(f"Can't cut off validation data: {error}") from error
    else:
        held_out = task.read(validation, settings, strict)
        skipped += held_out.skipped
        overlap = training.overlap(held_out)
    description = {
        "source": source,
        "validation_source": _source(validation),
        "validation_split": validation_split,
        "strict": strict,
        "seed": settings["seed"],
        "training": _describe(training),
        "validation": _describe(held_out),
    }
    return Corpora(training, held_out, test, skipped, overlap, description)


def read_again(
    task: type[families.Task],
    config: Mapping[str, Any],
    data: Any,
    validation: Any,
    validation_split: float | None,
    strict: bool,
) -> Corpora:
    """Read the data of a run that is resumed, and make sure that it is the same.

    Args:
        task: the family's, with its readers.
        config: the run's `config.json`.
        data: None to read what the run was trained on from where it was.
        validation: likewise, of what chooses the best epoch.
        validation_split: None, or the share that the run has.
        strict: False, or what the run has.

    Returns:
        The corpora, equal to those that the run began with.

    Raises:
        CallError: if the data was in memory and is not given, or is to be cut in another way.
        DataError: if the data has changed.
    """
    old = config["data"]
    if validation_split not in (None, old["validation_split"]) or strict > old["strict"]:
        raise CallError("A resumed run keeps its validation_split, and whether it is strict.")
    if data is None and old["source"] != DEMO:
        data = old["source"]
    if validation is None and old["validation_source"] is not None:
        validation = old["validation_source"]
    if any(isinstance(given, str) and given == IN_MEMORY for given in (data, validation)):
        raise CallError("This run was trained on data in memory; give the same to resume it.")
    corpora = read(
        task, data, validation, old["validation_split"], old["strict"], config["settings"]
    )
    for name in ("training", "validation"):
        if corpora.description[name] != old[name]:
            raise DataError(f"The {name} data is not what this run began with; can't resume it.")
    return corpora


def fingerprint(*columns: Iterable[str]) -> str:
    """Return the SHA-256 of a corpus: any change to a row or to the order changes it.

    Example:

    >>> fingerprint(["good", "bad"], ["pos", "neg"])[:8]
    '8e2d7e8e'
    """
    digest = hashlib.sha256()
    for row in zip(*columns, strict=True):
        for field in row:
            data = field.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def _source(data: Any) -> str | None:
    if data is None:
        return None
    return os.path.abspath(data) if isinstance(data, (str, os.PathLike)) else IN_MEMORY


def _describe(corpus: families.Corpus) -> dict[str, Any]:
    return {"examples": len(corpus), "sha256": fingerprint(*corpus.identity)}
