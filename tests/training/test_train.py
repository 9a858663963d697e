"""Training: equal seeds, resuming, stopping, and what a run holds."""

import csv
import json
import signal
import subprocess
import sys
from types import SimpleNamespace

import keras
import pytest
from matplotlib.image import imread

import lstm_zoo
from lstm_zoo.errors import CallError, DataError, TrainingError
from lstm_zoo.sentiment import demo
from lstm_zoo.training.callbacks import EpochEnd

TEXTS, LABELS, _ = demo.generate(300, seed=2)
DATA = (TEXTS, LABELS)
SMALL = {"variant": "tiny", "units": 8, "embedding_size": 8, "learning_rate": 0.01}


def train(run, epochs=2, data=DATA, **options):
    return lstm_zoo.train("sentiment", data, run=run, epochs=epochs, **{**SMALL, **options})


def files_of(run):
    return {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "finished"
    train(run, epochs=4)
    return run


def test_a_run_holds_what_the_design_names(finished):
    assert {path.name for path in finished.iterdir()} == {
        "config.json",
        "confusion.png",
        "curves.png",
        "environment.json",
        "history.csv",
        "metrics.json",
        "model.weights.h5",
        "skipped.tsv",
        "vocabulary.txt",
    }
    rows = list(csv.DictReader((finished / "history.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    accuracies = [float(row["val_accuracy"]) for row in rows]
    scores = json.loads((finished / "metrics.json").read_text())
    assert scores["validation"]["accuracy"] == pytest.approx(max(accuracies))
    assert accuracies[scores["best_epoch"] - 1] == max(accuracies)
    for picture in ("curves.png", "confusion.png"):
        assert imread(finished / picture)[..., :3].std() > 0.05  # not a blank page


def test_equal_seeds_give_equal_files_and_others_others(finished, tmp_path):
    train(tmp_path / "same", epochs=4)
    same, first = files_of(tmp_path / "same"), files_of(finished)
    del same["environment.json"], first["environment.json"]  # it holds the time taken
    assert same == first
    train(tmp_path / "other", epochs=1, seed=1)
    assert files_of(tmp_path / "other")["model.weights.h5"] != first["model.weights.h5"]


class Interrupt(keras.callbacks.Callback):
    """Presses Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.at, self.epoch = epoch, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == self.at and batch == 3:
            raise KeyboardInterrupt


def test_an_interrupted_run_can_be_used_and_resumes_to_the_same_end(finished, tmp_path, capsys):
    run = tmp_path / "run"
    pipeline = train(run, epochs=4, callbacks=[Interrupt(3)])
    assert "Interrupted after 2 of 4 epochs" in capsys.readouterr().err
    assert (run / "metrics.json").is_file()
    assert pipeline.predict(["The film is dull."])[0].label in ("neg", "pos")
    lstm_zoo.train("sentiment", DATA, run=run, resume=True)
    resumed, uninterrupted = files_of(run), files_of(finished)
    del resumed["environment.json"], uninterrupted["environment.json"]
    assert resumed == uninterrupted
    assert not (run / "checkpoint").exists()


@pytest.mark.slow
def test_an_interrupt_while_an_epoch_is_recorded_waits_until_it_is(tmp_path, monkeypatch):
    from lstm_zoo.training import checkpoints

    save = checkpoints.save

    def save_and_press(run, model, history):
        signal.raise_signal(signal.SIGINT)
        save(run, model, history)

    monkeypatch.setattr(checkpoints, "save", save_and_press)
    # These tests may themselves run in a shell's background, which ignores it.
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        pipeline = train(tmp_path / "run", epochs=3)
    finally:
        signal.signal(signal.SIGINT, ours)
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
        train(run, epochs=4, callbacks=[Interrupt(1)])
    with pytest.raises(CallError, match="has not finished an epoch"):
        lstm_zoo.load(run)
    lstm_zoo.train("sentiment", DATA, run=run, resume=True)
    assert files_of(run)["model.weights.h5"] == files_of(finished)["model.weights.h5"]


@pytest.mark.slow
def test_resuming_keeps_settings_and_data(tmp_path):
    run = tmp_path / "run"
    train(run, epochs=3, callbacks=[Interrupt(2)])

    def resume(data=DATA, **settings):
        return lstm_zoo.train("sentiment", data, run=run, resume=True, **settings)

    with pytest.raises(CallError, match="learning_rate is 0.01 in this run"):
        resume(learning_rate=0.1)
    with pytest.raises(DataError, match="The training data is not what this run began with"):
        resume((TEXTS[:-1], LABELS[:-1]))
    with pytest.raises(CallError, match="trained on data in memory"):
        resume(None)
    with pytest.raises(CallError, match="keeps its validation_split"):
        lstm_zoo.train("sentiment", DATA, run=run, resume=True, validation_split=0.4)
    # A run made before a setting came has that setting's default.
    config = json.loads((run / "config.json").read_text())
    del config["settings"]["epsilon"]
    (run / "config.json").write_text(json.dumps(config))
    resume(learning_rate=0.01, units=(8,), epochs=4)
    assert json.loads((run / "metrics.json").read_text())["epochs"] == 4


def test_a_finished_run_is_left_as_it_is(finished):
    before = files_of(finished)
    pipeline = lstm_zoo.train("sentiment", run=finished, resume=True)
    assert pipeline.run == finished
    with pytest.raises(CallError, match="is finished; for other epochs, train a new run"):
        lstm_zoo.train("sentiment", run=finished, resume=True, epochs=9)
    assert files_of(finished) == before


@pytest.mark.slow
def test_training_stops_when_the_score_does_not_rise(tmp_path):
    # With a rate of 0 nothing is learned, and the first score never bettered; of equals the last
    # is kept.
    train(tmp_path / "run", epochs=9, learning_rate=0.0, patience=2)
    scores = json.loads((tmp_path / "run/metrics.json").read_text())
    assert (scores["epochs"], scores["best_epoch"]) == (3, 3)


@pytest.mark.parametrize(
    "monitor, baseline, scores, finished",
    [
        ("wer", 1.0, [1.0, 1.0, 1.3, 1.0], False),  # it says nothing yet
        ("wer", 1.0, [1.0, 1.0, 1.0, 0.9, 0.95], False),
        ("wer", 1.0, [1.0, 1.0, 1.0, 0.9, 0.95, 0.9], True),
        ("wer", 1.0, [1.0] * 9, True),  # all epochs
        ("wer", None, [1.0, 1.0, 1.0], True),
        ("accuracy", None, [0.5, 0.5, 0.5], True),
    ],
)
def test_patience_begins_with_the_first_answer(tmp_path, monitor, baseline, scores, finished):
    (tmp_path / "environment.json").write_text('{"training_seconds": 0}')
    task = SimpleNamespace(monitor=monitor, mode="min" if monitor == "wer" else "max")
    task.baseline_score = baseline
    history = [{"epoch": n, f"val_{monitor}": score} for n, score in enumerate(scores, 1)]
    end = EpochEnd(
        tmp_path, task, None, {"epochs": 9, "patience": 2, "average_epochs": 1}, history, None
    )
    assert end.finished == finished


def test_callbacks_see_the_validation_scores(tmp_path):
    seen = []
    record = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(dict(logs))
    )
    train(tmp_path / "run", callbacks=[record])
    assert len(seen) == 2
    assert {"loss", "val_loss", "val_accuracy", "val_macro_f1"} <= set(seen[0])
    assert 0 <= seen[0]["val_accuracy"] <= 1


@pytest.mark.slow
def test_a_validation_part_of_ones_own_is_used_and_an_overlap_told(tmp_path, capsys):
    train(tmp_path / "run", epochs=1, validation=(TEXTS[:20], LABELS[:20]))
    assert "20 validation examples are in the training part too" in capsys.readouterr().err
    data = json.loads((tmp_path / "run/config.json").read_text())["data"]
    assert data["training"]["examples"] == 300
    assert data["validation"]["examples"] == 20


def test_a_loss_that_is_not_a_number_ends_with_a_reason(tmp_path):
    with pytest.raises(
        TrainingError, match="The loss is .* in epoch 1/2: try a lower learning_rate"
    ):
        train(tmp_path / "run", learning_rate=1e38, warmup=0.0)


@pytest.mark.slow
def test_pretrained_vectors_train_and_load(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("film 1 0 0\ndull 0 1 0\nmoving 0 0 1\n")
    pipeline = train(
        tmp_path / "run", epochs=1, vectors=path, learning_rate=0.0, embedding_size=None
    )
    row = pipeline.tokenizer.vocabulary.index("dull")
    embeddings = pipeline.model.get_layer("embedding").embeddings.numpy()
    assert embeddings[row] == pytest.approx([0, 1, 0])
    assert lstm_zoo.load(tmp_path / "run").model.get_layer("embedding").output_dim == 3


@pytest.mark.slow
def test_pieces_train_and_load(tmp_path):
    train(tmp_path / "run", epochs=1, tokens="pieces", vocabulary_size=320)
    assert (tmp_path / "run/pieces.model").is_file()
    loaded = lstm_zoo.load(tmp_path / "run")
    assert loaded.predict(["The film is dull.", "\U0001f600"])[1].probability >= 0.5


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn"])
def test_every_cell_learns_in_one_direction(cell, tmp_path):
    texts = ["good film", "bad film", "a good one", "a bad one"] * 20
    labels = ["pos", "neg"] * 40
    pipeline = lstm_zoo.train(
        "sentiment", (texts, labels), run=tmp_path / "run", validation=(texts[:4], labels[:4]),
        epochs=8, cell=cell, bidirectional=False, dropout=0.0, embedding_dropout=0.0, patience=8,
        **SMALL,
    )  # fmt: skip
    assert pipeline.evaluate((texts, labels))["accuracy"] == 1


@pytest.mark.parametrize(
    "data, options, error, message",
    [
        ("none/here", {}, CallError, "none/here: no such file"),
        (
            (list("abcdefghij"), ["x"] * 10),
            {},
            DataError,
            r"Only one class, 'x', in 9 examples \(the first: row",
        ),
        ((["a", "a"], ["x", "x"]), {}, DataError, "leaves one side empty"),
        (DATA, {"validation": (["a"], ["new"])}, DataError, "'new' is not one of"),
        (DATA, {"validation_split": 1.0}, CallError, "between 0 and 1"),
        (DATA, {"vectors": "v.txt", "embedding_size": 9}, CallError, "give only one of the two"),
        (DATA, {"epoch": 3}, CallError, "No setting is named 'epoch'. Did you mean epochs"),
        (DATA, {"pooling": "attention"}, ValueError, "pooling is one or more of"),
        (DATA, {"vectors": "v.txt", "tokens": "pieces"}, CallError, "tokens=words only"),
        (
            DATA,
            {"vectors": "none.txt", "embedding_size": None},
            CallError,
            "none.txt: no such file",
        ),
        (DATA, {"threads": 0}, CallError, "threads is an integer of at least 1"),
        (DATA, {"resume": True}, CallError, "no such run directory"),
    ],
)
def test_a_call_that_cannot_be_carried_out_writes_nothing(tmp_path, data, options, error, message):
    with pytest.raises(error, match=message):
        train(tmp_path / "run", data=data, **options)
    assert not (tmp_path / "run").exists()


def test_an_existing_run_is_not_written_over(finished):
    with pytest.raises(CallError, match="exists already; name another run"):
        train(finished)


@pytest.mark.parametrize(
    "family, run, settings",
    [
        ("sentiment", "cache", {}),
        ("speech", "run", {"cache": "run"}),
        ("speech", "run", {"cache": "run/cache"}),
    ],
)
def test_a_run_is_not_where_prepared_examples_are(tmp_path, monkeypatch, family, run, settings):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CallError, match="prepared examples are kept in .*; name another run"):
        lstm_zoo.train(family, DATA, run=run, **settings)
    assert not [*tmp_path.iterdir()]


def test_an_unknown_family_is_an_error():
    with pytest.raises(
        CallError, match="family is one of sentiment, speech, translation. Received: 'vision'"
    ):
        lstm_zoo.train("vision")


def test_a_training_keeps_the_memory_that_it_frees():
    """Else the system maps it anew at every step, a page fault for each 4 kB."""
    program = """
import ctypes, resource
import numpy as np
from lstm_zoo.training.dataset import Order, make_dataset

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p

def faults():
    for _ in range(20):
        block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(16_000_000)))
        libc.memset(block, 1, ctypes.c_size_t(16_000_000))
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

order = Order(np.ones(4), {"seed": 0, "batch_size": 1, "batch_tokens": None})
assert len([*make_dataset(order, lambda *_: (np.zeros((2, 2)),))]) == 4
before = faults()  # the first block is new
print(faults() - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert int(done.stdout) < 4_000  # where they are mapped anew: 20 blocks of 3,906 pages
