"""Complete trainings: equal seeds, interrupting and resuming, early stopping, and a run's files."""

import csv
import json
import os
import shutil
import signal
import socket
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from matplotlib.image import imread

import lstm_zoo
from lstm_zoo.errors import CallError, DataError, TrainingError
from lstm_zoo.export import inspection
from lstm_zoo.files import find_damage
from lstm_zoo.sentiment import task
from lstm_zoo.sentiment.pipeline import Pipeline
from lstm_zoo.sentiment.task import Task
from tests import kills
from tests.training.helpers import DATA, LABELS, RUNS, SMALL, TEXTS, Interrupt, files_of, train
from tests.workers import WITHOUT_DRAWS

# The network that is cheapest to train, for tests that do not depend on the network.
SIMPLE = {"cell": "simple_rnn", "bidirectional": False}


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """A finished training: its run, and the `logs` that a callback got after each epoch."""
    found = SimpleNamespace(run=tmp_path_factory.mktemp("runs") / "finished", logs=[])
    save_logs = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: found.logs.append(dict(logs))
    )
    train(found.run, epochs=4, callbacks=[save_logs], **SIMPLE)
    return found


@pytest.fixture
def finished(training):
    return training.run


def test_a_run_has_these_files(finished):
    assert {path.name for path in finished.iterdir()} == {
        "calibration.json",
        "checksums.json",
        "config.json",
        "confusion.png",
        "curves.png",
        "environment.json",
        "history.csv",
        "metrics.json",
        "model.weights.h5",
        "reliability.png",
        "report.html",
        "skipped.tsv",
        "vocabulary.txt",
    }
    rows = list(csv.DictReader((finished / "history.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    accuracies = [float(row["val_accuracy"]) for row in rows]
    scores = json.loads((finished / "metrics.json").read_text())
    assert scores["validation"]["accuracy"] == pytest.approx(max(accuracies))
    assert accuracies[scores["best_epoch"] - 1] == max(accuracies)
    # The temperature was fitted on these data, which would make the error look small.
    assert not {"ece", "reliability"} & {*scores["validation"]}
    for picture in ("curves.png", "confusion.png", "reliability.png"):
        assert imread(finished / picture)[..., :3].std() > 0.05  # not a blank page


@pytest.mark.parametrize("data, part", [(DATA, "validation"), (None, "test")])
def test_plots_are_of_the_test_set_if_there_is_one(data, part, tmp_path, monkeypatch):
    monkeypatch.setattr(task, "DEMO_EXAMPLES", 200)
    # One that is fitted may also be a summary metric, and a family may lack one.
    monkeypatch.setattr(Task, "fitted_metrics", ("accuracy", "ece", "reliability", "none"))
    drawn, draw = [], Pipeline.draw

    def keep(pipeline, data, scores, title, directory):
        drawn.append((len(data[0]), scores, title))
        return draw(pipeline, data, scores, title, directory)

    monkeypatch.setattr(Pipeline, "draw", keep)
    lstm_zoo.train("sentiment", data, run=tmp_path / "run", epochs=1, **SMALL, **SIMPLE)
    ((count, scores, title),) = drawn
    kept = json.loads((tmp_path / "run/metrics.json").read_text())
    assert count == kept[part]["examples"] and f"{part}, {count} examples" in title
    assert not {"accuracy", "ece", "reliability"} & {*kept["validation"]}
    assert {"accuracy", "ece"} <= {*scores} if part == "test" else "ece" not in scores
    assert scores["reliability"] and ("reliability" in kept[part]) == (part == "test")
    assert (tmp_path / "run/reliability.png").is_file()


@pytest.mark.slow
def test_equal_seeds_give_equal_files_and_different_seeds_different_ones(finished, tmp_path):
    same = tmp_path / finished.name  # which is in the titles of its plots
    train(same, epochs=4, **SIMPLE)
    same, first = files_of(same), files_of(finished)
    for files in (same, first):  # the environment holds the time taken
        del files["environment.json"], files["checksums.json"], files["report.html"]
    assert same == first
    train(tmp_path / "other", epochs=4, seed=1, callbacks=[Interrupt(2)], **SIMPLE)
    other = files_of(tmp_path / "other")
    assert other["model.weights.h5"] != first["model.weights.h5"]
    # The first epochs differ in nothing but the seed.
    assert other["history.csv"].splitlines()[1] != first["history.csv"].splitlines()[1]


@pytest.mark.slow
def test_an_interrupted_run_can_be_used_and_resumes_to_the_same_result(finished, tmp_path, capsys):
    run = tmp_path / finished.name  # which is in the titles of its plots
    pipeline = train(run, epochs=4, callbacks=[Interrupt(3)], **SIMPLE)
    assert "Interrupted after 2 of 4 epochs" in capsys.readouterr().err
    assert (run / "metrics.json").is_file()
    assert pipeline.predict(["The film is dull."])[0].label in ("neg", "pos")
    lstm_zoo.train("sentiment", DATA, run=run, resume=True)
    resumed, uninterrupted = files_of(run), files_of(finished)
    for files in (resumed, uninterrupted):
        del files["environment.json"], files["checksums.json"], files["report.html"]
    assert resumed == uninterrupted
    assert not (run / "checkpoint").exists()


def test_a_finished_run_is_not_resumed_with_other_data(finished, tmp_path):
    other = tmp_path / "films.tsv"
    other.write_text("text\tlabel\ngood\tpos\nbad\tneg\n")
    before = files_of(finished)
    with pytest.raises(CallError, match="its data: in memory. .*films.tsv. For other"):
        lstm_zoo.train("sentiment", other, run=finished, resume=True)
    for options in ({"validation": other}, {"validation_split": 0.33}, {"strict": True}):
        with pytest.raises(CallError, match="split off its data. Rec|keeps its validation_split"):
            lstm_zoo.train("sentiment", DATA, run=finished, resume=True, **options)
    assert lstm_zoo.train("sentiment", DATA, run=finished, resume=True).run == finished
    assert files_of(finished) == before


@pytest.mark.slow
def test_an_interrupt_while_files_are_written_waits_until_they_are(tmp_path, monkeypatch):
    from lstm_zoo.training import checkpoints

    save = checkpoints.save

    def save_and_press(run, model, history):
        signal.raise_signal(signal.SIGINT)
        save(run, model, history)

    monkeypatch.setattr(checkpoints, "save", save_and_press)
    # In the background of a shell, the tests' process ignores SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        pipeline = train(tmp_path / "run", epochs=3, **SIMPLE)
    finally:
        signal.signal(signal.SIGINT, before)
    monkeypatch.undo()
    rows = list(csv.DictReader((tmp_path / "run/history.csv").open()))
    assert len(rows) == 1
    assert json.loads((tmp_path / "run/metrics.json").read_text())["epochs"] == 1
    assert pipeline.predict(["x"])
    resumed = lstm_zoo.train("sentiment", DATA, run=tmp_path / "run", resume=True)
    assert len(list(csv.DictReader((resumed.run / "history.csv").open()))) == 3


@pytest.mark.slow
def test_an_interrupt_in_the_first_epoch_leaves_a_run_to_resume(finished, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(run, epochs=4, callbacks=[Interrupt(1)], **SIMPLE)
    with pytest.raises(CallError, match="has not finished an epoch"):
        lstm_zoo.load(run)
    lstm_zoo.train("sentiment", DATA, run=run, resume=True)
    assert files_of(run)["model.weights.h5"] == files_of(finished)["model.weights.h5"]


@pytest.mark.slow
def test_what_a_run_says_is_of_the_weights_that_it_holds(tmp_path):
    """Ctrl-C in epoch 2, then resumed, and ended without a word in epoch 4."""
    run = tmp_path / "run"
    train(run, epochs=9, callbacks=[Interrupt(2)], **SIMPLE)
    assert inspection.describe(run)["scores"]["best_epoch"] == 1
    locked_lines = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: locked_lines.append(refusal(run))
    )
    with pytest.raises(ZeroDivisionError):
        train(run, epochs=9, resume=True, callbacks=[Fail(4), note], **SIMPLE)
    assert len((run / "history.csv").read_text().splitlines()) == 1 + 3
    assert inspection.describe(run)["scores"] == {}
    assert not (run / "confusion.png").exists() and not (run / "calibration.json").exists()
    assert not (run / "report.html").exists()
    assert find_damage(run) == []
    # Nobody else could train it meanwhile; now anybody can.
    expected = f"{run} is in training, by process {os.getpid()} on {socket.gethostname()}."
    assert locked_lines == [expected] * 3
    assert not (run / "training.lock").exists()
    with pytest.raises(CallError, match="epochs is at least 3, the number that .* has already"):
        train(run, epochs=1, resume=True, **SIMPLE)
    # The last state is damaged: epoch 3 is trained again, to the same result.
    before = files_of(run)
    (run / "checkpoint/state-3.npz").write_bytes(b"")
    with pytest.raises(ZeroDivisionError):
        train(run, epochs=9, resume=True, callbacks=[Fail(4)], **SIMPLE)
    for name in ("history.csv", "model.weights.h5"):
        assert files_of(run)[name] == before[name], name


def refusal(run):
    with pytest.raises(CallError) as error:
        train(run, epochs=9, resume=True, **SIMPLE)
    return str(error.value)


class Fail(Interrupt):
    """Ends the training by an error, as if the process had been killed."""

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == self.at:
            raise ZeroDivisionError


@pytest.mark.slow
def test_a_run_is_resumed_for_more_epochs(tmp_path):
    run = shutil.copytree(RUNS / "interrupted", tmp_path / "run")  # after 2 of 3 epochs
    lstm_zoo.train(
        "sentiment", DATA, run=run, resume=True, learning_rate=0.01, units=(8,), epochs=4
    )
    assert json.loads((run / "metrics.json").read_text())["epochs"] == 4


@pytest.mark.slow
def test_training_stops_early_if_the_score_does_not_improve(tmp_path, capsys, monkeypatch):
    # With a learning rate of 0 all epochs are equal; the first is the best.
    monkeypatch.setattr(Task, "baseline_score", lambda self, examples: 99.0)
    train(tmp_path / "run", epochs=9, learning_rate=0.0, patience=2, **SIMPLE)
    scores = json.loads((tmp_path / "run/metrics.json").read_text())
    assert (scores["epochs"], scores["best_epoch"]) == (3, 1)
    line = "stopped: no better calibrated_loss for 2 epochs; epoch 1 is kept"
    assert line in capsys.readouterr().err.splitlines()


class SetRate(keras.callbacks.Callback):
    """Sets the learning rate after the first epoch, and keeps that of each epoch's last step."""

    def __init__(self):
        super().__init__()
        self.rates = []

    def on_train_batch_end(self, batch, logs=None):
        self.rate = float(self.model.optimizer.learning_rate)

    def on_epoch_end(self, epoch, logs=None):
        self.rates.append(self.rate)
        if epoch == 0:
            self.model.optimizer.learning_rate = 0.003


@pytest.mark.slow
def test_a_learning_rate_that_a_callback_sets_replaces_the_schedule_and_survives_resume(tmp_path):
    whole, halted = tmp_path / "whole", tmp_path / "halted"
    setter = SetRate()
    train(whole, epochs=3, callbacks=[setter], **SIMPLE)
    assert setter.rates == pytest.approx([setter.rates[0], 0.003, 0.003])
    train(halted, epochs=3, callbacks=[SetRate(), Interrupt(2)], **SIMPLE)
    lstm_zoo.train("sentiment", DATA, run=halted, resume=True)
    assert files_of(halted)["model.weights.h5"] == files_of(whole)["model.weights.h5"]


@pytest.mark.slow
def test_keras_callbacks_monitor_the_metrics_and_set_the_learning_rate(tmp_path):
    path, setter = tmp_path / "best.keras", SetRate()
    callbacks = [
        setter,
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate),  # keeps the schedule
        keras.callbacks.ReduceLROnPlateau("val_macro_f1", patience=0, min_delta=9, factor=0.5),
        keras.callbacks.ModelCheckpoint(path, monitor="val_accuracy", save_best_only=True),
        keras.callbacks.EarlyStopping("val_accuracy", patience=1, min_delta=9),
    ]
    pipeline = train(tmp_path / "run", epochs=9, callbacks=callbacks, ngrams=0, **SIMPLE)
    assert [callback.mode for callback in callbacks[2:]] == ["max", "max", "max"]
    assert setter.rates == pytest.approx([setter.rates[0], 0.003])  # stopped after 2 epochs
    model = keras.models.load_model(path)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.0015)
    assert pipeline.predict(["The film is dull."])


def test_a_callback_that_monitors_an_unknown_metric_is_refused_before_anything_is_written(tmp_path):
    stop = keras.callbacks.EarlyStopping(monitor="val_acuracy")
    with pytest.raises(CallError, match="EarlyStopping monitors one of loss, val_loss, .*val_acc"):
        train(tmp_path / "run", callbacks=[stop])
    assert not (tmp_path / "run").exists()


def test_a_strategys_scope_is_refused_before_anything_is_written(tmp_path):
    with (
        tf.distribute.OneDeviceStrategy("/cpu:0").scope(),
        pytest.raises(CallError, match="Call train outside of a strategy's scope"),
    ):
        train(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_callbacks_see_the_validation_scores(training):
    assert len(training.logs) == 4
    assert {"loss", "val_loss", "val_accuracy", "val_macro_f1"} <= set(training.logs[0])
    assert 0 <= training.logs[0]["val_accuracy"] <= 1
    rows = csv.DictReader((training.run / "history.csv").open())
    for logs, row in zip(training.logs, rows, strict=True):
        assert all(float(row[key]) == value for key, value in logs.items() if key != "loss")


@pytest.mark.slow
def test_given_validation_data_is_used_and_an_overlap_is_logged(tmp_path, capsys):
    train(tmp_path / "run", epochs=1, validation=(TEXTS[:20], LABELS[:20]), **SIMPLE)
    assert "20 validation examples are also in the training data" in capsys.readouterr().err
    data = json.loads((tmp_path / "run/config.json").read_text())["data"]
    assert data["training"]["examples"] == 300
    assert data["validation"]["examples"] == 20


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_the_training_with_a_reason(tmp_path):
    run = tmp_path / "run"
    with pytest.raises(
        TrainingError,
        match="in epoch 1/2, step .*, whose batch has 32 examples: .*. Resuming would only",
    ) as e:
        train(run, learning_rate=1e38, warmup=0.0, **SIMPLE)
    assert "train a new run with a lower learning_rate or clip_norm" in str(e.value)
    # Nor does another message advise to resume it.
    for call in (lambda: lstm_zoo.load(run), lambda: train(run)):
        with pytest.raises(CallError, match="Resuming would only repeat this"):
            call()


@pytest.mark.slow
def test_a_batch_that_is_too_large_for_the_memory_is_an_error(tmp_path):
    class Exhausted(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    with pytest.raises(TrainingError, match="not enough memory for a batch. A lower batch_size"):
        train(tmp_path / "run", callbacks=[Exhausted()], **SIMPLE)


@pytest.mark.slow
def test_a_run_whose_vocabulary_has_changed_is_not_resumed(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "checkpoint").mkdir()
    (run / "checkpoint/state-4.npz").touch()  # as if it were not finished
    with open(run / "vocabulary.txt", "a") as file:
        file.write("more\n")
    with pytest.raises(DataError, match="damaged: vocabulary.txt has changed"):
        train(run, resume=True)


@pytest.mark.slow
def test_pretrained_vectors_train_and_load(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("film 1 0 0\nWords 9 9 9\ndull 0 1 0\nunheard 0 0 1\n")
    pipeline = train(
        tmp_path / "run", epochs=1, vectors=path, learning_rate=0.0, embedding_size=None, **SIMPLE
    )
    vocabulary = pipeline.tokenizer.vocabulary
    embeddings = pipeline.model.get_layer("embedding").embeddings.numpy()
    for word, vector in (("dull", [0, 1, 0]), ("unheard", [0, 0, 1])):
        assert embeddings[vocabulary.index(word)] == pytest.approx(vector)
    assert vocabulary[-1] == "unheard" and "Words" not in vocabulary
    assert lstm_zoo.load(tmp_path / "run").model.get_layer("embedding").output_dim == 3


@pytest.mark.slow
def test_pieces_train_and_load(tmp_path):
    train(tmp_path / "run", epochs=1, tokens="pieces", vocabulary_size=320, **SIMPLE)
    assert (tmp_path / "run/pieces.model").is_file()
    loaded = lstm_zoo.load(tmp_path / "run")
    assert loaded.predict(["The film is dull.", "\U0001f600"])[1].probability >= 0.5


@pytest.mark.slow
def test_a_cell_learns_in_one_direction_without_ngrams(tmp_path):
    texts = ["good film", "bad film", "a good one", "a bad one"] * 20
    labels = ["pos", "neg"] * 40
    pipeline = lstm_zoo.train(
        "sentiment", (texts, labels), run=tmp_path / "run", validation=(texts[:4], labels[:4]),
        epochs=8, cell="gru", bidirectional=False, ngrams=0, dropout=0.0, embedding_dropout=0.0,
        patience=8, **SMALL,
    )  # fmt: skip
    assert pipeline.evaluate((texts, labels))["accuracy"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sentiment", "speech", "translation"])
def test_mixed_precision_trains_as_float32_does(family, tmp_path):
    data, own = kills.data_of(family)
    losses = []
    for name in ("float32", "mixed_bfloat16", "mixed_float16"):
        settings = {
            **kills.SMALL,
            **own,
            **WITHOUT_DRAWS[family],
            "cell": "lstm",
            "precision": name,
        }
        trained = lstm_zoo.train(family, data, run=tmp_path / name, **settings)
        assert {weight.dtype for weight in trained.model.weights} == {"float32"}
        assert trained.model.dtype_policy.name == "float32"
        history = (tmp_path / name / "history.csv").read_text().splitlines()
        losses.append([float(value) for row in history[1:] for value in row.split(",")[1:3]])
    assert losses[0] not in losses[1:]
    for found in losses[1:]:
        np.testing.assert_allclose(found, losses[0], rtol=0.03)
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.slow
def test_accumulated_chunks_train_as_the_whole_batch(tmp_path):
    data, own = kills.data_of("sentiment")
    rows = []
    for count in (1, 4):
        settings = {**kills.SMALL, **own, **WITHOUT_DRAWS["sentiment"], "accumulate": count}
        run = tmp_path / str(count)
        lstm_zoo.train("sentiment", data, run=run, log_steps=True, **settings)
        lines = (run / "steps.jsonl").read_text().splitlines()
        rows.append([(json.loads(line)["loss"], json.loads(line)["examples"]) for line in lines])
    np.testing.assert_allclose(rows[1], rows[0], atol=1e-4)


def test_backup_and_restore_is_refused(tmp_path):
    callback = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(CallError, match="BackupAndRestore is not needed: resume=True"):
        lstm_zoo.train("sentiment", run=tmp_path / "run", callbacks=[callback])
