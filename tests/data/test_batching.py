"""Batches: each example once, similar lengths, seeded order."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.data.batching import pad, shuffled_batches, sorted_batches


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
