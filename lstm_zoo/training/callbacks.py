"""The end of an epoch: evaluation, the best weights, the run's files, early stopping.

`Evaluation` runs before a user's callbacks, which see the metrics that it adds to `logs`, and
`EpochEnd` after them: a learning rate that they set is part of the checkpoint.
"""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import keras
import numpy as np

from lstm_zoo import families
from lstm_zoo.compat import weights_file
from lstm_zoo.files import replace_files
from lstm_zoo.printing import log
from lstm_zoo.runs import directory, plots
from lstm_zoo.runs.environment import read_environment, write_environment
from lstm_zoo.training import checkpoints, samples
from lstm_zoo.training.checkpoints import Position
from lstm_zoo.training.workers import ALONE, Workers

SAMPLES = 3  # predictions logged after each epoch, for families that decode


def evaluate(
    task: families.Task,
    model: keras.Model,
    examples: families.Examples,
    workers: Workers = ALONE,
) -> dict[str, Any]:
    """Evaluate a network during training; several workers compute a share each.

    Args:
        task: the family's task.
        model: the network; with the same one, what the task traces is traced once.
        examples: the validation examples.
        workers: the workers.

    Returns:
        What `families.Task.scores` returns.
    """
    indices = np.arange(len(examples))
    own = indices[workers.number :: workers.count]
    shares = workers.exchange(task.results(model, examples, own) if len(own) else [])
    results: list[Any] = [None] * len(indices)
    for number, share in enumerate(shares):
        results[number :: workers.count] = share
    return task.scores(examples, results)


class Evaluation(keras.callbacks.Callback):
    """After each epoch: evaluate, and add the metrics to `logs`.

    Args:
        run: the run's directory.
        task: the family's task.
        validation: the validation examples.
        settings: a value for every setting.
        workers: the workers, of which each computes a share.

    Attributes:
        metrics: those of the last epoch, by name with `val_` before it.
        predictions: those of the last epoch; empty if the family does not decode.
    """

    def __init__(
        self,
        run: Path,
        task: families.Task,
        validation: families.Examples,
        settings: Mapping[str, Any],
        workers: Workers = ALONE,
    ):
        super().__init__()
        self.run, self.task, self.validation, self.settings = run, task, validation, settings
        self.workers = workers
        self.metrics: dict[str, float] = {}
        self.predictions: Sequence[Any] = []

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        # Outside of the strategy, on one device: Keras's `predict_on_batch` on several replicas
        # would take a batch for each.
        self.network = keras.Model(model.inputs, model.outputs, name=model.name)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        count = self.settings["average_epochs"]
        if self.workers.is_chief:
            checkpoints.keep_weights(self.run, self.model, epoch + 1, count)
        self.workers.exchange(None)  # the others read what the first one has written
        with checkpoints.averaged(self.run, self.model, epoch + 1, count):
            scores = evaluate(self.task, self.network, self.validation, self.workers)
        self.metrics = {f"val_{k}": float(v) for k, v in scores.items() if isinstance(v, Real)}
        self.predictions = scores.get("predictions", [])
        logs.update(self.metrics)


