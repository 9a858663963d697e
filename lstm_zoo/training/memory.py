"""How the C library treats memory that TensorFlow frees."""

import ctypes

# Of glibc's mallopt (malloc.h).
TRIM_THRESHOLD, MMAP_MAX = -1, -4
MOST = 2**31 - 1


def keep_freed() -> None:
    """Have the process keep memory that it frees, for the next allocation.

    TensorFlow 2.21's `Dataset.from_generator`, which Keras's `fit` uses too, makes glibc give all
    of it back to the system (`M_TRIM_THRESHOLD`, 128 kB), against leaks. The tensors of a training
    step are then mapped anew at every step, page by page: that took 40 % of a step's time. From
    here on the process stays as large as it has ever been. It has no effect where the C library is
    not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, MOST)
