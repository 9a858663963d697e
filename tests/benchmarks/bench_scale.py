"""Memory and seconds of a training as its corpus grows, on corpora that are made here.

    python tests/benchmarks/bench_scale.py memory sentiment translation speech
    python tests/benchmarks/bench_scale.py start sentiment translation
    python tests/benchmarks/bench_scale.py epoch sentiment translation speech

`memory`: the peak of a training's memory at 1 and 20 times a corpus, from the start of the process
over preparation and the first 50 steps to the end of the first validation. It is RssAnon, which
counts no file-backed pages: those the system drops when it needs them. VmHWM counts both.

`start`: the seconds from the call of `lstm_zoo.train` to the first step, which then compiles the
network, on 400,000 texts; in a new process each time, the first time and with what it has prepared.

`epoch`: an epoch from prepared examples against one from lists in memory, alternating; and
the batches alone, without the network.

The words of the texts have Zipf's frequencies; a speech corpus is tones in noise.
"""

import argparse
import functools
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np

FAMILIES = ("sentiment", "translation", "speech")
SIZES = {"sentiment": 20_000, "translation": 5_000, "speech": 200}
START = 400_000  # texts
TIMES = 20
STEPS = 50
VOCABULARY = 60_000  # different words
WORDS = 12  # of a text, the median
LONGEST = 60  # words of every 50th text, so that the widest batches of any corpus are alike
RATE = 8_000  # Hz
SETTINGS = {
    "sentiment": {"variant": "tiny", "vocabulary_size": 4_000},
    "translation": {"variant": "tiny", "source": "en", "target": "de"},
    "speech": {"variant": "tiny", "batch_size": 4},
}


def write_corpus(family: str, count: int, folder: Path) -> Path:
    """Write a corpus of a family, and return its path."""
    folder.mkdir(parents=True)
    return {"sentiment": _write_texts, "translation": _write_pairs, "speech": _write_clips}[family](
        count, folder
    )


def _texts(count: int, seed: int) -> tuple[list[list[int]], np.random.Generator]:
    """Return texts as the ranks of their words, of Zipf's frequencies."""
    generator = np.random.default_rng(seed)
    lengths = np.clip(generator.lognormal(np.log(WORDS), 0.4, count), 3, 30).astype(int)
    lengths[::50] = LONGEST
    shares = np.cumsum(1 / (np.arange(VOCABULARY) + 2.7))
    ranks = np.searchsorted(shares, generator.random(lengths.sum()) * shares[-1])
    return [row.tolist() for row in np.split(ranks, np.cumsum(lengths)[:-1])], generator


def _words(letters: str, seed: int) -> list[str]:
    """Return `VOCABULARY` different words; frequent ones are short."""
    generator = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < VOCABULARY:
        length = 2 + (1 + len(found)).bit_length() // 2 + generator.randrange(3)
        found["".join(generator.choices(letters, k=length))] = None
    return [*found]


def _write_texts(count: int, folder: Path) -> Path:
    words, (texts, generator) = _words("abdeiklmnorstu", 1), _texts(count, 2)
    path = folder / "texts.csv"
    with path.open("w", encoding="utf-8") as file:
        print("text,label", file=file)
        for text, label in zip(texts, generator.integers(2, size=count), strict=True):
            mark = ("good", "bad")[label]
            print(f"{' '.join(words[rank] for rank in text)} {mark},{mark}", file=file)
    return path


def _write_pairs(count: int, folder: Path) -> Path:
    sides, (texts, _) = (_words("abdeiklmnorstu", 1), _words("aeghijklnostuz", 3)), _texts(count, 2)
    for language, words in zip(("en", "de"), sides, strict=True):
        with (folder / f"pairs.{language}").open("w", encoding="utf-8") as file:
            for text in texts:
                print(" ".join(words[rank] for rank in text), file=file)
    return folder / "pairs"


