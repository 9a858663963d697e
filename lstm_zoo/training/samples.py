"""The choice of the predictions that are logged."""

from collections.abc import Sequence

import numpy as np


def choose(scores: Sequence[float], count: int, seed: Sequence[int]) -> list[int]:
    """Choose examples over the whole range of scores, the worst among them.

    The examples are sorted by score (equal ones at random) and cut into `count` equal groups. Of
    the first, the worst example is chosen, of each other group a random one.

    Args:
        scores: the score of each example; higher is better.
        count: the number of examples to choose; all if there are fewer.
        seed: integers that determine the random choices.

    Returns:
        Their indices, the worst first.

    Example:

    >>> choose([0.9, 0.1, 0.5, 1.0], count=2, seed=[0])
    [1, 0]
    """
    generator = np.random.default_rng(seed)
    order = np.lexsort((generator.random(len(scores)), scores))
    groups = [group for group in np.array_split(order, count) if len(group)]
    chosen = [group[0] if number == 0 else generator.choice(group)
              for number, group in enumerate(groups)]  # fmt: skip
    return [int(index) for index in chosen]
