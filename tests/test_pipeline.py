"""The base class of pipelines: loading, rebuilding, another beam width."""

import csv
import io
import json
import logging
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import lstm_zoo
from lstm_zoo.errors import CallError, DataError
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


def test_a_table_has_the_answers_of_predict(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr("lstm_zoo.pipeline.CHUNK", 2)
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows = [{"id": n, "text": text} for n, text in enumerate([*TEXTS, 5, None, TEXTS[0]])]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert classifier.predict_file(source, target) == (6, 3)
    answered = [json.loads(line) for line in target.read_text().splitlines()]
    assert [{name: row[name] for name in ("id", "text")} for row in answered] == rows
    assert [row["error"] for row in answered] == [
        "", "no text", "", "expected a text; found 5", "no text", "",
    ]  # fmt: skip
    for row, answer in zip(answered[:3:2], classifier.predict([TEXTS[0], TEXTS[2]]), strict=True):
        assert row["predicted"] == answer.label
        assert row["probability"] == pytest.approx(answer.probability, abs=1e-6)
        assert row["p(pos)"] == pytest.approx(answer.probabilities["pos"], abs=1e-6)
    assert answered[1]["predicted"] is answered[1]["p(neg)"] is None


def test_the_column_is_the_runs_or_the_one_that_is_given(translator, tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("English,note\n5 hours,a\n3 days,b\n")
    assert translator.predict_file(source, target, beam_width=1) == (2, 0)
    answers = translator.predict(["5 hours", "3 days"], beam_width=1)
    with target.open(newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [row["hypothesis"] for row in rows] == [answer.text for answer in answers]
    assert [row["note"] for row in rows] == ["a", "b"]
    translator.predict_file(source, target, column="note")
    with target.open(newline="") as file:
        other = [row["hypothesis"] for row in csv.DictReader(file)]
    assert other == [answer.text for answer in translator.predict(["a", "b"])]
    with pytest.raises(DataError, match="no column named 3|no column 3"):
        translator.predict_file(source, target, column=3)


def test_nothing_is_written_before_the_table_is_whole(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr("lstm_zoo.pipeline.CHUNK", 1)
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    target.write_text("what was there")
    source.write_text("text\ngood\nbad,worse\n")
    with pytest.raises(DataError, match="in.csv:3: 2 fields"):
        classifier.predict_file(source, target)
    source.write_text("text\ngood\nbad\n")

    def interrupted(texts):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(classifier, "predict", interrupted, raising=False)
        with pytest.raises(KeyboardInterrupt):
            classifier.predict_file(source, target)
    assert target.read_text() == "what was there"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]
    assert classifier.predict_file(source, target) == (2, 0)
    source.write_text("text\n")
    assert classifier.predict_file(source, target) == (0, 0)
    assert target.read_text() == "text,predicted,probability,p(neg),p(pos),error\n"


def test_a_family_without_formats_of_answers_has_none(classifier):
    with pytest.raises(CallError, match="No format of answers is named srt"):
        classifier.format_answers([], "srt")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_an_evaluation_and_a_table_have_a_bar_on_a_terminal(classifier, tmp_path, monkeypatch):
    (tmp_path / "in.tsv").write_text("text\tlabel\ngood\tpos\nbad\tneg\n")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    classifier.evaluate(tmp_path / "in.tsv")
    assert re.search(r"evaluation: +0%.*0/2", terminal.getvalue())
    classifier.predict_file(tmp_path / "in.tsv", tmp_path / "out.tsv")
    assert "0/3" in terminal.getvalue()  # lines
    terminal.truncate(0)
    logger = logging.getLogger("lstm_zoo")
    try:
        logger.setLevel(logging.WARNING)
        classifier.evaluate(tmp_path / "in.tsv")
    finally:
        logger.setLevel(logging.INFO)
    assert "evaluation" not in terminal.getvalue()
