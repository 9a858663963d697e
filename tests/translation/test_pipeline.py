"""The translation pipeline: predictions, metrics, command line and export of a small run."""

import json

import numpy as np
import pytest

import lstm_zoo
from lstm_zoo.errors import CallError
from lstm_zoo.translation import corpus
from lstm_zoo.translation.pipeline import Pipeline
from tests.conftest import HOSTILE, READY_RUNS, run_cli, serve_elsewhere
from tests.translation.phrases import phrases

pytestmark = pytest.mark.slow  # a translator is trained for them

SERVE = """
import base64, json, sys
import tensorflow as tf
import tensorflow_text
model = tf.saved_model.load(sys.argv[1])
answers = []
for batch in json.load(sys.stdin):
    texts = tf.constant([base64.b64decode(t) for t in batch], tf.string, shape=[len(batch)])
    best = model.signatures["serving_default"](text=texts)
    several = model.signatures["n_best"](text=texts)
    answers.append({
        "translation": [t.decode() for t in best["translation"].numpy()],
        "score": best["score"].numpy().tolist(),
        "translations": [[t.decode() for t in row] for row in several["translations"].numpy()],
        "scores": [[max(s, -1e9) for s in row] for row in several["scores"].numpy().tolist()],
    })
assert "lstm_zoo" not in sys.modules
json.dump(answers, sys.stdout)
"""


def test_evaluate_sorts_as_many_texts_by_length_as_predict(monkeypatch):
    translator, predict, sizes = lstm_zoo.load(READY_RUNS / "translation"), Pipeline.predict, []

    def keep(self, texts, *arguments, **options):
        sizes.append(len(texts))
        return predict(self, texts, *arguments, **options)

    monkeypatch.setattr(Pipeline, "predict", keep)
    scores = translator.evaluate((["5 hours"] * 600, ["5 heures"] * 600), beam_width=1)
    assert (scores["examples"], sizes) == (600, [600])


@pytest.fixture(scope="module")
def exported(translator, tmp_path_factory):
    return translator.export(tmp_path_factory.mktemp("exports"))


def assert_alike(expected, answers):
    """Check scores within 1e-4, and texts unless the two best score equally within 1e-4."""
    texts, scores = answers["translation"], answers["score"]
    assert len(texts) == len(expected)
    for row, text, score in zip(expected, texts, scores, strict=True):
        assert score == pytest.approx(row.score, abs=1e-4)
        assert text == row.text or abs(row.n_best[0][1] - row.n_best[1][1]) < 1e-4


def test_it_has_learned_something(translator):
    scores = translator.evaluate(phrases(200, seed=9))
    assert scores["bleu"] > 5 and scores["chrf"] > 20
    assert scores["examples"] == 200 and scores["skipped"] == 0
    assert sum(row["examples"] for row in scores["by_length"]) == 200
    assert "tok:13a" in scores["signature"]["bleu"]
    assert 1 < scores["perplexity"] < 300
    greedy = translator.evaluate(phrases(200, seed=9), beam_width=1)
    assert greedy["perplexity"] == pytest.approx(scores["perplexity"], rel=1e-5)
    assert greedy["predictions"] != scores["predictions"]


def test_hostile_texts_are_translated_and_do_not_affect_others(translator):
    plain = ["three old dogs and two cats", "seven small birds"]
    alone = translator.predict(plain)
    answers = translator.predict([plain[0], *HOSTILE, plain[1]])
    assert [answer.text for answer in (answers[0], answers[-1])] == [a.text for a in alone]
    assert answers[1] == ("", 0.0, [("", 0.0)])
    assert all(np.isfinite(answer.score) for answer in answers)
    assert translator.predict([]) == []
    with pytest.raises(CallError, match="a list of texts"):
        translator.predict("one text")
    with pytest.raises(CallError, match="at most beam_width"):
        translator.predict(["x"], beam_width=2, n_best=3)


def test_a_translation_does_not_depend_on_the_rest_of_its_batch(translator):
    texts, _ = phrases(60, seed=11)
    for width in (1, 4):
        one, many = (
            translator.predict(texts, size, beam_width=width, n_best=min(2, width))
            for size in (1, 60)
        )
        for a, b in zip(one, many, strict=True):
            assert a.score == pytest.approx(b.score, abs=1e-4)
            tie = width > 1 and abs(a.n_best[0][1] - a.n_best[1][1]) < 1e-4
            assert a.text == b.text or tie