def _write_clips(count: int, folder: Path) -> Path:
    generator = np.random.default_rng(2)
    path = folder / "clips.tsv"
    with path.open("w", encoding="utf-8") as file:
        print("path\ttext\tspeaker", file=file)
        for number in range(count):
            tones = generator.integers(8, size=generator.integers(4, 9))
            times = np.arange(RATE * 3 // 10) / RATE
            sound = np.concatenate([np.sin(2 * np.pi * (300 + 250 * t) * times) for t in tones])
            sound = 0.3 * sound + 0.01 * generator.standard_normal(len(sound))
            name = f"{number}.wav"
            with wave.open(str(folder / name), "wb") as clip:
                clip.setnchannels(1)
                clip.setsampwidth(2)
                clip.setframerate(RATE)
                clip.writeframes((sound * 32_767).astype("<i2").tobytes())
            text = " ".join("abcdefgh"[tone] * 2 for tone in tones)
            print(f"{name}\t{text}\t{number % 40}", file=file)
    return path


def run_training(family: str, data: str, run: str, until: str) -> None:
    """Train to the first step or the end of the first validation; print the seconds to the step."""
    import keras

    import lstm_zoo

    class Stop(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 0:
                seconds = (time.monotonic() - started, time.process_time() - cpu)
                print(json.dumps(seconds), flush=True)
                if until == "step":
                    os._exit(0)

        def on_train_batch_end(self, batch, logs=None):
            if batch + 1 >= STEPS:
                self.model.stop_training = True

        def on_epoch_end(self, epoch, logs=None):
            os._exit(0)  # the validation is done

    __import__(f"lstm_zoo.{family}.pipeline")
    started, cpu = time.monotonic(), time.process_time()
    lstm_zoo.train(family, data, run=run, callbacks=[Stop()], **SETTINGS[family])


def measure(family: str, data: Path, run: Path, until: str) -> dict[str, float]:
    """Run a training in a process of its own; return its peaks in MB, and the seconds to a step."""
    command = [sys.executable, __file__, "train", family, str(data), str(run), until]
    peaks = {"RssAnon": 0, "VmHWM": 0}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE)
        os.set_blocking(process.stderr.fileno(), False)
        messages = b""
        while process.poll() is None:
            messages += process.stderr.read() or b""
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                break
            for line in status.splitlines():
                name = line.split(":")[0]
                if name in peaks:
                    peaks[name] = max(peaks[name], int(line.split()[1]))
            time.sleep(0.01)
        messages += process.stderr.read() or b""
        if process.wait():
            raise RuntimeError(messages.decode()[-3_000:])
        output.seek(0)
        seconds, cpu = json.loads(output.read().splitlines()[0])
    return {**{name: peak / 1_000 for name, peak in peaks.items()}, "seconds": seconds, "CPU": cpu}


def memory(families: list[str], folder: Path, runs: int) -> None:
    """Print the peaks of trainings on 1 and 20 times a corpus."""
    for family in families:
        peaks = []
        for times in (1, TIMES):
            count = SIZES[family] * times
            data = write_corpus(family, count, folder / f"{family}-{times}")
            found = [
                measure(family, data, folder / f"runs-{family}-{times}-{number}" / "run", "end")
                for number in range(runs)
            ]
            peaks.append(max(row["RssAnon"] for row in found))
            for row in found:
                values = ", ".join(f"{name} {value:,.1f}" for name, value in row.items())
                print(f"{family}, {count:,} examples: {values}", flush=True)
        print(f"{family}: {peaks[1] / peaks[0]:.3f} times the memory", flush=True)


def start(families: list[str], folder: Path, runs: int) -> None:
    """Print the seconds to the first step on 400,000 texts, first and then."""
    for family in families:
        data = write_corpus(family, START, folder / f"{family}-start")
        for number in range(runs):
            place = folder / f"start-{family}-{number}"
            for name in ("first", "second"):
                found = measure(family, data, place / name, "step")
                print(
                    f"{family}, {START:,} examples, {name} time: {found['seconds']:.1f} s, "
                    f"{found['CPU']:.1f} s of CPU; load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )
            shutil.rmtree(place)


def epoch(families: list[str], folder: Path, runs: int) -> None:
    """Print the seconds of epochs from lists in memory, from prepared examples, and the ratio."""
    import dataclasses

    from lstm_zoo import families as registry
    from lstm_zoo.data import rows
    from lstm_zoo.settings import resolve
    from lstm_zoo.training import process
    from lstm_zoo.training.dataset import BatchOrder, make_dataset
    from lstm_zoo.training.optimizer import make_optimizer

    rows.IN_MEMORY = 1
    for family in families:
        data = write_corpus(family, SIZES[family], folder / f"{family}-epoch")
        settings = resolve(registry.settings(family), SETTINGS[family])
        kind, cache = registry.task(family), folder / f"cache-{family}"
        corpus = kind.read(str(data), settings, cache=cache)
        task = kind.learn(corpus, settings, 1)
        prepared = task.encode(corpus, training=True, cache=cache)
        lists = {
            "sentiment": lambda e: {"ids": [*map(np.array, e.ids)]},
            "translation": lambda e: {
                "sources": [*map(np.array, e.sources)],
                "targets": [*map(np.array, e.targets)],
            },
            "speech": lambda e: {"versions": [[*map(np.array, rows)] for rows in e.versions]},
        }[family]
        in_memory = dataclasses.replace(prepared, **lists(prepared))
        process.set_seed(1)
        model, _ = task.build(prepared, 1)
        order = BatchOrder(prepared.lengths, settings)
        model.compile(make_optimizer(settings, order.steps), task.loss(), jit_compile=False)
        seconds: dict[str, list[float]] = {}
        for number in range(1 + runs):
            for name, examples in (("memory", in_memory), ("prepared", prepared)):
                dataset = make_dataset(order, functools.partial(task.batch, examples))
                times = [time.monotonic()]
                for _ in dataset:
                    pass
                times.append(time.monotonic())
                model.fit(dataset, verbose=0, shuffle=False)
                times.append(time.monotonic())
                if number:  # the first epoch compiles
                    for part, value in zip(("batches", "epoch"), np.diff(times), strict=True):
                        seconds.setdefault(f"{part} {name}", []).append(float(value))
        for part in ("batches", "epoch"):
            pairs = [seconds[f"{part} {name}"] for name in ("memory", "prepared")]
            ratios = [second / first for first, second in zip(*pairs, strict=True)]
            print(
                f"{family}, {part}: memory {statistics.median(pairs[0]):.3f} s, prepared "
                f"{statistics.median(pairs[1]):.3f} s; ratio {statistics.median(ratios):.3f} "
                f"({min(ratios):.3f} to {max(ratios):.3f})",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("memory", "start", "epoch", "train"))
    parser.add_argument("arguments", nargs="+", metavar="FAMILY")
    parser.add_argument("--runs", type=int, default=1, help="how often each is measured")
    parser.add_argument("--folder", type=Path, help="for scratch files, some GB; it must be empty")
    options = parser.parse_args()
    if options.what == "train":
        run_training(*options.arguments)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        globals()[options.what](options.arguments, Path(folder), options.runs)


if __name__ == "__main__":
    main()
