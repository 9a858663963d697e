"""Cards: what a run, or an export of it, tells of itself."""

import json
from collections.abc import Mapping
from typing import Any

from lstm_zoo import runs


def describe(pipeline: Any) -> dict[str, Any]:
    """Describe a trained pipeline.

    Args:
        pipeline: a family's pipeline.

    Returns:
        The family and what its answers are made of (classes; alphabet and sample rate; languages),
        the network's arguments and its number of parameters, the settings, the data with its
        fingerprint, the scores, and the versions it was trained with.
    """
    config, metrics = pipeline.config, pipeline.run / runs.METRICS
    return {
        "family": config["family"],
        **pipeline.card,
        "network": config["network"],
        "parameters": pipeline.model.count_params(),
        "settings": config["settings"],
        "data": config["data"],
        "scores": _headlines(json.loads(metrics.read_text())) if metrics.is_file() else {},
        "trained with": runs.read_environment(pipeline.run)["versions"],
    }


def _headlines(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the single numbers of a run's metrics, and of the parts in it."""
    kept = {}
    for name, value in scores.items():
        if isinstance(value, Mapping):
            kept[name] = {k: v for k, v in value.items() if isinstance(v, (int, float))}
        elif isinstance(value, (int, float)):
            kept[name] = value
    return kept
