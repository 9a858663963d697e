"""What surrounds a program and it can't choose: switches, configuration files, the home folder."""

import contextlib
import json
import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import soundfile
import tensorflow as tf
from click.testing import CliRunner

import lstm_zoo
from lstm_zoo import build_sentiment, build_speech, build_translation
from lstm_zoo.cli import cli
from lstm_zoo.errors import BackendError
from lstm_zoo.export.inspection import describe
from lstm_zoo.speech import corpus as speech_corpus
from lstm_zoo.speech.ctc import CTCLoss, pack_targets
from lstm_zoo.translation import corpus as translation_corpus
from lstm_zoo.translation.loss import SmoothedCrossEntropy

from .conftest import READY_RUNS, run_cli

# Keras's backend ---------------------------------------------------------------------------------


def imported(**environment):
    return subprocess.run(
        [sys.executable, "-c", "import lstm_zoo; lstm_zoo.build_sentiment"],
        capture_output=True,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch"])
def test_another_backend_is_an_import_error_that_names_what_chose_it(
    tmp_path, monkeypatch, backend
):
    """Before Keras is imported, which fails where that backend is not installed."""
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    file = tmp_path / "keras.json"
    file.write_text(json.dumps({"backend": backend}))
    monkeypatch.setenv("KERAS_BACKEND", "")
    with pytest.raises(BackendError, match=f"Found: {backend}, from {file}"):
        lstm_zoo.build_sentiment  # noqa: B018
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")  # it wins over the file, as in Keras
    assert lstm_zoo.build_sentiment is build_sentiment
    file.write_text(json.dumps({"backend": "tensorflow"}))
    monkeypatch.setenv("KERAS_BACKEND", backend)
    with pytest.raises(ImportError, match="set KERAS_BACKEND=tensorflow.*variable KERAS_BACKEND"):
        lstm_zoo.build_sentiment  # noqa: B018
    result = CliRunner().invoke(cli, ["inspect", "runs/x"])
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    for text in ("{", "[]", "null"):  # Keras ignores the first, and fails on the others
        file.write_text(text)
        monkeypatch.setenv("KERAS_BACKEND", "")
        assert lstm_zoo.build_sentiment is build_sentiment


def test_keras_2_is_an_import_error_in_one_sentence(monkeypatch):
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    with pytest.raises(ImportError, match="unset TF_USE_LEGACY_KERAS"):
        lstm_zoo.build_sentiment  # noqa: B018
    result = CliRunner().invoke(cli, ["sentiment", "predict", "runs/x", "hello"])
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")
    assert lstm_zoo.build_sentiment is build_sentiment


@pytest.mark.slow
def test_a_process_with_another_backend_ends_with_one_sentence(tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    environment = {name: os.environ[name] for name in os.environ if name != "KERAS_BACKEND"}
    environment["KERAS_HOME"] = str(tmp_path)
    for arguments in (["sentiment", "predict", "runs/x", "a"], ["inspect", "x"]):
        done = run_cli(*arguments, env=environment, fresh=True)
        assert done.returncode == 2
        assert done.stderr.startswith(b"Error: ") and done.stderr.count(b"\n") == 1
    code = "import lstm_zoo; lstm_zoo.train"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.stderr.splitlines()[-1].startswith(b"lstm_zoo.errors.BackendError: ")


# A GPU's memory ----------------------------------------------------------------------------------

GROWTH = "TF_FORCE_GPU_ALLOW_GROWTH"


@pytest.mark.parametrize("name", ["train", "build_sentiment", "build_speech", "build_translation"])
def test_the_first_use_has_tensorflow_take_a_gpus_memory_as_needed(monkeypatch, name):
    monkeypatch.delenv(GROWTH, raising=False)
    getattr(lstm_zoo, name)
    assert os.environ[GROWTH] == "true"


def test_a_run_that_is_loaded_has_too(monkeypatch):
    monkeypatch.delenv(GROWTH, raising=False)
    lstm_zoo.load(READY_RUNS / "sentiment")
    assert os.environ[GROWTH] == "true"


@pytest.mark.parametrize("call", [["inspect", "runs/x"], ["speech", "predict", "runs/x", "a"]])
def test_a_command_has_too(monkeypatch, call):
    monkeypatch.delenv(GROWTH, raising=False)
    assert CliRunner().invoke(cli, call).exit_code == 2  # there is no such run
    assert os.environ[GROWTH] == "true"


@pytest.mark.parametrize("switch, embedded", [("", False), ("0", False), ("1", True), ("x", True)])
def test_an_embedding_program_keeps_its_own_way(monkeypatch, switch, embedded):
    monkeypatch.delenv(GROWTH, raising=False)
    monkeypatch.setenv("LSTM_ZOO_EMBEDDED", switch)
    lstm_zoo.train  # noqa: B018
    assert (GROWTH not in os.environ) == lstm_zoo.is_embedded() == embedded


def test_a_users_choice_is_kept(monkeypatch):
    monkeypatch.setenv(GROWTH, "false")
    lstm_zoo.load  # noqa: B018
    assert os.environ[GROWTH] == "false"


@pytest.mark.slow
def test_it_is_chosen_before_tensorflow_is_imported():
    code = """
import os, sys
import lstm_zoo
class Finder:
    def find_spec(name, *_):
        if name == "tensorflow":
            print(os.environ["TF_FORCE_GPU_ALLOW_GROWTH"])
sys.meta_path.insert(0, Finder)
lstm_zoo.build_sentiment
"""
    environment = {name: os.environ[name] for name in os.environ if name != GROWTH}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.stdout.split() == [b"true"]


# Switches, float types and Keras's configuration file ---------------------------------------------


@contextlib.contextmanager
def eagerly():
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


@contextlib.contextmanager
def checked():
    tf.debugging.enable_check_numerics()
    try:
        yield
    finally:
        tf.debugging.disable_check_numerics()


@contextlib.contextmanager
def policy(name):
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


@contextlib.contextmanager
def configured(floatx):
    """As with a user's keras.json."""
    keras.config.set_floatx(floatx)
    keras.config.set_epsilon(1e-3)
    keras.config.set_image_data_format("channels_first")
    try:
        yield
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_epsilon(1e-7)
        keras.config.set_image_data_format("channels_last")


SURROUNDINGS = {  # and how far from those in float32 the losses may be, relatively
    "eagerly": (eagerly, 1e-5),
    "checked": (checked, 1e-5),
    "mixed_float16": (lambda: policy("mixed_float16"), 5e-3),
    "float16 in keras.json": (lambda: configured("float16"), 2e-2),
    "float64 in keras.json": (lambda: configured("float64"), 1e-5),
}


def losses(family, variant):
    """Train two steps in a fixed order from fixed weights; return the losses and the logits."""
    generator = np.random.default_rng(0)
    keras.utils.set_random_seed(1)
    if family == "sentiment":
        ids = generator.integers(1, 100, (8, 6))
        ids[:4, 3:] = 0
        inputs, targets = ids, ids[:, 0] % 2
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float32")
        sizes = {"units": 8, "embedding_size": 8, "dropout": 0, "word_dropout": 0}
        model = build_sentiment(100, 2, "tiny", **sizes, embedding_dropout=0, **variant)
    elif family == "speech":
        frames = generator.normal(size=(8, 12, 4)).astype("float32")
        lengths = np.array([12] * 4 + [9] * 4, "int32")
        labels = [generator.permutation(np.arange(1, 9))[:2] for _ in range(8)]
        inputs, targets, loss = (
            [frames, lengths],
            pack_targets(labels, (lengths + 2) // 3),
            CTCLoss(),
        )
        sizes = {"units": 8, "subsampling": 3, "dropout": 0, "mask_fill": "mean"}
        model = build_speech(9, 4, "tiny", **sizes, **variant)
    else:
        source, target = generator.integers(4, 3_000, (2, 8, 5))
        target[:4, 3:] = 0
        inputs, targets, loss = [source, target], target, SmoothedCrossEntropy(0.1)
        sizes = {"encoder_units": 8, "decoder_units": 8, "embedding_size": 8, "dropout": 0}
        model = build_translation(3_000, 3_000, "tiny", **sizes, token_dropout=0, **variant)
    # From weights that float16 rounds, but not to what the smallest seeds would make of them.
    model.set_weights(
        [weight + 0.05 * generator.normal(size=np.shape(weight)) for weight in model.get_weights()]
    )
    model.compile(keras.optimizers.SGD(0.1), loss)
    history = model.fit(inputs, targets, batch_size=8, epochs=2, verbose=0, shuffle=False)
    return np.array(history.history["loss"]), model.predict(inputs, verbose=0)


NETWORKS = {
    "sentiment": {"cell": "lstm", "ngrams": 2, "class_ratios": True, "pooling": "last+mean+max"},
    "speech": {"cell": "gru", "subsampling_kind": "conv"},
    "translation": {"cell": "simple_rnn", "reverse_source": True, "bidirectional": False},
}


@pytest.mark.slow
@pytest.mark.parametrize("family", NETWORKS)
def test_switches_and_float_types_change_nothing_but_the_rounding(family, monkeypatch):
    from lstm_zoo.sentiment import ngrams

    monkeypatch.setattr(ngrams, "NGRAM_PROBABILITY", 0.0)  # else the draws would decide
    expected, logits = losses(family, NETWORKS[family])
    assert np.all(np.isfinite(expected)) and expected[0] != expected[1]
    for name, (surrounding, tolerance) in SURROUNDINGS.items():
        with surrounding():
            found, output = losses(family, NETWORKS[family])
        assert output.dtype == np.float32, name
        np.testing.assert_allclose(found, expected, rtol=tolerance, err_msg=name)
        scale = np.abs(logits).max()
        np.testing.assert_allclose(output, logits, atol=10 * tolerance * scale, err_msg=name)


def test_check_numerics_finds_a_transcript_without_an_alignment_only():
    targets = pack_targets([np.array([1, 2]), np.array([3, 3])], [3, 3])
    logits = tf.zeros((2, 3, 4))
    with checked():
        assert np.isfinite(float(CTCLoss()(targets, logits)))
        with pytest.raises(tf.errors.InvalidArgumentError, match="Inf"):
            CTCLoss()(pack_targets([np.array([3, 3])], [2]), logits[:1, :2])


# Streams and the home folder ----------------------------------------------------------------------


@pytest.mark.slow
def test_reports_are_utf8_and_control_nothing_whatever_the_locale(tmp_path):
    names = ["плохо", "хорошо\x1b[31m"]
    data = tmp_path / "f.jsonl"
    rows = [{"text": f"фильм {n}", "label": names[n % 2]} for n in range(20)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run, options = (
        tmp_path / "run",
        {"env": {**os.environ, "PYTHONIOENCODING": "latin-1"}, "fresh": True},
    )
    arguments = ["--data", data, "--run", run, "--variant", "tiny", "--epochs", 1]
    for command in (
        ["sentiment", "train", *arguments],
        ["sentiment", "evaluate", run, "--data", data],
        ["sentiment", "evaluate", run, "--data", data, "--json"],
        ["sentiment", "predict", run, "фильм", "--json"],
        ["inspect", run],
        ["inspect", run, "--json"],
    ):
        done = run_cli(*command, **options)
        assert done.returncode == 0, done.stderr.decode()
        assert b"\x1b" not in done.stdout + done.stderr
        text = done.stdout.decode()
        if "--json" in command:
            text = json.dumps(json.loads(text), ensure_ascii=False)
            assert "хорошо\\u001b[31m" in text
        elif command[1] != "train":
            assert "плохо" in text and "хорошо\\u001b[31m" in text


@pytest.mark.slow
def test_a_tilde_is_the_home_folder_in_every_path(tmp_path, monkeypatch, spoken_recognizer):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(elsewhere)
    shutil.copytree(READY_RUNS / "sentiment", home / "runs/x")
    (home / "data.tsv").write_text("text\tlabel\nnot dull\tpos\nnot good\tneg\n")
    classifier = lstm_zoo.load("~/runs/x")
    assert classifier.evaluate("~/data.tsv")["examples"] == 2
    arguments = ["--data=~/data.tsv", "--predictions=~/predictions.tsv"]
    result = CliRunner().invoke(cli, ["sentiment", "evaluate", "~/runs/x", *arguments])
    assert result.exit_code == 0, result.output
    assert (home / "predictions.tsv").is_file()

    soundfile.write(home / "clip.wav", np.zeros(8_000), 8_000)
    (home / "clips.tsv").write_text("path\ttext\n~/clip.wav\tone\n")
    assert spoken_recognizer.predict(["~/clip.wav"])[0].error == ""
    assert len(speech_corpus.read("~/clips.tsv")) == 1
    assert len(speech_corpus.read((["~/clip.wav"], ["one"]))) == 1
    for side in "de", "en":
        (home / f"pairs.{side}").write_text("hallo\n")
    pairs = translation_corpus.read("~/pairs", "de", "en")
    assert len(pairs) == 1

    settings = lstm_zoo.families.settings("sentiment"), {"vectors": "~/vectors.txt"}
    assert lstm_zoo.settings.resolve(*settings)["vectors"] == str(home / "vectors.txt")
    assert not [*elsewhere.iterdir()]


@pytest.mark.slow
def test_training_and_exports_take_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    rows = [
        "text\tlabel\n",
        *(f"film {n} was {'bad' if n % 2 else 'good'}\t{n % 2}\n" for n in range(8)),
    ]
    (tmp_path / "home/train.tsv").write_text("".join(rows))
    (tmp_path / "home/validation.tsv").write_text("".join(rows).replace("film", "plot"))
    options = {"validation": "~/validation.tsv", "variant": "tiny", "epochs": 1, "units": 4}
    pipeline = lstm_zoo.train("sentiment", "~/train.tsv", run="~/runs/x", **options)
    pipeline.export("~/exports/onnx", format="onnx")  # every format goes through one function
    assert describe("~/exports/onnx/model.onnx")["kind"] == "export"
    assert describe("~/runs/x")["kind"] == "run"
    assert {path.name for path in (tmp_path / "home").iterdir()} >= {"runs", "exports"}
    assert {path.name for path in tmp_path.iterdir()} == {"home"}
