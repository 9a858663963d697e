"""Changes of the whole process: global seeds and memory allocation.

A program that embeds lstm_zoo can turn both off with the environment variable
`LSTM_ZOO_EMBEDDED=1`. Initial weights and dropout then depend on the program's own Keras seed.
"""

import ctypes

import keras

from lstm_zoo import is_embedded

# Parameters of glibc's mallopt (malloc.h).
TRIM_THRESHOLD, MMAP_MAX = -1, -4
UNLIMITED = 2**31 - 1


def set_seed(seed: int) -> None:
    """Set the global seeds of Python, NumPy and Keras; layers derive theirs from them.

    Args:
        seed: an integer from 0 to 2**32 - 1.
    """
    if not is_embedded():
        keras.utils.set_random_seed(seed)


def keep_freed_memory() -> None:
    """Make glibc keep freed memory for the next allocation.

    TensorFlow 2.21's `Dataset.from_generator`, which Keras's `fit` uses too, makes glibc return
    freed memory to the system (`M_TRIM_THRESHOLD`, 128 kB). Each training step then maps the pages
    of its tensors again, which took 40 % of its time. With this setting, the memory of the process
    never shrinks. It has no effect with another C library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and not is_embedded():
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, UNLIMITED)
