"""A small classifier to train, and an interruption."""

from pathlib import Path

import keras

import lstm_zoo
from lstm_zoo.sentiment import demo

TEXTS, LABELS, _ = demo.generate(300, seed=2)
DATA = (TEXTS, LABELS)
SMALL = {"variant": "tiny", "units": 8, "embedding_size": 8, "learning_rate": 0.01}
# Runs that are ready; "interrupted" was trained on DATA for 2 of 3 epochs, "sentiment" is finished.
RUNS = Path(__file__).resolve().parents[1] / "data/version_0_1"


def train(run, epochs=2, data=DATA, **options):
    return lstm_zoo.train("sentiment", data, run=run, epochs=epochs, **{**SMALL, **options})


def files_of(run):
    return {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}


class Interrupt(keras.callbacks.Callback):
    """Presses Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.at, self.epoch = epoch, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == self.at and batch == 3:
            raise KeyboardInterrupt
