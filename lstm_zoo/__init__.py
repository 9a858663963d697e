"""A Keras 3 zoo of recurrent networks: raw text or audio in, answers out, one SavedModel.

Importing this package imports no TensorFlow; the first use of a name below does.
"""

import importlib
import os

__version__ = "0.1.0"

_HOME = {
    "build_sentiment": "lstm_zoo.sentiment.model",
    "build_speech": "lstm_zoo.speech.model",
    "build_translation": "lstm_zoo.translation.model",
    "load": "lstm_zoo.runs.loading",
    "train": "lstm_zoo.training.train",
}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str):
    if name in _HOME:
        if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
            # Told before Keras is imported, which may fail for want of that backend.
            raise ImportError(
                "lstm_zoo's models run on Keras's TensorFlow backend; set "
                f"KERAS_BACKEND=tensorflow. Found: {os.environ['KERAS_BACKEND']}"
            )
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
