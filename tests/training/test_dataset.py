"""Training batches: their order, their sizes, and the dataset."""

import numpy as np
import pytest
import tensorflow as tf

from lstm_zoo.training.dataset import BatchOrder, make_dataset

LENGTHS = np.arange(40) % 7 + 1


def order_of(seed=0, batch_size=6, batch_tokens=None, epoch=0):
    settings = {"seed": seed, "batch_size": batch_size, "batch_tokens": batch_tokens}
    order = BatchOrder(LENGTHS, settings)
    order.on_epoch_begin(epoch)
    return order


def rows(order):
    return [batch.tolist() for batch in order.batches()]


@pytest.mark.parametrize("batch_tokens", [None, 20])
def test_an_order_is_determined_by_seed_and_epoch(batch_tokens):
    first = rows(order_of(seed=3, batch_tokens=batch_tokens, epoch=2))
    assert rows(order_of(seed=3, batch_tokens=batch_tokens, epoch=2)) == first
    assert rows(order_of(seed=3, batch_tokens=batch_tokens, epoch=1)) != first
    assert rows(order_of(seed=4, batch_tokens=batch_tokens, epoch=2)) != first


@pytest.mark.parametrize("batch_tokens, steps", [(None, 7), (20, 11)])
def test_every_epoch_has_each_example_once_and_the_same_number_of_steps(batch_tokens, steps):
    order = order_of(batch_tokens=batch_tokens)
    assert order.steps == steps
    for epoch in range(5):
        order.on_epoch_begin(epoch)
        batches = order.batches()
        assert len(batches) == steps
        assert sorted(np.concatenate(batches)) == list(range(40))


def test_batch_size_is_the_number_of_examples():
    assert sorted(map(len, order_of().batches())) == [4, *[6] * 6]


def test_batch_tokens_bounds_the_time_steps_padding_included():
    batches = order_of(batch_tokens=20).batches()
    assert all(len(batch) * LENGTHS[batch].max() <= 20 for batch in batches)
    # An example that is longer is a batch by itself.
    assert all(len(batch) == 1 for batch in order_of(batch_tokens=1).batches())


def test_a_dataset_yields_the_batches_of_the_current_epoch():
    order = order_of(seed=5)
    dataset = make_dataset(order, lambda indices, generator: (indices, generator.random(1)))
    for epoch in (0, 3):
        order.on_epoch_begin(epoch)
        found = [(indices.numpy().tolist(), float(noise[0])) for indices, noise in dataset]
        # The draws are of the seed, the epoch and the step, so that runs are repeatable.
        noises = [np.random.default_rng((5, epoch, n, 1)).random(1)[0] for n in range(order.steps)]
        assert found == [*zip(rows(order), noises, strict=True)]
        order.step = 5  # a training that is resumed goes on there, in its first epoch
        assert [indices.numpy().tolist() for indices, _ in dataset] == rows(order)[5:]
        order.on_epoch_end(epoch)
        assert order.step == 0


def test_batches_may_be_nested_and_vary_in_their_first_two_axes():
    def make_batch(indices, generator):
        ids = np.zeros((len(indices), LENGTHS[indices].max()), np.int32)
        features = np.zeros((*ids.shape, 4), np.float32)
        return {"ids": ids, "features": features}, np.ones(len(indices), np.float32)

    dataset = make_dataset(order_of(), make_batch)
    inputs, weights = dataset.element_spec
    assert inputs["ids"] == tf.TensorSpec([None, None], tf.int32)
    assert inputs["features"] == tf.TensorSpec([None, None, 4], tf.float32)
    assert weights == tf.TensorSpec([None], tf.float32)
    shapes = {tuple(batch["features"].shape) for batch, _ in dataset}
    assert {shape[0] for shape in shapes} == {4, 6}
    assert len({shape[1] for shape in shapes}) > 1
