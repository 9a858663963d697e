"""The choice of the predictions that are logged."""

import numpy as np

from lstm_zoo.training.samples import choose


def test_samples_are_of_the_whole_range_and_the_worst_is_among_them():
    scores = np.random.default_rng(0).permutation(np.arange(300))
    seen = set()
    for epoch in range(20):
        chosen = choose(scores, 3, [0, epoch])
        found = scores[chosen]
        assert found[0] == 0 and 100 <= found[1] < 200 and found[2] >= 200
        assert chosen == choose(scores, 3, [0, epoch])
        seen.update(chosen)
    assert len(seen) > 30  # not the same in each epoch


def test_of_equally_bad_examples_any_is_the_worst():
    assert {choose([0.0] * 5 + [1.0], 1, [0, epoch])[0] for epoch in range(60)} == set(range(5))


def test_few_examples_are_all_chosen():
    assert choose([2.0, 1.0], 5, [0]) == [1, 0]
    assert choose([], 5, [0]) == []
