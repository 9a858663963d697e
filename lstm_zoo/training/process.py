"""What a training changes in the process around it.

Both are right for a program that trains. Where lstm_zoo is embedded in another program, set the
environment variable `LSTM_ZOO_EMBEDDED` to 1: then a training leaves the process as it is. Its
initial weights and its dropout are then drawn from whatever state the program's Keras seed has.
"""

import ctypes
import os

import keras

SWITCH = "LSTM_ZOO_EMBEDDED"
# Of glibc's mallopt (malloc.h).
TRIM_THRESHOLD, MMAP_MAX = -1, -4
UNLIMITED = 2**31 - 1


def is_embedded() -> bool:
    """Return whether the process is another program's, and must stay as it is."""
    return os.environ.get(SWITCH, "") not in ("", "0")


def set_seed(seed: int) -> None:
    """Set the global seed of Python, NumPy and Keras, from which layers draw theirs."""
    if not is_embedded():
        keras.utils.set_random_seed(seed)


def keep_freed_memory() -> None:
    """Have the process keep memory that it frees, for the next allocation.

    TensorFlow 2.21's `Dataset.from_generator`, which Keras's `fit` uses too, makes glibc return all
    of it to the system (`M_TRIM_THRESHOLD`, 128 kB), against leaks. The tensors of a training step
    are then mapped anew at every step, page by page: that took 40 % of a step's time. From here on
    the process stays as large as it has ever been. It has no effect where the C library is not
    glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and not is_embedded():
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, UNLIMITED)
