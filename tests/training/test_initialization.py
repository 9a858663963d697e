"""The start of a training: new and resumed runs, and what they refuse."""

import csv
import json
import shutil

import pytest

import lstm_zoo
from lstm_zoo import families
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.runs.directory import read_config
from lstm_zoo.training import initialization, layers
from lstm_zoo.training.dataset import BatchOrder
from lstm_zoo.training.optimizer import make_optimizer
from tests.training.helpers import DATA, LABELS, RUNS, SMALL, TEXTS, files_of, train


def fresh(run, data=DATA, validation=None, validation_split=None, strict=False, **settings):
    return initialization.fresh(
        "sentiment", run, data, validation, validation_split, strict, {**SMALL, **settings}
    )


def resumed(
    run, data=DATA, validation=None, validation_split=None, strict=False, family="sentiment",
    **settings,
):  # fmt: skip
    return initialization.resumed(family, run, data, validation, validation_split, strict, settings)


def build(start):
    """Build and compile the network of a start, as `train` does."""
    examples = start.task.encode(start.corpora.training, training=True, cache=start.cache)
    model, network = start.task.build(examples, start.settings["seed"])
    order = BatchOrder(examples.lengths, start.settings)
    depths = layers.depths(model.trainable_variables, start.task.layers)
    model.compile(make_optimizer(start.settings, order.steps, depths), start.task.loss())
    return model, network


@pytest.fixture
def interrupted(tmp_path):
    """A run that was interrupted after 2 of 3 epochs."""
    return shutil.copytree(RUNS / "interrupted", tmp_path / "interrupted")


@pytest.fixture
def finished(tmp_path):
    """A run that is finished."""
    return shutil.copytree(RUNS / "sentiment", tmp_path / "finished")


def test_a_new_run_has_numbers_where_settings_follow_the_number_of_examples(tmp_path):
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    pairs = [f"{a} and {b}" for a in words for b in words]
    given = (pairs, pairs), None, None, False, {"vocabulary_size": 320}
    start = initialization.fresh("translation", tmp_path / "run", *given)
    assert start.settings["batch_tokens"] == start.task.settings["batch_tokens"] == 600


def test_a_new_run_has_settings_data_and_a_vocabulary_and_writes_nothing(tmp_path):
    start = fresh(tmp_path / "new/run", epochs="4")
    assert (start.family, start.run, start.config) == ("sentiment", tmp_path / "new/run", None)
    assert start.settings.keys() == families.settings("sentiment").keys()
    assert (start.settings["epochs"], start.settings["units"]) == (4, (8,))
    assert start.settings["patience"] == 5
    assert (len(start.corpora.training), len(start.corpora.validation)) == (270, 30)
    assert start.task.classes == ["neg", "pos"]
    assert "dull" in start.task.tokenizer.words
    assert start.cache == tmp_path / "new/cache"
    assert not [*tmp_path.iterdir()]


def test_a_run_without_a_name_is_named_by_its_family_and_the_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start = fresh(None)
    assert start.run.parent.name == "runs"
    assert start.run.name.startswith("sentiment-20")


def test_an_existing_run_is_not_overwritten(finished, tmp_path):
    before = files_of(finished)
    with pytest.raises(CallError, match="exists already; name another run"):
        train(finished)
    assert files_of(finished) == before
    (tmp_path / "file").write_text("")
    with pytest.raises(CallError, match="exists already; name another run"):
        fresh(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert fresh(tmp_path / "empty").run == tmp_path / "empty"


@pytest.mark.parametrize(
    "family, run, settings",
    [
        ("sentiment", "cache", {}),
        ("speech", "run", {"cache": "run"}),
        ("speech", "run", {"cache": "run/cache"}),
    ],
)
def test_a_run_is_not_in_the_cache_of_preprocessed_examples(
    tmp_path, monkeypatch, family, run, settings
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CallError, match="preprocessed examples are cached in .*; name another run"):
        lstm_zoo.train(family, DATA, run=run, **settings)
    assert not [*tmp_path.iterdir()]


def test_an_unknown_family_is_an_error():
    with pytest.raises(
        CallError, match="family is one of sentiment, speech, translation. Received: 'vision'"
    ):
        lstm_zoo.train("vision")


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
        (DATA, {"pooling": "attention"}, ValueError, "pooling takes one or more of"),
        (DATA, {"vectors": "v.txt", "tokens": "pieces"}, CallError, "tokens=words only"),
        (
            DATA,
            {"vectors": "none.txt", "embedding_size": None},
            CallError,
            "none.txt: no such file",
        ),
        (DATA, {"epochs": 0}, CallError, "epochs takes an integer of at least 1"),
        (
            DATA,
            {"ngram_buckets": 9, "ngrams": 0},
            CallError,
            "ngram_buckets=9 has no effect with ngrams=0",
        ),
        (
            DATA,
            {"validation": DATA, "validation_split": 0.2},
            CallError,
            "validation_split=0.2 has no effect with validation; give only one",
        ),
        (DATA, {"threads": 0}, CallError, "threads is an integer of at least 1"),
        (DATA, {"resume": True}, CallError, "no such run directory"),
    ],
)
def test_a_training_that_is_refused_writes_nothing(tmp_path, data, options, error, message):
    with pytest.raises(error, match=message):
        train(tmp_path / "run", data=data, **options)
    assert not (tmp_path / "run").exists()


def test_a_resumed_run_has_its_settings_data_and_vocabulary(interrupted):
    start = resumed(interrupted)
    config = read_config(interrupted)
    assert start.config == config
    assert start.settings == config["settings"]
    assert (start.settings["learning_rate"], start.settings["epochs"]) == (0.01, 3)
    assert start.corpora.description == config["data"]
    assert start.task.tokenizer.vocabulary_size == 228
    assert start.cache == interrupted.parent / "cache"


def test_settings_may_be_given_again_with_the_runs_values_and_epochs_may_change(interrupted):
    for settings in ({}, {"units": 8}, {"units": "8"}, {"units": [8]}, {"cell": None}):
        start = resumed(interrupted, learning_rate="0.01", **settings)
        assert start.settings == read_config(interrupted)["settings"]
    start = resumed(interrupted, epochs=4)
    assert start.settings == {**read_config(interrupted)["settings"], "epochs": 4}
    assert start.config["settings"] == start.settings


def test_a_setting_that_a_run_lacks_has_its_neutral_value(interrupted):
    config = json.loads((interrupted / "config.json").read_text())
    config["settings"].pop("average_epochs", None)
    (interrupted / "config.json").write_text(json.dumps(config))
    assert resumed(interrupted).settings["average_epochs"] == 1


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"learning_rate": 0.1}, CallError, "learning_rate is 0.01 in this run"),
        ({"units": (8, 8)}, CallError, r"units is \[8\] in this run"),
        ({"seed": 1}, CallError, r"only epochs may change\). Received: 1"),
        ({"epoch": 3}, CallError, "No setting is named 'epoch'"),
        ({"family": "speech"}, CallError, "a run of sentiment, not of speech"),
        (
            {"data": (TEXTS[:-1], LABELS[:-1])},
            DataError,
            "The training data has changed since this run was started",
        ),
        ({"data": None}, CallError, "trained on data in memory"),
        ({"validation_split": 0.4}, CallError, "keeps its validation_split"),
        ({"strict": True}, CallError, "keeps its validation_split and strict"),
    ],
)
def test_a_resumed_run_keeps_its_settings_and_data(interrupted, options, error, message):
    before = files_of(interrupted)
    with pytest.raises(error, match=message):
        resumed(interrupted, **options)
    assert files_of(interrupted) == before


def test_a_resumed_run_has_a_directory(tmp_path):
    with pytest.raises(CallError, match="resume needs run, the directory"):
        resumed(None)
    with pytest.raises(CallError, match="no such run directory"):
        resumed(tmp_path / "none")


def test_a_finished_run_is_loaded_and_not_changed(finished):
    before = files_of(finished)
    assert resumed(finished, data=None) is None
    assert resumed(finished, data=None, epochs=3) is None  # as it has
    pipeline = lstm_zoo.train("sentiment", run=finished, resume=True)
    assert pipeline.run == finished
    with pytest.raises(CallError, match="is finished; for other epochs, train a new run"):
        lstm_zoo.train("sentiment", run=finished, resume=True, epochs=9)
    assert files_of(finished) == before


def test_the_directory_of_a_new_run_is_created_with_all_that_a_resumed_one_reads(tmp_path):
    start = fresh(tmp_path / "new/run")
    model, network = build(start)
    skipped = [("data.tsv:3", "no text")]
    initialization.create_run(start, model, network, skipped, threads=2)
    assert {path.name for path in start.run.iterdir()} == {
        "checksums.json",
        "config.json",
        "environment.json",
        "skipped.tsv",
        "vocabulary.txt",
    }
    assert (start.run / "skipped.tsv").read_text() == "place\treason\ndata.tsv:3\tno text\n"
    config = json.loads((start.run / "config.json").read_text())
    assert (config["family"], config["format"]) == ("sentiment", 1)
    assert config["network"]["units"] == [8]
    assert config["learned"] == {"classes": ["neg", "pos"]}
    assert config["data"] == start.corpora.description
    environment = json.loads((start.run / "environment.json").read_text())
    assert (environment["threads"], environment["training_seconds"]) == (2, 0)
    # It was interrupted before its first epoch ended: the training starts again.
    again = resumed(start.run)
    assert again.task.tokenizer.words == start.task.tokenizer.words
    assert initialization.reopen_run(again, build(again)[0]).history == []


def test_the_checkpoint_of_a_resumed_run_is_loaded_and_its_epochs_are_written(interrupted):
    start = resumed(interrupted, epochs=4)
    (interrupted / ".writing-killed").mkdir()
    model, network = build(start)
    too_few = start._replace(settings={**start.settings, "epochs": 1})
    before = files_of(interrupted)
    with pytest.raises(CallError, match="epochs is at least 2, the number that .* has already"):
        initialization.reopen_run(too_few, model)
    assert files_of(interrupted) == before
    history = initialization.reopen_run(start, model).history
    # The results are removed: they are of the weights before.
    assert {*before} - {*files_of(interrupted)} == {"metrics.json"}
    assert not [*interrupted.glob(".writing-*")]
    with (RUNS / "interrupted/history.csv").open() as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    assert history == rows
    assert int(model.optimizer.iterations) == 2 * 9  # 270 examples in batches of 32
    assert read_config(interrupted)["settings"]["epochs"] == 4


def test_the_default_validation_split_may_be_given_with_validation_data(tmp_path):
    start = fresh(tmp_path / "run", validation=DATA, validation_split=0.1)
    assert len(start.corpora.validation) == len(DATA[0])