def test_n_best_are_different_and_ranked(translator):
    for answer in translator.predict(["three old dogs and two cats", "a red horse"], n_best=4):
        scores = [score for _, score in answer.n_best]
        assert len(scores) == 4 and scores == sorted(scores, reverse=True)
        assert (answer.text, answer.score) == answer.n_best[0]


def test_a_moved_export_answers_as_the_pipeline(translator, exported, tmp_path):
    texts, _ = phrases(100, seed=12)
    batches = [texts, HOSTILE, [], [""], ["", "x"]]
    for batch, answers in zip(
        batches, serve_elsewhere(SERVE, exported, tmp_path, batches), strict=True
    ):
        expected = translator.predict(batch, n_best=4)
        assert [len(row) for row in answers["translations"]] == [4] * len(batch)
        assert answers["translation"] == [row[0] for row in answers["translations"]]
        assert_alike(
            [row for row in expected if row.text],
            {
                key: [v for v, row in zip(answers[key], expected, strict=True) if row.text]
                for key in ("translation", "score")
            },
        )
        for row, text in zip(expected, answers["translation"], strict=True):
            assert bool(row.text) == bool(text)


@pytest.mark.slow
def test_an_export_translates_multi30k_val_as_the_pipeline(shared_data, tmp_path):
    translator = lstm_zoo.load("multi30k-de-en")
    val = corpus.read(shared_data / "multi30k/val", "de", "en").sources[:156]
    expected = translator.predict(val, n_best=5)
    assert len({row.text for row in expected}) > 150
    exported = translator.export(tmp_path / "exports")
    # In corpus order, while `predict` sorts by length: padding and batches change nothing.
    batches = [val[start : start + 78] for start in range(0, len(val), 78)]
    answers = serve_elsewhere(SERVE, exported, tmp_path, batches)
    together = {key: sum((batch[key] for batch in answers), []) for key in ("translation", "score")}
    assert_alike(expected, together)


@pytest.mark.slow
def test_the_width_of_a_beam_is_fixed_in_an_export(translator, tmp_path):
    place = translator.export(tmp_path / "exports", beam_width=1)
    texts, _ = phrases(30, seed=13)
    (answers,) = serve_elsewhere(SERVE, place, tmp_path, [texts])
    assert [len(row) for row in answers["translations"]] == [1] * 30
    assert answers["translation"] == [a.text for a in translator.predict(texts, beam_width=1)]


def test_a_loaded_run_answers_as_the_trained_one(translator, translator_run):
    again = lstm_zoo.load(translator_run, use_cudnn=False)
    texts, _ = phrases(20, seed=14)
    assert again.predict(texts) == translator.predict(texts)


@pytest.mark.slow
def test_the_command_line(translator, translator_run, tmp_path):
    texts = ["three old dogs and two cats", "seven small birds", ""]
    stdin = "".join(f"{text}\n" for text in texts).encode()
    done = run_cli("translation", "predict", translator_run, "-", stdin=stdin)
    expected = translator.predict(texts)
    assert done.stdout.decode().splitlines() == [answer.text for answer in expected]
    done = run_cli(
        "translation", "predict", translator_run, "seven small birds", "--json", "--n-best", "2"
    )
    (answer,) = json.loads(done.stdout)["predictions"]
    assert answer["text"] == expected[1].text and len(answer["n_best"]) == 2
    sources, targets = phrases(50, seed=15)
    for code, side in (("en", sources), ("de", targets)):
        (tmp_path / f"some.{code}").write_text("\n".join(side), encoding="utf-8")
    done = run_cli("translation", "evaluate", translator_run, "--data", tmp_path / "some", "--json")
    scores = json.loads(done.stdout)
    assert scores["bleu"] == pytest.approx(translator.evaluate((sources, targets))["bleu"])
    assert {"bleu", "chrf", "examples", "skipped", "signature"} <= set(scores)
    done = run_cli("translation", "evaluate", translator_run, "--data", tmp_path / "some")
    assert b"words of the source" in done.stdout
    done = run_cli("translation", "train", "--data", tmp_path / "some", "--run", tmp_path / "run")
    assert done.returncode == 2 and b"Found: de, en" in done.stderr
