"""What a shell completes, as bash, zsh and fish ask for it."""

import os
import shutil
import subprocess
import sys

import pytest

from lstm_zoo.runs import presets
from tests.conftest import READY_RUNS


def completed(line, folder, shell="zsh"):
    """Return the values that the command line offers for the last word of a line."""
    words = line.split(" ")
    environment = {
        **os.environ,
        "_LSTM_ZOO_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    script = (
        "import sys, lstm_zoo.cli\n"
        "try: lstm_zoo.cli.main()\n"
        "finally: assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    assert done.stderr == "" and done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    return lines[1::3] if shell == "zsh" else [line.split(",", 1)[1] for line in lines]


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(READY_RUNS / "sentiment", tmp_path / "runs/films")
    shutil.copytree(READY_RUNS / "speech", tmp_path / "here")
    (tmp_path / "light").mkdir()
    (tmp_path / "light/pipeline.json").touch()  # of an ONNX export
    (tmp_path / "other").mkdir()
    (tmp_path / "file").touch()
    return tmp_path


@pytest.mark.parametrize(
    "line, values",
    [
        ("lstm-zoo s", ["sentiment", "speech"]),
        ("lstm-zoo sentiment ", ["evaluate", "export", "predict", "train"]),
        ("lstm-zoo sentiment train --variant ", ["tiny", "small", "base", "large"]),
        ("lstm-zoo sentiment train --set vari", ["variant="]),
        ("lstm-zoo translation train --set encoder", ["encoder_units="]),
        ("lstm-zoo speech train --set cell=s", ["cell=simple_rnn"]),
        ("lstm-zoo sentiment train --set class_weights=", ["class_weights=true",
                                                                "class_weights=false"]),
        ("lstm-zoo sentiment train --set units=", []),
        ("lstm-zoo sentiment train --set none=", []),
        ("lstm-zoo sentiment predict ", ["here", "light", "other/", "runs/",
                                       "runs/films", *presets.names()]),
        ("lstm-zoo inspect runs/", ["runs/films"]),
        ("lstm-zoo speech predict here --format ", ["srt", "vtt", "ctm"]),
        ("lstm-zoo sentiment export here out --format o", ["onnx"]),
    ],
)  # fmt: skip
def test_words_are_completed(folder, line, values):
    assert completed(line, folder) == values


@pytest.mark.parametrize(
    "line, values",
    [
        ("lstm-zoo sentiment train --set ce", ["cell="]),
        ("lstm-zoo sentiment train --set cell =", ["lstm", "gru", "simple_rnn"]),
        ("lstm-zoo sentiment train --set cell = g", ["gru"]),
        ("lstm-zoo sentiment train --variant t", ["tiny"]),
        ("lstm-zoo sentiment train --variant = t", ["tiny"]),
        ("lstm-zoo sentiment train --variant =", ["tiny", "small", "base", "large"]),
        ("lstm-zoo sentiment train --init-from = runs/f", ["runs/films"]),
    ],
)
def test_bash_gives_an_assignment_as_three_words(folder, line, values):
    assert completed(line, folder, "bash") == values
