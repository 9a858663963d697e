"""Iterative stratification: the share of each label and of all rows, and a row of each label."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.data.stratification import hold_out


def label_counts(labels, rows):
    return Counter(
        name for names, is_in in zip(labels, rows, strict=True) if is_in for name in names
    )


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.5])
def test_of_labels_with_a_long_tail_the_share_is_the_one_asked_for(fraction):
    generator = np.random.default_rng(0)
    labels = [[*{*generator.zipf(1.5, generator.integers(1, 4)).tolist()}] for _ in range(2_000)]
    labels = [[str(number) for number in names] for names in labels]
    held_out = hold_out(np.arange(2_000), labels, fraction, seed=0)
    counts, out = label_counts(labels, held_out | True), label_counts(labels, held_out)
    assert len(counts) > 300 and min(counts.values()) == 1
    assert held_out.sum() == pytest.approx(2_000 * fraction, rel=0.02)
    for name, count in counts.most_common(10):
        assert out[name] == pytest.approx(count * fraction, abs=max(2, 0.1 * count * fraction))
    assert any(out[name] for name, count in counts.items() if count < 5)
    assert {*label_counts(labels, ~held_out)} == {*counts}


def test_a_label_of_few_rows_is_kept_whatever_the_seed():
    pairs = [["Y", "A"], ["A"], ["Y", "B"], ["B"], ["Y", "C"], ["C"]]
    labels = pairs + [["Z"]] * 20
    for seed in range(200):
        held_out = hold_out(np.arange(26), labels, 0.3, seed)
        assert {*label_counts(labels, ~held_out)} == {*"YABCZ"}
        assert held_out.sum() == 8


def test_rows_without_a_label_keep_their_share():
    labels = [["a"], [], ["b"], []] * 50
    held_out = hold_out(np.arange(200), labels, 0.2, seed=3)
    assert sum(not names for names, is_out in zip(labels, held_out, strict=True) if is_out) == 20
    assert label_counts(labels, held_out) == {"a": 10, "b": 10}


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 40), st.sets(st.sampled_from("abcdefg"), max_size=3)), min_size=5
    ),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 5),
)
@settings(max_examples=200, deadline=None)
def test_units_stay_together_and_each_label_is_kept(rows, fraction, seed):
    units, labels = np.array([unit for unit, _ in rows]), [sorted(names) for _, names in rows]
    try:
        held_out = hold_out(units, labels, fraction, seed)
    except ValueError as error:
        # Of any unit, a label would be lost.
        for unit in units:
            rest = label_counts(labels, units != unit)
            assert {*rest} != {*label_counts(labels, units == units)}, error
        return
    assert not {*units[held_out]} & {*units[~held_out]}
    assert {*label_counts(labels, ~held_out)} == {*label_counts(labels, units == units)}
    again = hold_out(units * 7 + 3, labels, fraction, seed)
    assert again.tolist() == held_out.tolist()
