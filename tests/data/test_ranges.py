"""Ranges of length, and bootstrap intervals."""

import numpy as np
import pytest

from lstm_zoo.data.ranges import MAX_EXAMPLES, interval, ranges_of


def test_each_example_is_in_the_first_range_that_holds_its_length():
    found = ranges_of([0, 5, 6, 30, 31, 999, 5], bounds=(5, 10, 20, 30))
    assert [(bound, rows.tolist()) for bound, rows in found] == [
        (5, [0, 1, 6]), (10, [2]), (30, [3]), (None, [4, 5]),
    ]  # fmt: skip
    assert ranges_of([], bounds=(5,)) == []


def mean(sums):
    return sums[0] / sums[1]


def test_an_interval_is_that_of_the_normal_approximation():
    generator = np.random.default_rng(0)
    right = (generator.random(400) < 0.7).astype(int)
    low, high = interval(np.stack([right, np.ones(400, int)], axis=1), mean)
    half = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 400)
    assert [low, high] == pytest.approx([right.mean() - half, right.mean() + half], abs=0.01)


def test_equal_counts_give_equal_intervals_and_few_or_many_examples_none():
    counts = np.array([[1, 5], [0, 5], [3, 5], [2, 5], [2, 5]])
    assert interval(counts, mean) == interval(counts, mean)
    assert interval(counts[:4], mean) is None
    assert interval(np.ones((MAX_EXAMPLES + 1, 2)), mean) is None
