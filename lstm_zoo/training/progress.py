"""Progress on standard error: log lines, and a progress bar for each epoch."""

import math
import sys
import time
from typing import Any

import keras
from tqdm import tqdm

from lstm_zoo.errors import TrainingError
from lstm_zoo.printing import write_line

LOG_INTERVAL = 60  # seconds between log lines within an epoch, without a terminal


def log(line: str) -> None:
    """Print a line to standard error, above a progress bar if there is one."""
    with tqdm.external_write_mode(file=sys.stderr):
        write_line(line, err=True)


class Progress(keras.callbacks.Callback):
    """A progress bar for each epoch on a terminal; otherwise a log line every `LOG_INTERVAL`.

    It also stops the training if the loss is not finite.

    Args:
        steps: the number of training steps of an epoch.
        epochs: the maximum number of epochs.
    """

    def __init__(self, steps: int, epochs: int):
        super().__init__()
        self.steps, self.epochs = steps, epochs
        self.title = ""
        self.bar = None
        self.last_logged = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.last_logged = time.monotonic()
        self.title = f"epoch {epoch + 1}/{self.epochs}"
        self.bar = tqdm(
            total=self.steps,
            desc=self.title,
            unit="step",
            leave=False,
            disable=None,  # no bar if standard error is not a terminal
        )

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = logs["loss"]
        if not math.isfinite(loss):
            raise TrainingError(f"The loss is {loss} in {self.title}.")
        self.bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
        self.bar.update()
        if self.bar.disable and time.monotonic() - self.last_logged > LOG_INTERVAL:
            self.last_logged = time.monotonic()
            log(f"{self.title}  step {batch + 1}/{self.steps}  loss {loss:.4f}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.bar.close()
