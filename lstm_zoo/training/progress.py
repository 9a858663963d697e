"""Progress on standard error: lines, and a bar for each epoch."""

import math
import sys
import time
from typing import Any

import keras
from tqdm import tqdm

from lstm_zoo.errors import TrainingError

SILENCE = 60  # seconds between two lines where there is no bar


def log(*lines: str, sep: str = " ") -> None:
    """Print to standard error, above a bar that may stand there."""
    tqdm.write(sep.join(lines), file=sys.stderr)


class Progress(keras.callbacks.Callback):
    """A bar for each epoch on a terminal's standard error; elsewhere, a line now and then."""

    def __init__(self, steps: int, epochs: int):
        super().__init__()
        self.steps, self.epochs = steps, epochs
        self.title = ""
        self.bar = None
        self.spoke = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.spoke = time.monotonic()
        self.title = f"epoch {epoch + 1}/{self.epochs}"
        self.bar = tqdm(
            total=self.steps,
            desc=self.title,
            unit="step",
            leave=False,
            disable=None,  # where standard error is not a terminal
        )

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = logs["loss"]
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss is {loss} in {self.title}: try a lower learning_rate, or look for "
                "broken data."
            )
        self.bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
        self.bar.update()
        if self.bar.disable and time.monotonic() - self.spoke > SILENCE:
            self.spoke = time.monotonic()
            log(f"{self.title}  step {batch + 1}/{self.steps}  loss {loss:.4f}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.bar.close()
