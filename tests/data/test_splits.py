"""Splits: seeded, stratified, and by content."""

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
def test_no_text_is_on_both_sides_and_none_is_lost(rows, fraction, seed):
    # Copies that differ in case and white space only are copies.
    texts = [f" {text.upper() if i % 2 else text}  t" for i, (text, _) in enumerate(rows)]
    labels = [label for _, label in rows]
    try:
        rest, cut_off = split(texts, labels, fraction, seed)
    except ValueError:
        # Only where no class has a text to spare that is not too much.
        assume(False)
    assert sorted([*rest, *cut_off]) == list(range(len(rows)))
    assert not {content_key(texts[i]) for i in rest} & {content_key(texts[i]) for i in cut_off}


def test_each_class_keeps_its_share():
    texts = [str(i) for i in range(1_000)]
    labels = ["rare" if i % 10 == 0 else "common" for i in range(1_000)]
    _, cut_off = split(texts, labels, 0.2, seed=3)
    assert Counter(labels[i] for i in cut_off) == {"rare": 20, "common": 180}


def test_many_copies_of_one_text_do_not_end_the_split():
    texts = ["copied"] * 30 + [str(i) for i in range(70)]
    for seed in range(30):
        assert len(split(texts, ["x"] * 100, 0.1, seed)[1]) == 10


def test_a_class_of_one_text_stays_whole_in_the_first_part():
    rest, _ = split(["a", "b", "c", "d"], ["rare", "x", "x", "x"], 0.6)
    assert 0 in rest


@pytest.mark.parametrize(
    "text, other",
    [("a good<br />film", "A good  film\n"), ("caf\u00e9", "cafe\u0301"), ("\ufb01lm", "film")],
)
def test_what_the_tokenizer_does_not_tell_apart_is_one_text(text, other):
    assert content_key(text) == content_key(other)


def test_a_seed_gives_one_split_and_another_seed_another():
    texts, labels = [str(i) for i in range(100)], ["x", "y"] * 50
    first, again, other = (split(texts, labels, 0.3, seed)[1] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_a_fraction_outside_0_and_1_is_refused(fraction):
    with pytest.raises(ValueError, match="between 0 and 1"):
        split(["a", "b"], ["x", "y"], fraction)


def test_a_part_that_would_be_empty_is_refused():
    with pytest.raises(ValueError, match="leaves one part empty"):
        split(["same", "Same", "same "], ["x", "x", "x"], 0.5)
