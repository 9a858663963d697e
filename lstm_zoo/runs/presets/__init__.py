"""Presets: trained runs that ship with this package, one in each folder beside this file.

`recipes/presets.py` makes them from the runs of recipes.
"""

import os
from pathlib import Path
from typing import Any

from lstm_zoo.errors import CallError
from lstm_zoo.files import user_path
from lstm_zoo.runs import cards

FOLDER = Path(__file__).parent
PREFIX = "preset:"  # of a name that is a preset's, whatever the working directory holds


def presets() -> dict[str, dict[str, Any]]:
    """Return the cards of all presets: pretrained runs that ship with this package.

    Returns:
        The card of each preset by its name, in alphabetical order: the entries of
        `lstm_zoo.runs.cards.describe`, and `preset`, which has a `title`, the `task`, the
        `languages`, the `data` with their licence, the `recipe`, the `metric` with its test set,
        the number of `bytes`, the `milliseconds` of an answer and the `limits`.

    Example:

    >>> card = presets()["trec-questions"]
    >>> card["family"], card["preset"]["metric"]["name"]
    ('sentiment', 'accuracy')
    """
    return {name: cards.read_file(FOLDER / name / cards.FILE) for name in names()}


def names() -> list[str]:
    """Return the names of all presets, in alphabetical order."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{cards.FILE}"))


def locate(run: str | os.PathLike) -> Path:
    """Return the directory of a run that is named by its path, or is a preset.

    Args:
        run: a path; the name of a preset, unless something of that name is in the working
            directory; or `preset:` and the name.

    Returns:
        The directory, which may not exist if a path was given.

    Raises:
        CallError: if there is no such preset.

    Example:

    >>> locate("runs/imdb"), locate("preset:trec-questions").name
    (PosixPath('runs/imdb'), 'trec-questions')
    """
    text, path = os.fspath(run), user_path(run)
    if text.startswith(PREFIX):
        name = text.removeprefix(PREFIX)
        if name not in names():
            raise CallError(f"{text}: no such preset. Known: {', '.join(names())}.")
        return FOLDER / name
    return FOLDER / text if text in names() and not path.exists() else path


def name_of(run: Path) -> str:
    """Return what to call a run in a file that may be read elsewhere: its path, or its preset.

    Example:

    >>> name_of(locate("preset:trec-questions"))
    'preset:trec-questions'
    """
    return f"{PREFIX}{run.name}" if run.parent == FOLDER else str(run.absolute())


def summary(card: dict[str, Any]) -> dict[str, Any]:
    """Return a preset's row of `lstm-zoo presets`.

    Args:
        card: one of `presets()`.

    Returns:
        Texts by column: the task, the languages, the metric, its test set, the size, the latency
        and the licence of the data.
    """
    entry = card["preset"]
    metric = entry["metric"]
    return {
        "task": entry["task"],
        "language": " → ".join(entry["languages"]),
        "metric": f"{metric['name']} {metric['value']:.{metric['digits']}f}",
        "test set": f"{metric['test_set']} ({metric['examples']:,})",
        "size": f"{entry['bytes'] / 1e6:.1f} MB",
        "latency": f"{entry['milliseconds']:.0f} ms",
        "licence of the data": entry["data"]["licence"],
    }
