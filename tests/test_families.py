"""The interface of a family, tested with a family of another package.

Its files are those of the tutorial, `docs/adding_a_family.md`.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import lstm_zoo
from lstm_zoo import families
from lstm_zoo.errors import CallError, DataError

GUIDE = Path(__file__).resolve().parents[1] / "docs/adding_a_family.md"
TEXTS = ["a b c d", "f e d c", "", "h"]


@pytest.fixture
def last_word(tmp_path, monkeypatch):
    """The tutorial's family, written to an importable directory and registered."""
    files = re.findall(
        r"^`(last_word/\w+\.py)`\n\n```python\n(.*?)^```", GUIDE.read_text("utf-8"), re.M | re.S
    )
    assert [Path(name).stem for name, _ in files] == [
        "__init__",
        "corpus",
        "model",
        "task",
        "pipeline",
    ]
    for name, code in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(families, "FAMILIES", dict(families.FAMILIES))
    for module in [name for name in sys.modules if name.split(".")[0] == "last_word"]:
        monkeypatch.delitem(sys.modules, module)
    families.register("last_word", "answer a text with its last word", "last_word")
    yield tmp_path
    for module in [name for name in sys.modules if name.split(".")[0] == "last_word"]:
        del sys.modules[module]


class Interrupt(keras.callbacks.Callback):
    """Presses Ctrl-C at the start of the third epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_a_family_of_another_package_trains_resumes_predicts_and_exports(last_word, capsys):
    run = last_word / "runs/words"
    settings = {"epochs": 12, "learning_rate": 0.02}
    lstm_zoo.train("last_word", run=run, callbacks=[Interrupt()], **settings)
    printed = capsys.readouterr().err
    assert "Interrupted after 2 of 12 epochs" in printed
    assert re.match(r"row \d+: text [a-h]( [a-h]){5}\n", printed)
    pipeline = lstm_zoo.train("last_word", run=run, resume=True)
    assert "test: accuracy 1.0000 (80 examples)" in capsys.readouterr().err

    loaded = lstm_zoo.load(run)
    answers = [answer.word for answer in loaded.predict(TEXTS)]
    assert answers == [answer.word for answer in pipeline.predict(TEXTS)]
    assert answers[:2] == ["d", "c"]
    assert loaded.evaluate((["a b", "b a"],))["accuracy"] == 1
    assert loaded.evaluate((["a b", " "],))["skipped"] == 1
    with pytest.raises(DataError, match="row 1: no word"):
        loaded.evaluate((["a b", " "],), strict=True)

    exported = loaded.export(last_word / "exports")
    script = (
        "import json, sys, tensorflow as tf, tensorflow_text\n"
        "serve = tf.saved_model.load(sys.argv[1]).signatures['serving_default']\n"
        "words = serve(text=tf.constant(json.loads(sys.argv[2])))['word'].numpy()\n"
        "assert not {'last_word', 'lstm_zoo'} & set(sys.modules)\n"
        "print(json.dumps([word.decode() for word in words]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, exported, json.dumps(TEXTS)],
        capture_output=True,
        check=True,
        cwd="/",
    )
    assert json.loads(done.stdout.splitlines()[-1]) == answers

    with pytest.raises(CallError, match="beam_width is for families that decode; last_word does"):
        loaded.export(last_word / "beam", beam_width=4)
    with pytest.raises(CallError, match="The family last_word has no module onnx"):
        loaded.export(last_word / "onnx", format="onnx")


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(last_word):
    settings = {"epochs": 4, "learning_rate": 0.02}
    resumed, uninterrupted = last_word / "runs/resumed", last_word / "runs/uninterrupted"
    lstm_zoo.train("last_word", run=uninterrupted, **settings)
    lstm_zoo.train("last_word", run=resumed, callbacks=[Interrupt()], **settings)
    lstm_zoo.train("last_word", run=resumed, resume=True)
    for name in ("history.csv", "model.weights.h5", "metrics.json"):
        assert (resumed / name).read_bytes() == (uninterrupted / name).read_bytes()


def invoke(*arguments):
    from click.testing import CliRunner

    from lstm_zoo.cli import cli

    return CliRunner().invoke(cli, list(map(str, arguments)))


def test_the_command_line_lists_a_registered_family(last_word):
    assert re.search(r"last_word +Answer a text with its last word", invoke("--help").output)
    assert "a text file, one text a line" in invoke("last_word", "train", "--help").output


@pytest.mark.slow
def test_the_command_line_has_the_commands_of_a_registered_family(last_word):
    data = last_word / "texts.txt"
    data.write_text("".join(f"{a} {b}\n" for a in "abcdefghij" for b in "xyz"))
    run = last_word / "run"
    trained = invoke("last_word", "train", "--data", data, "--run", run, "--epochs", 1)
    assert trained.exit_code == 0, trained.output
    answered = invoke("last_word", "predict", run, "a x", "b y", "--json")
    assert len(json.loads(answered.stdout)["predictions"]) == 2
    inspected = json.loads(invoke("inspect", run, "--json").stdout)
    assert (inspected["family"], inspected["words"]) == ("last_word", 13)


def test_a_registered_name_is_not_replaced(last_word):
    families.register("last_word", "the same again", "last_word")
    with pytest.raises(
        CallError, match="The family 'speech' is already registered, for lstm_zoo.speech"
    ):
        families.register("speech", "another", "last_word")


def test_a_task_without_a_required_method_is_an_error_that_names_it():
    class Half(families.Task):
        def loss(self):
            return None

    with pytest.raises(TypeError, match="abstract methods .*batch.*results"):
        Half()


@pytest.mark.parametrize("family", families.FAMILIES)
def test_each_family_declares_what_the_interface_lists(family):
    package = families.module(family)
    for name in families.Description.__annotations__:
        assert hasattr(package, name), name
    assert {"variant", *(n for row in package.VARIANTS.values() for n in row)} <= set(
        package.SETTINGS
    )
    if package.DECODES:
        assert "beam_width" in package.SETTINGS
    task = families.task(family)
    assert set(task.directions.values()) <= {"max", "min"} and task.monitor in task.directions
    monitored = task.monitor.removesuffix("_greedy")
    assert monitored in task.summary_metrics or monitored.endswith("_loss")
