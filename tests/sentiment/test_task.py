"""The training task: tokenized examples, batches, loss weights, metrics."""

import numpy as np
import pytest

from lstm_zoo import families
from lstm_zoo import settings as setting_tables
from lstm_zoo.errors import DataError
from lstm_zoo.sentiment.corpus import read
from lstm_zoo.sentiment.task import Task
from lstm_zoo.text.tokenizers import WordTokenizer
from lstm_zoo.training.callbacks import evaluate


def task_of(words=("good", "bad", "film"), classes=("neg", "pos"), **given):
    sizes = {"variant": "tiny", "embedding_size": 4, "units": 3}
    settings = setting_tables.resolve(families.settings("sentiment"), {**sizes, **given})
    return Task(settings, list(classes), WordTokenizer(words))


def test_encode_gives_ids_class_indices_and_weights():
    examples = task_of(max_length=3).encode(
        read((["A bad, bad film", "Good", "—"], ["neg", "pos", "pos"]))
    )
    assert [ids.tolist() for ids in examples.ids] == [[1, 5, 1], [4], [1]]
    assert examples.lengths.tolist() == [3, 1, 1]
    assert examples.targets.tolist() == [0, 1, 1]
    assert examples.weights.tolist() == [1, 1, 1]
    assert len(examples) == 3
    with pytest.raises(DataError, match="row 0: the label 'mixed' is not one of"):
        task_of().encode(read((["good"], ["mixed"])))


def test_a_batch_is_padded_and_in_the_order_of_its_indices():
    task = task_of()
    examples = task.encode(read((["good film", "bad", "film"], ["pos", "neg", "pos"])))
    ids, targets, weights = task.batch(examples, np.array([1, 0]), np.random.default_rng(0))
    assert ids.tolist() == [[5, 0], [4, 6]]
    assert ids.dtype == np.int32
    assert targets.tolist() == [0, 1]
    assert weights.tolist() == [1, 1]


def test_class_weights_give_the_classes_equal_total_weight():
    values = task_of(class_weights=True, max_length=9, min_count=1, vocabulary_size=99).settings
    corpus = read((["a"] * 8, ["neg"] * 6 + ["pos"] * 2))
    task = Task.learn(corpus, values, seed=0)
    assert task.classes == ["neg", "pos"]
    examples = task.encode(corpus, training=True)
    _, targets, weights = task.batch(examples, np.arange(8), np.random.default_rng(0))
    assert np.bincount(targets, weights) == pytest.approx([4, 4])


@pytest.mark.parametrize("class_weights", [False, True])
def test_evaluate_gives_the_mean_cross_entropy_and_the_metrics(class_weights):
    task = task_of(class_weights=class_weights)
    texts = ["good film", "bad", "a bad film", "good good good"]
    examples = task.encode(read((texts, ["pos", "neg", "pos", "pos"])))
    model, arguments = task.build(examples, seed=0)
    assert arguments == task.network_arguments()
    model.compile(loss=task.loss())
    logits = [np.asarray(model(ids[np.newaxis]), float)[0] for ids in examples.ids]
    losses = [
        np.log(np.exp(row).sum()) - row[target]
        for row, target in zip(logits, examples.targets, strict=True)
    ]
    predicted = np.argmax(logits, axis=1)
    scores = evaluate(task, model, examples)
    assert scores["loss"] == pytest.approx(np.mean(losses), abs=1e-6)
    assert scores["accuracy"] == np.mean(predicted == [1, 0, 1, 1])
    assert scores["classes"]["pos"]["support"] == 3
    loss = float(task.loss()(examples.targets, np.array(logits)))
    assert loss == pytest.approx(scores["loss"])


def test_a_saved_task_loads_with_equal_ids(tmp_path):
    task = task_of(classes=("b", "a"), fold_case=False)
    task.save(tmp_path)
    loaded = Task.load(tmp_path, {"settings": task.settings, "learned": task.learned})
    corpus = read((["Good good film"], ["a"]))
    assert loaded.classes == ["b", "a"]
    assert loaded.encode(corpus).ids[0].tolist() == [1, 4, 6]
    assert loaded.encode(corpus).targets.tolist() == [1]


def test_a_row_is_formatted_as_it_was_understood():
    corpus = read((["It was good", "bad"], ["pos", "neg"]))
    row = task_of(classes=("neg", "pos")).format_row(corpus, 0)
    assert row == 'text "It was good"  label pos'


def test_the_baseline_is_the_largest_class_and_confident_errors_are_the_worst_samples():
    task = task_of()
    examples = task.encode(read((["a", "b", "c", "d"], ["pos", "neg", "pos", "pos"])))
    assert task.baseline_score(examples) == 0.75
    rows = [("pos", "neg", 0.9), ("pos", "neg", 0.6), ("pos", "pos", 0.6), ("pos", "pos", 0.9)]
    scores = [
        task.score_prediction(dict(zip(("label", "predicted", "probability"), row, strict=True)))
        for row in rows
    ]
    assert scores == sorted(scores) and len(set(scores)) == 4


def test_samples_are_aligned_and_shortened():
    columns = ("text", "label", "predicted", "probability")
    rows = [("word " * 40, "neg", "positive", 0.75), ("good", "positive", "neg", 0.5)]
    predictions = [dict(zip(columns, row, strict=True)) for row in rows]
    first, second = task_of(classes=("neg", "positive")).format_samples(predictions)
    assert second == "  true positive  predicted neg      (0.50)  good"
    assert first.startswith("  true neg       predicted positive (0.75)  word word")
    assert first.endswith("word …")
