"""The pipeline: from raw texts to labels, the same in any batch and as in training."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

import lstm_zoo
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.sentiment import demo
from lstm_zoo.sentiment.corpus import read
from lstm_zoo.sentiment.task import Task
from tests.conftest import HOSTILE


def test_predictions_are_in_the_order_of_the_texts(small_pipeline):
    texts = ["The film is moving.", "", "x " * 300, "The plot was dull."]
    predictions = small_pipeline.predict(texts, batch_size=2)
    for text, prediction in zip(texts, predictions, strict=True):
        (alone,) = small_pipeline.predict([text])
        assert prediction.label == alone.label
        assert prediction.probability == pytest.approx(alone.probability, abs=1e-5)
        assert prediction.probability == max(prediction.probabilities.values())
        assert sum(prediction.probabilities.values()) == pytest.approx(1)
        assert prediction.probabilities[prediction.label] == prediction.probability


@given(st.lists(st.text(max_size=80), max_size=5), st.integers(1, 3))
@settings(max_examples=25)
def test_a_prediction_does_not_depend_on_its_batch(small_pipeline, texts, batch_size):
    together = small_pipeline.predict(texts, batch_size=batch_size)
    alone = [small_pipeline.predict([text])[0] for text in texts]
    np.testing.assert_allclose(
        [list(prediction.probabilities.values()) for prediction in together],
        [list(prediction.probabilities.values()) for prediction in alone],
        atol=1e-5,
    )


def test_hostile_texts_are_classified_and_change_no_other_prediction(small_pipeline):
    (good,) = small_pipeline.predict(["The film is moving."])
    predictions = small_pipeline.predict([*HOSTILE, "The film is moving."])
    assert len(predictions) == len(HOSTILE) + 1
    assert all(0.5 <= prediction.probability <= 1 for prediction in predictions)
    assert predictions[-1].probability == pytest.approx(good.probability, abs=1e-5)
    # An empty text and white space have the same ids: none.
    assert predictions[0].probability == pytest.approx(predictions[1].probability, abs=1e-6)


def test_no_texts_give_no_predictions(small_pipeline):
    assert small_pipeline.predict([]) == []


def test_one_text_instead_of_a_list_is_an_error(small_pipeline):
    for text in ("good", b"good"):
        with pytest.raises(CallError, match="a list of texts"):
            small_pipeline.predict(text)


def test_training_and_serving_agree(small_pipeline, small_run):
    """Compare the logits of training, and their metrics, with the traced graph's answers."""
    texts, labels, _ = demo.generate(200, seed=8)
    task = Task.load(small_run, small_pipeline.config)
    examples = task.encode(read((texts, labels)))
    model = small_pipeline.model
    logits = np.array(task.results(model, examples, np.arange(200)), np.float32)
    scores = task.labelling.scores(logits, examples.targets)
    served = small_pipeline.evaluate((texts, labels))
    assert scores["accuracy"] == served["accuracy"]
    assert scores["confusion"] == served["confusion"]
    probabilities = small_pipeline.classify(tf.constant(texts))["probabilities"].numpy()
    expected = softmax(logits / task.labelling.calibration.temperature, axis=1)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_evaluate_counts_and_lists_every_row(small_pipeline):
    scores = small_pipeline.evaluate((["The film is moving.", " ", "dull"], ["pos", "neg", "neg"]))
    assert (scores["examples"], scores["skipped"]) == (2, 1)
    first, skipped, last = scores["predictions"]
    assert [row["row"] for row in scores["predictions"]] == [0, 1, 2]
    assert first.keys() == skipped.keys() == last.keys()
    assert (skipped["skipped"], skipped["predicted"]) == ("no text", None)
    assert (last["place"], last["text"], last["label"], last["skipped"]) == (
        "row 2",
        "dull",
        "neg",
        "",
    )
    assert last["probability"] == max(last["p(neg)"], last["p(pos)"])
    assert last["p(neg)"] + last["p(pos)"] == pytest.approx(1)
    correct = [row["label"] == row["predicted"] for row in (first, last)]
    assert scores["accuracy"] == np.mean(correct)


