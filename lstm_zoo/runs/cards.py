"""Cards: what a run, or an export of it, tells of itself."""

import json
from collections.abc import Mapping
from typing import Any

from lstm_zoo import families
from lstm_zoo.runs.directory import METRICS
from lstm_zoo.runs.environment import read_environment

FILE = "card.json"  # of an export


def describe(pipeline: families.Pipeline) -> dict[str, Any]:
    """Describe a trained pipeline.

    Args:
        pipeline: a family's pipeline.

    Returns:
        The family and what its answers are made of (classes; alphabet and sample rate; languages),
        the network's arguments and its number of parameters, the settings, the data with its
        fingerprint, the scores, and the versions it was trained with.
    """
    config, metrics = pipeline.config, pipeline.run / METRICS
    return {
        "family": config["family"],
        **pipeline.card,
        "network": config["network"],
        "parameters": pipeline.model.count_params(),
        "settings": config["settings"],
        "data": config["data"],
        "scores": _single_numbers(json.loads(metrics.read_text())) if metrics.is_file() else {},
        "trained_with": read_environment(pipeline.run)["versions"],
    }


def read(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return a card with the keys of today, whichever version of lstm_zoo wrote it.

    Example:

    >>> read({"family": "speech", "trained with": {"keras": "3.15.1"}})
    {'family': 'speech', 'trained_with': {'keras': '3.15.1'}}
    """
    return {key.replace(" ", "_"): value for key, value in card.items()}


def _single_numbers(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the single numbers of a run's metrics, and of its data sets."""
    kept = {}
    for name, value in scores.items():
        name = "test" if name == "report" else name  # as version 0.1 called the test set
        if isinstance(value, Mapping):
            kept[name] = {k: v for k, v in value.items() if isinstance(v, (int, float))}
        elif isinstance(value, (int, float)):
            kept[name] = value
    return kept
