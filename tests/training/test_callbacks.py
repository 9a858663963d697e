"""The end of an epoch: the best epoch, early stopping, the run's files, Ctrl-C."""

import json
import re
import signal
import threading
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from lstm_zoo.runs.environment import write_environment
from lstm_zoo.training import checkpoints
from lstm_zoo.training.callbacks import EpochEnd, Evaluation, _interrupts_deferred


def end_of(run, scores, losses=None, monitor="accuracy", mode="max", baseline=0.0, **settings):
    """An `EpochEnd` after epochs of these scores and validation losses."""
    write_environment(run, threads=None, seconds=0.0)
    task = SimpleNamespace(
        monitor=monitor, directions={monitor: mode}, baseline_score=lambda examples: baseline
    )
    settings = {"epochs": 9, "patience": 2, "average_epochs": 1, **settings}
    rows = zip(scores, losses or [1.0] * len(scores), strict=True)
    history = [
        {"epoch": n, "val_loss": loss, f"val_{monitor}": score}
        for n, (score, loss) in enumerate(rows, 1)
    ]
    return EpochEnd(run, Evaluation(run, task, None, settings), settings, history, None, 4)


@pytest.mark.parametrize(
    "monitor, mode, baseline, scores, finished",
    [
        ("wer", "min", 1.0, [1.0, 1.0, 1.3, 1.0], False),  # no better than the baseline yet
        ("wer", "min", 1.0, [1.0, 1.0, 1.0, 0.9, 0.95], False),
        ("wer", "min", 1.0, [1.0, 1.0, 1.0, 0.9, 0.95, 0.9], True),
        ("wer", "min", 1.0, [1.0] * 9, True),  # all epochs
        ("accuracy", "max", 0.6, [0.6, 0.5, 0.6, 0.4], False),
        ("accuracy", "max", 0.6, [0.61, 0.5, 0.6], True),
        ("bleu", "max", 0.2, [0.1, 0.0, 0.0, 0.0], False),  # the noise of a floor
    ],
)
def test_patience_is_counted_from_the_first_score_better_than_the_baseline(
    tmp_path, monitor, mode, baseline, scores, finished
):
    assert end_of(tmp_path, scores, None, monitor, mode, baseline).finished == finished


@pytest.mark.parametrize(
    "mode, baseline, scores, losses, best",
    [
        ("max", 0.0, [0.2, 0.7, 0.7, 0.6], [4, 3, 2, 1], 3),
        ("max", 0.0, [0.2, 0.7, 0.7, 0.6], [4, 2, 3, 1], 2),
        ("max", 0.0, [0.7, 0.7], [2, 2], 1),  # an equal epoch is not better
        ("max", 0.0, [0.7, 0.7], [float("nan"), 2], 2),
        ("min", 1.0, [0.9, 0.4, 0.6, 0.4], [1, 1, 1, 0.5], 4),
        ("max", 0.5, [0.4, 0.1, 0.5, 0.2], [4, 2, 3, 5], 2),  # at the floor, the loss decides
    ],
)
def test_the_best_epoch_has_the_best_score_and_of_equal_scores_the_lowest_loss(
    tmp_path, mode, baseline, scores, losses, best
):
    end = end_of(tmp_path, scores, losses, "score", mode, baseline)
    assert end.best["epoch"] == best


def test_a_falling_loss_keeps_a_saturated_score_alive(tmp_path):
    falling = end_of(tmp_path, [1.0] * 5, [0.6, 0.5, 0.4, 0.3, 0.2])
    assert not falling.finished and falling.best["epoch"] == 5
    rising = end_of(tmp_path, [1.0] * 5, [0.6, 0.5, 0.4, 0.45, 0.5])
    assert rising.finished and rising.best["epoch"] == 3


def test_the_outcome_says_why_the_training_has_ended_and_which_epoch_is_kept(tmp_path):
    end = end_of(tmp_path, [0.5, 0.7, 0.6, 0.7])
    assert end.outcome == "stopped: no better accuracy for 2 epochs; epoch 2 is kept"
    end = end_of(tmp_path, [0.5, 0.7, 0.6], epochs=3)
    assert end.outcome == "all 3 epochs are done; epoch 2 is kept"
    end = end_of(tmp_path, [0.5, 0.7])  # by a callback, or Ctrl-C
    assert end.outcome == "stopped after 2 of 9 epochs; epoch 2 is kept"


def network():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)], name="network")


