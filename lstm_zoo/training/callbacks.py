"""The end of an epoch: evaluation, the best weights, the run's files, early stopping."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import keras

from lstm_zoo import families
from lstm_zoo.files import atomic_write
from lstm_zoo.runs import directory, plots
from lstm_zoo.runs.environment import read_environment, write_environment
from lstm_zoo.training import checkpoints
from lstm_zoo.training.progress import log

SAMPLES = 2  # predictions logged after each epoch, for families that decode


class EpochEnd(keras.callbacks.Callback):
    """After each epoch: evaluate, save the best weights, write the run's files, stop early.

    Args:
        run: the run's directory.
        task: the family's task.
        validation: the validation examples.
        settings: a value for every setting.
        history: a row for each epoch so far; each epoch appends one.
        threads: the number of CPU threads that was set, for `environment.json`.
    """

    def __init__(
        self,
        run: Path,
        task: families.Task,
        validation: families.Examples,
        settings: Mapping[str, Any],
        history: list[dict[str, Any]],
        threads: int | None,
    ):
        super().__init__()
        self.run, self.task, self.validation = run, task, validation
        self.settings, self.history, self.threads = settings, history, threads
        self.seconds = read_environment(run)["training_seconds"]
        self.started = 0.0

    @property
    def best(self) -> dict[str, Any]:
        """The row of the best epoch by the monitored metric; of equal scores, the last."""
        # The last, since it was trained with the lowest learning rate. The loss does not break the
        # tie: it rises as a network becomes more confident, even if it still improves.
        return max(self.history, key=lambda row: (self._score(row), row["epoch"]))

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or early stopping applies.

        Patience is not counted before a score is better than the task's baseline score.
        """
        if not self.history:
            return False
        last = self.history[-1]["epoch"]
        if last >= self.settings["epochs"]:
            return True
        scores = [*map(self._score, self.history)]
        baseline = self.task.baseline_score
        if baseline is not None and max(scores) <= self._signed(baseline):
            return False
        epochs_waited = last - self.history[scores.index(max(scores))]["epoch"]
        return epochs_waited >= self.settings["patience"]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        checkpoints.keep_weights(self.run, self.model, epoch + 1, self.settings["average_epochs"])
        with self._averaged(epoch + 1):
            scores = self.task.evaluate(self.model, self.validation)
        numbers = {f"val_{k}": float(v) for k, v in scores.items() if isinstance(v, Real)}
        logs.update(numbers)
        seconds = time.monotonic() - self.started
        with _interrupts_deferred():  # otherwise the files could be of different epochs
            self.history.append({"epoch": epoch + 1, "loss": float(logs["loss"]), **numbers})
            self.seconds += seconds
            self._write_files()
        if self.finished:
            self.model.stop_training = True
        values = "  ".join(f"{k} {v:.4f}" for k, v in self.history[-1].items() if k != "epoch")
        mark = "  best" if self.best is self.history[-1] else ""
        log(f"epoch {epoch + 1}/{self.settings['epochs']}  {values}  {seconds:.0f} s{mark}")
        for line in self.task.format_samples(scores.get("predictions", [])[:SAMPLES]):
            log(line)

    def _score(self, row: Mapping[str, Any]) -> float:
        """The monitored metric of an epoch, negated if lower is better."""
        return self._signed(row[f"val_{self.task.monitor}"])

    def _signed(self, score: float) -> float:
        return {"max": 1, "min": -1}[self.task.mode] * score

    def _averaged(self, epoch: int) -> contextlib.AbstractContextManager:
        count = self.settings["average_epochs"]
        return checkpoints.averaged(self.run, self.model, epoch, count)

    def _write_files(self) -> None:
        if self.best is self.history[-1]:
            epoch = self.history[-1]["epoch"]
            with self._averaged(epoch), atomic_write(self.run / directory.WEIGHTS) as path:
                # A model that is not compiled has no optimizer state to save.
                network = keras.Model(self.model.inputs, self.model.outputs, name=self.model.name)
                network.save_weights(path)
        directory.write_history(self.run, self.history)
        plots.draw_curves(self.history, self.best, self.task.monitor, self.run / "curves.png")
        write_environment(self.run, self.threads, self.seconds)
        # Last: a checkpoint of an epoch means that the other files are of that epoch too.
        checkpoints.save(self.run, self.model, self.history)


@contextlib.contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Delay Ctrl-C until the block has ended.

    Raises:
        KeyboardInterrupt: after the block, if Ctrl-C was pressed in it.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield  # other threads receive no signals, and background jobs of a shell ignore Ctrl-C
        return
    received = []
    handler = signal.signal(signal.SIGINT, lambda *signal_and_frame: received.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if received:
        raise KeyboardInterrupt
