"""Logs of training steps: their values, and each step once, also after a kill."""

import csv
import json
import multiprocessing
import os
import signal
from types import SimpleNamespace

import pytest
import tensorflow as tf

import lstm_zoo
from lstm_zoo.training.distribution import Step
from lstm_zoo.training.optimizer import learning_rate_schedule
from lstm_zoo.training.step_log import StepLog
from tests.preloaded import MODULES
from tests.training.helpers import DATA, train

LOGS = {"log_steps": True, "tensorboard": True}
SIMPLE = {"cell": "simple_rnn", "bidirectional": False, "schedule": "linear", "epochs": 3, **LOGS}
STEPS = 9  # of an epoch: 270 examples


def lines_of(run):
    return [json.loads(line) for line in (run / "steps.jsonl").read_text().splitlines()]


def events_of(run):
    """The (step, value) of each scalar by its name, in the order of the files."""
    found = {}
    for path in sorted((run / "tensorboard").iterdir()):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished training with both logs."""
    run = tmp_path_factory.mktemp("runs") / "finished"
    train(run, **SIMPLE)
    return run


def test_a_line_of_each_step_holds_its_values(run):
    lines = lines_of(run)
    places = [(line["epoch"], line["step"]) for line in lines]
    assert places == [(epoch, step) for epoch in (1, 2, 3) for step in range(1, STEPS + 1)]
    settings = json.loads((run / "config.json").read_text())["settings"]
    schedule = learning_rate_schedule(settings, STEPS)
    assert [line["learning_rate"] for line in lines] == pytest.approx(
        [float(schedule(step)) for step in range(3 * STEPS)], rel=1e-5
    )
    assert lines[2]["learning_rate"] > lines[1]["learning_rate"] > lines[0]["learning_rate"] == 0
    for epoch, row in enumerate(csv.DictReader((run / "history.csv").open()), 1):
        chosen = [line for line in lines if line["epoch"] == epoch]
        assert sum(line["examples"] for line in chosen) == 270
        total = sum(line["loss"] * line["examples"] for line in chosen)
        assert total / 270 == pytest.approx(float(row["loss"]), rel=1e-5)
    assert all(line["gradient_norm"] > 0 and line["seconds"] > 0 for line in lines)
    assert len({line["gradient_norm"] for line in lines}) > 20


def test_event_files_hold_the_same_values_and_the_metrics_of_each_epoch(run):
    events, lines = events_of(run), lines_of(run)
    for name in ("loss", "learning_rate", "gradient_norm"):
        assert [step for step, _ in events[name]] == [*range(1, 3 * STEPS + 1)]
        assert [value for _, value in events[name]] == pytest.approx([row[name] for row in lines])
    assert [value for _, value in events["examples_per_second"]] == pytest.approx(
        [line["examples"] / line["seconds"] for line in lines]
    )
    history = [*csv.DictReader((run / "history.csv").open())]
    for name in ("val_loss", "val_accuracy", "val_macro_f1"):
        assert [step for step, _ in events[name]] == [STEPS, 2 * STEPS, 3 * STEPS]
        expected = [float(row[name]) for row in history]
        assert [value for _, value in events[name]] == pytest.approx(expected)


def killed(run, patch):
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    patch()
    train(run, **SIMPLE)


def kill_in_an_epoch():
    """Kill the process after the second step of the last epoch was written."""
    write = StepLog.record

    def record(self, number, result):
        write(self, number, result)
        if self.epoch == 2 and number == 1:
            self.writers[1].flush()
            os.kill(os.getpid(), signal.SIGKILL)

    StepLog.record = record


def kill_before_the_checkpoint():
    """Kill the process after the second epoch was written, before its checkpoint is."""
    write = StepLog.on_epoch_end

    def on_epoch_end(self, epoch, logs=None):
        write(self, epoch, logs)
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    StepLog.on_epoch_end = on_epoch_end


@pytest.mark.slow
@pytest.mark.parametrize(
    "kill, written", [(kill_in_an_epoch, 2 * STEPS + 2), (kill_before_the_checkpoint, 2 * STEPS)]
)
def test_after_a_kill_and_resume_each_step_is_there_once(kill, written, run, tmp_path):
    again = tmp_path / "run"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*MODULES])
    process = context.Process(target=killed, args=(again, kill))
    process.start()
    process.join(300)
    assert process.exitcode == -signal.SIGKILL
    assert len(lines_of(again)) == len(events_of(again)["loss"]) == written
    with open(again / "steps.jsonl", "a") as file:
        file.write('{"epoch": 3, "st')  # as a kill within a write leaves it
    (events,) = (again / "tensorboard").iterdir()
    with open(events, "ab") as file:
        file.write(b"\x40\x00\x00")
    lstm_zoo.train("sentiment", DATA, run=again, resume=True)
    for line, expected in zip(lines_of(again), lines_of(run), strict=True):
        assert {**line, "seconds": 0} == {**expected, "seconds": 0}
    found, expected = events_of(again), events_of(run)
    for name in expected.keys() - {"examples_per_second"}:
        assert found[name] == expected[name]
    assert len(found["examples_per_second"]) == 3 * STEPS


def test_a_step_that_the_optimizer_skips_has_no_gradient_norm(tmp_path):
    log = StepLog(tmp_path, {"log_steps": True, "tensorboard": False}, steps=5, done=0)
    log.set_model(SimpleNamespace(optimizer=SimpleNamespace(learning_rate=0.25)))
    log.on_train_begin()
    log.on_epoch_begin(0)
    log.on_train_batch_begin(0)
    log.record(0, Step(loss=1.5, examples=4.0, gradient_norm=float("inf")))
    log.close()
    (line,) = lines_of(tmp_path)
    expected = {"epoch": 1, "step": 1, "loss": 1.5, "learning_rate": 0.25, "examples": 4}
    assert line == {**expected, "gradient_norm": None, "seconds": line["seconds"]}


def test_a_training_resumed_within_an_epoch_keeps_the_steps_before(tmp_path):
    rows = [{"epoch": epoch, "step": step} for epoch in (1, 2) for step in (1, 2, 3)]
    (tmp_path / "steps.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    StepLog(tmp_path, {"log_steps": True, "tensorboard": False}, steps=3, done=4).close()
    assert lines_of(tmp_path) == rows[:4]


def test_without_the_settings_nothing_is_written(tmp_path):
    log = StepLog(tmp_path, {"log_steps": False, "tensorboard": False}, steps=5, done=0)
    log.on_train_batch_begin(0)
    log.record(0, Step(1.0, 1.0, 1.0))
    log.on_epoch_end(0, {})
    log.close()
    assert not [*tmp_path.iterdir()]
