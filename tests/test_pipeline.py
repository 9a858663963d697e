"""The base class of pipelines: loading, rebuilding, another beam width."""

from pathlib import Path

import numpy as np
import pytest

import lstm_zoo
from lstm_zoo.errors import CallError
from lstm_zoo.recurrent import explain
from lstm_zoo.runs.directory import read_config
from lstm_zoo.sentiment.pipeline import Pipeline as SentimentPipeline
from lstm_zoo.translation.pipeline import Pipeline as TranslationPipeline

RUNS = Path(__file__).parent / "data/version_0_1"
TEXTS = ["The film is dull.", "", "Not only long but also moving."]


@pytest.fixture(scope="module")
def classifier():
    """A pipeline of a family that does not decode."""
    return SentimentPipeline.load(RUNS / "sentiment", read_config(RUNS / "sentiment"))


@pytest.fixture(scope="module")
def translator():
    """A pipeline of a family that decodes."""
    return TranslationPipeline.load(RUNS / "translation", read_config(RUNS / "translation"))


@pytest.fixture(params=["classifier", "translator"])
def pipeline(request):
    """Each of the two."""
    return request.getfixturevalue(request.param)


def test_a_loaded_pipeline_has_the_runs_network_and_weights(pipeline):
    run, config = pipeline.run, pipeline.config
    assert config == read_config(run)
    saved = type(pipeline).build(**config["network"])
    saved.load_weights(run / "model.weights.h5")
    weights = pipeline.model.get_weights()
    assert sum(array.size for array in weights) == pipeline.model.count_params() > 1_000
    for array, expected in zip(weights, saved.get_weights(), strict=True):
        np.testing.assert_array_equal(array, expected)
    loaded = lstm_zoo.load(run)
    assert type(loaded) is type(pipeline)
    for array, expected in zip(loaded.model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(array, expected)


def test_a_rebuilt_pipeline_has_a_network_of_its_own_with_equal_weights(pipeline):
    rebuilt = pipeline.rebuilt(use_cudnn=False)
    assert type(rebuilt) is type(pipeline)
    assert rebuilt.model is not pipeline.model
    for array, expected in zip(
        rebuilt.model.get_weights(), pipeline.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(array, expected)
    assert (rebuilt.run, rebuilt.config) == (pipeline.run, pipeline.config)
    assert rebuilt.beam_width == pipeline.beam_width


def test_a_rebuilt_pipeline_predicts_the_same(classifier):
    answers = classifier.predict(TEXTS)
    rebuilt = classifier.rebuilt(use_cudnn=False)
    for answer, expected in zip(rebuilt.predict(TEXTS), answers, strict=True):
        assert answer.label == expected.label
        assert answer.probability == pytest.approx(expected.probability, abs=1e-6)


def test_the_network_may_be_loaded_without_cudnn():
    config = read_config(RUNS / "sentiment")
    pipeline = SentimentPipeline.load(RUNS / "sentiment", config, use_cudnn=False)
    assert {row.reason for row in explain(pipeline.model)} == {"use_cudnn is False"}


def test_a_family_that_decodes_has_the_beam_width_of_its_run(translator):
    assert translator.beam_width == translator.config["settings"]["beam_width"] == 5


def test_another_beam_width_shares_the_network(translator):
    greedy = translator.with_beam_width(1)
    assert type(greedy) is TranslationPipeline
    assert (greedy.beam_width, translator.beam_width) == (1, 5)
    assert greedy.model is translator.model
    assert greedy.rebuilt(use_cudnn=False).beam_width == 1


def test_a_family_that_does_not_decode_has_no_beam_width(classifier):
    assert classifier.beam_width is None
    with pytest.raises(
        CallError, match="beam_width is for families that decode; sentiment does not"
    ):
        classifier.with_beam_width(4)


def test_the_files_of_the_tokenizers_are_those_of_the_run(pipeline, tmp_path):
    pipeline.save_files(tmp_path)
    files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for name in files:
        assert (tmp_path / name).read_bytes() == (pipeline.run / name).read_bytes()
