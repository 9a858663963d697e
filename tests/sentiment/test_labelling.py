"""Texts of several labels: targets, loss, threshold, answers; and a run from data to exports."""

import json

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

import lstm_zoo
from lstm_zoo.cli import cli
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.sentiment.calibration import (
    Calibration,
    fit_temperature,
    fit_threshold,
    log_likelihoods,
)
from lstm_zoo.sentiment.labelling import MultiLabel, SingleLabel
from tests.conftest import trained_once
from tests.sentiment.topics import topics

SETTINGS = {
    "multi_label": True,
    "variant": "tiny",
    "epochs": 4,
    "learning_rate": 0.02,
    "ngrams": 2,
    "ngram_buckets": 512,
    "class_ratios": True,
    "word_dropout": 0.05,
}


def invoke(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_labels_are_the_classes_of_at_least_the_threshold():
    labelling = MultiLabel(["a", "b", "c"], Calibration(1.0, 0.4))
    probabilities = np.array([[0.4, 0.9, 0.1], [0.39, 0.0, 0.1]], np.float32)
    labels, confidences = labelling.predict(probabilities, None)
    assert labels == ["a|b", ""]
    assert confidences == pytest.approx([0.4 * 0.9 * 0.9, 0.61 * 0.9])
    assert labelling.predict(probabilities, 0.05)[0] == ["a|b|c", "a|c"]
    served = labelling.answers(tf.constant(probabilities))["labels"].numpy().tolist()
    assert served == [b"a|b", b""]
    assert labelling.answers(tf.zeros((0, 3)))["labels"].shape == (0,)


def test_the_loss_is_the_mean_binary_cross_entropy_and_agrees_with_the_scores():
    logits = np.array([[2.0, -1.0], [0.5, 0.0]], np.float32)
    targets = np.array([[1, 0], [0, 1]], np.float32)
    probabilities = 1 / (1 + np.exp(-logits))
    expected = -np.log(np.where(targets > 0, probabilities, 1 - probabilities)).mean()
    assert float(MultiLabel.loss(None)(targets, logits)) == pytest.approx(expected)
    assert -log_likelihoods(logits, targets).mean() == pytest.approx(expected)


def test_the_calibration_error_is_that_of_the_labels_that_are_given():
    """Half of the labels given with 0.9 are wrong, whatever the many certain zeros are."""
    probabilities, targets = np.full((10, 50), 0.001, np.float32), np.zeros((10, 50), np.float32)
    probabilities[:, 0], targets[:5, 0] = 0.9, 1
    labelling = MultiLabel([f"{number}" for number in range(50)], Calibration(1.0, 0.4))
    scores = labelling.evaluate(probabilities, targets, None)
    assert scores["ece"] == pytest.approx(0.4, abs=1e-6)
    assert [(row["examples"], row["accuracy"]) for row in scores["reliability"]] == [(10, 0.5)]
    none = labelling.evaluate(probabilities, targets, 1.0)
    assert (none["ece"], none["reliability"], none["micro_f1"]) == (None, [], 0)


@pytest.mark.parametrize("kind", [SingleLabel, MultiLabel])
@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_scores_take_a_minimum_from_0_to_1(kind, value):
    targets = np.array([0, 1]) if kind is SingleLabel else np.eye(2)
    with pytest.raises(CallError, match="min_probability is from 0 to 1. Received"):
        kind(["a", "b"], Calibration()).evaluate(np.eye(2), targets, value)


def test_the_baseline_is_the_best_constant_answer():
    targets = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1]], np.float32)
    # "a" for all: 3 of 4 right, of 5 labels.
    score = MultiLabel(["a", "b", "c"], Calibration()).baseline_score(targets)
    assert score == pytest.approx(2 * 3 / (4 + 5))
    assert SingleLabel(["a", "b"], Calibration()).baseline_score(np.array([0, 0, 1])) == 2 / 3


def test_the_baseline_is_the_loss_of_the_shares():
    targets = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1]], np.float32)
    loss = MultiLabel(["a", "b", "c"], Calibration()).baseline_loss(targets)
    assert loss == pytest.approx(-0.75 * np.log(0.75) - 0.25 * np.log(0.25))
    loss = SingleLabel(["a", "b"], Calibration()).baseline_loss(np.array([0, 0, 1]))
    assert loss == pytest.approx(-2 / 3 * np.log(2 / 3) - np.log(1 / 3) / 3)


