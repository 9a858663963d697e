"""The optimizer and its learning-rate schedule."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from lstm_zoo.compat import ScaledRates

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
class AdamW(ScaledRates, keras.optimizers.AdamW):
    """AdamW (Loshchilov and Hutter 2019), whose schedule yields to an assigned learning rate.

    A value assigned to `learning_rate` that differs from the current one replaces the schedule from
    then on. Keras's own optimizers refuse it, if they have a schedule. Assigning the current value
    keeps the schedule: Keras's `LearningRateScheduler` assigns a value in each epoch.

    Lower layers may learn more slowly and begin later, as in ULMFiT (Howard and Ruder 2018): their
    discriminative learning rates and gradual unfreezing. The moments of frozen weights are kept up
    to date, so that their first steps are no larger than others.

    Args:
        *args: those of `keras.optimizers.AdamW`.
        depths: how far from the top the layer of each weight is; empty if all learn alike.
        layer_decay: the learning rate of a layer over that of the layer above it.
        freeze_steps: the training steps after which the next lower layer is trained too.
        **options: those of `keras.optimizers.AdamW`.

    Example:

    >>> optimizer = AdamW(keras.optimizers.schedules.CosineDecay(0.1, decay_steps=2))
    >>> round(float(optimizer.learning_rate), 3)
    0.1
    >>> optimizer.learning_rate = 0.03
    >>> _ = optimizer.iterations.assign(2)
    >>> round(float(optimizer.learning_rate), 3)
    0.03
    """

    def __init__(
        self,
        *args: Any,
        depths: Sequence[int] = (),
        layer_decay: float = 1.0,
        freeze_steps: int = 0,
        **options: Any,
    ):
        super().__init__(*args, **options)
        self.depths = tuple(depths)
        self.layer_decay = layer_decay
        self.freeze_steps = freeze_steps
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

    def rate_factor(self, index: int) -> Any:
        """Return the factor of the learning rate of the weight of this index."""
        if not self.depths:
            return 1.0
        depth = self.depths[index]
        is_trained = self.iterations >= depth * self.freeze_steps
        return self.layer_decay**depth * keras.ops.cast(is_trained, "float32")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "depths": [*self.depths],
            "layer_decay": self.layer_decay,
            "freeze_steps": self.freeze_steps,
        }


def make_optimizer(settings: Mapping[str, Any], steps: int, depths: Sequence[int] = ()) -> AdamW:
    """Return AdamW with the learning-rate schedule.

    Args:
        settings: those of `learning_rate_schedule`, `weight_decay`, `epsilon`, `clip_norm`,
            `layer_decay` and `freeze`.
        steps: the number of training steps of an epoch.
        depths: how far from the top the layer of each weight is; empty if all learn alike.

    Returns:
        The optimizer. Biases have no weight decay.
    """
    optimizer = AdamW(
        learning_rate_schedule(settings, steps),
        weight_decay=settings["weight_decay"],
        epsilon=settings["epsilon"],
        global_clipnorm=settings["clip_norm"],
        depths=depths,
        layer_decay=1.0 if settings["layer_decay"] is None else settings["layer_decay"],
        freeze_steps=settings["freeze"] * steps,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer
