"""The optimizer and its learning-rate schedule."""

from collections.abc import Mapping
from typing import Any

import keras


def make_optimizer(settings: Mapping[str, Any], steps: int) -> keras.optimizers.Optimizer:
    """Return AdamW (Loshchilov and Hutter 2019) with linear warmup and cosine decay to 0.

    The decay is Loshchilov and Hutter's (2017, "SGDR"), without restarts. It ends after the last
    epoch, also if early stopping ends the training before.

    Args:
        settings: `epochs`, `warmup`, `learning_rate`, `weight_decay`, `epsilon` and `clip_norm`.
        steps: the number of training steps of an epoch.

    Returns:
        The optimizer. Biases have no weight decay.

    Example:

    >>> settings = {
    ...     "epochs": 2, "warmup": 0.5, "learning_rate": 0.1, "weight_decay": 0.0,
    ...     "epsilon": 1e-7, "clip_norm": 1.0,
    ... }
    >>> schedule = make_optimizer(settings, steps=2)._learning_rate
    >>> [round(float(schedule(step)), 3) for step in range(5)]
    [0.0, 0.05, 0.1, 0.05, 0.0]
    """
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
