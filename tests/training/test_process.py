"""Changes of the process: memory that is kept, global seeds, and the switch for both."""

import random
import subprocess
import sys

import numpy as np
import pytest

from lstm_zoo.training import process


def run(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return done.stdout.decode()


def test_a_training_keeps_freed_memory():
    """Otherwise the system maps it again at every step, with a page fault for each 4 kB."""
    program = """
import ctypes, resource
import numpy as np
from lstm_zoo.training.dataset import BatchOrder, make_dataset

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p

def faults():
    for _ in range(20):
        block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(16_000_000)))
        libc.memset(block, 1, ctypes.c_size_t(16_000_000))
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

order = BatchOrder(np.ones(4), {"seed": 0, "batch_size": 1, "batch_tokens": None})
assert len([*make_dataset(order, lambda *_: (np.zeros((2, 2)),))]) == 4
before = faults()  # the first block is new
print(faults() - before)
"""
    assert int(run(program)) < 4_000  # mapped again each time: 20 blocks of 3,906 pages


@pytest.mark.slow
def test_an_embedded_training_leaves_memory_and_seeds_as_they_are():
    program = """
import ctypes, os, pickle, random
from types import SimpleNamespace
import keras
import numpy as np
from lstm_zoo.training import process
from lstm_zoo.training.dataset import BatchOrder, make_dataset

calls = []  # of mallopt
process.ctypes = SimpleNamespace(
    CDLL=lambda name: SimpleNamespace(mallopt=lambda *arguments: calls.append(arguments))
)

def states():
    drawn = np.asarray(keras.random.uniform((4,)))  # by Keras's global seed
    return pickle.dumps((random.getstate(), np.random.get_state(), drawn))

order = BatchOrder(np.ones(4), {"seed": 0, "batch_size": 1, "batch_tokens": None})
for embedded in ("1", "0"):
    os.environ["LSTM_ZOO_EMBEDDED"] = embedded
    keras.utils.set_random_seed(5)
    before = states()
    keras.utils.set_random_seed(5)
    process.set_seed(7)
    assert len([*make_dataset(order, lambda *_: (np.zeros((2, 2)),))]) == 4
    print(embedded, calls, states() == before)
"""
    calls = [(process.MMAP_MAX, 0), (process.TRIM_THRESHOLD, 2**31 - 1)]
    assert run(program).splitlines()[-2:] == ["1 [] True", f"0 {calls} False"]


def test_the_seed_is_python_numpys_and_keras(monkeypatch):
    import keras

    monkeypatch.delenv("LSTM_ZOO_EMBEDDED", raising=False)
    draws = []
    for seed in (7, 7, 8):
        process.set_seed(seed)
        assert random.random() == random.Random(seed).random()
        assert np.random.random() == np.random.RandomState(seed).random_sample()
        draws.append(float(keras.random.uniform(())))
    assert draws[0] == draws[1] != draws[2]
