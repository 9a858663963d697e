"""Progress: log lines without a terminal, and a bar on one."""

import io
import sys
from types import SimpleNamespace

import pytest

from lstm_zoo.training import progress


@pytest.fixture
def clock(monkeypatch):
    """The time in seconds, which a test sets."""
    clock = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.seconds))
    return clock


def test_without_a_terminal_lines_are_logged_once_a_minute_and_the_time_to_expect(clock, capsys):
    bar = progress.Progress(steps=7, epochs=9)
    for epoch in (1, 2):
        bar.on_epoch_begin(epoch)
        for step in range(7):
            clock.seconds += 25 if epoch + step > 1 else 55  # the first step is compiled
            bar.on_train_batch_end(step, {"loss": 0.5 / (step + 1)})
        bar.on_epoch_end(epoch)
        clock.seconds += 5  # the evaluation
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [
        "epoch 2/9  step 2/7  loss 0.2500",
        "epoch 2/9  step 5/7  loss 0.1000",
        "About 3 min for an epoch, 21 min for the remaining 7 at most.",
        "epoch 3/9  step 3/7  loss 0.1667",
        "epoch 3/9  step 6/7  loss 0.0833",
    ]


def test_a_short_epoch_logs_nothing(clock, capsys):
    bar = progress.Progress(steps=1, epochs=1)
    bar.on_epoch_begin(0)
    clock.seconds += 60
    bar.on_train_batch_end(0, {"loss": 0.5})
    bar.on_epoch_end(0)
    assert capsys.readouterr().err == ""


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_there_is_a_bar_for_each_epoch_and_lines_above_it(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = progress.Progress(steps=2, epochs=3)
    bar.on_epoch_begin(0)
    assert terminal.getvalue().endswith("compiling …]")
    bar.on_train_batch_end(0, {"loss": 0.5})
    progress.log("a-line")
    bar.on_epoch_end(0)
    assert "epoch 1/3:" in terminal.getvalue()
    assert "a-line\n" in terminal.getvalue()