def test_the_threshold_has_the_best_micro_f1_of_all():
    generator = np.random.default_rng(0)
    for _ in range(20):
        targets = generator.random((7, 3)) < 0.3
        probabilities = np.round(generator.random((7, 3)) * 0.5 + 0.4 * targets, 1)  # with ties
        found = fit_threshold(probabilities, targets)

        def f1(threshold, probabilities=probabilities, targets=targets):
            chosen = probabilities >= threshold
            return 2 * (chosen & targets).sum() / (chosen.sum() + targets.sum())

        assert f1(found) == pytest.approx(max(map(f1, np.linspace(0.01, 1, 100))))


def test_of_equal_thresholds_the_one_nearest_to_a_half_is_taken():
    targets = np.array([[1, 0], [0, 1]])
    assert fit_threshold(np.array([[0.9, 0.1], [0.2, 0.8]]), targets) == 0.5
    assert fit_threshold(np.array([[0.9, 0.7], [0.6, 0.8]]), targets) == pytest.approx(0.75)
    assert fit_threshold(np.array([[0.3, 0.1]]), np.zeros((1, 2))) == 0.5


def test_the_temperature_of_a_sigmoid_undoes_a_factor_of_the_logits():
    generator = np.random.default_rng(0)
    logits = 2 * generator.normal(size=(3_000, 4))
    targets = generator.random(logits.shape) < 1 / (1 + np.exp(-logits))
    assert fit_temperature(2.5 * logits, targets) == pytest.approx(2.5, rel=0.06)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    rows = topics(1_000, seed=1)
    return trained_once(tmp_path_factory, "topics", "sentiment", rows, **SETTINGS)


@pytest.fixture(scope="module")
def classifier(run):
    return lstm_zoo.load(run)


@pytest.mark.slow
def test_a_run_learns_several_labels_and_keeps_its_threshold(run, classifier, tmp_path):
    texts, labels = topics(200, seed=2)
    scores = classifier.evaluate((texts, labels))
    assert scores["micro_f1"] > 0.9 and scores["subset_accuracy"] > 0.8
    assert "confusion" not in scores and "accuracy" not in scores
    rows = scores["predictions"]
    assert [row["label"] for row in rows] == labels  # an empty one is no reason to skip a row
    same = np.mean([row["label"] == row["predicted"] for row in rows])
    assert scores["subset_accuracy"] == pytest.approx(same)
    support = sum("art" in label.split("|") for label in labels)
    assert scores["classes"]["art"]["support"] == support
    # Lists of labels are the same, in any order.
    lists = [label.split("|")[::-1] if label else [] for label in labels]
    assert classifier.evaluate((texts, lists))["micro_f1"] == scores["micro_f1"]

    kept = json.loads((run / "calibration.json").read_text())
    card = classifier.card
    assert card["activation"] == "sigmoid" and card["classes"] == ["art", "law", "sport"]
    assert {name: card[name] for name in kept} == kept and 0 < kept["threshold"] < 1
    history = (run / "history.csv").read_text().splitlines()
    assert (
        history[0]
        == "epoch,loss,val_loss,val_calibrated_loss,val_micro_f1,val_macro_f1,val_subset_accuracy"
    )
    metrics = json.loads((run / "metrics.json").read_text())
    best = dict(zip(history[0].split(","), history[metrics["best_epoch"]].split(","), strict=True))
    assert metrics["validation"]["micro_f1"] == pytest.approx(float(best["val_micro_f1"]))
    assert metrics["plots"] == ["classes.png", "reliability.png"]
    report = (run / "report.html").read_text()
    assert f"of probability {kept['threshold']:.4g} or more. Unless" in report
    assert "How often given labels are right" in report
    # Without any label.
    data = (["it rains", "x"], ["", ""])
    scores = classifier.evaluate(data, min_probability=1.0)
    assert scores["ece"] is None and "ECE" not in classifier.report(scores)
    assert [*classifier.draw(data, scores, "a run", tmp_path)] == ["classes.png"]


