"""A Keras 3 zoo of recurrent networks: raw text in, answers out, one SavedModel.

Importing this package imports no TensorFlow; the first use of a name below does.
"""

import importlib

__version__ = "0.1.0"

_HOME = {
    "build_sentiment": "lstm_zoo.sentiment.model",
    "load": "lstm_zoo.runs",
    "train": "lstm_zoo.training",
}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str):
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
