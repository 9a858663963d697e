"""Order, length buckets and shares of workers for many examples, by their lengths alone.

    python -m tests.benchmarks.sim_scale [EXAMPLES] [WORKERS]     (100 million and 8 unless given)

Each worker is a process of its own, one after another. It maps a file of lengths, makes the order
of an epoch, goes through the batches and takes its rows of each; it writes down their indices. At
the end all workers' indices are read: each example must be there once. Printed are the seconds of
an epoch and the peak of the resident memory, both for one worker, with the mapped lengths, which
all workers of a machine share.
"""

import multiprocessing
import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from lstm_zoo.data import batching

CHUNK = 2**22  # examples
WRITTEN = 2**13  # batches whose indices are written together
ORDERS = {
    "batch_size": (batching.shuffled_batches, 32),
    "batch_tokens": (batching.token_batches, 4_096),
}


def write_lengths(path, examples):
    """Write random lengths as of sentences: geometric, with a mean of 25, cut at 200."""
    generator = np.random.default_rng(0)
    lengths = np.lib.format.open_memmap(path, mode="w+", dtype=np.int32, shape=(examples,))
    for start in range(0, examples, CHUNK):
        size = min(CHUNK, examples - start)
        lengths[start : start + size] = np.minimum(generator.geometric(1 / 25, size), 200)


def peak_memory():
    """Return the peak of this process's resident memory, in bytes."""
    # Not `getrusage`, whose value a process takes over from the one that started it.
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def run_worker(folder, name, worker, workers, results):
    before = peak_memory()
    start, used = time.perf_counter(), time.process_time()
    lengths = np.load(folder / "lengths.npy", mmap_mode="r")
    make, size = ORDERS[name]
    batches = make(lengths, size, seed=0, epoch=0)
    ordered = time.perf_counter()
    with open(folder / f"share-{worker}", "wb") as file:
        shares = []
        for batch in batches:
            shares.append(batch[worker::workers])
            if len(shares) == WRITTEN:
                np.concatenate(shares).astype(np.int32).tofile(file)
                shares = []
        np.concatenate([np.zeros(0, int), *shares]).astype(np.int32).tofile(file)
    end = time.perf_counter()
    used = time.process_time() - used
    results.put((len(batches), ordered - start, end - start, used, before, peak_memory()))


def main(examples="100_000_000", workers="8"):
    examples, workers = int(examples), int(workers)
    context = multiprocessing.get_context("spawn")  # a fork would have this process's peak
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_lengths(folder / "lengths.npy", examples)
        for name, (_, size) in ORDERS.items():
            for worker in range(workers):
                results = context.Queue()
                process = context.Process(
                    target=run_worker, args=(folder, name, worker, workers, results)
                )
                process.start()
                count, ordered, seconds, used, before, peak = results.get()
                process.join()
                print(
                    f"{name}={size}: worker {worker} of {workers}: {count:,} batches; an epoch "
                    f"{seconds:.0f} s ({ordered:.0f} s the order), {used:.0f} s of a core; "
                    f"peak {peak / 1e6:,.0f} MB ({before / 1e6:,.0f} MB before)",
                    flush=True,
                )
            seen = np.zeros(examples, np.uint8)
            shares = [np.fromfile(folder / f"share-{w}", np.int32) for w in range(workers)]
            for share in shares:
                np.add.at(seen, share, 1)
            once = sum(map(len, shares)) == examples and bool((seen == 1).all())
            print(f"{name}={size}: each of {examples:,} examples once: {once}", flush=True)
            if not once:
                sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
