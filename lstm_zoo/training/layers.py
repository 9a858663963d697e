"""The layers of a network, which may learn at different rates and from different epochs on."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

NEUTRAL = {"layer_decay": None, "freeze": 0}  # all layers learn alike


def depths(weights: Sequence[keras.Variable], layers: Sequence[Sequence[str]]) -> list[int]:
    """Return how far from the top the layer of each weight is.

    Args:
        weights: the weights that are trained.
        layers: the layers from the top down, as `lstm_zoo.families.Task.layers` declares them.

    Returns:
        0 for a weight of the top layer, 1 for one of the layer below it, and so on.

    Raises:
        ValueError: if a weight is in none of the layers.

    Example:

    >>> model = lstm_zoo.build_sentiment(variant="tiny")
    >>> depths(model.trainable_weights, [("logits",), ("lstm_1",), ("embedding",)])
    [2, 1, 1, 1, 1, 1, 1, 0, 0]
    """
    found = []
    for weight in weights:
        inside = [
            depth
            for depth, layer in enumerate(layers)
            if any(f"{weight.path}/".startswith(f"{first}/") for first in layer)
        ]
        if not inside:
            raise ValueError(f"Every weight is of one of the task's layers. Found: {weight.path}")
        found += inside[:1]
    return found


def describe(layers: Sequence[Sequence[str]], settings: Mapping[str, Any]) -> list[str]:
    """Describe when each layer begins to learn, and at which rate; empty if all learn alike.

    Args:
        layers: the layers from the top down.
        settings: `epochs`, `layer_decay` and `freeze`.

    Returns:
        A line for each layer.

    Example:

    >>> settings = {"epochs": 3, "layer_decay": 0.4, "freeze": 1}
    >>> for line in describe([("logits",), ("lstm_1",)], settings):
    ...     print(line)
    logits: learning rate × 1, from epoch 1
    lstm_1: learning rate × 0.4, from epoch 2
    """
    decay, freeze = settings["layer_decay"], settings["freeze"]
    if {"layer_decay": decay, "freeze": freeze} == NEUTRAL:
        return []
    lines = []
    for depth, layer in enumerate(layers):
        first = 1 + depth * freeze
        when = f"from epoch {first}" if first <= settings["epochs"] else "never trained"
        factor = 1.0 if decay is None else decay**depth
        lines.append(f"{', '.join(layer)}: learning rate × {factor:.3g}, {when}")
    return lines
