"""A zoo of recurrent networks for Keras 3, from raw text or audio to predictions.

Importing this package does not import TensorFlow; the first use of one of its names does.
"""

import importlib
import os

__version__ = "0.1.0"

_MODULES = {  # the public names, and the modules that define them
    "build_sentiment": "lstm_zoo.sentiment.model",
    "build_speech": "lstm_zoo.speech.model",
    "build_translation": "lstm_zoo.translation.model",
    "load": "lstm_zoo.runs.loading",
    "train": "lstm_zoo.training.train",
}
__all__ = ["__version__", *_MODULES]


def __getattr__(name: str):
    if name in _MODULES:
        if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
            # Checked before Keras is imported, which fails where that backend is not installed.
            raise ImportError(
                "lstm_zoo's models run on Keras's TensorFlow backend; set "
                f"KERAS_BACKEND=tensorflow. Found: {os.environ['KERAS_BACKEND']}"
            )
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
