"""Sentences of a small grammar, in English and German, that a tiny translator can learn."""

import itertools

import numpy as np

NUMBERS = ("two zwei", "three drei", "four vier", "five fünf", "six sechs", "seven sieben")
QUALITIES = ("old alte", "small kleine", "red rote", "tired müde", "happy frohe", "big große")
ANIMALS = ("dogs Hunde", "cats Katzen", "birds Vögel", "horses Pferde", "mice Mäuse", "cows Kühe")


def phrases(count, seed):
    """Make up sentences of a small grammar, in English and German: one herd, or two."""
    generator = np.random.default_rng(seed)
    herds = [*itertools.product(NUMBERS, QUALITIES, ANIMALS)]
    sides = ([], [])
    for _ in range(count):
        chosen = [herds[i] for i in generator.integers(len(herds), size=generator.integers(1, 3))]
        for side, sentences, joint in zip((0, 1), sides, (" and ", " und "), strict=True):
            words = [" ".join(pair.split()[side] for pair in herd) for herd in chosen]
            sentences.append(joint.join(words))
    return sides
