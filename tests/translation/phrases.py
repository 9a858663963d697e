"""Sentence pairs of a small grammar, English and German, that a tiny translator can learn."""

import itertools

import numpy as np

NUMBERS = ("two zwei", "three drei", "four vier", "five fünf", "six sechs", "seven sieben")
QUALITIES = ("old alte", "small kleine", "red rote", "tired müde", "happy frohe", "big große")
ANIMALS = ("dogs Hunde", "cats Katzen", "birds Vögel", "horses Pferde", "mice Mäuse", "cows Kühe")


def phrases(count, seed):
    """Generate `count` pairs; each names one or two groups of animals."""
    generator = np.random.default_rng(seed)
    groups = [*itertools.product(NUMBERS, QUALITIES, ANIMALS)]
    sides = ([], [])
    for _ in range(count):
        chosen = [groups[i] for i in generator.integers(len(groups), size=generator.integers(1, 3))]
        for side, sentences, conjunction in zip((0, 1), sides, (" and ", " und "), strict=True):
            words = [" ".join(pair.split()[side] for pair in group) for group in chosen]
            sentences.append(conjunction.join(words))
    return sides
