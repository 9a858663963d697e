"""The optimizer and its schedule."""

from collections.abc import Mapping
from typing import Any

import keras


def make_optimizer(settings: Mapping[str, Any], steps: int) -> keras.optimizers.Optimizer:
    """AdamW (Loshchilov and Hutter 2019): the rate climbs, then falls along a cosine to 0."""
    total = settings["epochs"] * steps
    warmup = max(1, round(settings["warmup"] * total))
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(
            0.0,
            decay_steps=max(1, total - warmup),
            warmup_target=settings["learning_rate"],
            warmup_steps=warmup,
        ),
        weight_decay=settings["weight_decay"],
        epsilon=settings["epsilon"],
        global_clipnorm=settings["clip_norm"],
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer
