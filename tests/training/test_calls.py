"""The verb `train`: a mistake in a call is found before anything slow is imported."""

import json
import shutil
import subprocess
import sys

import keras
import pytest

import lstm_zoo
from lstm_zoo.errors import CallError, DataError
from tests.conftest import READY_RUNS

HEAVY = ("tensorflow", "keras", "librosa", "matplotlib", "sklearn", "h5py")
RUN = READY_RUNS / "sentiment"
WRONG_CALLS = [
    (["train", "--variant", "huge"], "variant takes one of tiny"),
    (["train", "--set", "unit=8"], "Did you mean units"),
    (["train", "--set", "units=many"], "units takes"),
    (
        ["train", "--set", "ngram_buckets=9", "--set", "ngrams=0"],
        "ngram_buckets=9 has no effect",
    ),
    (["train", "--run", RUN], "exists already"),
    (["train", "--data", "none.tsv"], "no such file"),
    (["train", "--data", "data.tsv", "--text-column", "review"], "no column named review"),
    (["train", "--export", "data.tsv"], "can't write an export"),
    (["train", "--init-from", "none"], "no such run"),
    (["train", "--resume", "--run", "none"], "no such run"),
    (["train", "--config", "none.json"], "no such file"),
    (["train", "--data", "data.tsv", "--validation-split", "2"], "between 0 and 1"),
    (["predict", "none", "text"], "no such run"),
    (["predict", RUN], "Missing argument"),
    (["predict", RUN, "--input", "none.csv", "--output", "b.csv"], "no such file"),
    (["predict", RUN, "--input", "data.tsv", "--output", "b.csv", "--text-column", "x"],
     "no column named x"),
    (["predict", RUN, "--input", "data.tsv", "--output", "b.pdf"], "expected a file named"),
    (["evaluate", RUN, "--data", "none.tsv"], "no such file"),
    (["evaluate", RUN, "--data", "data.tsv", "--label-column", "x"], "no column named x"),
    (["evaluate", "data.tsv", "--data", "data.tsv"], "no such run"),
    (["export", RUN, "taken", "--format", "onnx"], "exists already"),
    (["export", RUN, "out", "--format", "zip"], "format is one of"),
    (["export", RUN, "out", "--int8"], "no option int8"),
    (["export", "none", "out"], "no such run"),
]  # fmt: skip
SCRIPT = f"""
import sys
import lstm_zoo.cli
try:
    lstm_zoo.cli.main()
finally:
    print(*set({HEAVY}) & set(sys.modules))
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data.tsv").write_text("text\tlabel\ngood\tpos\n")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/model.onnx").touch()
    return tmp_path


@pytest.mark.parametrize("arguments, message", WRONG_CALLS)
def test_a_wrong_call_imports_nothing_slow(folder, arguments, message):
    before = sorted(folder.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "sentiment", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode in (1, 2)
    assert message in done.stderr and done.stderr.count("\n") <= 3, done.stderr
    assert done.stdout == "\n"  # none of them
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    "family, data",
    [
        ("speech", "none.tsv"),
        ("speech", "data.tsv"),
        ("translation", "data.csv"),
        ("translation", "none"),
    ],
)
def test_other_families_check_their_data_without_it_too(folder, family, data):
    (folder / "data.csv").write_text("a,b\n1,2\n")
    extra = ["--source", "en", "--target", "de"] * (family == "translation")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, family, "train", "--data", data, *extra],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert data.split(".")[0] in done.stderr and done.stderr.startswith("Error: ")
    assert done.stdout == "\n"


def test_python_checks_a_call_before_the_import_too(folder):
    script = (
        "import sys, lstm_zoo\n"
        "for call in ("
        "lambda: lstm_zoo.load('none'),"
        "lambda: lstm_zoo.train('sentiment', epochs=0),"
        "lambda: lstm_zoo.train('vision'),"
        "lambda: lstm_zoo.train('sentiment', strategy='all'),"
        "lambda: lstm_zoo.train('sentiment', threads=0),"
        "):\n"
        "    try: call()\n"
        "    except lstm_zoo.errors.CallError as error: print(error)\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=folder
    )
    assert done.stderr == "" and done.stdout.count("\n") == 5


@pytest.mark.slow
def test_overwrite_replaces_a_run_only_when_there_is_a_new_one(tmp_path):
    data = ([f"{word} {n}" for n in range(20) for word in ("good", "bad")], ["pos", "neg"] * 20)
    options = {"run": tmp_path / "run", "variant": "tiny", "epochs": 1}
    lstm_zoo.train("sentiment", data, **options, seed=1)
    (tmp_path / "run/notes.txt").write_text("mine")
    with pytest.raises(CallError, match="exists already.*overwrite"):
        lstm_zoo.train("sentiment", data, **options)
    with pytest.raises(CallError, match="No setting is named"):
        lstm_zoo.train("sentiment", data, **options, overwrite=True, sed=2)
    with pytest.raises(DataError):
        lstm_zoo.train("sentiment", (["", ""], ["a", "b"]), **options, overwrite=True)
    with pytest.raises(CallError, match="neither overwrite nor config"):
        lstm_zoo.train("sentiment", data, **options, overwrite=True, resume=True)
    with pytest.raises(CallError, match="init_from is in .*, which overwrite would replace"):
        lstm_zoo.train("sentiment", data, **options, overwrite=True, init_from=tmp_path / "run")
    with pytest.raises(CallError, match="validation is in .*, which overwrite would replace"):
        lstm_zoo.train(
            "sentiment", data, validation=tmp_path / "run/notes.txt", **options, overwrite=True
        )
    (tmp_path / "run/vectors.txt").write_text("good 1 2\n")
    with pytest.raises(CallError, match="vectors is in .*, which overwrite would replace"):
        lstm_zoo.train(
            "sentiment", data, **options, overwrite=True, vectors=tmp_path / "run/vectors.txt"
        )
    shutil.copytree(tmp_path / "run", tmp_path / "run.old")
    with pytest.raises(
        CallError, match=r"init_from is in .*run\.old, which overwrite would replace"
    ):
        lstm_zoo.train("sentiment", data, **options, overwrite=True, init_from=tmp_path / "run.old")
    shutil.rmtree(tmp_path / "run.old")
    with pytest.raises(CallError, match="overwrite has no effect without run"):
        lstm_zoo.train("sentiment", data, overwrite=True)
    assert (tmp_path / "run/notes.txt").exists()  # as it was
    replaced = lstm_zoo.train("sentiment", data, **options, overwrite=True, seed=2)
    assert replaced.config["settings"]["seed"] == 2
    assert not (tmp_path / "run/notes.txt").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run.old"]
    assert (tmp_path / "run.old/notes.txt").exists()


@pytest.mark.slow
def test_a_run_that_is_replaced_is_kept_until_it_is_replaced_again(tmp_path, monkeypatch):
    data = ([f"{word} {n}" for n in range(20) for word in ("good", "bad")], ["pos", "neg"] * 20)
    options = {"run": tmp_path / "run", "variant": "tiny", "epochs": 1}

    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    first = lstm_zoo.train("sentiment", data, **options, seed=1).predict(["good"])
    with pytest.raises(KeyboardInterrupt):
        lstm_zoo.train("sentiment", data, **options, overwrite=True, callbacks=[Interrupt()])
    assert not (tmp_path / "run/model.weights.h5").exists()
    assert lstm_zoo.load(tmp_path / "run.old").predict(["good"]) == first
    lstm_zoo.train("sentiment", data, **options, overwrite=True, seed=2)
    assert not (tmp_path / "run.old/model.weights.h5").exists()  # the interrupted one
    (tmp_path / "run.old/config.json").write_text("{}")
    with pytest.raises(CallError, match=r"run.old is no run, and only a run is overwritten"):
        lstm_zoo.train("sentiment", data, **options, overwrite=True)


@pytest.mark.parametrize("content", [{}, {"config.json": "{}"}, {"config.json": '{"family": "x"}'}])
def test_only_a_run_is_overwritten(tmp_path, content):
    place = tmp_path / "work"
    place.mkdir()
    (place / "thesis.txt").write_text("years")
    for name, text in content.items():
        (place / name).write_text(text)
    with pytest.raises(CallError, match="only a run is overwritten"):
        lstm_zoo.train("sentiment", run=place, overwrite=True)
    (place / "thesis.txt").rename(tmp_path / "file")
    with pytest.raises(CallError, match="only a run is overwritten"):
        lstm_zoo.train("sentiment", run=tmp_path / "file", overwrite=True)


@pytest.mark.slow
def test_a_configuration_gives_its_settings_and_others_win(tmp_path, capsys):
    file = tmp_path / "settings.json"
    config = json.loads((RUN / "config.json").read_text())
    config["settings"] |= {"cell": "gru", "units": [8], "epochs": 1, "seed": 3}
    file.write_text(json.dumps(config))
    data = ([f"{word} {n}" for n in range(20) for word in ("good", "bad")], ["pos", "neg"] * 20)
    pipeline = lstm_zoo.train("sentiment", data, run=tmp_path / "run", config=file, seed=7)
    settings = pipeline.config["settings"]
    assert (settings["cell"], settings["units"], settings["epochs"]) == ("gru", [8], 1)
    assert settings["seed"] == 7
    logged = capsys.readouterr().err.splitlines()[0]
    assert logged.startswith(f"{file}: its settings are used: ") and "cell=gru" in logged
    assert "seed=" not in logged and "not its data" in logged
    with pytest.raises(CallError, match="a run of sentiment, not of speech"):
        lstm_zoo.train("speech", config=file)
    with pytest.raises(CallError, match="Give the config.json in it"):
        lstm_zoo.train("sentiment", config=RUN)
    file.write_text("{")
    with pytest.raises(DataError, match="settings.json"):
        lstm_zoo.train("sentiment", config=file)
