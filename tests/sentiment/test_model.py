"""The network: sizes, pooling against NumPy, padding, saving."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo import build_sentiment
from lstm_zoo.sentiment import VARIANTS
from lstm_zoo.sentiment.model import WordDropout, class_log_ratios
from lstm_zoo.sentiment.ngrams import ALONE, FACTOR, GAIN, MeanOrOne, NgramScores
from lstm_zoo.text.tokenizers import PADDING, UNKNOWN

KINDS = [
    {"cell": "lstm"},
    {"cell": "gru", "units": (5, 4)},
    {"cell": "simple_rnn", "bidirectional": False, "pooling": "last+mean+max"},
    {"cell": "lstm", "ngrams": 3, "ngram_buckets": 64},
]


def tiny(**options):
    keras.utils.set_random_seed(3)
    model = build_sentiment(50, 3, "tiny", **{"embedding_size": 6, "units": (5,), **options})
    if options.get("ngrams"):  # whose scores begin with zeros
        table = model.get_layer("ngrams").table
        table.assign(keras.random.normal(table.shape))
    return model


def padded(rows, width):
    ids = np.zeros((len(rows), width), dtype=np.int32)
    for row, values in zip(ids, rows, strict=True):
        row[: len(values)] = values
    return ids


def test_every_default_gives_a_model():
    model = build_sentiment()
    assert model.output_shape == (None, 2)
    assert model(np.array([[4, 5, 0]])).shape == (1, 2)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_is_a_row_of_the_table(variant):
    model = build_sentiment(100, 4, variant)
    row = VARIANTS[variant]
    assert model.get_layer("embedding").output_dim == row["embedding_size"]
    assert [
        layer.forward_layer.units
        for layer in model.layers
        if isinstance(layer, keras.layers.Bidirectional)
    ] == list(row["units"])
    assert model.output_shape == (None, 4)


@pytest.fixture(scope="module", params=KINDS)
def model_of_a_kind(request):
    return tiny(**request.param)


@given(
    rows=st.lists(st.lists(st.integers(1, 49), max_size=12), min_size=1, max_size=5),
    extra=st.integers(0, 9),
)
@settings(max_examples=12)
def test_logits_are_the_same_alone_and_in_any_padded_batch(model_of_a_kind, rows, extra):
    model = model_of_a_kind
    together = model(padded(rows, max(1, *map(len, rows)) + extra)).numpy()
    for row, logits in zip(rows, together, strict=True):
        alone = model(padded([row], max(1, len(row)))).numpy()[0]
        np.testing.assert_allclose(logits, alone, atol=1e-5)


@pytest.mark.parametrize(
    "pooling, expected",
    [
        ("mean", lambda sequence, length: sequence[:length].mean(0)),
        ("max", lambda sequence, length: sequence[:length].max(0)),
        ("last", lambda sequence, length: np.r_[sequence[length - 1, :5], sequence[0, 5:]]),
        (
            "max+mean",
            lambda sequence, length: np.r_[sequence[:length].max(0), sequence[:length].mean(0)],
        ),
    ],
)
def test_pooling_is_over_the_real_steps(pooling, expected):
    model = tiny(pooling=pooling)
    ids = padded([[4, 5, 6], [7], []], 6)
    inner = keras.Model(model.input, [model.get_layer("lstm_1").output[0], model.layers[-1].input])
    sequences, pooled = (np.asarray(value) for value in inner(ids))
    for sequence, vector, length in zip(sequences, pooled, [3, 1, 1], strict=True):
        np.testing.assert_allclose(vector, expected(sequence, length), atol=1e-6)


def test_the_logits_carry_no_mask():
    # Keras would scale the loss by it.
    assert getattr(tiny().output, "_keras_mask", None) is None


def test_dropout_is_off_in_prediction_and_on_in_training():
    model = tiny(dropout=0.5, embedding_dropout=0.5)
    ids = padded([[4, 5, 6, 7]], 4)
    assert np.array_equal(model(ids), model(ids))
    assert not np.array_equal(model(ids, training=True), model(ids, training=True))


def test_word_dropout_makes_tokens_unknown_in_training_only():
    layer = WordDropout(0.3, seed=1)
    ids = np.tile(np.arange(8, dtype=np.int32), (1_000, 1))  # 0 is padding, 1 is unknown
    assert np.array_equal(layer(ids), ids)
    dropped = np.asarray(layer(ids, training=True))
    changed = dropped != ids
    assert (dropped[changed] == UNKNOWN).all()
    assert not changed[:, PADDING].any()
    assert changed[:, 2:].mean() == pytest.approx(0.3, abs=0.02)
    assert len(np.unique(changed[:, 2:], axis=0)) > 40  # each token on its own


def test_class_log_ratios_follow_from_the_counts():
    ids = [np.array([4, 4, 5]), np.array([4, 1]), np.array([5])]
    table = class_log_ratios(ids, np.array([0, 0, 1]), 7, 2)
    # Texts with the token, and one more: of class 0 then 1, out of 7 tokens' sums 12 and 8.
    counts = np.array([[1, 2, 1, 1, 3, 2, 1], [1, 1, 1, 1, 1, 2, 1]])
    shares = counts / counts.sum(axis=1, keepdims=True)
    expected = np.log(shares[0] / shares[1]) / 4
    expected[[PADDING, UNKNOWN]] = 0
    assert table == pytest.approx(np.stack([expected, -expected], axis=1), abs=1e-6)


def test_class_ratios_stand_beside_the_embedding_and_are_not_trained():
    table = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    model = tiny(class_ratios=True, ratios=table, embedding_dropout=0.0)
    inner = keras.Model(model.input, model.get_layer("embedding_dropout").output)
    embedded = np.asarray(inner(np.array([[4, 7]])))
    assert np.array_equal(embedded[0, :, 6:], table[[4, 7]])
    assert len(model.non_trainable_weights) == 1
    with pytest.raises(ValueError, match="ratios go with class_ratios=True"):
        tiny(ratios=table)


@given(
    rows=st.lists(st.lists(st.integers(1, 29_999), max_size=9), min_size=1, max_size=4),
    length=st.integers(1, 4),
    buckets=st.sampled_from([1, 7, 2**20]),
    extra=st.integers(0, 3),
)
@settings(max_examples=25)
def test_ngram_scores_are_summed_over_the_root_of_their_number(rows, length, buckets, extra):
    layer = NgramScores(3, length, buckets)
    ids = padded(rows, max(1, *map(len, rows)) + extra)
    layer.build(ids.shape)
    table = np.random.default_rng(0).normal(size=(buckets, 3)).astype(np.float32)
    layer.table.assign(table)
    for row, scores in zip(rows, np.asarray(layer(ids)), strict=True):
        found = []
        for size in range(1, length + 1):
            for start in range(len(row) - size + 1):
                hashed = 0
                for token in row[start : start + size]:
                    hashed = hashed % buckets * FACTOR % buckets + token
                found.append(table[hashed % buckets])
        expected = GAIN * np.sum(found, axis=0) / np.sqrt(len(found)) if found else np.zeros(3)
        np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)


def test_an_empty_batch_has_no_logits():
    assert tiny(ngrams=2, ngram_buckets=9)(np.zeros((0, 4), np.int32)).shape == (0, 3)


def test_ngrams_are_dropped_in_training_only():
    layer = NgramScores(2, 1, 10, dropout=0.5, seed=1)
    ids = np.ones((800, 16), dtype=np.int32)
    layer.build(ids.shape)
    layer.table.assign(np.ones((10, 2)))
    assert np.asarray(layer(ids)) == pytest.approx(GAIN * 4)
    kept = np.asarray(layer(ids, training=True)) / GAIN * 4 / 2
    assert kept.mean() == pytest.approx(8, abs=0.4)
    assert len(np.unique(kept)) > 5


def test_the_network_and_ngrams_answer_alone_in_training_and_on_average_after():
    layer = MeanOrOne(seed=1)
    network, ngrams = np.full((3_000, 2), 1.0), np.full((3_000, 2), 4.0)
    assert np.array_equal(layer(network, ngrams), np.full((3_000, 2), 2.5))
    trained = np.asarray(layer(network, ngrams, training=True))
    assert np.array_equal(trained[:, 0], trained[:, 1])
    assert set(trained[:, 0]) == {1, 4}
    assert np.mean(trained == 4) == pytest.approx(ALONE, abs=0.03)
    again = np.asarray(layer(network, ngrams, training=True))
    assert not np.array_equal(again, trained)


@pytest.mark.parametrize("options", [*KINDS, {"class_ratios": True, "word_dropout": 0.2}])
def test_a_saved_model_reloads_in_safe_mode(options, tmp_path):
    model = tiny(**options)
    ids = padded([[4, 5, 6], []], 5)
    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(reloaded(ids), model(ids), atol=1e-6)


def test_it_fits_as_any_keras_model_does():
    model = tiny(units=(16,), embedding_dropout=0.0, dropout=0.0)
    ids = np.random.default_rng(0).integers(1, 50, (128, 7)).astype(np.int32)
    targets = (ids[:, 0] < ids[:, -1]).astype(np.int32)  # the order decides
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"], jit_compile=False)
    history = model.fit(ids, targets, batch_size=16, epochs=25, verbose=0).history
    assert history["accuracy"][-1] > 0.95


def test_pretrained_vectors_are_where_the_embedding_starts():
    vectors = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    model = tiny(vectors=vectors)
    assert np.array_equal(model.get_layer("embedding").embeddings, vectors)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"variant": "huge"}, "variant is one of tiny, small, base, large. Received: 'huge'"),
        ({"unit": 3}, r"Unknown argument 'unit'. Known: .*embedding_size.*units"),
        ({"num_classes": 1}, "num_classes is at least 2. Received: 1"),
        ({"cell": "transformer"}, "cell is one of simple_rnn, gru, lstm"),
        ({"pooling": "attention"}, "pooling is one or more of last, mean, max"),
        ({"pooling": "max+max"}, "each once"),
        ({"units": ()}, "units takes positive integers"),
        ({"units": (8, 0)}, "units takes positive integers"),
        ({"embedding_size": 2.5}, "embedding_size takes positive integers"),
        ({"ngrams": -1}, "ngrams takes integers of at least 0. Received: -1"),
        ({"ngram_buckets": 0}, "ngram_buckets takes integers of at least 1. Received: 0"),
        ({"dropout": 1.0}, "dropout is at least 0 and below 1"),
        ({"vectors": np.zeros((3, 3))}, r"vectors has the shape .* = \(8000, 128\)"),
    ],
)
def test_a_bad_argument_says_what_is_taken(options, message):
    with pytest.raises(ValueError, match=message):
        build_sentiment(**options)
