"""Shared fixtures: real corpora, small trained runs, and the command line as a process."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import preloaded

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# On a GPU: its memory is shared with the processes that tests start, and those compute without
# TF32 too, as `full_float32` has this one do.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
if "PYTEST_XDIST_WORKER" in os.environ:  # more threads than cores only wait for one another
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")

# The same examples in every run, and no failure because a machine is slow.
settings.register_profile(
    "fixed", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("fixed")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
# Small runs of every family, trained on the demo corpora: ready to load.
READY_RUNS = Path(__file__).parent / "data/version_0_1"

HOSTILE = [
    "",
    " \t ",
    b"\xff\xfe not UTF-8 \xc3",
    "\x00\x01",
    "word " * 25_000,
    "a" * 100_000,
    "\U0001f600\U0001f601",
    "\u202eright to left\u202c",
    "<pad> <unk> <s> </s>",
    "caf\u0065\u0301 \ufb01lm",
]


def pytest_collection_modifyitems(items):
    """Start with the docs' examples, the longest test; other processes run the rest meanwhile."""
    items.sort(key=lambda item: item.path.name != "test_docs.py")


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu"):
        import tensorflow as tf

        if not tf.config.list_physical_devices("GPU"):
            pytest.skip("TensorFlow sees no GPU")


@pytest.fixture(autouse=True, scope="session")
def full_float32():
    """Switch off TF32, a GPU's short float32, in which equal results differ by 2e-4."""
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real corpora, next to the checkout; most machines have none."""
    if not SHARED.is_dir():
        pytest.skip(f"no real corpora: there is no {SHARED}")
    return SHARED


def made_once(tmp_path_factory, name, make) -> Path:
    """Make a directory once for all processes of pytest-xdist, in the first that needs it."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    directory = place / "made" / name
    directory.parent.mkdir(exist_ok=True)
    with open(directory.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            make(directory)
    return directory


def trained_once(tmp_path_factory, name, *arguments, **settings) -> Path:
    """Train a run once for all processes, in the first that needs it."""
    import lstm_zoo

    return made_once(
        tmp_path_factory, name, lambda run: lstm_zoo.train(*arguments, run=run, **settings)
    )


def exported_once(tmp_path_factory, family) -> Path:
    """Export a family's ready run once for all processes; return the directory of its version 1."""
    import lstm_zoo

    def export(directory):
        lstm_zoo.load(READY_RUNS / family).export(directory)

    return made_once(tmp_path_factory, f"{family}-export", export) / "1"


@pytest.fixture(scope="session")
def onnx_export(tmp_path_factory):
    """A function from a family to the ONNX export of its ready run, made once for all processes."""
    import lstm_zoo

    def export(family: str, **options) -> Path:
        def make(directory):
            lstm_zoo.load(READY_RUNS / family).export(directory, format="onnx", **options)

        return made_once(tmp_path_factory, "-".join([family, "onnx", *options]), make)

    return export


@pytest.fixture(scope="session")
def small_run(tmp_path_factory) -> Path:
    """A tiny classifier of the demo corpus: a copy of a ready run."""
    return Path(
        shutil.copytree(READY_RUNS / "sentiment", tmp_path_factory.mktemp("runs") / "small")
    )


@pytest.fixture(scope="session")
def small_pipeline(small_run):
    """The pipeline of `small_run`."""
    import lstm_zoo

    return lstm_zoo.load(small_run)


@pytest.fixture(scope="session")
def digits(shared_data):
    """Real recordings of digit strings, the training data of `recognizer`."""
    from lstm_zoo.speech.corpus import read

    corpus = read(shared_data / "digits/LibriSpeech/train")
    return corpus.take(range(0, len(corpus), 5))


@pytest.fixture(scope="session")
def recognizer_run(digits, tmp_path_factory):
    """A run of a tiny network, trained long enough to recognize some words."""
    return trained_once(
        tmp_path_factory,
        "digits",
        "speech",
        digits.columns,
        variant="tiny",
        epochs=12,
        batch_size=8,
        learning_rate=0.01,
    )


@pytest.fixture(scope="session")
def recognizer(recognizer_run):
    """The pipeline of `recognizer_run`."""
    import lstm_zoo

    return lstm_zoo.load(recognizer_run)


@pytest.fixture(scope="session")
def spoken_recognizer():
    """A tiny recognizer of the synthetic demo corpus, at 8 kHz; needs no real recordings."""
    import lstm_zoo

    return lstm_zoo.load(READY_RUNS / "speech")


@pytest.fixture(scope="session")
def spoken_data(tmp_path_factory) -> Path:
    """The manifest of 200 synthetic recordings of the demo corpus, FLAC files at 8 kHz."""
    import soundfile

    from lstm_zoo.speech import demo
    from lstm_zoo.speech.audio import read_audio

    folder = tmp_path_factory.mktemp("spoken")
    rows = ["path\ttext\tspeaker\n"]
    for number, (clip, text, speaker) in enumerate(zip(*demo.generate(200, seed=9), strict=True)):
        soundfile.write(folder / f"{number}.flac", read_audio(clip, 8_000), 8_000)
        rows.append(f"{number}.flac\t{text}\t{speaker}\n")
    manifest = folder / "spoken.tsv"
    manifest.write_text("".join(rows))
    return manifest


@pytest.fixture(scope="session")
def translator_run(tmp_path_factory):
    """A run of a tiny network, trained until some translations are right and some wrong."""
    from tests.translation.phrases import phrases

    return trained_once(
        tmp_path_factory,
        "phrases",
        "translation",
        phrases(1_500, seed=1),
        source="en",
        target="de",
        variant="tiny",
        vocabulary_size=400,
        epochs=5,
        batch_tokens=600,
        learning_rate=0.01,
        beam_width=4,
    )


@pytest.fixture(scope="session")
def translator(translator_run):
    """The pipeline of `translator_run`."""
    import lstm_zoo

    return lstm_zoo.load(translator_run)


def run_cli(
    *arguments, stdin: bytes = b"", fresh: bool = False, **options
) -> subprocess.CompletedProcess:
    """Run `lstm-zoo` in a process of its own; a fresh interpreter imports all that it needs."""
    command = [sys.executable, "-m", "lstm_zoo"] if fresh else [preloaded.lstm_zoo()]
    return subprocess.run(
        [*command, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=300,
        **options,
    )


def serve_elsewhere(script, exported, tmp_path, batches):
    """Move an export, make it read-only, and run it in a fresh process in another directory.

    The script takes the export's path, reads from standard input a list of batches, each a list of
    base64, and writes its outputs as JSON.
    """
    from lstm_zoo.text.tokenizers import as_bytes

    moved = tmp_path / "moved"
    shutil.copytree(exported, moved)
    for folder, _, files in os.walk(moved):
        for path in [folder, *(os.path.join(folder, file) for file in files)]:
            os.chmod(path, 0o555)
    encoded = [[base64.b64encode(row).decode() for row in as_bytes(batch)] for batch in batches]
    done = subprocess.run(
        [sys.executable, "-c", script, moved],
        input=json.dumps(encoded).encode(),
        capture_output=True,
        cwd=tmp_path,
        check=True,
        timeout=600,
    )
    return json.loads(done.stdout)


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved."""
    from lstm_zoo.runs import plots

    figures, save = [], plots.save

    def save_and_keep(figure, path):
        figures.append(figure)
        save(figure, path)

    monkeypatch.setattr(plots, "save", save_and_keep)
    return figures