class EpochEnd(keras.callbacks.Callback):
    """After each epoch: save the best weights, write the run's files, stop early.

    Args:
        run: the run's directory.
        evaluation: the callback that has evaluated the epoch.
        settings: a value for every setting.
        history: a row for each epoch so far; each epoch appends one.
        threads: the number of CPU threads that was set, for `environment.json`.
        training_examples: the number of training examples, for the title of the curves.
    """

    def __init__(
        self,
        run: Path,
        evaluation: Evaluation,
        settings: Mapping[str, Any],
        history: list[dict[str, Any]],
        threads: int | None,
        training_examples: int,
    ):
        super().__init__()
        self.run, self.evaluation, self.task = run, evaluation, evaluation.task
        self.training_examples = training_examples
        self.settings, self.history, self.threads = settings, history, threads
        self.seconds = read_environment(run)["training_seconds"]
        self.started = self.saved = 0.0
        self.baseline = self.task.baseline_score(evaluation.validation)

    @property
    def best(self) -> dict[str, Any]:
        """The row of the best epoch: by the monitored metric; of equal scores, by the loss."""
        return max(self.history, key=self._rank)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or early stopping applies."""
        if not self.history:
            return False
        return (
            self.history[-1]["epoch"] >= self.settings["epochs"]
            or self._epochs_waited >= self.settings["patience"]
        )

    @property
    def outcome(self) -> str:
        """A line: why the training has ended, and which epoch is kept."""
        last, total = self.history[-1]["epoch"], self.settings["epochs"]
        if last >= total:
            reason = f"all {total} epochs are done"
        elif self.finished:
            reason = f"stopped: no better {self.task.monitor} for {self._epochs_waited} epochs"
        else:
            reason = f"stopped after {last} of {total} epochs"
        return f"{reason}; epoch {self.best['epoch']} is kept"

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = self.saved = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        row = {"epoch": epoch + 1, "loss": float(logs["loss"]), **self.evaluation.metrics}
        seconds = time.monotonic() - self.started
        with _interrupts_deferred():  # otherwise the files could be of different epochs
            self.history.append(row)
            self.seconds += seconds
            if self.evaluation.workers.is_chief:
                # First: what a kill prevents of the run's other files is written from the state.
                checkpoints.save(self.run, self.model, self.history)
                self.write_files()
        if self.finished:
            self.model.stop_training = True
        values = "  ".join(f"{k} {v:.4f}" for k, v in row.items() if k != "epoch")
        mark = "  best" if self.best is row else ""
        log(f"epoch {epoch + 1}/{self.settings['epochs']}  {values}  {seconds:.0f} s{mark}")
        log_samples(self.task, self.evaluation.predictions, SAMPLES, [self.settings["seed"], epoch])

    @property
    def is_due(self) -> bool:
        """Whether a checkpoint within the epoch is due, after `checkpoint_minutes`."""
        minutes = self.settings["checkpoint_minutes"]
        is_past = minutes is not None and time.monotonic() - self.saved >= 60 * minutes
        return is_past and self.evaluation.workers.is_chief

    def keep(self, position: Position) -> None:
        """Save a checkpoint within an epoch.

        Args:
            position: where in the epoch the model is.
        """
        with _interrupts_deferred():
            checkpoints.save(self.run, self.model, self.history, position)
        self.saved = time.monotonic()

    @property
    def _epochs_waited(self) -> int:
        """The epochs without a better one; 0 before a score is better than the baseline."""
        if self._rank(self.best)[0] <= self._signed(self.baseline):
            return 0
        return self.history[-1]["epoch"] - self.best["epoch"]

    def _rank(self, row: Mapping[str, Any]) -> tuple[float, float]:
        """The sort key of an epoch: its score, then its validation loss; higher is better."""
        # Scores at the baseline say nothing, whatever their noise: the loss shows progress there.
        # It shows progress as well where the score can't improve, such as an accuracy of 1.
        score = max(self._signed(row[f"val_{self.task.monitor}"]), self._signed(self.baseline))
        loss = row["val_loss"]
        return score, -loss if math.isfinite(loss) else -math.inf

    def _signed(self, score: float) -> float:
        return score if self.task.directions[self.task.monitor] == "max" else -score

    def write_files(self) -> None:
        """Write the run's files of the last epoch; the model must be as it was after it."""
        with replace_files(self.run) as staging:
            if self.best is self.history[-1]:
                epoch, count = self.history[-1]["epoch"], self.settings["average_epochs"]
                with checkpoints.averaged(self.run, self.model, epoch, count):
                    # A model that is not compiled has no optimizer state to save.
                    network = keras.Model(
                        self.model.inputs, self.model.outputs, name=self.model.name
                    )
                    (staging / directory.WEIGHTS).write_bytes(weights_file(network))
            directory.write_history(staging, self.history)
            validation_examples = len(self.evaluation.validation)
            plots.draw_curves(
                self.history,
                self.best,
                self.task.monitor,
                self.task.directions,
                self.baseline,
                plots.title(self.run, "validation", validation_examples)
                + f" (trained on {self.training_examples:,})",
                staging / directory.CURVES,
            )
            write_environment(staging, self.threads, self.seconds)


def log_samples(
    task: families.Task, predictions: Sequence[Mapping[str, Any]], count: int, seed: Sequence[int]
) -> None:
    """Log some predictions, over the whole range of their scores, the worst first.

    Args:
        task: the family's task.
        predictions: rows of the task's or the pipeline's `evaluate`.
        count: the number of predictions to log.
        seed: integers that determine the choice.
    """
    scores = [task.score_prediction(row) for row in predictions]
    chosen = samples.choose(scores, count, seed)
    for line in task.format_samples([predictions[index] for index in chosen]):
        log(line)


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
