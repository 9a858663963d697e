"""Progress on standard error: log lines, and a progress bar for each epoch."""

import logging
import time
from typing import Any

import keras
import numpy as np

from lstm_zoo.printing import log, logger, progress_bar

LOG_INTERVAL = 60  # seconds between log lines within an epoch, without a terminal


def format_duration(seconds: float) -> str:
    """Format a duration, rounded.

    Example:

    >>> [format_duration(seconds) for seconds in (0.2, 75, 200, 9_000)]
    ['1 s', '75 s', '3 min', '2.5 h']
    """
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"


class Progress(keras.callbacks.Callback):
    """A progress bar for each epoch on a terminal; otherwise a log line every `LOG_INTERVAL`.

    After the first epoch it logs the time to expect.

    Args:
        steps: the number of training steps of an epoch.
        epochs: the maximum number of epochs.
        done: the number of steps of the first epoch that are done already.
    """

    def __init__(self, steps: int, epochs: int, done: int = 0):
        super().__init__()
        self.steps, self.epochs, self.done = steps, epochs, done
        self.title = ""
        self.bar = None
        self.last_logged = 0.0
        self.step_seconds: list[float] | None = []  # of the first epoch
        self.last_step = self.steps_ended = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.last_logged = self.last_step = time.monotonic()
        if self.step_seconds:
            # The median: XLA compiles the first step of each shape, which can take seconds.
            evaluation = self.last_step - self.steps_ended
            seconds = float(np.median(self.step_seconds)) * self.steps + evaluation
            left = self.epochs - epoch
            log(
                f"About {format_duration(seconds)} for an epoch, "
                f"{format_duration(left * seconds)} for the remaining {left} at most."
            )
            self.step_seconds = None
        self.title = f"epoch {epoch + 1}/{self.epochs}"
        self.bar = progress_bar(total=self.steps, initial=self.done, desc=self.title, unit="step")
        if self.step_seconds == []:
            self.bar.set_postfix_str("compiling …")
        self.done = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        now = time.monotonic()
        if self.step_seconds is not None:
            self.step_seconds.append(now - self.last_step)
        self.last_step = now
        loss = logs["loss"]
        self.bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
        self.bar.update()
        verbose = logger.isEnabledFor(logging.DEBUG)
        if verbose or self.bar.disable and now - self.last_logged > LOG_INTERVAL:
            self.last_logged = now
            log(f"{self.title}  step {batch + 1}/{self.steps}  loss {loss:.4f}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.steps_ended = time.monotonic()
        self.bar.close()
