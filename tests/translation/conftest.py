"""A small translator for the tests of the family."""

import itertools

import numpy as np
import pytest

import lstm_zoo

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


@pytest.fixture(scope="session")
def translator_run(tmp_path_factory):
    """A run of a tiny network, trained long enough to get some right and some wrong."""
    run = tmp_path_factory.mktemp("runs") / "phrases"
    lstm_zoo.train(
        "translation",
        phrases(1_500, seed=1),
        run=run,
        source="en",
        target="de",
        variant="tiny",
        vocabulary_size=400,
        epochs=5,
        batch_tokens=600,
        learning_rate=0.01,
        beam_width=4,
    )
    return run


@pytest.fixture(scope="session")
def translator(translator_run):
    """The pipeline of `translator_run`."""
    return lstm_zoo.load(translator_run)