def end_epochs(run, accuracies, **settings):
    """End an epoch with each accuracy; the weights after it are all the epoch's number.

    Returns the callback, and for each epoch its logs, the kernel in `model.weights.h5`, and whether
    the training was stopped.
    """
    write_environment(run, threads=None, seconds=7.0)
    scores = iter(accuracies)
    task = SimpleNamespace(
        monitor="accuracy",
        directions={"accuracy": "max"},
        baseline_score=lambda examples: 0.0,
        results=lambda model, examples, indices: [float(np.mean(model.get_weights()[0]))],
        scores=lambda examples, results: {
            "loss": results[0],
            "accuracy": next(scores),
            "predictions": [{"n": n} for n in (4, 2, 1, 3)],
        },
        score_prediction=lambda row: row["n"],
        format_samples=lambda rows: [f"  sample {row['n']}" for row in rows],
    )
    values = {
        "epochs": len(accuracies), "patience": 9, "average_epochs": 1, "seed": 0, **settings,
    }  # fmt: skip
    evaluation = Evaluation(run, task, ["one"], values)
    end = EpochEnd(run, evaluation, values, [], threads=2, training_examples=4)
    model, saved = network(), network()
    model.compile("sgd", "mse")
    evaluation.set_model(model)
    end.set_model(model)
    seen = []
    for epoch in range(len(accuracies)):
        end.on_epoch_begin(epoch)
        model.set_weights([np.full_like(array, epoch + 1) for array in model.get_weights()])
        logs = {"loss": 2.0}
        evaluation.on_epoch_end(epoch, logs)
        end.on_epoch_end(epoch, logs)
        saved.load_weights(run / "model.weights.h5")
        seen.append((logs, saved.get_weights()[0], model.stop_training))
    return end, seen


def test_the_weights_of_the_best_epoch_are_saved(tmp_path):
    _, seen = end_epochs(tmp_path, [0.5, 0.7, 0.6, 0.7])
    # The losses of `end_epochs` rise: of epochs 2 and 4, the former has the lower one.
    for (_, kernel, _), epoch in zip(seen, [1, 2, 2, 2], strict=True):
        np.testing.assert_array_equal(kernel, np.full((2, 3), epoch))


def test_an_epoch_ends_with_logs_a_history_and_a_checkpoint(tmp_path, capsys):
    end, seen = end_epochs(tmp_path, [0.5, 0.25])
    assert [logs for logs, *_ in seen] == [
        {"loss": 2.0, "val_loss": 1.0, "val_accuracy": 0.5},
        {"loss": 2.0, "val_loss": 2.0, "val_accuracy": 0.25},
    ]
    assert [stopped for *_, stopped in seen] == [False, True]  # all epochs are done
    lines = re.sub(r"\b\d+ s\b", "0 s", capsys.readouterr().err).splitlines()
    samples = [line for line in lines if "sample" in line]
    assert lines == [
        "epoch 1/2  loss 2.0000  val_loss 1.0000  val_accuracy 0.5000  0 s  best",
        *samples[:3],
        "epoch 2/2  loss 2.0000  val_loss 2.0000  val_accuracy 0.2500  0 s",
        *samples[3:],
    ]
    for shown in (samples[:3], samples[3:]):  # the worst, and two of the others, which vary
        assert shown[0] == "  sample 1" and sorted(shown) == shown
    assert (tmp_path / "history.csv").read_text().split() == [
        "epoch,loss,val_loss,val_accuracy",
        "1,2.0,1.0,0.5",
        "2,2.0,2.0,0.25",
    ]
    restored = network()
    restored.compile("sgd", "mse")
    assert checkpoints.restore(tmp_path, restored).history == end.history
    np.testing.assert_array_equal(restored.get_weights()[0], np.full((2, 3), 2))
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["threads"] == 2
    assert environment["training_seconds"] >= 7.0  # those before a resumed training are counted
    assert (tmp_path / "curves.png").is_file()


def test_the_mean_weights_are_evaluated_and_saved_and_training_continues_from_its_own(tmp_path):
    end, seen = end_epochs(tmp_path, [0.1, 0.2, 0.3], average_epochs=2)
    for (logs, kernel, _), mean in zip(seen, [1, 1.5, 2.5], strict=True):
        np.testing.assert_array_equal(kernel, np.full((2, 3), mean))
        assert logs["val_loss"] == mean
    np.testing.assert_array_equal(end.model.get_weights()[0], np.full((2, 3), 3))


@pytest.fixture
def default_handler():
    """Python's own handler of Ctrl-C: a background job of a shell starts with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_waits_for_the_end_of_the_block(default_handler):
    steps = []
    with pytest.raises(KeyboardInterrupt):
        with _interrupts_deferred():
            signal.raise_signal(signal.SIGINT)
            steps.append("after Ctrl-C")
        steps.append("after the block")
    assert steps == ["after Ctrl-C"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_ctrl_c_and_after_an_error_the_handler_is_the_one_before(default_handler):
    with _interrupts_deferred():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(ZeroDivisionError), _interrupts_deferred():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_ignored_ctrl_c_stays_ignored(default_handler):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with _interrupts_deferred():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        signal.raise_signal(signal.SIGINT)


def test_another_thread_sets_no_handler(default_handler):
    handlers = []

    def block():
        with _interrupts_deferred():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=block)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]
