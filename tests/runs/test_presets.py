"""Presets: their names wherever a run is taken, their files, and float16."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import presets as recipe
import pytest
from click.testing import CliRunner

import lstm_zoo
from lstm_zoo.cli import cli
from lstm_zoo.errors import CallError
from lstm_zoo.export.onnx_pipeline_checks import close
from lstm_zoo.files import read_json, write_checksums, write_json
from lstm_zoo.runs import presets
from lstm_zoo.runs.completion import complete_run
from lstm_zoo.runs.directory import CONFIG, WEIGHTS
from tests.conftest import READY_RUNS

FAMILIES = ("sentiment", "speech", "translation")
MAX_TOTAL = 60_000_000  # bytes
# What is found in answers of the presets that ship.
INPUTS = {
    "imdb-sentiment": ("A wonderful, moving film with superb acting.", "pos"),
    "trec-questions": ("Who wrote the novel Middlemarch ?", "HUM"),
    "mr-sentiment": ("a gripping, beautifully acted drama .", "pos"),
    "digits-speech": (str(READY_RUNS / "spoken.wav"), "six"),
    "multi30k-de-en": ("Ein Mann fährt Fahrrad.", "man"),
    "tatoeba-en-fr": ("I am hungry.", "faim"),
}
ENTRY = {
    "title": "a preset of a test",
    "task": "text-classification",
    "languages": ["en"],
    "data": {"name": "made up", "licence": "none", "allows": "Everything."},
    "metric": {
        "name": "accuracy", "value": 0.5, "digits": 3, "test_set": "made up", "examples": 1_000,
    },
    "bytes": 1_250_000,
    "milliseconds": 1.4,
    "limits": "",
}  # fmt: skip


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Have three presets, of the tests' runs, and be in an empty directory."""
    folder = tmp_path / "shipped"
    for family in FAMILIES:
        shutil.copytree(READY_RUNS / family, folder / f"demo-{family}")
        write_json(folder / f"demo-{family}/card.json", {"family": family, "preset": ENTRY})
        write_checksums(folder / f"demo-{family}")
    monkeypatch.setattr(presets, "FOLDER", folder)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return folder


def test_a_name_stands_for_a_run(shipped):
    from_path = lstm_zoo.load(READY_RUNS / "sentiment").predict(["not bad"])
    for name in ("demo-sentiment", "preset:demo-sentiment"):
        assert lstm_zoo.load(name).run == shipped / "demo-sentiment"
        assert lstm_zoo.load(name).predict(["not bad"]) == from_path
    done = CliRunner().invoke(cli, ["sentiment", "predict", "demo-sentiment", "not bad"])
    assert done.stdout == f"{from_path[0]}\n"
    with pytest.raises(CallError, match="demo-speech: a run of speech, not of sentiment"):
        lstm_zoo.load("demo-speech", family="sentiment")


def test_a_directory_of_that_name_comes_first_but_for_the_prefix(shipped):
    Path("demo-sentiment").mkdir()
    with pytest.raises(CallError, match=r"^demo-sentiment: not a run directory"):
        lstm_zoo.load("demo-sentiment")
    assert lstm_zoo.load("preset:demo-sentiment").run == shipped / "demo-sentiment"


@pytest.mark.parametrize("name", ["preset:none", "preset:", "preset:../shipped/demo-speech"])
def test_an_unknown_preset_is_refused_with_the_known_ones(shipped, name):
    with pytest.raises(CallError) as error:
        lstm_zoo.load(name)
    assert str(error.value) == (
        f"{name}: no such preset. Known: demo-sentiment, demo-speech, demo-translation."
    )
    with pytest.raises(CallError, match=r"^none: no such run directory, nor a preset \(`lstm-zoo"):
        lstm_zoo.load("none")


@pytest.mark.slow
def test_training_starts_from_a_preset_and_names_it(shipped):
    texts = [f"{word} film {number}" for number in range(20) for word in ("good", "bad")]
    data = (texts, ["pos", "neg"] * 20)
    pipeline = lstm_zoo.train("sentiment", data, run="tuned", init_from="demo-sentiment", epochs=1)
    assert read_json(Path("tuned/config.json"))["init_from"]["run"] == "preset:demo-sentiment"
    assert "embedding/embeddings" in pipeline.config["init_from"]["partly"]
    with pytest.raises(CallError, match="preset:demo-sentiment: presets are only read"):
        lstm_zoo.train("sentiment", data, run="preset:demo-sentiment")


def test_the_command_lists_presets(shipped):
    done = CliRunner().invoke(cli, ["presets"])
    assert done.exit_code == 0
    assert done.stdout.splitlines()[:8] == [
        "demo-sentiment: a preset of a test",
        "  task: text-classification",
        "  language: en",
        "  metric: accuracy 0.500",
        "  test set: made up (1,000)",
        "  size: 1.2 MB",
        "  latency: 1 ms",
        "  licence of the data: none",
    ]
    cards = json.loads(CliRunner().invoke(cli, ["presets", "--json"]).stdout)
    assert cards == lstm_zoo.presets()
    assert [*cards] == ["demo-sentiment", "demo-speech", "demo-translation"]


