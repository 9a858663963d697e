"""The optimizer and its learning-rate schedule."""

from collections.abc import Mapping
from typing import Any

import keras

from lstm_zoo import compat

ASSIGNED = "assigned_learning_rate"  # a variable of the optimizer
FOLLOW_SCHEDULE = -1.0  # its value while no learning rate is assigned


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


@keras.saving.register_keras_serializable("lstm_zoo")
class AdamW(compat.SummedGradients, keras.optimizers.AdamW):
    """AdamW (Loshchilov and Hutter 2019), whose schedule yields to an assigned learning rate.

    A value assigned to `learning_rate` that differs from the current one replaces the schedule from
    then on. Keras's own optimizers refuse it, if they have a schedule. Assigning the current value
    keeps the schedule: Keras's `LearningRateScheduler` assigns a value in each epoch.

    Args:
        *args: those of `keras.optimizers.AdamW`.
        **options: likewise.

    Example:

    >>> optimizer = AdamW(keras.optimizers.schedules.CosineDecay(0.1, decay_steps=2))
    >>> round(float(optimizer.learning_rate), 3)
    0.1
    >>> optimizer.learning_rate = 0.03
    >>> _ = optimizer.iterations.assign(2)
    >>> round(float(optimizer.learning_rate), 3)
    0.03
    """

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        # A variable, so that it applies to a traced step, and checkpoints contain it.
        self._assigned = self.add_variable(
            (), keras.initializers.Constant(FOLLOW_SCHEDULE), name=ASSIGNED
        )

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the next step."""
        scheduled = keras.ops.convert_to_tensor(super().learning_rate)
        return keras.ops.where(self._assigned >= 0, self._assigned, scheduled)

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if float(value) != float(self.learning_rate):
            self._assigned.assign(value)


def make_optimizer(settings: Mapping[str, Any], steps: int) -> AdamW:
    """Return AdamW with the learning-rate schedule.

    Args:
        settings: those of `learning_rate_schedule`, `weight_decay`, `epsilon` and `clip_norm`.
        steps: the number of training steps of an epoch.

    Returns:
        The optimizer, for gradients that are summed over all replicas. Biases have no weight decay.
    """
    optimizer = AdamW(
        learning_rate_schedule(settings, steps),
        weight_decay=settings["weight_decay"],
        epsilon=settings["epsilon"],
        global_clipnorm=settings["clip_norm"],
    )
    optimizer.gradients_are_summed = True
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def build(model: keras.Model) -> None:
    """Create the variables of a compiled model's optimizer, if it has none yet."""
    if not model.optimizer.built:  # LossScaleOptimizer.build would create them again
        model.optimizer.build(model.trainable_variables)


def skips_infinite(optimizer: keras.optimizers.Optimizer) -> bool:
    """Return whether the optimizer leaves out a step whose gradients are infinite or NaN."""
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
