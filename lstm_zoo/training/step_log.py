"""Logs of training steps for programs: JSON lines, and event files for TensorBoard.

Both are cut off when a training is resumed, where it goes on: each step is there once.
"""

import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import keras
import tensorflow as tf

from lstm_zoo.files import atomic_write
from lstm_zoo.runs.directory import STEPS, TENSORBOARD
from lstm_zoo.training.distribution import Step


class StepLog(keras.callbacks.Callback):
    """Writes what the settings `log_steps` and `tensorboard` ask for; nothing without them.

    `record` is called after each step. As a callback it comes after those that change the learning
    rate or add metrics to `logs`, and before the one that saves a checkpoint.

    Args:
        run: the run's directory.
        settings: `log_steps` and `tensorboard`.
        steps: the number of training steps of an epoch.
        done: the number of training steps so far, of all epochs; what was written of later ones,
            before a kill, is removed.
    """

    OFF: ClassVar = {"log_steps": False, "tensorboard": False}

    def __init__(self, run: Path, settings: Mapping[str, Any], steps: int, done: int):
        super().__init__()
        self.steps, self.epoch = steps, 0
        self.writers: list[_Lines | _Events] = []
        if settings["log_steps"]:
            self.writers.append(_Lines(run / STEPS, steps, done))
        if settings["tensorboard"]:
            self.writers.append(_Events(run / TENSORBOARD, steps, done))

    def on_train_begin(self, logs: Any = None) -> None:
        optimizer = self.model.optimizer
        self.read_rate = tf.function(lambda: tf.convert_to_tensor(optimizer.learning_rate))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.writers:
            self.rate = float(self.read_rate())
            self.started = time.perf_counter()

    def record(self, number: int, result: Step) -> None:
        """Write a step.

        Args:
            number: its number in the epoch, from 0.
            result: what it returned.
        """
        if not self.writers:
            return
        seconds = time.perf_counter() - self.started
        values = {
            "epoch": self.epoch + 1,
            "step": number + 1,
            "loss": float(result.loss),
            "learning_rate": self.rate,
            "gradient_norm": float(result.gradient_norm),
            "examples": int(result.examples),
            "seconds": round(seconds, 6),
        }
        for writer in self.writers:
            writer.write_step(values)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        metrics = {name: value for name, value in logs.items() if name.startswith("val_")}
        for writer in self.writers:
            writer.write_metrics(epoch, metrics)
        self.flush()

    def flush(self) -> None:
        """Flush the files, before a checkpoint from which a training may go on."""
        for writer in self.writers:
            writer.flush()

    def close(self) -> None:
        """Close the files."""
        for writer in self.writers:
            writer.close()


class _Lines:
    """`steps.jsonl`: a JSON object a line for each step."""

    def __init__(self, path: Path, steps: int, done: int):
        if path.is_file():
            _cut_lines(path, steps, done)
        self.file = path.open("a", encoding="utf-8", buffering=1)  # lines, for `tail -f`

    def write_step(self, values: Mapping[str, Any]) -> None:
        # JSON has no infinity: the norm of a step that the optimizer skips.
        finite = {name: v if math.isfinite(v) else None for name, v in values.items()}
        self.file.write(json.dumps(finite) + "\n")

    def write_metrics(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Metrics are in `history.csv`."""

    def flush(self) -> None:
        os.fsync(self.file.fileno())

    def close(self) -> None:
        self.file.close()


def _cut_lines(path: Path, steps: int, done: int) -> None:
    """Cut off the lines of later steps than `done`, and a line that a kill has left in part."""
    size = 0
    with path.open("rb") as file:
        for line in file:
            try:
                row = json.loads(line)
                is_done = (row["epoch"] - 1) * steps + row["step"] <= done
            except (ValueError, TypeError, KeyError):
                break
            if not (is_done and line.endswith(b"\n")):
                break
            size += len(line)
    os.truncate(path, size)


class _Events:
    """Event files, by the number of training steps so far."""

    def __init__(self, folder: Path, steps: int, done: int):
        for path in sorted(folder.glob("*tfevents*")):
            _cut_events(path, done)
        self.steps = steps
        self.writer = tf.summary.create_file_writer(str(folder))

    def write_step(self, values: Mapping[str, Any]) -> None:
        scalars = {name: values[name] for name in ("loss", "learning_rate", "gradient_norm")}
        scalars["examples_per_second"] = values["examples"] / values["seconds"]
        self._write((values["epoch"] - 1) * self.steps + values["step"], scalars)

    def write_metrics(self, epoch: int, metrics: Mapping[str, float]) -> None:
        self._write((epoch + 1) * self.steps, metrics)

    def _write(self, step: int, scalars: Mapping[str, float]) -> None:
        # Not `tf.summary.scalar`, which is a part of TensorBoard, and one op for each.
        summary = tf.compat.v1.Summary()
        for name, value in scalars.items():
            summary.value.add(tag=name, simple_value=value)
        with self.writer.as_default():
            tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=step)

    def flush(self) -> None:
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


def _cut_events(path: Path, done: int) -> None:
    """Cut off the events of later steps than `done`, and one that a kill has left in part."""
    with atomic_write(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
        try:
            for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
                if tf.compat.v1.Event.FromString(record).step <= done:
                    writer.write(record)
        except tf.errors.DataLossError:  # nothing follows a record that is not whole
            pass
