"""The speech network: lengths, padding, saving and training."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.errors import CallError
from lstm_zoo.speech import VARIANTS
from lstm_zoo.speech.ctc import CTCLoss, pack_targets
from lstm_zoo.speech.decoding import greedy_decode
from lstm_zoo.speech.model import build_speech, output_lengths

FEATURES = 6
NETWORKS = {
    "stack": {"subsampling": 3, "subsampling_kind": "stack"},
    "conv": {"subsampling": 3, "subsampling_kind": "conv"},
    "all frames": {"subsampling": 1, "cell": "gru"},
}


def network(**sizes):
    keras.utils.set_random_seed(0)
    return build_speech(7, FEATURES, "tiny", **{"units": (8, 8), **sizes})


def traced(model):
    """Trace a network once for all shapes; return a function of features and lengths."""
    call = tf.function(
        model,
        input_signature=[
            [tf.TensorSpec([None, None, FEATURES]), tf.TensorSpec([None], tf.int32)],
        ],
        autograph=False,
    )
    return lambda features, lengths: call(
        [tf.constant(features, tf.float32), tf.constant(lengths, tf.int32)]
    ).numpy()


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_output_lengths_are_those_of_an_unpadded_row(factor):
    for kind in ("stack", "conv"):
        model = network(subsampling=factor, subsampling_kind=kind, units=(2,))
        for length in (1, 2, 3, 4, 5, 12, 13):
            width = model.compute_output_shape([(1, length, FEATURES), (1,)])[1]
            assert width == output_lengths(length, factor) == -(-length // factor)


def test_the_convolution_is_that_of_keras_and_accepts_an_empty_batch():
    layer = network(subsampling=3, subsampling_kind="conv").get_layer("conv")
    frames = np.random.default_rng(0).normal(size=(2, 16, FEATURES)).astype("float32")
    convolved = layer(frames).numpy()
    expected = keras.layers.Conv1D.call(layer, tf.constant(frames))
    np.testing.assert_allclose(convolved, expected, atol=1e-5)
    assert convolved.any()
    assert layer(frames[:0]).shape == (0, *convolved.shape[1:])


@pytest.mark.parametrize("sizes", NETWORKS.values(), ids=NETWORKS)
def test_a_rows_logits_are_the_same_alone_and_in_any_padded_batch(sizes):
    run = traced(network(**sizes))

    @settings(max_examples=50)
    @given(
        lengths=st.lists(st.integers(1, 20), min_size=1, max_size=5),
        extra=st.integers(0, 7),
        padding=st.sampled_from([0.0, 1e3]),
    )
    def check(lengths, extra, padding):
        rng = np.random.default_rng(0)
        rows = [rng.normal(size=(length, FEATURES)) for length in lengths]
        batch = np.full((len(rows), max(lengths) + extra, FEATURES), padding)
        for padded, row in zip(batch, rows, strict=True):
            padded[: len(row)] = row
        together = run(batch, lengths)
        for logits, row in zip(together, rows, strict=True):
            alone = run(row[np.newaxis], [len(row)])[0]
            assert len(alone) == output_lengths(len(row), sizes["subsampling"])
            np.testing.assert_allclose(logits[: len(alone)], alone, atol=1e-5)

    check()


def test_an_empty_batch_has_empty_logits():
    assert traced(network())(np.zeros((0, 9, FEATURES)), []).shape == (0, 3, 7)


def test_a_saved_network_reloads_in_safe_mode(tmp_path):
    model = network()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    features = np.random.default_rng(0).normal(size=(2, 10, FEATURES))
    assert np.array_equal(traced(model)(features, [10, 4]), traced(again)(features, [10, 4]))


@pytest.mark.slow
def test_the_network_memorizes_utterances_with_padding():
    # A loss over padded frames, or one scaled by a mask, would not approach 0.
    labels = [np.array([1, 2, 2, 5]), np.array([3])]
    lengths = [30, 12]
    features = np.random.default_rng(0).normal(size=(2, 30, FEATURES)).astype("float32")
    model = network(units=(24,), dropout=0.0, time_masks=0, frequency_masks=0)
    model.compile(keras.optimizers.Adam(0.02), CTCLoss(), jit_compile=False)
    targets = pack_targets(labels, [output_lengths(length, 3) for length in lengths])
    inputs = [features, np.array(lengths, "int32")]
    losses = [float(model.train_on_batch(inputs, targets)) for _ in range(80)]
    assert losses[0] > 3 and losses[-1] < 0.05
    decoded = greedy_decode(model(inputs), output_lengths(np.array(lengths), 3)).labels
    assert decoded.numpy()[:, 0].tolist() == [[1, 2, 2, 5], [3, 0, 0, 0]]


def test_the_loss_is_not_weighted_by_the_mask():
    # The batch size is that of the output frames: a mask used as weights raises no error.
    model = network()
    model.compile("sgd", CTCLoss(), jit_compile=False)
    features = np.random.default_rng(0).normal(size=(4, 12, FEATURES)).astype("float32")
    lengths = np.array([12, 12, 5, 3], "int32")
    targets = pack_targets([np.array([1])] * 4, output_lengths(lengths, 3))
    expected = float(CTCLoss()(targets, traced(model)(features, lengths)))
    np.testing.assert_allclose(
        model.test_on_batch([features, lengths], targets), expected, rtol=1e-5
    )


def test_variants_and_defaults_build():
    assert build_speech().output_shape == (None, None, 30)
    sizes = [build_speech(variant=name).count_params() for name in VARIANTS]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "huge"}, "variant is one of tiny, small, base, large"),
        ({"variants": "tiny"}, "Unknown argument 'variants'"),
        ({"layers": 2}, "Unknown argument 'layers'. Known: units"),
        ({"cell": "rwkv"}, "cell takes one of"),
        ({"subsampling": 0}, "subsampling takes an integer of at least 1"),
        ({"subsampling_kind": "skip"}, "subsampling_kind takes one of stack, conv"),
        ({"units": ()}, "units takes at most 64 positive integers .*Received: \\(\\)"),
        ({"mask_fill": "noise"}, "mask_fill is one of zero, mean. Received: 'noise'"),
        ({"dropout": 1.0}, "dropout takes a number of at least 0 and below 1"),
        ({"vocabulary_size": 1}, "vocabulary_size takes integers of at least 2"),
    ],
    ids=str,
)
def test_invalid_arguments_are_rejected(arguments, message):
    with pytest.raises(CallError, match=message):
        build_speech(**arguments)
