"""Batches: each example once, similar lengths, seeded order."""

import tracemalloc
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.data import batching
from lstm_zoo.data.batching import (
    Batches,
    pad,
    shuffled_batches,
    sorted_batches,
    token_batches,
    token_sizes,
)
from lstm_zoo.errors import CallError


@given(
    lengths=st.lists(st.integers(0, 50), max_size=300),
    batch_size=st.integers(1, 20),
    epoch=st.integers(0, 3),
)
@settings(max_examples=60)
def test_every_example_is_in_one_batch(lengths, batch_size, epoch):
    lengths = np.array(lengths, dtype=int)
    for batches in (
        shuffled_batches(lengths, batch_size, seed=1, epoch=epoch),
        sorted_batches(lengths, batch_size),
    ):
        assert sorted(np.concatenate([[], *batches])) == list(range(len(lengths)))
        assert all(0 < len(batch) <= batch_size for batch in batches)


# The orders as they were when an epoch was a list of arrays: recipes and runs depend on them.
def first_shuffled_batches(lengths, batch_size, seed, epoch):
    generator = np.random.default_rng((seed, epoch))
    order = generator.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), batching.POOL * batch_size):
        pool = order[start : start + batching.POOL * batch_size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += np.split(pool, range(batch_size, len(pool), batch_size))
    return [batches[index] for index in generator.permutation(len(batches))]


def first_token_batches(lengths, batch_tokens, seed, epoch):
    generator = np.random.default_rng((seed, epoch))
    order = generator.permutation(len(lengths))
    order = order[np.argsort(-lengths[order], kind="stable")]
    descending, sizes, start = np.sort(lengths)[::-1], [], 0
    while start < len(descending):
        limit = max(1, batch_tokens // max(1, int(descending[start])))
        power = 2 ** (limit.bit_length() - 1)
        size = power + power // 2 if limit >= power + power // 2 else power
        sizes.append(min(size, len(descending) - start))
        start += size
    assert token_sizes(lengths, batch_tokens) == sizes
    batches = np.split(order, np.cumsum(sizes)[:-1])
    return [batches[index] for index in generator.permutation(len(batches))]


@given(
    size=st.integers(1, 400),
    longest=st.sampled_from([0, 1, 5, 50, 3_000]),
    dtype=st.sampled_from([np.uint8, np.int32, np.int64]),
    batch=st.integers(1, 12),
    seed=st.integers(0, 99),
    chunk=st.integers(1, 60),
    band=st.integers(1, 150),
    parts=st.integers(2, 5),
)
@settings(max_examples=300, deadline=None)
def test_the_order_is_the_same_for_ever(size, longest, dtype, batch, seed, chunk, band, parts):
    longest = min(longest, np.iinfo(dtype).max)
    lengths = np.random.default_rng(seed).integers(0, longest + 1, size).astype(dtype)
    wide = lengths.astype(np.int64)
    with mock.patch.multiple(batching, CHUNK=chunk, BAND=band, PARTS=parts):
        for found, expected in (
            (
                shuffled_batches(lengths, batch, seed, 2),
                first_shuffled_batches(wide, batch, seed, 2),
            ),
            (
                token_batches(lengths, 9 * batch, seed, 2),
                first_token_batches(wide, 9 * batch, seed, 2),
            ),
        ):
            assert len(found) == len(expected)
            for first, second in zip(found, expected, strict=True):
                assert first.dtype == second.dtype == np.int64
                np.testing.assert_array_equal(first, second)


def test_an_epoch_takes_little_memory():
    lengths = np.random.default_rng(0).integers(1, 200, 2_000_000, np.int32)
    with mock.patch.multiple(batching, CHUNK=2**14, BAND=2**16):
        for make, size in ((shuffled_batches, 32), (token_batches, 4_096)):
            tracemalloc.start()
            batches = make(lengths, size, seed=0, epoch=0)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            # 4 bytes an example; the rest is of the batches and of a band.
            assert peak < 6 * len(lengths)
            assert np.array_equal(np.sort(np.concatenate(batches)), np.arange(len(lengths)))


def test_batches_are_a_sequence():
    batches = Batches(np.arange(5, dtype=np.int32), np.array([2, 4, 5]), np.array([2, 0, 1]))
    assert [batch.tolist() for batch in batches] == [[4], [0, 1], [2, 3]]
    assert batches[-1].tolist() == [2, 3]
    assert [batch.tolist() for batch in batches[1:]] == [[0, 1], [2, 3]]
    assert len(batches[3:]) == 0
    batches[1][:] = 9  # a copy
    assert batches[1].tolist() == [0, 1]
    with pytest.raises(IndexError):
        batches[3]


@given(
    lengths=st.lists(st.integers(0, 50), max_size=60),
    batch_size=st.integers(1, 20),
    batch_steps=st.integers(1, 300),
)
@settings(max_examples=60)
def test_a_batch_does_not_exceed_batch_steps(lengths, batch_size, batch_steps):
    lengths = np.array(lengths, dtype=int)
    batches = sorted_batches(lengths, batch_size, batch_steps)
    assert sorted(np.concatenate([[], *batches])) == list(range(len(lengths)))
    for batch in batches:
        assert 0 < len(batch) <= batch_size
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= batch_steps


def test_seed_and_epoch_decide_the_order():
    lengths = np.arange(500) % 37

    def order(seed, epoch):
        return np.concatenate(shuffled_batches(lengths, 8, seed, epoch)).tolist()

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_batches_of_similar_length_have_little_padding():
    lengths = np.random.default_rng(0).geometric(1 / 200, size=10_000)
    batches = shuffled_batches(lengths, 32, seed=0, epoch=0)
    padded = sum(lengths[batch].max() * len(batch) for batch in batches)
    unsorted = np.split(np.random.default_rng(1).permutation(10_000), range(32, 10_000, 32))
    padded_unsorted = sum(lengths[batch].max() * len(batch) for batch in unsorted)
    assert padded / lengths.sum() < 1.15
    assert padded_unsorted / lengths.sum() > 3


def test_padding_is_on_the_right_and_has_a_time_step():
    assert pad([np.array([3, 4]), np.array([5])]).tolist() == [[3, 4], [5, 0]]
    assert pad([np.array([], dtype=np.int32)]).tolist() == [[0]]
    assert pad([]).shape == (0, 1)
    rows = [np.array([3, 4]), np.array([], int)]
    assert pad(rows, last=9).tolist() == [[3, 4, 9], [9, 0, 0]]
    assert pad(rows, first=8).tolist() == [[8, 3, 4], [8, 0, 0]]
    assert pad(rows, first=8, last=9).dtype == np.int32


@pytest.mark.parametrize("size", [0, -1, 2.5, True, None])
def test_a_batch_size_that_is_no_positive_integer_is_refused(size):
    with pytest.raises(CallError, match="batch_size takes integers of at least 1"):
        sorted_batches([3, 1], size)
