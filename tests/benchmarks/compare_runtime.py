"""Compare the answers of ONNX exports with those of their runs, on whole corpora.

    python tests/benchmarks/compare_runtime.py runs/mr=mr.tsv runs/digits=LibriSpeech/dev

takes runs, each with data as for `evaluate`. It exports each run, and prints how many of its
answers are equal (all numbers within a tolerance), how many are others of the same score, and how
many differ; for a decoder, greedily and with beam search. 300 generated inputs follow: random bytes
and characters, and damaged files. With --threads SECONDS, eight threads ask one pipeline at random
meanwhile, and the resident memory is printed before and after.
"""

import collections
import os
import random
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np

import lstm_zoo
from lstm_zoo import families
from lstm_zoo.speech.audio import wav_bytes

TIE = 1e-4  # between the scores of two answers that are equally good
TOLERANCES = {"sentiment": 1e-4, "speech": 1e-3, "translation": 1e-3}  # of numbers
HOSTILE = 300
THREADS = 8


@click.command(help=__doc__.split("\n")[0])
@click.argument("pairs", metavar="RUN=DATA...", nargs=-1, required=True)
@click.option("--limit", default=5_000, show_default=True, help="Rows of each corpus at most.")
@click.option("--threads", type=int, default=0, help="Seconds that eight threads ask for.")
def main(pairs: tuple[str, ...], limit: int, threads: int) -> None:
    for pair in pairs:
        path, data = pair.split("=", 1)
        run = lstm_zoo.load(path, use_cudnn=False)
        family, settings = run.config["family"], run.config["settings"]
        rows = [*families.task(family).read(data, settings).columns[0]]
        rows = [rows[n] for n in np.linspace(0, len(rows) - 1, min(limit, len(rows))).astype(int)]
        widths = [1, run.beam_width] if families.module(family).DECODES else [None]
        with tempfile.TemporaryDirectory() as directory:
            export = lstm_zoo.load(run.export(Path(directory) / "onnx", format="onnx"))
            for width in widths:
                options = {} if width is None else {"beam_width": width}
                for name, inputs in (("corpus", rows), ("hostile", hostile(family))):
                    compare(f"{path}, {name}, {options}", run, export, inputs, options)
            if threads:
                stress(export, rows[:64], threads)


def compare(title: str, run: Any, export: Any, inputs: list, options: dict[str, Any]) -> None:
    """Print how many answers of a run and of its export agree, and the seconds of both."""
    seconds, answers = [], []
    for pipeline in (run, export):
        start = time.perf_counter()
        answers.append(pipeline.predict(inputs, **options))
        seconds.append(time.perf_counter() - start)
    found, worst = collections.Counter(), 0.0
    for row, expected, answer in zip(inputs, *answers, strict=True):
        kind, difference = classify(expected, answer, TOLERANCES[run.config["family"]])
        found[kind] += 1
        if kind == "equal":
            worst = max(worst, difference)
        elif kind == "different":
            print(ascii(row)[:100], ascii(expected)[:300], ascii(answer)[:300], file=sys.stderr)
    counts = "  ".join(f"{kind} {count:,}" for kind, count in found.most_common())
    times = ", ".join(f"{value:.1f} s" for value in seconds)
    click.echo(f"{title}: {len(inputs):,}: {counts}  (numbers within {worst:.1e}; {times})")


def classify(expected: Any, answer: Any, tolerance: float) -> tuple[str, float]:
    """Return whether two answers are equal, tied or different, and the largest difference."""
    known, numbers = parts(expected)
    other, others = parts(answer)
    differences = np.abs(np.subtract(numbers, others)) if len(numbers) == len(others) else [np.inf]
    difference = float(max([0.0, *differences]))
    if known == other and difference <= tolerance:
        return "equal", difference
    scores = [
        getattr(row, "score", None) or getattr(row, "probability", 0) for row in (expected, answer)
    ]
    return ("tied" if abs(scores[0] - scores[1]) <= TIE else "different"), difference


def parts(value: Any) -> tuple[list, list[float]]:
    """Return what is no number in an answer, and its numbers."""
    if isinstance(value, float):
        return ["number"], [value]
    if isinstance(value, dict):
        value = [*value.items()]
    if not isinstance(value, (list, tuple)):
        return [value], []
    rest, numbers = [], []
    for entry in value:
        inner, found = parts(entry)
        rest.append(inner)
        numbers += found
    return rest, numbers


def hostile(family: str) -> list[bytes]:
    """Return generated inputs: texts of random characters and bytes, or damaged WAV files."""
    draw = random.Random(0)
    if family == "speech":
        return [damaged(draw) for _ in range(HOSTILE)]
    texts = []
    for number in range(HOSTILE):
        length = draw.choice([0, 1, 5, 50, 500])
        if number % 3 == 0:
            texts.append(draw.randbytes(length))
            continue
        highest = [0x250, 0x3000, 0x20000][number % 3 if number % 2 else 2]
        codes = [draw.randrange(highest) for _ in range(length)]
        texts.append("".join(map(chr, codes)).encode("utf-8", "surrogatepass"))
    return texts


def damaged(draw: random.Random) -> bytes:
    generator = np.random.default_rng(draw.randrange(2**32))
    rate = draw.choice([4_000, 8_000, 16_000, 44_100])
    samples = generator.normal(0, draw.choice([1e-3, 0.1, 2]), draw.choice([1, 90, 4_000]))
    content = bytearray(wav_bytes(np.clip(samples, -1, 1), rate))
    for _ in range(draw.choice([0, 1, 3])):
        content[draw.randrange(44)] = draw.randrange(256)
    return bytes(content[: draw.choice([len(content), len(content) // 2, 50])])


def stress(export: Any, inputs: list, seconds: int) -> None:
    """Ask one pipeline from several threads, and print wrong answers and the memory."""
    expected = export.predict(inputs)
    wrong, asked, memory, end = [], [], [], time.monotonic() + seconds

    def ask(seed: int) -> None:
        draw = random.Random(seed)
        while time.monotonic() < end:
            chosen = draw.sample(range(len(inputs)), draw.choice([1, 2, 4]))
            answers = export.predict([inputs[n] for n in chosen])
            asked.append(len(chosen))
            for n, answer in zip(chosen, answers, strict=True):
                if classify(expected[n], answer, 1e-3)[0] == "different":
                    wrong.append(n)

    threads = [threading.Thread(target=ask, args=[seed]) for seed in range(THREADS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        memory.append((len(asked), resident()))
        time.sleep(max(1, seconds / 12))
    grown = ", ".join(f"{calls:,}: {size:.0f} MB" for calls, size in memory)
    click.echo(f"{THREADS} threads, {len(asked):,} calls: {len(wrong)} wrong; resident: {grown}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    click.echo(f"peak {peak:.0f} MB, TensorFlow and the run included")


def resident() -> float:
    """Return the resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
