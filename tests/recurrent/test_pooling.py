"""Pooling over the valid steps, compared with NumPy, and the check of its kinds."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lstm_zoo.recurrent import Pooling
from lstm_zoo.settings import POOLINGS
from tests.recurrent import oracle


def pooled(kinds, sequence, last_states, mask):
    tensors = [tf.constant(state, "float32") for state in last_states]
    return Pooling(kinds)(tf.constant(sequence, "float32"), tensors, tf.constant(mask)).numpy()


SEQUENCE = [[[1, -5], [3, -4], [90, 90]], [[-2, 7], [90, 90], [90, 90]]]  # 90 is padding
MASK = [[True, True, False], [True, False, False]]
STATES = [[[0.1], [0.2]], [[0.3], [0.4]]]  # of two directions


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ("mean", [[2, -4.5], [-2, 7]]),
        ("max", [[3, -4], [-2, 7]]),
        ("last", [[0.1, 0.3], [0.2, 0.4]]),
        ("mean+max", [[2, -4.5, 3, -4], [-2, 7, -2, 7]]),
        ("max+mean", [[3, -4, 2, -4.5], [-2, 7, -2, 7]]),
        ("max+last", [[3, -4, 0.1, 0.3], [-2, 7, 0.2, 0.4]]),
    ],
)
def test_kinds_are_concatenated_in_their_order(kinds, expected):
    np.testing.assert_allclose(pooled(kinds, SEQUENCE, STATES, MASK), expected, rtol=1e-6)


def test_the_last_state_of_one_direction_is_returned_unchanged():
    np.testing.assert_allclose(pooled("last", SEQUENCE, STATES[:1], MASK), STATES[0])


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(0, 2**31))
def test_padding_has_no_influence(lengths, seed):
    mask = oracle.valid_steps(lengths, len(lengths), 6)
    rng = np.random.default_rng(seed)
    sequence = rng.normal(size=(len(lengths), 6, 3))
    sequence[~mask] = rng.choice([-1e6, 1e6])
    result = pooled("mean+max", sequence, [], mask)
    rows = [row[:length] for row, length in zip(sequence, lengths, strict=True)]
    expected = [np.concatenate([row.mean(axis=0), row.max(axis=0)]) for row in rows]
    np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize("kinds", ["mean", "max", "mean+max+last"])
def test_an_empty_batch_has_no_vectors(kinds):
    result = pooled(kinds, np.zeros((0, 3, 2)), [np.zeros((0, 2))], np.zeros((0, 3), bool))
    assert result.shape == (0, 2 * len(kinds.split("+")))


@given(st.permutations(POOLINGS), st.integers(1, len(POOLINGS)))
def test_any_kinds_each_once_are_accepted(kinds, number):
    assert Pooling("+".join(kinds[:number])).kinds == "+".join(kinds[:number])


@pytest.mark.parametrize(
    "kinds", ["sum", "", "mean+", "max+max", "last+mean+last", "mean,max", "Mean", "mean max", None]
)
def test_other_kinds_are_errors_that_list_the_known_ones(kinds):
    with pytest.raises(ValueError, match="one or more of last, mean, max, each once") as error:
        Pooling(kinds)
    assert str(error.value).endswith(f"Received: {kinds!r}")
