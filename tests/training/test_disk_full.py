"""A disk that gets full while a training or an export is written: a real one, of 2 MB."""

import subprocess
import sys

import pytest

from tests.conftest import READY_RUNS

PROGRAM = """
import os, shutil, sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import lstm_zoo
from tests.training.helpers import DATA, SMALL

from lstm_zoo import families
from lstm_zoo.files import find_damage
disk, ready = map(Path, sys.argv[1:])


def fill(free):
    (disk / "filler").unlink(missing_ok=True)
    (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - free * 1024))


def attempt(function, place):
    try:
        function()
        print("written")
    except (OSError, ValueError) as error:
        text = str(error)
        assert "No space left on device" in text and str(place) in text, text
        print("full")


for format in ("tf_saved_model", "onnx"):
    fill(20)
    export = disk / format
    attempt(lambda: lstm_zoo.load(ready).export(export, format=format), export)
    assert not [*export.rglob("*")]

run = disk / "run"
train = lambda **options: lstm_zoo.train("sentiment", DATA, run=run, **options)
for free in (8, 90):  # not enough for the state, and for the weights after it
    fill(free + 60)
    attempt(lambda: train(epochs=1, cell="simple_rnn", ngrams=0, **SMALL), run)
    if run.exists():
        assert not find_damage(run)
        (disk / "filler").unlink()
        train(resume=True)
        print("resumed", (run / "metrics.json").is_file())
        shutil.rmtree(run)

# N-grams are fitted first, for the best epoch again, and at the end on the validation data too.
Classifier = families.task("sentiment")
refit = Classifier.refit
for last in (2, 3):
    calls = []

    def fill_after(task, *arguments):
        fitted = refit(task, *arguments)
        calls.append(fitted)
        if len(calls) == last:
            fill(12)
        return fitted

    (disk / "filler").unlink(missing_ok=True)
    Classifier.refit = fill_after
    attempt(lambda: train(epochs=1, ngram_buckets=1024, **SMALL), run)
    assert len(calls) == last and all(calls)
    Classifier.refit = refit
    assert not find_damage(run)
    (disk / "filler").unlink()
    train(resume=True)
    print("finished", not (run / "checkpoint").exists())
    shutil.rmtree(run)
"""


@pytest.mark.slow
def test_a_full_disk_is_an_error_with_the_path_and_loses_nothing(tmp_path):
    mount = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=2m tmpfs "$1" && shift && "$@"']
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        subprocess.run([*mount, "sh", disk, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no small disk can be mounted here: {error}")
    done = subprocess.run(
        [*mount, "sh", disk, sys.executable, "-c", PROGRAM, disk, READY_RUNS / "sentiment"],
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["full", "full"]
    assert lines[-4:] == ["full", "finished True"] * 2
    assert "full" in lines[2:-4]
    assert "resumed False" not in lines