@pytest.mark.slow
def test_the_command_line_answers_with_several_labels(run, tmp_path):
    texts = ["the judge saw a painting in court", "the old report"]
    result = json.loads(invoke("sentiment", "predict", run, *texts, "--json").stdout)
    assert [row["label"] for row in result["predictions"]] == ["art|law", ""]
    data = tmp_path / "test.txt"
    data.write_text(
        "__label__art __label__law the judge saw a painting\nmuseum __label__art\nthe old report\n"
    )
    predictions = tmp_path / "predictions.tsv"
    done = invoke("sentiment", "evaluate", run, "--data", data, "--predictions", predictions)
    assert done.exit_code == 0, done.output
    first, header, *table = done.stdout.splitlines()
    assert first.startswith("micro F1 1.0000  macro F1 1.0000  subset accuracy 1.0000  ECE")
    assert [line.split()[0] for line in table] == ["art", "law", "sport"]
    lines = [line.split("\t") for line in predictions.read_text().splitlines()]
    assert [line[4:6] for line in lines[1:]] == [["art|law"] * 2, ["art"] * 2, [""] * 2]


@pytest.mark.slow
def test_a_saved_model_answers_labels(classifier, tmp_path):
    export = classifier.export(tmp_path / "export")
    serve = tf.saved_model.load(export).signatures["serving_default"]
    texts, _ = topics(30, seed=3)
    texts += ["", "x"]
    answers = serve(text=tf.constant(texts))
    assert set(answers) == {"labels", "probabilities", "classes"}
    expected = classifier.predict(texts)
    assert [label.decode() for label in answers["labels"].numpy()] == [a.label for a in expected]
    assert answers["classes"].numpy()[-1].tolist() == [b"art", b"law", b"sport"]
    np.testing.assert_allclose(
        answers["probabilities"], [[*a.probabilities.values()] for a in expected], atol=1e-5
    )
    card = json.loads((export / "assets.extra/card.json").read_text())
    assert card["threshold"] == classifier.card["threshold"]


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "litert"])
def test_other_exports_have_what_turns_logits_into_labels(format, run, classifier, tmp_path):
    path = classifier.export(tmp_path / format, format=format)
    texts, _ = topics(8, seed=4)
    ids = classifier.tokenizer.tokenize(texts).to_tensor().numpy()
    if format == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path)
        card = json.loads(session.get_modelmeta().custom_metadata_map["card"])
        (logits,) = session.run(None, {"ids": ids})
    else:
        from ai_edge_litert.interpreter import Interpreter

        card = json.loads(path.with_name("card.json").read_text())
        classify = Interpreter(str(path)).get_signature_runner()
        logits = np.concatenate([classify(ids=row[None])["logits"] for row in ids])
    assert card["activation"] == "sigmoid"
    probabilities = 1 / (1 + np.exp(-logits / card["temperature"]))
    expected = classifier.predict(texts)
    np.testing.assert_allclose(
        probabilities, [[*a.probabilities.values()] for a in expected], atol=1e-4
    )
    labels = [
        "|".join(np.array(card["classes"])[row]) for row in probabilities >= card["threshold"]
    ]
    assert labels == [answer.label for answer in expected]


def test_data_and_settings_that_do_not_fit_several_labels_are_refused(tmp_path):
    rows = topics(60, seed=1)
    with pytest.raises(CallError, match="class_weights=true has no effect with multi_label=true"):
        lstm_zoo.train("sentiment", rows, run=tmp_path / "a", multi_label=True, class_weights=True)
    (tmp_path / "data/pos").mkdir(parents=True)
    (tmp_path / "data/pos/1.txt").write_text("good")
    with pytest.raises(CallError, match="a folder of classes gives each text one label"):
        lstm_zoo.train("sentiment", tmp_path / "data", run=tmp_path / "b", multi_label=True)
    with pytest.raises(DataError, match="No class in 54 examples"):
        lstm_zoo.train("sentiment", (rows[0], [None] * 60), run=tmp_path / "c", multi_label=True)
    with pytest.raises(DataError, match=r"label 0: expected a str or a number. Received: list"):
        lstm_zoo.train("sentiment", (rows[0], [["art"]] * 60), run=tmp_path / "d")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
