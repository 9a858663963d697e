"""The network: teacher forcing equals step-by-step decoding, masking, saving, training."""

import keras
import numpy as np
import pytest

import lstm_zoo
from lstm_zoo import build_translation
from lstm_zoo.errors import CallError
from lstm_zoo.recurrent import explain
from lstm_zoo.translation.model import encoder

SMALL = {"embedding_size": 6, "encoder_units": (5, 5), "decoder_units": (7, 7)}
KINDS = [
    {"cell": "gru", "residual": True},
    *(
        pytest.param(sizes, marks=pytest.mark.slow)
        for sizes in [
            {},
            {"cell": "simple_rnn", "bidirectional": False, "reverse_source": True},
            {"tied": False, "context": False, "pooling": "last"},
            {
                "residual": True,
                "pooling": "mean+max",
                "encoder_units": (5,),
                "decoder_units": (6, 6, 4),
            },
        ]
    ),
]


def ids_of(generator, rows, width, size=20):
    ids = generator.integers(4, size, (rows, width)).astype(np.int32)
    for row, length in enumerate(generator.integers(1, width + 1, rows)):
        ids[row, length:] = 0
    return ids


def randomized(model, seed=0):
    generator = np.random.default_rng(seed)
    model.set_weights([generator.normal(0, 0.4, w.shape) for w in model.get_weights()])
    return model


@pytest.mark.parametrize("sizes", KINDS, ids=str)
def test_step_by_step_decoding_equals_teacher_forcing(sizes):
    model = randomized(build_translation(20, 22, **{**SMALL, **sizes}))
    generator = np.random.default_rng(1)
    source, target = ids_of(generator, 3, 6), generator.integers(2, 22, (3, 5)).astype(np.int32)
    whole = model.predict([source, target], verbose=0)
    decoder = model.get_layer("decoder")
    context = encoder(model)(source)
    states = decoder.initial_states(context)
    for step in range(target.shape[1]):
        logits, states = decoder.step(keras.ops.array(target[:, step]), context, states)
        np.testing.assert_allclose(logits, whole[:, step], atol=2e-5)
    assert np.abs(whole).max() > 0.1


@pytest.mark.parametrize("sizes", KINDS, ids=str)
def test_padding_of_source_and_target_changes_nothing(sizes):
    model = randomized(build_translation(20, 20, **{**SMALL, **sizes}))
    generator = np.random.default_rng(2)
    source, target = ids_of(generator, 4, 6), ids_of(generator, 4, 5)
    together = model.predict([np.pad(source, ((0, 0), (0, 3))), np.pad(target, ((0, 0), (0, 4)))])
    for row in range(4):
        lengths = np.count_nonzero(source[row]), np.count_nonzero(target[row])
        alone = model.predict(
            [source[row : row + 1, : lengths[0]], target[row : row + 1, : lengths[1]]], verbose=0
        )
        np.testing.assert_allclose(alone[0], together[row, : lengths[1]], atol=1e-5)


def test_reverse_source_equals_a_reversed_source():
    sizes = {**SMALL, "bidirectional": False, "pooling": "last"}
    plain = randomized(build_translation(20, 20, **sizes))
    reversing = randomized(build_translation(20, 20, **sizes, reverse_source=True))
    target = np.array([[2, 9, 5]], np.int32)
    source = np.array([[7, 8, 9, 3]], np.int32)
    np.testing.assert_allclose(
        reversing.predict([np.pad(source, ((0, 0), (0, 2))), target], verbose=0),
        plain.predict([source[:, ::-1], target], verbose=0),
        atol=1e-5,
    )
    other = plain.predict([source, target], verbose=0)
    assert np.abs(other - reversing.predict([source, target], verbose=0)).max() > 1e-3


def test_without_context_the_context_vector_only_sets_the_initial_states():
    kinds = {
        context: {w.path.split("/")[-2] for w in build_translation(context=context).weights}
        for context in (True, False)
    }
    assert kinds[True] - kinds[False] == {"input_projection", "output_projection"}


def test_tied_weights_share_one_matrix():
    counts = [build_translation(50, 70, "tiny", tied=tied).count_params() for tied in (True, False)]
    assert counts[1] - counts[0] == 70 * 64


@pytest.mark.parametrize("sizes", KINDS, ids=str)
def test_a_model_saved_by_the_user_reloads_in_safe_mode(sizes, tmp_path):
    model = randomized(build_translation(20, 20, **{**SMALL, **sizes}, dropout=0.2))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    inputs = [np.array([[5, 6, 3]]), np.array([[2, 7]])]
    np.testing.assert_allclose(again(inputs), model(inputs), atol=1e-6)
    model.save_weights(tmp_path / "model.weights.h5")
    other = build_translation(20, 20, **{**SMALL, **sizes}, use_cudnn=False)
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(other(inputs), model(inputs), atol=1e-6)


def test_every_recurrent_layer_is_explained():
    rows = explain(build_translation(20, 20, "tiny"))
    assert [row.layer for row in rows].count("lstm_1") >= 1
    assert {row.path for row in rows} <= {"fused", "cuDNN"} and len(rows) == 3


@pytest.mark.slow
def test_it_trains_as_any_keras_model_does():
    model = build_translation(20, 20, "tiny")
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    source, target = np.array([[5, 6, 3], [7, 3, 0]]), np.array([[2, 8, 9], [2, 4, 0]])
    losses = [
        model.train_on_batch([source, target], np.array([[8, 9, 3], [4, 3, 0]])) for _ in range(80)
    ]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"variant": "huge"}, "variant is one of tiny, small, base, large"),
        ({"variants": "tiny"}, "Unknown argument 'variants'"),
        ({"unit": 3}, "Unknown argument 'unit'. Known: embedding_size"),
        ({"encoder_units": ()}, "encoder_units takes at most 64 positive integers"),
        ({"decoder_units": (0,)}, "decoder_units takes at most 64 positive integers"),
        ({"cell": "attention"}, "cell takes one of lstm, gru, simple_rnn"),
        ({"pooling": "first"}, "pooling takes one or more of last, mean, max"),
        ({"dropout": 1.0}, "dropout takes a number of at least 0 and below 1"),
    ],
)
def test_bad_arguments_are_named(wrong, message):
    with pytest.raises(CallError, match=message.replace(".", r"\.")):
        lstm_zoo.build_translation(**wrong)
