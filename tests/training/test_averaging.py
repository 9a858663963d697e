"""Averaging the weights of the last epochs."""

import json

import keras
import numpy as np
import pytest

from tests.training.helpers import Interrupt, train


class Recorder(keras.callbacks.Callback):
    """Keeps the weights after every epoch."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(self.model.get_weights())


@pytest.mark.slow
def test_the_last_epochs_are_averaged_without_changing_training(tmp_path):
    recorder, plain = Recorder(), Recorder()
    averaged = train(tmp_path / "averaged", 4, average_epochs=3, ngrams=0, callbacks=[recorder])
    train(tmp_path / "plain", 4, ngrams=0, callbacks=[plain])
    for ours, others in zip(recorder.weights, plain.weights, strict=True):
        for array, other in zip(ours, others, strict=True):
            np.testing.assert_array_equal(array, other)
    best = json.loads((tmp_path / "averaged/metrics.json").read_text())["best_epoch"]
    averaged_epochs = recorder.weights[max(0, best - 3) : best]
    for array, *arrays in zip(averaged.model.get_weights(), *averaged_epochs, strict=True):
        np.testing.assert_allclose(array, np.mean(arrays, axis=0), rtol=1e-6, atol=1e-7)
    # An interrupted and resumed run ends with the same bytes.
    train(tmp_path / "interrupted", 4, average_epochs=3, ngrams=0, callbacks=[Interrupt(3)])
    train(tmp_path / "interrupted", 4, resume=True)
    weights = [tmp_path / run / "model.weights.h5" for run in ("interrupted", "averaged")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert not (tmp_path / "averaged/checkpoint").exists()
