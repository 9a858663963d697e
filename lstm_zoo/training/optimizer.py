"""The optimizer and its learning-rate schedule."""

from collections.abc import Mapping
from typing import Any

import keras


def learning_rate_schedule(
    settings: Mapping[str, Any], steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return a linear warmup with a cosine decay to 0.

    The decay is Loshchilov and Hutter's (2017, "SGDR"), without restarts. It ends after the last
    epoch, also if early stopping ends the training before.

    Args:
        settings: `epochs`, `warmup` and `learning_rate`.
        steps: the number of training steps of an epoch.

    Returns:
        The schedule, from the number of a training step to its learning rate.

    Example:

    >>> settings = {"epochs": 2, "warmup": 0.5, "learning_rate": 0.1}
    >>> schedule = learning_rate_schedule(settings, steps=2)
    >>> [round(float(schedule(step)), 3) for step in range(5)]
    [0.0, 0.05, 0.1, 0.05, 0.0]
    """
    total = settings["epochs"] * steps
    warmup = max(1, round(settings["warmup"] * total))
    return keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=max(1, total - warmup),
        warmup_target=settings["learning_rate"],
        warmup_steps=warmup,
    )


def make_optimizer(settings: Mapping[str, Any], steps: int) -> keras.optimizers.Optimizer:
    """Return AdamW (Loshchilov and Hutter 2019) with the learning-rate schedule.

    Args:
        settings: those of `learning_rate_schedule`, `weight_decay`, `epsilon` and `clip_norm`.
        steps: the number of training steps of an epoch.

    Returns:
        The optimizer. Biases have no weight decay.
    """
    optimizer = keras.optimizers.AdamW(
        learning_rate_schedule(settings, steps),
        weight_decay=settings["weight_decay"],
        epsilon=settings["epsilon"],
        global_clipnorm=settings["clip_norm"],
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer
