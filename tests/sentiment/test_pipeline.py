"""Raw texts in, labels out: the same alone, together, and as training sees them."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import lstm_zoo
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.sentiment import demo
from lstm_zoo.sentiment.corpus import read
from lstm_zoo.sentiment.task import Task
from tests.conftest import HOSTILE


def test_answers_come_in_the_order_of_the_texts(small_pipeline):
    texts = ["The film is moving.", "", "x " * 300, "The plot was dull."]
    answers = small_pipeline.predict(texts, batch_size=2)
    for text, answer in zip(texts, answers, strict=True):
        (alone,) = small_pipeline.predict([text])
        assert answer.label == alone.label
        assert answer.probability == pytest.approx(alone.probability, abs=1e-5)
        assert answer.probability == max(answer.probabilities.values())
        assert sum(answer.probabilities.values()) == pytest.approx(1)
        assert answer.probabilities[answer.label] == answer.probability


@given(st.lists(st.text(max_size=80), max_size=5), st.integers(1, 3))
@settings(max_examples=25)
def test_an_answer_does_not_depend_on_its_batch(small_pipeline, texts, batch_size):
    together = small_pipeline.predict(texts, batch_size=batch_size)
    alone = [small_pipeline.predict([text])[0] for text in texts]
    np.testing.assert_allclose(
        [list(answer.probabilities.values()) for answer in together],
        [list(answer.probabilities.values()) for answer in alone],
        atol=1e-5,
    )


def test_hostile_texts_get_an_answer_and_harm_nobody(small_pipeline):
    (good,) = small_pipeline.predict(["The film is moving."])
    answers = small_pipeline.predict([*HOSTILE, "The film is moving."])
    assert len(answers) == len(HOSTILE) + 1
    assert all(0.5 <= answer.probability <= 1 for answer in answers)
    assert answers[-1].probability == pytest.approx(good.probability, abs=1e-5)
    # Nothing to read is nothing to read, however it is written.
    assert answers[0].probability == pytest.approx(answers[1].probability, abs=1e-6)


def test_no_texts_give_no_answers(small_pipeline):
    assert small_pipeline.predict([]) == []


def test_one_text_instead_of_a_list_is_an_error(small_pipeline):
    for text in ("good", b"good"):
        with pytest.raises(CallError, match="a list of texts"):
            small_pipeline.predict(text)


def test_training_and_serving_see_the_same_network(small_pipeline, small_run):
    """The ids, the logits and the scores of training, against the traced graph's."""
    texts, labels, _ = demo.generate(200, seed=8)
    task = Task.load(small_run, small_pipeline.config)
    examples = task.encode(read((texts, labels)))
    scores = task.evaluate(small_pipeline.model, examples)
    served = small_pipeline.evaluate((texts, labels))
    assert scores["accuracy"] == served["accuracy"]
    assert scores["confusion"] == served["confusion"]
    probabilities = small_pipeline.classify(tf.constant(texts))["probabilities"].numpy()
    right = probabilities[np.arange(200), examples.targets]
    assert scores["loss"] == pytest.approx(-np.log(right).mean(), abs=1e-5)


def test_evaluate_counts_and_lists_every_row(small_pipeline):
    scores = small_pipeline.evaluate((["The film is moving.", " ", "dull"], ["pos", "neg", "neg"]))
    assert (scores["examples"], scores["skipped"]) == (2, 1)
    assert [row[:2] for row in scores["predictions"]] == [
        ("The film is moving.", "pos"),
        ("dull", "neg"),
    ]
    right = [row[1] == row[2] for row in scores["predictions"]]
    assert scores["accuracy"] == np.mean(right)


def test_a_label_that_was_never_learned_is_an_error(small_pipeline):
    message = "row 1: the label 'mixed' is not one of the classes that were learned: neg, pos"
    with pytest.raises(DataError, match=message):
        small_pipeline.evaluate((["a", "b"], ["pos", "mixed"]))


def test_a_rebuilt_network_answers_the_same(small_run, small_pipeline):
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
        for answer, expected in zip(
            other.predict(texts), small_pipeline.predict(texts), strict=True
        ):
            assert answer.probability == pytest.approx(expected.probability, abs=1e-6)
