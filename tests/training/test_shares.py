"""A worker makes its rows of a batch alone: equal to those of the whole batch, bit for bit."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from lstm_zoo.data.arrays import Arrays
from lstm_zoo.training import distribution, initialization
from tests.kills import SMALL, data_of

# So that something is drawn for each row of a batch, where a family draws.
DRAWS = {"sentiment": {}, "speech": {"speed": 0.1, "copies": 3}, "translation": {}}


@pytest.fixture(scope="module", params=["sentiment", "speech", "translation"])
def prepared(request, tmp_path_factory):
    """A task and its training examples."""
    folder, family = tmp_path_factory.mktemp("shares"), request.param
    data, settings = data_of(family)
    settings = {**SMALL, **settings, **DRAWS[family]}
    start = initialization.fresh(family, folder / "run", data, None, 0.2, False, settings)
    return start.task, start.task.encode(start.corpora.training, training=True, cache=start.cache)


def random_batches(examples):
    """Batches of random examples and sizes, each with a seed and a number of replicas."""
    generator = np.random.default_rng(0)
    for seed in range(40):
        indices = generator.permutation(len(examples))[: generator.integers(1, 14)]
        yield indices, seed, int(generator.integers(1, 10))


def assert_equal(found, expected):
    tf.nest.assert_same_structure(found, expected)
    for first, second in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        assert first.dtype == second.dtype
        np.testing.assert_array_equal(first, second)


def test_the_parts_of_all_replicas_are_the_whole_batch(prepared):
    task, examples = prepared
    make = functools.partial(task.batch, examples)
    for indices, seed, replicas in random_batches(examples):
        generator = np.random.default_rng(seed)
        whole, after = task.batch(examples, indices, generator), generator.random()
        rows = len(tf.nest.flatten(whole)[0])
        for chosen in (slice(None), *(slice(r, r + 2) for r in range(0, replicas, 2))):
            generator = np.random.default_rng(seed)
            parts = distribution.split(make, indices, generator, replicas, chosen)
            assert generator.random() == after  # the next batch's draws are the same too
            numbers = range(replicas)[chosen]
            for number, (part, size) in zip(numbers, parts, strict=True):
                assert size == len(range(number, rows, replicas)) and size.dtype == np.int32
                held = slice(number, None, replicas) if size else slice(1)
                assert_equal(part, tf.nest.map_structure(lambda array, k=held: array[k], whole))


class Unread:
    """An array whose length may be known, and whose values may not be read."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getattr__(self, name):
        raise AssertionError(f"read by {name}")


class Guarded:
    """Arrays, of which some may not be read."""

    def __init__(self, arrays, allowed):
        self.arrays, self.allowed = arrays, allowed

    def __getitem__(self, index):
        array = self.arrays[index]
        return array if index in self.allowed else Unread(len(array))


def test_the_values_of_other_replicas_examples_are_not_read(prepared):
    task, examples = prepared
    indices = np.arange(11)[::-1]

    def parts_of(examples, chosen=slice(None)):
        make = functools.partial(task.batch, examples)
        return distribution.split(make, indices, np.random.default_rng(0), 3, chosen)

    own = {*indices[1::3].tolist()}
    guarded = {
        name: Guarded(value, own)
        for name, value in vars(examples).items()
        if isinstance(value, Arrays)
    }
    if hasattr(examples, "versions"):
        guarded["versions"] = [Guarded(rows, own) for rows in examples.versions]
    guarded = dataclasses.replace(examples, **guarded)
    assert_equal(parts_of(guarded, slice(1, 2)), parts_of(examples, slice(1, 2)))
    with pytest.raises(AssertionError, match="read by"):
        parts_of(guarded)
