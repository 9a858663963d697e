"""Metrics against values computed by hand."""

import numpy as np
import pytest

from lstm_zoo.sentiment.metrics import classification, multi_label


def test_scores_follow_from_the_counts():
    references = np.array([0, 0, 0, 1, 1, 2])
    predictions = np.array([0, 0, 1, 1, 0, 2])
    scores = classification(references, predictions, ["a", "b", "c"])
    assert scores["confusion"] == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert scores["accuracy"] == pytest.approx(4 / 6)
    assert scores["classes"]["a"] == {
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 3),
        "f1": pytest.approx(2 / 3),
        "support": 3,
    }
    assert scores["classes"]["b"]["f1"] == pytest.approx(1 / 2)
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)


def test_a_class_that_never_occurs_does_not_lower_the_macro_f1():
    scores = classification(np.array([0, 1]), np.array([0, 1]), ["a", "b", "absent"])
    assert scores["macro_f1"] == 1
    assert scores["classes"]["absent"]["support"] == 0


def test_all_wrong_is_0_and_not_an_error():
    scores = classification(np.array([0, 0]), np.array([1, 1]), ["a", "b"])
    assert scores["accuracy"] == scores["macro_f1"] == 0


def test_the_scores_of_several_labels_follow_from_the_decisions():
    references = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 0]])
    predictions = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]])
    scores = multi_label(references, predictions, ["a", "b", "absent"])
    assert scores["micro_f1"] == pytest.approx(2 * 3 / (4 + 4))
    f1 = {"a": 2 * 2 / (2 + 3), "b": 2 * 1 / (2 + 1)}
    assert scores["macro_f1"] == pytest.approx((f1["a"] + f1["b"]) / 2)  # without the absent one
    assert scores["subset_accuracy"] == 0.5
    assert scores["classes"]["a"] == {
        "precision": pytest.approx(2 / 3),
        "recall": 1,
        "f1": pytest.approx(f1["a"]),
        "support": 2,
    }
    nothing = multi_label(np.zeros((2, 2)), np.zeros((2, 2)), ["a", "b"])
    assert (nothing["micro_f1"], nothing["macro_f1"], nothing["subset_accuracy"]) == (0, 0, 1)