def test_an_evaluation_warns_of_unknown_words_and_skipped_rows(small_pipeline, capsys):
    small_pipeline.evaluate((["这部电影很好看", ""], ["pos", "pos"]))
    unknown, skipped = capsys.readouterr().err.splitlines()
    assert unknown.startswith("Warning: 100% of the evaluation data's tokens are unknown: words")
    assert skipped == (
        "Warning: 1 of the evaluation data's 2 rows (50%) are skipped, 1 of them like row 1: "
        "no text"
    )


def test_the_calibration_error_and_the_answered_rows_follow_from_the_predictions(small_pipeline):
    texts, labels, _ = demo.generate(120, seed=8)
    scores = small_pipeline.evaluate((texts, labels))
    rows = scores["predictions"]
    right = np.array([row["label"] == row["predicted"] for row in rows])
    confidences = np.array([row["probability"] for row in rows])
    error = 0
    for low in np.arange(15) / 15:
        inside = (low < confidences) & (confidences <= low + 1 / 15)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidences[inside].mean())
    assert scores["ece"] == pytest.approx(error, abs=1e-5)
    assert sum(row["examples"] for row in scores["reliability"]) == 120
    assert "coverage" not in scores

    minimum = float(np.median(confidences))
    answered = confidences >= minimum
    some = small_pipeline.evaluate((texts, labels), min_probability=minimum)
    assert (some["coverage"], some["min_probability"]) == (answered.mean(), minimum)
    assert some["answered_accuracy"] == right[answered].mean()
    assert [row["predicted"] != "" for row in some["predictions"]] == answered.tolist()
    for key in ("accuracy", "macro_f1", "confusion", "ece"):  # of all texts
        assert some[key] == scores[key]
    predictions = small_pipeline.predict(texts, min_probability=minimum)
    assert [answer.label for answer in predictions] == [
        row["predicted"] for row in some["predictions"]
    ]
    assert [answer.probability for answer in predictions] == pytest.approx(confidences, abs=1e-6)
    nothing = small_pipeline.evaluate((texts, labels), min_probability=1)
    assert (nothing["coverage"], nothing["answered_accuracy"]) == (0, None)
    for bad in (-0.1, 1.1, float("nan")):
        with pytest.raises(CallError, match="min_probability is from 0 to 1"):
            small_pipeline.predict(texts, min_probability=bad)


def test_a_label_outside_the_training_classes_is_an_error(small_pipeline):
    message = "row 1: the label 'mixed' is not one of the training classes: neg, pos"
    with pytest.raises(DataError, match=message):
        small_pipeline.evaluate((["a", "b"], ["pos", "mixed"]))


def test_a_rebuilt_network_gives_equal_predictions(small_run, small_pipeline):
    texts = demo.generate(50, seed=9)[0]
    for other in (
        small_pipeline.rebuilt(use_cudnn=False),
        lstm_zoo.load(small_run, use_cudnn=False),
    ):
        assert all(
            layer.use_cudnn is False
            for layer in (other.model.get_layer("lstm_1").forward_layer,
                          other.model.get_layer("lstm_1").backward_layer)
        )  # fmt: skip
        for prediction, expected in zip(
            other.predict(texts), small_pipeline.predict(texts), strict=True
        ):
            assert prediction.probability == pytest.approx(expected.probability, abs=1e-6)


def test_evaluate_prefers_given_columns_then_the_runs_then_the_usual_ones(small_run, tmp_path):
    run = shutil.copytree(small_run, tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    config["settings"] |= {"text_column": "review", "label_column": "stars"}
    (run / "config.json").write_text(json.dumps(config))
    classifier = lstm_zoo.load(run)
    data = tmp_path / "test.csv"
    for header, options in {
        "review;stars;text": {},
        "other;label;text": {},
        "Body;Class;review": {"text_column": "body", "label_column": "class"},
    }.items():
        data.write_text(f"{header}\ngood;pos;good\n")
        assert classifier.evaluate(data, **options)["examples"] == 1
    with pytest.raises(DataError, match=r"Expected review \(or text\) and stars \(or label\)"):
        classifier.evaluate(data)
    with pytest.raises(CallError, match="text_column has no effect: data in memory"):
        classifier.evaluate((["good"], ["pos"]), text_column="body")
    assert classifier.evaluate((["good"], ["pos"]))["examples"] == 1
