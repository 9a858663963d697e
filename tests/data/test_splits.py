"""Splits: seeded, stratified, duplicates and groups on one side."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lstm_zoo.data.splits import connect, content_hashes, content_key, split


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
        rest, held_out = split(content_hashes(texts), labels, fraction, seed)
    except ValueError:
        # Only where no class has a group of duplicates small enough to hold out.
        assume(False)
    assert sorted([*rest, *held_out]) == list(range(len(rows)))
    assert not {content_key(texts[i]) for i in rest} & {content_key(texts[i]) for i in held_out}


def test_each_class_keeps_its_share():
    texts = [str(i) for i in range(1_000)]
    labels = ["rare" if i % 10 == 0 else "common" for i in range(1_000)]
    _, held_out = split(content_hashes(texts), labels, 0.2, seed=3)
    assert Counter(labels[i] for i in held_out) == {"rare": 20, "common": 180}


def test_a_large_group_of_duplicates_does_not_end_the_split():
    texts = ["copied"] * 30 + [str(i) for i in range(70)]
    for seed in range(30):
        assert len(split(content_hashes(texts), ["x"] * 100, 0.1, seed)[1]) == 10


def test_the_only_text_of_a_class_is_not_held_out():
    rest, _ = split(np.arange(4), ["rare", "x", "x", "x"], 0.6)
    assert 0 in rest


@pytest.mark.parametrize("seed", range(40))
def test_a_label_that_is_no_groups_first_one_is_not_held_out_as_a_whole(seed):
    labels = ["intro", "body", "body", "body"] * 12
    labels[15] = labels[30] = "rare"
    groups = [f"document {row // 4}" for row in range(48)]
    contents = content_hashes([f"text {row}" for row in range(48)])
    rest, held_out = split(contents, labels, 0.3, seed, groups)
    assert "rare" in [labels[row] for row in rest]
    assert not {groups[row] for row in rest} & {groups[row] for row in held_out}
    # Without groups: equal texts with several labels.
    contents = content_hashes(["copied", "copied", *(f"text {row}" for row in range(18))])
    rest, _ = split(contents, ["pos", "mixed"] + ["pos", "neg"] * 9, 0.3, seed)
    assert 1 in rest


@pytest.mark.parametrize(
    "text, other",
    [("a good<br />film", "A good  film\n"), ("caf\u00e9", "cafe\u0301"), ("\ufb01lm", "film")],
)
def test_texts_equal_after_normalization_have_one_key(text, other):
    assert content_key(text) == content_key(other)


def test_the_seed_decides_the_split():
    contents, labels = np.arange(100), ["x", "y"] * 50
    first, again, other = (split(contents, labels, 0.3, seed)[1] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_a_fraction_outside_0_and_1_is_an_error(fraction):
    with pytest.raises(ValueError, match="between 0 and 1"):
        split(np.arange(2), ["x", "y"], fraction)


def test_an_empty_side_is_an_error():
    with pytest.raises(ValueError, match="leaves one side empty"):
        split(content_hashes(["same", "Same", "same "]), ["x", "x", "x"], 0.5)


def test_a_split_is_that_of_version_0_1():
    """A run is resumed on the same split, whatever hashes its texts have."""
    texts = [f"text {i % 37}" for i in range(60)]
    _, held_out = split(content_hashes(texts), ["x", "y", "y"] * 20, 0.2, seed=5)
    assert held_out.tolist() == [3, 4, 9, 10, 17, 19, 40, 41, 46, 47, 54, 56]


@given(
    rows=st.lists(st.tuples(st.integers(0, 60), st.sampled_from(" abcdefghijkl")), min_size=9),
    seed=st.integers(0, 5),
)
@settings(max_examples=100)
def test_no_group_is_on_both_sides(rows, seed):
    contents = np.array([content for content, _ in rows])
    groups = [group.strip() for _, group in rows]
    try:
        rest, held_out = split(contents, [""] * len(rows), 0.3, seed, groups)
    except ValueError:
        assume(False)
    assert sorted([*rest, *held_out]) == list(range(len(rows)))
    if len({*groups}) > 1:
        assert not {groups[i] for i in rest} & {groups[i] for i in held_out} - {""}


def test_groups_and_contents_are_both_kept_together_where_that_is_possible():
    # Groups of 10; each shares a text with its neighbour.
    groups = [str(i // 10) for i in range(200)]
    contents = np.arange(200)
    contents[10::20] = contents[9::20]
    rest, held_out = split(contents, [""] * 200, 0.2, 0, groups)
    assert len(held_out) == 40
    assert not {*contents[rest]} & {*contents[held_out]}
    assert len({groups[i] for i in held_out}) == 4


def test_groups_that_all_share_a_text_are_split_by_groups_alone():
    groups = [str(i // 10) for i in range(200)]
    contents = np.where(np.arange(200) % 10 == 0, 0, np.arange(200))
    _, held_out = split(contents, [""] * 200, 0.1, 0, groups)
    assert len(held_out) == 20 and len({groups[i] for i in held_out}) == 2


def test_a_single_group_is_ignored_and_few_large_ones_are_an_error():
    contents, labels = np.arange(30), [""] * 30
    plain, single = (split(contents, labels, 0.2, 0, groups) for groups in ((), ["a"] * 30))
    assert plain[1].tolist() == single[1].tolist()
    with pytest.raises(ValueError, match="2 groups.*group_column=none to split groups too"):
        split(contents, labels, 0.1, 0, ["a"] * 15 + ["b"] * 15)


def test_rows_are_connected_along_a_chain():
    order = np.random.default_rng(0).permutation(1_000)
    first, second = np.arange(1_000) // 2, (np.arange(1_000) + 1) // 2
    assert not connect(first[order], second[order]).any()
    assert connect(np.array([1, 2, 1]), np.array([5, 6, 7])).tolist() == [0, 1, 0]
