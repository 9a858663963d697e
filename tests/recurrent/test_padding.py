"""The order of steps around a loop, for masks of any form, compared with NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lstm_zoo.recurrent import padding

shapes = st.tuples(st.integers(1, 4), st.integers(1, 6))
any_masks = shapes.flatmap(lambda shape: hnp.arrays(bool, shape))
# Sorting puts the valid steps first: padding on the right.
right_padded_masks = any_masks.map(lambda mask: -np.sort(-mask.astype(int), axis=1) == 1)
masks = st.one_of(any_masks, right_padded_masks)


def numbered(mask):
    """Return sequences `(batch, time, 2)` of different numbers, none of them 0."""
    return np.arange(1, 2 * mask.size + 1, dtype="float32").reshape(*mask.shape, 2)


def in_reading_order(array, go_backwards):
    return array[:, ::-1] if go_backwards else array


def valid_first(sequences, mask, go_backwards):
    return padding.valid_steps_first(
        tf.constant(sequences), tf.constant(mask), go_backwards
    ).numpy()


def restored(outputs, mask, *options):
    return padding.restore_step_order(tf.constant(outputs), tf.constant(mask), *options).numpy()


@pytest.mark.parametrize(
    ("mask", "go_backwards", "expected"),
    [
        ([True, True, True, False], False, [1, 2, 3]),
        ([True, True, True, False], True, [3, 2, 1]),
        ([False, True, False, True], False, [2, 4]),
        ([False, True, False, True], True, [4, 2]),
    ],
)
def test_valid_steps_come_first_as_they_are_read(mask, go_backwards, expected):
    row = np.array([[[1], [2], [3], [4]]])
    result = valid_first(row, np.array([mask]), go_backwards)
    assert result.shape == row.shape
    assert result[0, : len(expected), 0].tolist() == expected


@pytest.mark.parametrize(
    ("mask", "go_backwards", "zero_output_for_mask", "expected"),
    [
        ([True, True, False, False], False, False, [1, 2, 2, 2]),
        ([True, True, False, False], False, True, [1, 2, 0, 0]),
        ([True, True, False, False], True, False, [0, 0, 1, 2]),
        ([False, True, False, True], False, False, [0, 1, 1, 2]),
        ([False, True, False, True], False, True, [0, 1, 0, 2]),
        ([False, True, False, True], True, False, [1, 1, 2, 2]),
        ([False, False, False, False], False, False, [0, 0, 0, 0]),
    ],
)
def test_masked_steps_repeat_the_last_output_or_are_zeros(
    mask, go_backwards, zero_output_for_mask, expected
):
    outputs = np.array([[[1], [2], [8], [9]]])  # 8 and 9 are undefined: past the valid steps
    result = restored(outputs, np.array([mask]), go_backwards, zero_output_for_mask)
    assert result[0, :, 0].tolist() == expected


@given(masks, st.booleans())
def test_valid_steps_come_first_for_any_mask(mask, go_backwards):
    sequences = numbered(mask)
    result = valid_first(sequences, mask, go_backwards)
    for row, steps, valid in zip(
        result,
        in_reading_order(sequences, go_backwards),
        in_reading_order(mask, go_backwards),
        strict=True,
    ):
        np.testing.assert_array_equal(row[: valid.sum()], steps[valid])


@given(masks, st.booleans(), st.booleans())
def test_restoring_undoes_it_and_fills_the_masked_steps(mask, go_backwards, zero_output_for_mask):
    sequences = numbered(mask)
    outputs = valid_first(sequences, mask, go_backwards)
    outputs[np.arange(mask.shape[1]) >= mask.sum(1, keepdims=True)] = -1  # undefined
    result = restored(outputs, mask, go_backwards, zero_output_for_mask)
    expected = np.zeros_like(sequences)
    for row, steps, valid in zip(
        expected,
        in_reading_order(sequences, go_backwards),
        in_reading_order(mask, go_backwards),
        strict=True,
    ):
        last = np.zeros(2)
        for t, (step, is_valid) in enumerate(zip(steps, valid, strict=True)):
            last = step if is_valid else last
            row[t] = 0 if zero_output_for_mask and not is_valid else last
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("go_backwards", [False, True])
def test_an_empty_batch_stays_empty(go_backwards):
    sequences, mask = np.zeros((0, 3, 2), "float32"), np.zeros((0, 3), bool)
    outputs = valid_first(sequences, mask, go_backwards)
    assert outputs.shape == (0, 3, 2)
    assert restored(outputs, mask, go_backwards, False).shape == (0, 3, 2)


@given(any_masks)
def test_lengths_count_the_valid_steps(mask):
    result = padding.lengths(tf.constant(mask))
    assert result.dtype == "int32"
    assert result.numpy().tolist() == mask.sum(axis=1).tolist()
