"""A large table answered: rows a second, and the peak of memory.

    python tests/benchmarks/bench_table.py RUN [ROWS ...]

Makes a .csv of ROWS rows (50,000 and 1,000,000) of the demo corpus's sentences, and answers each
with the run of a classifier in a process of its own.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lstm_zoo.sentiment import demo

# Prints the peaks of its resident memory, before and after, in kB.
CHILD = """
import resource, sys
from lstm_zoo import load
run, source, target = sys.argv[1:]
pipeline = load(run)
pipeline.predict(["warm up"])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(*pipeline.predict_file(source, target))
print(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def main(run: str, *counts: str) -> None:
    """Measure each number of rows."""
    texts, _, _ = demo.generate(2_000, 1)
    for count in [*map(int, counts)] or [50_000, 1_000_000]:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "in.csv"), Path(folder, "out.csv")
            with source.open("w") as file:
                file.write("id,text\n")
                file.writelines(f'{n},"{texts[n % len(texts)]}"\n' for n in range(count))
            started = time.monotonic()
            done = subprocess.run(
                [sys.executable, "-c", CHILD, run, source, target],
                capture_output=True,
                text=True,
                check=True,
            )
            seconds = time.monotonic() - started
            answered, memory = done.stdout.splitlines()
            before, peak = (int(size) / 1_024 for size in memory.split())
            print(
                f"{answered.split()[0]} rows in {seconds:.0f} s with the start, "
                f"{count / seconds:,.0f} a second; memory {before:,.0f} MiB before, {peak:,.0f} at "
                f"its peak; {target.stat().st_size / 2**20:,.0f} MiB written",
                flush=True,
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
