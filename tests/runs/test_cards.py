"""Cards: their entries for each family, and those that older versions wrote."""

import json
import shutil

import pytest

import lstm_zoo
from lstm_zoo import families
from lstm_zoo.runs import cards
from tests.conftest import READY_RUNS

# Of the ready runs.
PARAMETERS = {"sentiment": 4_562, "speech": 15_386, "translation": 29_488}


@pytest.mark.parametrize("family", families.FAMILIES)
def test_a_card_describes_the_run(family):
    pipeline = lstm_zoo.load(READY_RUNS / family)
    card = cards.describe(pipeline)
    assert set(card) == {
        "family", *pipeline.card, "network", "parameters", "settings", "data", "scores",
        "trained_with",
    }  # fmt: skip
    assert (card["family"], card["parameters"]) == (family, PARAMETERS[family])
    for key in ("network", "settings", "data"):
        assert card[key] == pipeline.config[key]
    assert card["trained_with"]["lstm_zoo"] == "0.1.0"
    metrics = json.loads((READY_RUNS / family / "metrics.json").read_text())
    scores = card["scores"]
    assert scores["best_epoch"] == metrics["best_epoch"]
    assert scores["validation"]["examples"] == metrics["validation"]["examples"]
    json.dumps(card, default=list)


def test_a_card_has_what_the_family_adds():
    described = {f: cards.describe(lstm_zoo.load(READY_RUNS / f)) for f in families.FAMILIES}
    assert described["sentiment"]["classes"] == ["neg", "pos"]
    assert described["speech"]["sample_rate"] == 8_000
    assert described["speech"]["vocabulary"][:3] == ["<blank>", " ", "a"]
    assert described["translation"]["languages"] == ["en", "fr"]


@pytest.fixture
def run(tmp_path):
    shutil.copytree(READY_RUNS / "sentiment", tmp_path / "run")
    return tmp_path / "run"


def test_scores_are_the_scalars_of_the_metrics(run):
    data_set = {"accuracy": 0.5, "examples": 4, "classes": {"neg": {"f1": 0.5}}, "note": "text",
                "decoder": "greedy"}  # fmt: skip
    metrics = {"best_epoch": 2, "validation": data_set, "test": data_set, "curve": [1, 2]}
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert cards.describe(lstm_zoo.load(run))["scores"] == {
        "best_epoch": 2,
        "validation": {"accuracy": 0.5, "examples": 4, "decoder": "greedy"},
        "test": {"accuracy": 0.5, "examples": 4, "decoder": "greedy"},
    }


def test_version_0_1s_report_becomes_test(run):
    (run / "metrics.json").write_text(json.dumps({"report": {"accuracy": 0.75}}))
    assert cards.describe(lstm_zoo.load(run))["scores"] == {"test": {"accuracy": 0.75}}


def test_a_run_without_metrics_has_no_scores(run):
    (run / "metrics.json").unlink()
    assert cards.describe(lstm_zoo.load(run))["scores"] == {}


def test_version_0_1s_keys_with_spaces_are_read():
    old = {"family": "speech", "trained with": {"peak memory": 1}, "exported with": {}}
    assert cards.read(old) == {
        "family": "speech", "trained_with": {"peak memory": 1}, "exported_with": {},
    }  # fmt: skip
    assert cards.read(cards.read(old)) == cards.read(old)