def test_a_shell_completes_presets_and_inspect_shows_the_card(shipped):
    assert [item.value for item in complete_run(None, None, "demo-s")] == [
        "demo-sentiment",
        "demo-speech",
    ]
    done = CliRunner().invoke(cli, ["inspect", "demo-sentiment", "--json"])
    assert json.loads(done.stdout)["preset"] == ENTRY
    assert CliRunner().invoke(cli, ["inspect", "none"]).exit_code == 2


def test_importing_the_list_imports_no_tensorflow():
    script = "import sys, lstm_zoo; lstm_zoo.presets(); print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_builder_takes_weights(family):
    run = READY_RUNS / family
    build = getattr(lstm_zoo, f"build_{family}")
    expected = lstm_zoo.load(run).model
    model = build(weights=run)
    assert [weight.path for weight in model.weights] == [w.path for w in expected.weights]
    for weight, other in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(weight, other)
    with pytest.raises(CallError, match=r"^The weights decide variant, cell; give weights alone"):
        build(weights=run, variant="tiny", cell="gru")
    other = READY_RUNS / ("speech" if family == "sentiment" else "sentiment")
    with pytest.raises(CallError, match=f"not of {family}"):
        build(weights=other)


@pytest.mark.parametrize("family", FAMILIES[:2])
def test_a_builder_takes_weights_without_the_top(family):
    run = READY_RUNS / family
    build = getattr(lstm_zoo, f"build_{family}")
    whole, headless = build(weights=run), build(weights=run, include_top=False)
    inputs = {
        "sentiment": np.array([[5, 6, 7, 0]]),
        "speech": [np.ones((1, 30, 24), np.float32), np.array([30])],
    }[family]
    below = keras.Model(whole.inputs, whole.get_layer("dropout").input)
    np.testing.assert_allclose(headless(inputs), below(inputs), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_float16_changes_the_logits_by_less_than_a_hundredth(family, tmp_path):
    run, half = READY_RUNS / family, tmp_path / "half"
    shutil.copytree(run, half)
    recipe.write_half(run / WEIGHTS, half / WEIGHTS)
    write_checksums(half)
    assert (half / WEIGHTS).stat().st_size < 0.9 * (run / WEIGHTS).stat().st_size
    one, other = lstm_zoo.load(run).model, lstm_zoo.load(half).model
    random = np.random.default_rng(0)
    ids = random.integers(4, 60, (8, 12))
    inputs = {
        "sentiment": ids,
        "speech": [random.normal(size=(8, 50, 24)).astype(np.float32), np.full(8, 50)],
        "translation": [ids, ids],
    }[family]
    difference = np.abs(one(inputs) - other(inputs)).max()
    assert 0 < difference < 1e-2


def test_a_value_beyond_float16_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "large.h5", "w") as file:
        file["a"] = np.array([1.0, 1e6], np.float32)
    with pytest.raises(CallError, match="/a has a value that float16 can't hold"):
        recipe.write_half(tmp_path / "large.h5", tmp_path / "half.h5")


# What ships.


def test_what_ships_is_small_and_complete():
    sizes = {}
    for name in presets.names():
        folder = presets.FOLDER / name
        files = [path for path in folder.rglob("*") if path.is_file()]
        sizes[name] = sum(path.stat().st_size for path in files)
        assert sizes[name] <= 15_000_000
        entry = presets.presets()[name]["preset"]
        text = (folder / recipe.CARD).read_text("utf-8")
        assert text == recipe.card_text(name, presets.presets()[name])
        assert text.startswith("---\nlibrary_name: keras\n")
        assert entry["float16"]["logits_differ_by"] <= 1e-2
        assert entry["float16"]["metric_differs_by_points"] <= 0.1
        for path in files:  # no path of the machine that trained it
            assert b"/tmp/" not in path.read_bytes() and b"/work/" not in path.read_bytes()
    assert sum(sizes.values()) <= MAX_TOTAL


@pytest.mark.parametrize("name", presets.names())
def test_what_ships_answers(name):
    pipeline = lstm_zoo.load(f"preset:{name}")
    light = lstm_zoo.load(f"preset:{name}", prefer_onnx=True)
    given, expected = INPUTS[name]
    answer, same = pipeline.predict([given])[0], light.predict([given])[0]
    assert expected in str(answer)
    assert not hasattr(light, "model")
    assert close(*(json.loads(json.dumps(each._asdict())) for each in (answer, same)))
    config = read_json(presets.FOLDER / name / CONFIG)
    assert config["settings"] == pipeline.config["settings"]  # no setting is missing
