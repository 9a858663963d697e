"""A small recognizer for the tests of the family."""

import numpy as np
import pytest

import lstm_zoo
from lstm_zoo.speech.corpus import read


@pytest.fixture(scope="session")
def digits(shared_data):
    """The real digit strings that the small recognizer is trained on."""
    whole = read(shared_data / "digits/LibriSpeech/train")
    return whole.take(np.arange(0, len(whole), 5))


@pytest.fixture(scope="session")
def recognizer_run(digits, tmp_path_factory):
    """A run of a tiny network, trained long enough to spell."""
    run = tmp_path_factory.mktemp("runs") / "digits"
    lstm_zoo.train(
        "speech",
        digits.columns,
        run=run,
        variant="tiny",
        epochs=12,
        batch_size=8,
        learning_rate=0.01,
    )
    return run


@pytest.fixture(scope="session")
def recognizer(recognizer_run):
    """The pipeline of `recognizer_run`."""
    return lstm_zoo.load(recognizer_run)
