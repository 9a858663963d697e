"""What version 0.1.0 left loads, and answers the same.

`tests/data/version_0_1` was written by version 0.1.0 (Keras 3.15.1, TensorFlow 2.21.0): a small run
of each family and one that was interrupted, trained on the demo corpora; their models as `.keras`
files; two exports; and what the recipes' published rows were made with.
"""

import hashlib
import importlib
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import lstm_zoo
from lstm_zoo import families
from lstm_zoo.export.inspection import describe
from lstm_zoo.runs import cards
from lstm_zoo.sentiment import demo
from lstm_zoo.settings import UNDECLARED

DATA = Path(__file__).parent / "data/version_0_1"
ANSWERS = json.loads((DATA / "answers.json").read_text("utf-8"))
RECIPES = json.loads((DATA / "recipes.json").read_text("utf-8"))
RETRAINED = ("multi30k", "sentence_polarity", "tatoeba")  # with other settings, since version 0.1


def assert_alike(found, expected):
    """Equal, numbers up to what another processor rounds otherwise."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_alike(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_alike(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-4)
    else:
        assert found == expected


@pytest.mark.parametrize("family", ANSWERS)
def test_a_run_answers_as_before(family):
    pipeline = lstm_zoo.load(DATA / family)
    inputs = ANSWERS[family]["inputs"]
    if family == "speech":
        inputs = [str(DATA / name) for name in inputs]
    options = {"n_best": 3} if families.module(family).DECODES else {}
    answers = [answer._asdict() for answer in pipeline.predict(inputs, **options)]
    for answer in answers:
        for added in ("path", "words"):  # of a clip, since
            answer.pop(added, None)
    assert_alike(json.loads(json.dumps(answers)), ANSWERS[family]["answers"])
    # A setting that version 0.1 did not have has its neutral value.
    assert pipeline.config["settings"]["average_epochs"] == (2 if family == "translation" else 1)
    assert describe(DATA / family)["trained_with"]["lstm_zoo"] == "0.1.0"


@pytest.mark.parametrize("family", ANSWERS)
def test_a_keras_file_has_the_runs_weights(family):
    model = keras.models.load_model(DATA / f"{family}.keras")
    for one, other in zip(
        model.get_weights(), lstm_zoo.load(DATA / family).model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_an_interrupted_run_goes_on(tmp_path):
    shutil.copytree(DATA / "interrupted", tmp_path / "run")
    texts, labels, _ = demo.generate(300, seed=2)
    pipeline = lstm_zoo.train("sentiment", (texts, labels), run=tmp_path / "run", resume=True)
    lines = (tmp_path / "run/history.csv").read_text().splitlines()
    before = (DATA / "interrupted/history.csv").read_text().splitlines()
    assert len(before) == 3 and len(lines) == 4
    # A metric that came since is empty in the old epochs.
    assert lines[0] == f"{before[0]},val_calibrated_loss"
    assert lines[1:3] == [f"{line}," for line in before[1:]]
    assert float(lines[3].rpartition(",")[2]) > 0
    assert pipeline.predict(["The film is dull."])[0].label in ("neg", "pos")


def test_the_cards_of_exports_are_read_with_the_keys_of_today():
    for file in ("sentiment-onnx/model.onnx", "sentiment-litert/model.tflite"):
        card = describe(DATA / "exports" / file)
        assert card["family"] == "sentiment" and card["classes"] == ["neg", "pos"]
        assert card["exported_with"]["lstm_zoo"] == "0.1.0"
        assert card["trained_with"]["lstm_zoo"] == "0.1.0"
        assert not [key for key in card if " " in key]


@pytest.mark.parametrize("family", ANSWERS)
def test_a_setting_added_since_declares_its_neutral_value(family):
    (old, *_) = (
        row["made_of"][0]
        for name, row in RECIPES.items()
        if importlib.import_module(name).RECIPE.family == family
    )
    for name, setting in families.settings(family).items():
        assert name in old or setting.neutral is not UNDECLARED, name


def test_the_scores_of_an_old_card_have_the_names_of_today():
    card = cards.read({"exported with": {}, "my key": 1, "scores": {"report": {"wer": 0.5}}})
    assert card == {"exported_with": {}, "my key": 1, "scores": {"test": {"wer": 0.5}}}


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in RETRAINED])
def test_published_rows_were_made_with_todays_settings(name):
    """The digest of a row is another than version 0.1's; what it is of is the same."""
    recipe = importlib.import_module(name).RECIPE
    settings, sizes, splits, validation_share, test_share = made_of = RECIPES[name]["made_of"]
    text = json.dumps(made_of, sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest()[:8] == RECIPES[name]["base"]
    today = json.loads(json.dumps(recipe.resolved_settings()))
    assert {key: today[key] for key in settings} == settings
    table = families.settings(recipe.family)
    for key in today.keys() - settings.keys():
        assert today[key] == table[key].neutral, f"{key} came after the row, and is not neutral"
    row = families.module(recipe.family).VARIANTS[today["variant"]]
    for key, value in sizes.items():
        assert today[key] is not None or json.loads(json.dumps(row[key])) == value, key
    assert [recipe.splits, recipe.validation_share, recipe.test_share] == [
        splits,
        validation_share,
        test_share,
    ]
