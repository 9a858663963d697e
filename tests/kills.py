"""Kills of trainings: `python -m tests.kills [KILLS] [FAMILY...]`, 20 of each family unless given.

A training is killed by SIGKILL at a place chosen by seed: at or shortly after one of the system
calls by which it opens, renames or removes something in its run or in the cache next to it: while
it prepares its examples, in an epoch (there is a checkpoint after each step), at its end, or in the
final evaluation. It is resumed (and killed again, every third time), and the finished run is
compared, bit for bit, with one that was never killed.
"""

import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
from pathlib import Path

from tests.preloaded import MODULES

PLACES = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir")
# What depends on the time that a training took; the report holds it, the date and the run's path.
UNEQUAL = ("environment.json", "checksums.json", "report.html")
SMALL = {"variant": "tiny", "epochs": 3, "cell": "simple_rnn"}
LIMIT = 600  # seconds for a training


def data_of(family):
    """Return a small corpus of a family, in memory, and settings."""
    if family == "sentiment":
        from lstm_zoo.sentiment import demo

        texts, labels, _ = demo.generate(120, seed=2)
        return (texts, labels), {"units": 8, "average_epochs": 2}
    if family == "speech":
        from lstm_zoo.speech import demo

        clips, texts, _ = demo.generate(24, seed=2)
        return (clips, texts), {"units": 8, "beam_width": 1}
    from tests.translation.phrases import phrases

    settings = {"source": "en", "target": "de", "vocabulary_size": 300, "beam_width": 1}
    settings |= {"encoder_units": 8, "decoder_units": 8}
    return phrases(80, seed=1), settings


def train(family, run, resume=False, kill_at=None, delay=0.0, counted=None, **options):
    """Train a run in this process, which is killed `delay` seconds after a number of places.

    The options are for a training that is not resumed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import lstm_zoo

    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    data, settings = data_of(family)
    settings = {} if resume else {**SMALL, "checkpoint_minutes": 0, **settings, **options}
    seen = 0

    def kill():
        os.kill(os.getpid(), signal.SIGKILL)

    def watch(event, arguments):
        nonlocal seen
        if event in PLACES and str(arguments[0]).startswith(f"{run.parent}/"):
            seen += 1
            if seen == kill_at:
                threading.Timer(delay, kill).start() if delay else kill()

    sys.addaudithook(watch)
    lstm_zoo.train(family, data, run=run, resume=resume, **settings)
    if counted is not None:
        counted.value = seen


def run_process(*arguments, **options):
    """Train in a process of its own, and return its exit status: -9 after a kill."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*MODULES])
    counted = context.Value("i", 0)
    options = {**options, "counted": counted}
    process = context.Process(target=train, args=arguments, kwargs=options)
    process.start()
    process.join(LIMIT)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError(f"a training took longer than {LIMIT} seconds")
    return process.exitcode, counted.value


def files_of(run):
    files = {str(path.relative_to(run)): path for path in sorted(run.rglob("*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name not in UNEQUAL}


def kill_family(family, kills, folder, seed=0, **options):
    """Kill trainings of a family, and yield for each the place and how the finished run differs."""
    status, places = run_process(family, folder / "whole" / "run", **options)
    assert status == 0, f"{family}: the training that is not killed fails"
    expected, generator = files_of(folder / "whole" / "run"), random.Random(seed)
    for number in range(kills):
        # One in each of equal parts of the training, so that every kind of file is met.
        first, last = number * places // kills + 1, (number + 1) * places // kills
        place, delay = generator.randint(first, max(first, last)), generator.choice([0, 0, 0.003])
        run = folder / f"killed-{number}" / "run"
        status, _ = run_process(family, run, kill_at=place, delay=delay, **options)
        description = f"{family}: kill {number + 1} at place {place} of {places}, {delay} s after"
        if not run.exists():
            yield description, "" if status == -signal.SIGKILL else f"status {status}"
            continue
        if number % 3 == 2:
            run_process(family, run, resume=True, kill_at=generator.randint(1, places))
        status, _ = run_process(family, run, resume=True)
        found = files_of(run)
        unequal = [name for name in {**found, **expected} if found.get(name) != expected.get(name)]
        yield description, f"status {status}" if status else ", ".join(unequal)


def main(kills="20", *families):
    survived = 0
    for family in families or ("sentiment", "speech", "translation"):
        with tempfile.TemporaryDirectory() as folder:
            for description, difference in kill_family(family, int(kills), Path(folder)):
                survived += not difference
                print(description, difference or "survived", sep=": ", flush=True)
    print(f"{survived} survived")


if __name__ == "__main__":
    main(*sys.argv[1:])
