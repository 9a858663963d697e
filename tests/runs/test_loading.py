"""Loading runs: of every family, without cuDNN, and the runs that can't be loaded."""

import json
import shutil

import keras
import numpy as np
import pytest

import lstm_zoo
from lstm_zoo import families, recurrent
from lstm_zoo.errors import CallError
from tests.conftest import READY_RUNS


@pytest.mark.parametrize("family", families.FAMILIES)
@pytest.mark.parametrize("to_path", [str, lambda path: path])
def test_a_run_is_loaded_as_its_familys_pipeline(family, to_path):
    run = READY_RUNS / family
    pipeline = lstm_zoo.load(to_path(run))
    assert type(pipeline) is families.pipeline(family)
    assert pipeline.run == run
    assert pipeline.config["family"] == family
    # The weights are the run's, not a new network's.
    model = keras.models.load_model(READY_RUNS / f"{family}.keras")
    np.testing.assert_array_equal(pipeline.model.get_weights()[0], model.get_weights()[0])


def test_cudnn_can_be_refused():
    pipeline = lstm_zoo.load(READY_RUNS / "sentiment", use_cudnn=False)
    rows = recurrent.explain(pipeline.model)
    assert [row.path for row in rows] == ["fused", "fused"]
    assert all("use_cudnn" in row.reason for row in rows)


def test_a_run_without_weights_is_to_be_continued(tmp_path):
    shutil.copytree(READY_RUNS / "sentiment", tmp_path / "run")
    (tmp_path / "run/model.weights.h5").unlink()
    with pytest.raises(
        CallError, match=r"run: no model\.weights\.h5 in it; .*To continue its training, resume it"
    ):
        lstm_zoo.load(tmp_path / "run")


def test_a_run_of_an_unknown_family_is_refused(tmp_path):
    config = json.loads((READY_RUNS / "sentiment/config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, "family": "vision"}))
    with pytest.raises(CallError, match=r"config\.json: a run of 'vision', which is no registered"):
        lstm_zoo.load(tmp_path)


def test_no_run_is_named(tmp_path):
    with pytest.raises(CallError, match="none: no such run directory"):
        lstm_zoo.load(tmp_path / "none")


def test_an_empty_path_is_not_the_current_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pipeline = lstm_zoo.load(READY_RUNS / "sentiment")
    for call in (
        lambda: lstm_zoo.load(""),
        lambda: pipeline.export(""),
        lambda: pipeline.export("", format="litert"),
        lambda: pipeline.evaluate(""),
        lambda: lstm_zoo.train("sentiment", "data.tsv", run=""),
    ):
        with pytest.raises(CallError, match="Expected a path. Received: an empty text"):
            call()
    assert not list(tmp_path.iterdir())
