"""The optimizer and its learning-rate schedule."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras

from lstm_zoo.compat import ScaledRates, SummedGradients

ASSIGNED = "assigned_learning_rate"  # a variable of the optimizer
FOLLOW_SCHEDULE = -1.0  # its value while no learning rate is assigned


def learning_rate_schedule(
    settings: Mapping[str, Any], steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return a schedule by its name, after a linear warmup from 0 to `learning_rate`.

    - cosine: to 0, along half a cosine (Loshchilov and Hutter 2017, "SGDR", without restarts);
    - linear: to 0, along a line;
    - inverse_sqrt: with the inverse square root of the step (Vaswani et al. 2017);
    - constant: no decay.

    A decay to 0 ends after the last epoch, also if early stopping ends the training before.

    Args:
        settings: `epochs`, `warmup`, `learning_rate` and `schedule`.
        steps: the number of training steps of an epoch.

    Returns:
        The schedule, from the number of a training step to its learning rate.

    Example:

    >>> settings = {"epochs": 2, "warmup": 0.5, "learning_rate": 0.1, "schedule": "cosine"}
    >>> schedule = learning_rate_schedule(settings, steps=2)
    >>> [round(float(schedule(step)), 3) for step in range(5)]
    [0.0, 0.05, 0.1, 0.05, 0.0]
    """
    peak, total = settings["learning_rate"], settings["epochs"] * steps
    warmup = max(1, round(settings["warmup"] * total))
    decay_steps = max(1, total - warmup)
    schedules = keras.optimizers.schedules
    if settings["schedule"] == "cosine":
        return schedules.CosineDecay(0.0, decay_steps, warmup_target=peak, warmup_steps=warmup)
    decay = {
        "linear": schedules.PolynomialDecay(peak, decay_steps, end_learning_rate=0.0),
        "inverse_sqrt": InverseSquareRoot(peak, warmup),
        "constant": schedules.PolynomialDecay(peak, decay_steps, end_learning_rate=peak),
    }
    return Warmup(peak, warmup, decay[settings["schedule"]])


@keras.saving.register_keras_serializable("lstm_zoo")
class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warmup from 0, then another schedule from its beginning.

    Args:
        peak: the learning rate after the warmup.
        steps: the number of training steps of the warmup.
        decay: the schedule that follows.

    Example:

    >>> schedule = Warmup(0.1, 2, keras.optimizers.schedules.PolynomialDecay(0.1, 4, 0.0))
    >>> [round(float(schedule(step)), 3) for step in range(7)]
    [0.0, 0.05, 0.1, 0.075, 0.05, 0.025, 0.0]
    """

    def __init__(
        self, peak: float, steps: int, decay: keras.optimizers.schedules.LearningRateSchedule
    ):
        self.peak, self.steps, self.decay = peak, steps, decay

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32")
        after = self.decay(keras.ops.maximum(step - self.steps, 0.0))
        return keras.ops.where(step < self.steps, self.peak * step / self.steps, after)

    def get_config(self) -> dict[str, Any]:
        decay = keras.saving.serialize_keras_object(self.decay)
        return {"peak": self.peak, "steps": self.steps, "decay": decay}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Warmup":
        decay = keras.saving.deserialize_keras_object(config["decay"])
        return cls(config["peak"], config["steps"], decay)


@keras.saving.register_keras_serializable("lstm_zoo")
class InverseSquareRoot(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that falls with the inverse square root of the step.

    Args:
        peak: the learning rate at the first step.
        offset: the number of steps before it, at least 1.

    Example:

    >>> schedule = InverseSquareRoot(0.1, offset=100)
    >>> [round(float(schedule(step)), 3) for step in (0, 300, 9_900)]
    [0.1, 0.05, 0.01]
    """

    def __init__(self, peak: float, offset: int):
        self.peak, self.offset = peak, offset

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32")
        return self.peak * keras.ops.sqrt(self.offset / (step + self.offset))

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "offset": self.offset}


@keras.saving.register_keras_serializable("lstm_zoo")
class AdamW(SummedGradients, ScaledRates, keras.optimizers.AdamW):
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


def make_optimizer(
    settings: Mapping[str, Any], steps: int, depths: Sequence[int] = ()
) -> keras.optimizers.Optimizer:
    """Return AdamW with the learning-rate schedule, and loss scaling for float16.

    Args:
        settings: those of `learning_rate_schedule`, `weight_decay`, `epsilon`, `clip_norm`,
            `layer_decay`, `freeze` and `precision`.
        steps: the number of training steps of an epoch.
        depths: how far from the top the layer of each weight is; empty if all learn alike.

    Returns:
        The optimizer, for gradients that are summed over all replicas. Biases have no weight decay.
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
    optimizer.gradients_are_summed = True
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    if settings["precision"] == "mixed_float16":  # small gradients would be 0
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Build layers of a dtype policy in the block.

    Args:
        name: such as "mixed_bfloat16".
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def build_optimizer(model: keras.Model) -> None:
    """Create the variables of a compiled model's optimizer, if it has none yet."""
    if not model.optimizer.built:  # LossScaleOptimizer.build would create them again
        model.optimizer.build(model.trainable_variables)


def skips_infinite(optimizer: keras.optimizers.Optimizer) -> bool:
    """Return whether the optimizer leaves out a step whose gradients are infinite or NaN."""
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
