"""SpecAugment: where its masks are, what they are filled with, and its seed."""

import keras
import numpy as np
import pytest

from lstm_zoo.speech.spec_augment import TIME_SHARE, SpecAugment


def test_masks_cover_valid_frames_only_and_only_in_training():
    layer = SpecAugment(2, 20, 1, 3, seed=0)
    features, lengths = np.ones((50, 40, 8), "float32"), np.full(50, 10, "int32")
    assert np.array_equal(layer(features, lengths, training=False), features)
    masked = np.asarray(layer(features, lengths, training=True)) == 0
    in_time = masked.all(axis=2)  # (batch, frames)
    assert in_time.any() and not in_time[:, 10:].any()
    assert in_time.sum(axis=1).max() <= 2 * TIME_SHARE * 10
    in_frequency = masked.all(axis=1)  # (batch, features)
    assert in_frequency.any() and in_frequency.sum(axis=1).max() <= 3


def test_masks_are_filled_with_the_mean_of_the_valid_frames():
    features = np.random.default_rng(0).normal(-9, 1, (4, 30, 8)).astype("float32")
    lengths = np.array([30, 20, 10, 10], "int32")
    zero, mean = (
        np.asarray(SpecAugment(2, 20, 2, 3, fill, seed=0)(features, lengths, training=True))
        for fill in ("zero", "mean")
    )
    for row, length in enumerate(lengths):
        masked = zero[row, :length] == 0  # the same draws
        expected = np.broadcast_to(features[row, :length].mean(axis=0), masked.shape)
        assert masked.any()
        np.testing.assert_allclose(mean[row, :length][masked], expected[masked], rtol=1e-5)
        np.testing.assert_array_equal(mean[row, :length][~masked], features[row, :length][~masked])
        np.testing.assert_array_equal(mean[row, length:], features[row, length:])


def test_masks_are_at_most_as_wide_as_set_and_differ_between_rows():
    features, lengths = np.ones((64, 60, 16), "float32"), np.full(64, 60, "int32")
    masked = np.asarray(SpecAugment(1, 5, 1, 4, seed=0)(features, lengths, training=True)) == 0
    frames, bands = masked.all(axis=2).sum(axis=1), masked.all(axis=1).sum(axis=1)
    assert set(frames) == set(range(6)) and set(bands) == set(range(5))
    starts = masked.all(axis=2).argmax(axis=1)[frames > 0]
    assert len(set(starts)) > 20


@pytest.mark.parametrize("fill", ["zero", "mean"])
def test_without_masks_and_in_an_empty_batch_nothing_changes(fill):
    features = np.random.default_rng(0).normal(size=(3, 9, 4)).astype("float32")
    lengths = np.array([9, 5, 1], "int32")
    unchanged = SpecAugment(0, 20, 0, 8, fill)(features, lengths, training=True)
    np.testing.assert_array_equal(unchanged, features)
    empty = SpecAugment(2, 20, 2, 3, fill)(features[:0], lengths[:0], training=True)
    assert empty.shape == (0, 9, 4)


def test_a_row_too_short_for_a_time_mask_has_none():
    features, lengths = np.ones((40, 10, 6), "float32"), np.full(40, int(1 / TIME_SHARE) - 1)
    output = SpecAugment(3, 20, 0, 0, seed=0)(features, lengths, training=True)
    np.testing.assert_array_equal(output, features)


def test_a_seed_repeats_the_masks_and_a_saved_layer_has_it():
    layer = SpecAugment(2, 6, 1, 3, "mean", seed=5, name="masks")
    config = layer.get_config()
    names = ["time_masks", "time_mask_width", "frequency_masks", "frequency_mask_width"]
    assert [config[name] for name in [*names, "fill", "seed"]] == [2, 6, 1, 3, "mean", 5]
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    features = np.random.default_rng(0).normal(size=(8, 30, 8)).astype("float32")
    lengths = np.full(8, 30, "int32")
    masked = layer(features, lengths, training=True)
    np.testing.assert_array_equal(again(features, lengths, training=True), masked)
    other = SpecAugment(2, 6, 1, 3, "mean", seed=6)(features, lengths, training=True)
    assert np.any(other != masked)
