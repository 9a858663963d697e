"""The registry of families: a name, and the modules behind it, imported where they are used."""

import importlib
from types import ModuleType

from lstm_zoo.errors import CallError

FAMILIES = {
    "sentiment": "classify texts: labels from raw text",
    "speech": "transcribe speech: text from audio",
    "translation": "translate texts, without attention: sentence to sentence",
}


def module(family: str, room: str | None = None) -> ModuleType:
    """Import a family's package, or one of its rooms.

    Args:
        family: a name in `FAMILIES`.
        room: such as "task"; None for the package, which imports no TensorFlow.

    Returns:
        The module.

    Raises:
        CallError: on an unknown family.
    """
    if family not in FAMILIES:
        raise CallError(f"family is one of {', '.join(FAMILIES)}. Received: {family!r}")
    return importlib.import_module(f"lstm_zoo.{family}" + (f".{room}" if room else ""))
