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
    task = task_of(class_weights=class_weights, ngrams=0)
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


def test_the_baseline_is_the_loss_of_shares_and_confident_errors_are_the_worst_samples():
    task = task_of()
    examples = task.encode(read((["a", "b", "c", "d"], ["pos", "neg", "pos", "pos"])))
    expected = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
    assert task.baseline_score(examples) == pytest.approx(expected)
    assert task_of(monitor="accuracy").baseline_score(examples) == 0.75
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


def test_ngrams_are_fitted_again_on_training_and_validation_data():
    task = task_of(words=("good", "bad", "film", "fine"))
    training = task.encode(read((["good film", "bad film"] * 20, ["pos", "neg"] * 20)))
    validation = task.encode(read((["fine film"] * 9, ["pos"] * 9)))
    model, arguments = task.build(training, seed=0)
    assert arguments["fitted_ngrams"]
    layer = model.get_layer("ngrams")
    first = [weight.copy() for weight in layer.get_weights()]
    fine = task.tokenizer.vocabulary.index("fine")
    assert not first[0][fine].any() and first[0][fine - 2, 0] > first[0][fine - 2, 1]
    assert task.refit(model, [training, validation])
    assert layer.table[fine, 1] > layer.table[fine, 0]
    # What a killed process may have left is undone.
    assert task.refit(model, [training])
    for weight, expected in zip(layer.get_weights(), first, strict=True):
        np.testing.assert_array_equal(weight, expected)
    without = task_of(ngrams=0)
    assert not without.refit(without.build(training, seed=0)[0], [training, validation])


def test_the_weights_of_the_sum_are_fitted_on_the_validation_data():
    task = task_of(words=("good", "bad", "film"))
    texts = (["good film", "bad film"] * 60, ["pos", "neg"] * 60)
    examples = task.encode(read(texts))
    model, _ = task.build(examples, seed=0)
    # A network that is always wrong, and sure of it.
    embedding, logits = model.get_layer("embedding"), model.get_layer("logits")
    logits.set_weights([np.zeros_like(logits.get_weights()[0]), np.array([9.0, -9.0])])
    task.calibrate(model, examples)
    network, ngrams = model.get_layer("weighted_sum").get_weights()[0]
    assert network < 0.2 < 0.6 < ngrams
    scores = evaluate(task, model, examples)
    assert scores["accuracy"] == 1
    assert scores["calibrated_loss"] <= scores["loss"] + 1e-6
    assert embedding.trainable and not model.get_layer("ngrams").trainable
