"""Calibration: the temperature, how it is fitted and kept, and what uses it."""

import json
import shutil

import numpy as np
import pytest

import lstm_zoo
from lstm_zoo.errors import DataError
from lstm_zoo.files import find_damage
from lstm_zoo.sentiment import calibration, demo
from lstm_zoo.sentiment.calibration import Calibration, fit_temperature
from tests.conftest import READY_RUNS


def drawn(examples, classes=4, seed=0):
    """Logits, and classes drawn with the probabilities that they stand for."""
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=(examples, classes))
    noise = generator.gumbel(size=logits.shape)
    return logits, (logits + noise).argmax(axis=1)


@pytest.mark.parametrize("factor", [0.5, 1, 2.5])
def test_the_temperature_undoes_a_factor_of_the_logits(factor):
    logits, targets = drawn(5_000)
    assert fit_temperature(factor * logits, targets) == pytest.approx(factor, rel=0.06)


def test_it_is_the_minimum_of_the_likelihood_and_the_prior():
    """Against a search over a grid, of the formula written anew."""
    logits, targets = drawn(60)
    logits = 3 * logits

    def cost(temperature):
        exps = np.exp(logits / temperature)
        likelihoods = np.log(exps[np.arange(60), targets] / exps.sum(axis=1))
        return 4 * (1 / temperature + np.log(temperature)) - likelihoods.sum()

    grid = np.exp(np.linspace(-2, 2, 4_001))
    best = grid[np.argmin([*map(cost, grid)])]
    assert fit_temperature(logits, targets) == pytest.approx(best, rel=2e-3)


def test_few_examples_and_perfect_ones_change_little():
    logits = np.array([[4.0, 0.0], [0.0, 4.0]] * 500)
    right, wrong = np.array([0, 1] * 500), np.array([1, 0] * 500)
    # All right: the likelihood alone would have temperature 0.
    assert 0.9 < fit_temperature(logits[:4], right[:4]) < 1
    assert 0.4 < fit_temperature(logits, right) < 0.7
    assert 1 < fit_temperature(logits[:1], wrong[:1]) < 2
    # All wrong: it would be infinite.
    assert fit_temperature(logits, wrong) == pytest.approx(10, rel=0.01)
    assert fit_temperature(np.zeros((9, 3)), np.zeros(9, int)) == pytest.approx(1, abs=1e-3)


def test_bins_have_equal_widths_and_hold_their_upper_bound():
    confidences = np.array([1 / 15, 0.0667, 1.0, 0.0, 0.5])
    bins = calibration.reliability(confidences, np.array([True, False, True, False, True]))
    assert [row["examples"] for row in bins] == [2, 1, 1, 1]
    assert [row["accuracy"] for row in bins] == [0.5, 0, 1, 1]
    assert bins[0]["confidence"] == pytest.approx(1 / 30)
    error = calibration.expected_calibration_error(bins)
    assert error == pytest.approx((2 * (0.5 - 1 / 30) + 0.0667 + 0 + 0.5) / 5)


def test_the_wilson_interval_is_statsmodels():
    """Against values of `statsmodels.stats.proportion.proportion_confint(method="wilson")`."""
    assert calibration.wilson_interval(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert calibration.wilson_interval(0, 1) == pytest.approx((0, 0.7935), abs=1e-4)


@pytest.fixture
def run(tmp_path):
    return shutil.copytree(READY_RUNS / "sentiment", tmp_path / "run")


def test_a_run_of_version_0_1_has_temperature_1(run):
    assert calibration.read(run) == Calibration(temperature=1.0)
    assert lstm_zoo.load(run).card["temperature"] == 1


def test_the_temperature_of_a_run_softens_its_answers_and_changes_no_label(run):
    texts = demo.generate(40, seed=3)[0]
    before = lstm_zoo.load(run)
    plain, logits = (
        before.predict(texts),
        before.model(before.tokenizer.tokenize(texts).to_tensor()),
    )
    (run / "calibration.json").write_text('{"temperature": 2.5}')
    classifier = lstm_zoo.load(run)
    exps = np.exp(logits.numpy() / 2.5)
    for answer, expected, row in zip(
        classifier.predict(texts), plain, exps / exps.sum(axis=1, keepdims=True), strict=True
    ):
        assert answer.label == expected.label
        assert [*answer.probabilities.values()] == pytest.approx(row, abs=1e-5)
    assert classifier.card["temperature"] == 2.5
    # The network itself is as it was.
    ids = classifier.tokenizer.tokenize(texts).to_tensor()
    np.testing.assert_allclose(classifier.model(ids), logits, atol=1e-6)


@pytest.mark.parametrize("value", ["0", "-1", "NaN", "1e9", "true", '"1"', "null"])
def test_a_strangers_calibration_is_checked(run, value):
    (run / "calibration.json").write_text(f'{{"temperature": {value}}}')
    with pytest.raises(DataError, match=r"calibration.json: temperature is a number from 0.1 to"):
        lstm_zoo.load(run)


@pytest.mark.slow
def test_a_training_fits_keeps_and_shows_it_and_fine_tuning_fits_its_own(tmp_path, capsys):
    texts, labels, _ = demo.generate(300, seed=1)
    other = demo.generate(60, seed=2)[:2]
    options = {"validation": other, "variant": "tiny", "epochs": 2, "learning_rate": 0.02}

    def fitted_again(classifier):
        ids = classifier.tokenizer.tokenize(other[0]).to_tensor()
        targets = np.array([classifier.classes.index(label) for label in other[1]])
        return pytest.approx(fit_temperature(classifier.model(ids).numpy(), targets), rel=1e-3)

    run = tmp_path / "run"
    classifier = lstm_zoo.train("sentiment", (texts, labels), run=run, **options)
    fitted = json.loads((run / "calibration.json").read_text())["temperature"]
    assert fitted == fitted_again(classifier)
    assert classifier.card["temperature"] == lstm_zoo.load(run).card["temperature"] == fitted
    assert f"for the probabilities: temperature {fitted:.2f}" in capsys.readouterr().err
    assert "calibration.json" in json.loads((run / "checksums.json").read_text())
    assert find_damage(run) == []
    tuned = lstm_zoo.train(
        "sentiment", (texts, labels), run=tmp_path / "tuned", init_from=run, **options
    )
    assert fitted != tuned.card["temperature"] == fitted_again(tuned)
    assert classifier.card["temperature"] == fitted
