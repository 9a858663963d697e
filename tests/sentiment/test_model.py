"""The network: sizes, pooling against NumPy, padding, class ratios, saving."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo import build_sentiment
from lstm_zoo.sentiment import VARIANTS
from lstm_zoo.sentiment.model import class_log_ratios
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
    if options.get("ngrams"):  # the scores are initialized to zeros
        table = model.get_layer("ngrams").table
        table.assign(keras.random.normal(table.shape))
    return model


def padded(rows, width):
    ids = np.zeros((len(rows), width), dtype=np.int32)
    for row, values in zip(ids, rows, strict=True):
        row[: len(values)] = values
    return ids


def test_the_defaults_build_a_model():
    model = build_sentiment()
    assert model.output_shape == (None, 2)
    assert model(np.array([[4, 5, 0]])).shape == (1, 2)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_has_its_sizes(variant):
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
def test_logits_do_not_depend_on_the_batch_or_its_padding(model_of_a_kind, rows, extra):
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
def test_pooling_ignores_padding(pooling, expected):
    model = tiny(pooling=pooling)
    ids = padded([[4, 5, 6], [7], []], 6)
    inner = keras.Model(model.input, [model.get_layer("lstm_1").output[0], model.layers[-1].input])
    sequences, pooled = (np.asarray(value) for value in inner(ids))
    for sequence, vector, length in zip(sequences, pooled, [3, 1, 1], strict=True):
        np.testing.assert_allclose(vector, expected(sequence, length), atol=1e-6)


def test_the_logits_have_no_mask():
    # Keras would scale the loss by it.
    assert getattr(tiny().output, "_keras_mask", None) is None


def test_dropout_is_on_in_training_only():
    model = tiny(dropout=0.5, embedding_dropout=0.5)
    ids = padded([[4, 5, 6, 7]], 4)
    assert np.array_equal(model(ids), model(ids))
    assert not np.array_equal(model(ids, training=True), model(ids, training=True))


def test_class_log_ratios_follow_from_the_counts():
    ids = [np.array([4, 4, 5]), np.array([4, 1]), np.array([5])]
    table = class_log_ratios(ids, np.array([0, 0, 1]), 7, 2)
    # The number of texts with each token, plus 1, by class; the sums are 11 and 8.
    counts = np.array([[1, 2, 1, 1, 3, 2, 1], [1, 1, 1, 1, 1, 2, 1]])
    shares = counts / counts.sum(axis=1, keepdims=True)
    expected = np.log(shares[0] / shares[1]) / 4
    expected[[PADDING, UNKNOWN]] = 0
    assert table == pytest.approx(np.stack([expected, -expected], axis=1), abs=1e-6)


def test_class_log_ratios_of_several_labels_are_of_each_class_against_the_other_texts():
    ids = [np.array([4, 4, 5]), np.array([4, 1]), np.array([5])]
    targets = np.array([[1, 0], [1, 1], [0, 0]], np.float32)
    table = class_log_ratios(ids, targets, 6, 2)
    for column in range(2):
        alone = class_log_ratios(ids, 1 - targets[:, column].astype(int), 6, 2)
        assert table[:, column] == pytest.approx(alone[:, 0], abs=1e-6)


def test_class_ratios_are_appended_to_the_embedding_and_not_trained():
    table = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    model = tiny(class_ratios=True, ratios=table, embedding_dropout=0.0)
    inner = keras.Model(model.input, model.get_layer("embedding_dropout").output)
    embedded = np.asarray(inner(np.array([[4, 7]])))
    assert np.array_equal(embedded[0, :, 6:], table[[4, 7]])
    assert len(model.non_trainable_weights) == 1
    with pytest.raises(ValueError, match="ratios need class_ratios=True"):
        tiny(ratios=table)


def test_an_empty_batch_has_empty_logits():
    assert tiny(ngrams=2, ngram_buckets=9)(np.zeros((0, 4), np.int32)).shape == (0, 3)


@pytest.mark.parametrize("options", [*KINDS, {"class_ratios": True, "word_dropout": 0.2}])
def test_a_saved_model_reloads_in_safe_mode(options, tmp_path):
    model = tiny(**options)
    ids = padded([[4, 5, 6], []], 5)
    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(reloaded(ids), model(ids), atol=1e-6)


@pytest.mark.slow
def test_keras_fit_learns_word_order():
    model = tiny(units=(16,), embedding_dropout=0.0, dropout=0.0)
    ids = np.random.default_rng(0).integers(1, 50, (128, 7)).astype(np.int32)
    targets = (ids[:, 0] < ids[:, -1]).astype(np.int32)  # depends on the order alone
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"], jit_compile=False)
    history = model.fit(ids, targets, batch_size=16, epochs=25, verbose=0).history
    assert history["accuracy"][-1] > 0.95


def test_pretrained_vectors_initialize_the_embedding():
    vectors = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    model = tiny(vectors=vectors)
    assert np.array_equal(model.get_layer("embedding").embeddings, vectors)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"variant": "huge"}, "variant is one of tiny, small, base, large. Received: 'huge'"),
        ({"variants": "tiny"}, "Unknown argument 'variants'"),
        ({"unit": 3}, r"Unknown argument 'unit'. Known: .*embedding_size.*units"),
        ({"num_classes": 1}, "num_classes is at least 2. Received: 1"),
        (
            {"cell": "transformer"},
            "cell takes one of lstm, gru, simple_rnn",
        ),
        ({"pooling": "attention"}, "pooling takes one or more of last, mean, max"),
        ({"pooling": "max+max"}, "each once"),
        ({"units": ()}, "units takes at most 64 positive integers"),
        ({"units": (8, 0)}, "units takes at most 64 positive integers"),
        ({"embedding_size": 2.5}, "embedding_size takes an integer of at least 1"),
        ({"ngrams": -1}, "ngrams takes an integer of at least 0 and at most 16. Received: -1"),
        ({"ngram_buckets": 0}, "ngram_buckets takes an integer of at least 1 .*Received: 0"),
        ({"dropout": 1.0}, "dropout takes a number of at least 0 and below 1"),
        ({"vectors": np.zeros((3, 3))}, r"vectors has the shape .* = \(8000, 128\)"),
    ],
)
def test_a_bad_argument_is_an_error_with_what_is_allowed(options, message):
    with pytest.raises(ValueError, match=message):
        build_sentiment(**options)
