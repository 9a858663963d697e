"""A small translator for the tests of the family."""

import pytest

import lstm_zoo
from lstm_zoo.translation import demo


@pytest.fixture(scope="session")
def translator_run(tmp_path_factory):
    """A run of a tiny network, trained long enough to write words."""
    run = tmp_path_factory.mktemp("runs") / "phrases"
    lstm_zoo.train(
        "translation",
        demo.generate(1_500, seed=1),
        run=run,
        source="en",
        target="de",
        variant="tiny",
        vocabulary_size=600,
        epochs=6,
        batch_tokens=600,
        learning_rate=0.02,
        beam_width=4,
    )
    return run


@pytest.fixture(scope="session")
def translator(translator_run):
    """The pipeline of `translator_run`."""
    return lstm_zoo.load(translator_run)
