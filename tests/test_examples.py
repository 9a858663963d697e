"""The examples of docstrings, run as they are written."""

import doctest
import importlib
import pkgutil
import shutil
from pathlib import Path

import pytest

import lstm_zoo

# The runs that examples load, by the names that they have there.
RUNS = {"imdb": "sentiment", "digits": "speech", "multi30k": "translation"}
DATA = Path(__file__).parent / "data/version_0_1"
MODULES = [
    module.name
    for module in pkgutil.walk_packages(lstm_zoo.__path__, "lstm_zoo.")
    if not module.name.endswith("__main__")
]


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """A directory of its own for each module, with runs to load and a clip to hear."""
    for name, run in RUNS.items():
        shutil.copytree(DATA / run, tmp_path / "runs" / name)
    shutil.copy(DATA / "spoken.wav", tmp_path / "call.wav")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Their examples train or export.
SLOW = {
    "lstm_zoo.export.litert",
    "lstm_zoo.export.saved_model",
    "lstm_zoo.pipeline",
    "lstm_zoo.speech.pipeline",
    "lstm_zoo.training.calls",
    "lstm_zoo.translation.pipeline",
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in MODULES],
)
def test_the_examples_of_a_module_run(name, directory):
    import keras
    import numpy as np
    import tensorflow as tf

    module = importlib.import_module(name)
    found = doctest.testmod(
        module,
        extraglobs={"lstm_zoo": lstm_zoo, "np": np, "tf": tf, "keras": keras, "Path": Path},
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE,
    )
    assert not found.failed


def test_no_example_is_skipped_and_none_has_been_lost():
    examples = [
        example
        for name in MODULES
        for test in doctest.DocTestFinder().find(importlib.import_module(name))
        for example in test.examples
    ]
    assert len(examples) > 240
    assert not [e.source for e in examples if doctest.SKIP in e.options]
