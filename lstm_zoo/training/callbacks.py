"""What happens around the steps of a training: the order, the bar, the end of an epoch."""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from lstm_zoo import batching, checkpoints, memory, plots, runs
from lstm_zoo.console import say
from lstm_zoo.errors import TrainingError
from lstm_zoo.files import written_whole

SAMPLES = 2  # predictions shown after an epoch, where a family decodes
SILENCE = 60  # seconds between two lines where there is no bar


class Order(keras.callbacks.Callback):
    """The order of the examples: each epoch's own, the same in every run of a seed."""

    def __init__(self, lengths: np.ndarray, settings: Mapping[str, Any]):
        super().__init__()
        self.lengths, self.seed, self.epoch = lengths, settings["seed"], 0
        self.batch_size = settings["batch_size"]
        self.batch_tokens = settings.get("batch_tokens")  # of families whose lengths vary most

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    @property
    def steps(self) -> int:
        """The number of batches, the same in every epoch."""
        if self.batch_tokens:
            return len(batching.token_sizes(self.lengths, self.batch_tokens))
        return batching.count(len(self.lengths), self.batch_size)

    def batches(self) -> list[np.ndarray]:
        """The batches of the epoch at hand."""
        if self.batch_tokens:
            return batching.token_batches(self.lengths, self.batch_tokens, self.seed, self.epoch)
        return batching.shuffled_batches(self.lengths, self.batch_size, self.seed, self.epoch)


def dataset_in(
    order: Order, make_batch: Callable[[np.ndarray, np.random.Generator], tuple]
) -> tf.data.Dataset:
    """A dataset whose every pass follows `order` as it stands when the pass begins.

    `make_batch` takes indices and a generator, each epoch's own. Of its arrays, however nested,
    the first two axes, batch and time, are open.
    """

    def generate() -> Iterator[tuple]:
        memory.keep_freed()  # here, since it must come after what TensorFlow does against it
        generator = np.random.default_rng((order.seed, order.epoch, 1))
        for indices in order.batches():
            yield make_batch(indices, generator)

    def specify(array: np.ndarray) -> tf.TensorSpec:
        return tf.TensorSpec([*[None] * min(array.ndim, 2), *array.shape[2:]], array.dtype)

    example = make_batch(np.arange(1), np.random.default_rng(0))
    dataset = tf.data.Dataset.from_generator(
        generate, output_signature=tf.nest.map_structure(specify, example)
    )
    return dataset.apply(tf.data.experimental.assert_cardinality(order.steps)).prefetch(4)


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
            say(f"{self.title}  step {batch + 1}/{self.steps}  loss {loss:.4f}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.bar.close()


class EpochEnd(keras.callbacks.Callback):
    """What is done after each epoch: judge, keep the best, record, and tell whether to stop."""

    def __init__(
        self,
        run: Path,
        task: Any,
        validation: Any,
        settings: Mapping[str, Any],
        history: list[dict[str, Any]],
        threads: int | None,
    ):
        super().__init__()
        self.run, self.task, self.validation = run, task, validation
        self.settings, self.history, self.threads = settings, history, threads
        self.seconds = runs.read_environment(run)["training_seconds"]
        self.averaged = settings.get("average_epochs", 1)  # of families that average
        self.silent = getattr(task, "silent", None)  # of families that first learn to answer at all
        self.started = 0.0

    @property
    def best(self) -> dict[str, Any]:
        """The best epoch's row by the monitored metric; of equals, the last."""
        # The later of two equals: the falling rate has settled it. The loss is no judge, since it
        # rises with the confidence of a network that still gets better.
        return max(self.history, key=lambda row: (self._score(row), row["epoch"]))

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or patience ran out.

        It does not before a score is better than silence's, where the task knows that.
        """
        if not self.history:
            return False
        last = self.history[-1]["epoch"]
        if last >= self.settings["epochs"]:
            return True
        scores = [*map(self._score, self.history)]
        if self.silent is not None and max(scores) <= self._signed(self.silent):
            return False
        waited = last - self.history[scores.index(max(scores))]["epoch"]
        return waited >= self.settings["patience"]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        checkpoints.keep_weights(self.run, self.model, epoch + 1, self.averaged)
        with self._averaged(epoch + 1):
            scores = self.task.evaluate(self.model, self.validation)
        numbers = {f"val_{k}": v for k, v in scores.items() if isinstance(v, float)}
        logs.update(numbers)
        seconds = time.monotonic() - self.started
        with _interrupts_deferred():  # so that the files are all of one epoch
            self.history.append({"epoch": epoch + 1, "loss": float(logs["loss"]), **numbers})
            self.seconds += seconds
            self._record()
        if self.finished:
            self.model.stop_training = True
        values = "  ".join(f"{k} {v:.4f}" for k, v in self.history[-1].items() if k != "epoch")
        mark = "  best" if self.best is self.history[-1] else ""
        say(f"epoch {epoch + 1}/{self.settings['epochs']}  {values}  {seconds:.0f} s{mark}")
        for line in self.task.samples(scores.get("predictions", [])[:SAMPLES]):
            say(line)

    def _score(self, row: Mapping[str, Any]) -> float:
        """The monitored metric of an epoch, so that more is better."""
        return self._signed(row[f"val_{self.task.monitor}"])

    def _signed(self, score: float) -> float:
        return {"max": 1, "min": -1}[self.task.mode] * score

    def _averaged(self, epoch: int) -> contextlib.AbstractContextManager:
        return checkpoints.averaged(self.run, self.model, epoch, self.averaged)

    def _record(self) -> None:
        if self.best is self.history[-1]:
            epoch = self.history[-1]["epoch"]
            with self._averaged(epoch), written_whole(self.run / runs.WEIGHTS) as beside:
                # As a model that is not compiled: without the optimizer's state.
                bare = keras.Model(self.model.inputs, self.model.outputs, name=self.model.name)
                bare.save_weights(beside)
        runs.write_history(self.run, self.history)
        plots.draw_curves(self.history, self.best, self.task.monitor, self.run / "curves.png")
        runs.write_environment(self.run, self.threads, self.seconds)
        checkpoints.save(self.run, self.model, self.history)  # last: it says that all this is done


@contextlib.contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Let a Ctrl-C wait until the block has ended."""
    elsewhere = threading.current_thread() is not threading.main_thread()
    if elsewhere or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield  # no signal reaches another thread, nor a job that a shell put in the background
        return
    pressed = []
    handler = signal.signal(signal.SIGINT, lambda *signal_and_frame: pressed.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if pressed:
        raise KeyboardInterrupt
