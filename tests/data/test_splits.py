"""Splits: seeded, stratified, duplicates on one side."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lstm_zoo.data.splits import content_key, split


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abcdefghijklmnop"), st.sampled_from(["x", "y", "z"])),
        min_size=10,
        max_size=80,
    ),
    fraction=st.floats(0.2, 0.8),
    seed=st.integers(0, 5),
)
@settings(max_examples=100)
def test_no_text_is_on_both_sides_and_none_is_missing(rows, fraction, seed):
    # Texts that differ only in case and white space are duplicates.
    texts = [f" {text.upper() if i % 2 else text}  t" for i, (text, _) in enumerate(rows)]
    labels = [label for _, label in rows]
    try:
        rest, held_out = split(texts, labels, fraction, seed)
    except ValueError:
        # Only where no class has a group of duplicates small enough to hold out.
        assume(False)
    assert sorted([*rest, *held_out]) == list(range(len(rows)))
    assert not {content_key(texts[i]) for i in rest} & {content_key(texts[i]) for i in held_out}


def test_each_class_keeps_its_share():
    texts = [str(i) for i in range(1_000)]
    labels = ["rare" if i % 10 == 0 else "common" for i in range(1_000)]
    _, held_out = split(texts, labels, 0.2, seed=3)
    assert Counter(labels[i] for i in held_out) == {"rare": 20, "common": 180}


def test_a_large_group_of_duplicates_does_not_end_the_split():
    texts = ["copied"] * 30 + [str(i) for i in range(70)]
    for seed in range(30):
        assert len(split(texts, ["x"] * 100, 0.1, seed)[1]) == 10


def test_the_only_text_of_a_class_is_not_held_out():
    rest, _ = split(["a", "b", "c", "d"], ["rare", "x", "x", "x"], 0.6)
    assert 0 in rest


@pytest.mark.parametrize(
    "text, other",
    [("a good<br />film", "A good  film\n"), ("caf\u00e9", "cafe\u0301"), ("\ufb01lm", "film")],
)
def test_texts_equal_after_normalization_have_one_key(text, other):
    assert content_key(text) == content_key(other)


def test_the_seed_decides_the_split():
    texts, labels = [str(i) for i in range(100)], ["x", "y"] * 50
    first, again, other = (split(texts, labels, 0.3, seed)[1] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_a_fraction_outside_0_and_1_is_an_error(fraction):
    with pytest.raises(ValueError, match="between 0 and 1"):
        split(["a", "b"], ["x", "y"], fraction)


def test_an_empty_side_is_an_error():
    with pytest.raises(ValueError, match="leaves one side empty"):
        split(["same", "Same", "same "], ["x", "x", "x"], 0.5)
