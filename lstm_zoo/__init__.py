"""A zoo of recurrent networks for Keras 3, from raw text or audio to predictions.

Importing this package does not import TensorFlow; the first use of a builder does, and `train` and
`load` do once they have checked their arguments.
"""

import importlib
import json
import logging
import os
import sys
from pathlib import Path

from lstm_zoo.errors import BackendError
from lstm_zoo.printing import logger, without_native_log

__version__ = "0.1.0"

_MODULES = {  # the public names, and the modules that define them
    "build_sentiment": "lstm_zoo.sentiment.model",
    "build_speech": "lstm_zoo.speech.model",
    "build_translation": "lstm_zoo.translation.model",
    "load": "lstm_zoo.runs.loading",
    "presets": "lstm_zoo.runs.presets",
    "register_layers": "lstm_zoo.families",
    "train": "lstm_zoo.training.calls",
}
__all__ = ["__version__", *_MODULES]


def __getattr__(name: str):
    if name in _MODULES:
        if name == "train":  # it imports TensorFlow once the call has been checked
            prepare_tensorflow()
        elif name not in ("load", "presets"):  # `load` imports TensorFlow for a run alone
            import_tensorflow()
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


def is_embedded() -> bool:
    """Return whether lstm_zoo is embedded in a program, and must not change its process.

    The environment variable `LSTM_ZOO_EMBEDDED=1` says so.
    """
    return os.environ.get("LSTM_ZOO_EMBEDDED", "") not in ("", "0")


def prepare_tensorflow() -> None:
    """Check that Keras runs on TensorFlow, and have it take a GPU's memory as it needs it.

    Before either is imported: Keras fails without its backend, and TensorFlow reads the environment
    variable when it first uses a GPU. A value that is there already is kept.

    Raises:
        BackendError: (an ImportError) if the environment or Keras's configuration file chooses
            another backend, or the environment has TensorFlow use Keras 2.
    """
    if os.environ.get("TF_USE_LEGACY_KERAS") in ("1", "true", "True"):  # as TensorFlow reads it
        raise BackendError(
            "lstm_zoo's models need Keras 3; unset TF_USE_LEGACY_KERAS, which asks for Keras 2."
        )
    backend, source = _chosen_backend()
    if backend != "tensorflow":
        raise BackendError(
            "lstm_zoo's models run on Keras's TensorFlow backend; set KERAS_BACKEND=tensorflow. "
            f"Found: {backend}, from {source}."
        )
    if not is_embedded():
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def import_tensorflow() -> None:
    """Import TensorFlow and Keras, without the lines that TensorFlow's C++ code logs.

    It keeps quiet unless lstm_zoo is embedded, the environment variable `TF_CPP_MIN_LOG_LEVEL` is
    0, or the logger `lstm_zoo` has the level DEBUG; a value of the variable is kept.

    Raises:
        BackendError: as `prepare_tensorflow`.
    """
    prepare_tensorflow()
    if is_embedded() or "tensorflow" in sys.modules or logger.isEnabledFor(logging.DEBUG):
        return
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
        return
    with without_native_log():
        importlib.import_module("keras")
    # That a function is traced again, such as for batches of other shapes.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def _chosen_backend() -> tuple[str, str]:
    """Return the backend that Keras has, or will have once it is imported, and what chose it."""
    if "keras" in sys.modules:
        return sys.modules["keras"].config.backend(), "Keras, which is imported already"
    if backend := os.environ.get("KERAS_BACKEND"):
        return backend, "the environment variable KERAS_BACKEND"
    # Keras's own rule for the place of its configuration file.
    base = "~" if os.access(Path.home(), os.W_OK) else "/tmp"
    file = Path(os.environ.get("KERAS_HOME", f"{base}/.keras"), "keras.json").expanduser()
    try:
        backend = json.loads(file.read_text(encoding="utf-8")).get("backend")
    except (OSError, ValueError, AttributeError):  # Keras ignores the file, or reports it
        backend = None
    return backend or "tensorflow", str(file)
