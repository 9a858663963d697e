"""Standard error has what lstm_zoo logs, and no line of TensorFlow's, absl's or XLA's."""

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import run_cli

NOISE = re.compile(
    r"(?i:absl|oneDNN|cuda|\bxla\b|tensorflow)|AVX|\.(cc|py|h):\d+|WARNING|^[IWEF]\d{4} |Traceback"
)
TRAIN = {
    "sentiment": ["--variant", "tiny", "--epochs", "1", "--set", "units=8"],
    "speech": ["--variant", "tiny", "--epochs", "1", "--set", "units=8"],
    "translation": ["--source", "en", "--target", "fr", "--variant", "tiny", "--epochs", "1",
                    "--set", "batch_tokens=8000"],
}  # fmt: skip
DATA = {
    "sentiment": ("data.tsv", "text\tlabel\ngood film\tpos\nbad film\tneg\n"),
    "speech": ("data.tsv", "path\ttext\nspoken.wav\tone two\n"),
    "translation": ("data.tsv", "en\tfr\n5 hours\t5 heures\n3 days\t3 jours\n"),
}
INPUT = {"sentiment": "not bad", "speech": "spoken.wav", "translation": "5 hours"}


def environment():
    """That of a user: no variable that quietens TensorFlow."""
    kept = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return {**kept, "PYTHONPATH": os.pathsep.join(sys.path)}


def noise(done):
    assert done.returncode == 0, done.stderr
    return [line for line in done.stderr.decode().splitlines() if NOISE.search(line)]


@pytest.mark.slow
@pytest.mark.parametrize("family", TRAIN)
def test_no_command_prints_a_librarys_noise(family, tmp_path):
    spoken = os.path.join(os.path.dirname(__file__), "data/version_0_1/spoken.wav")
    (tmp_path / "spoken.wav").symlink_to(spoken)
    name, content = DATA[family]
    (tmp_path / name).write_text(content)
    for command in (
        [family, "train", "--run", "run", *TRAIN[family]],
        [family, "predict", "run", INPUT[family]],
    ):
        done = run_cli(*command, fresh=True, env=environment(), cwd=tmp_path)
        assert noise(done) == [], command
        assert command[1] == "train" or done.stderr == b"", command
    commands = [
        [family, "predict", "run", "--input", name, "--output", "answers.csv"],
        [family, "evaluate", "run", "--data", name],
        [family, "export", "run", "export"],
        ["inspect", "run"],
    ]
    # In one process: the two above would show what TensorFlow prints when it is imported.
    script = (
        "import sys\nfrom lstm_zoo.cli import cli\n"
        f"for command in {commands}:\n"
        "    cli(command, prog_name='lstm-zoo', standalone_mode=False)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0 and done.stderr == b"", done.stderr
    rows = (tmp_path / "answers.csv").read_text().splitlines()
    assert len(rows) == len(content.splitlines()) and rows[0].endswith(",error")


@pytest.mark.slow
def test_python_prints_none_either_and_both_switches_work(tmp_path):
    script = (
        "import logging, lstm_zoo\n"
        "from lstm_zoo.sentiment import demo\n"
        "data = demo.generate(200)[:2]\n"
        "options = dict(variant='tiny', epochs=1, units=8)\n"
        "pipeline = lstm_zoo.train('sentiment', data, run='a', **options)\n"
        "pipeline.evaluate(data); pipeline.export('export'); lstm_zoo.load('a').predict(['x'])\n"
        "print('quiet from here', file=__import__('sys').stderr)\n"
        "logging.getLogger('lstm_zoo').setLevel(logging.ERROR)\n"
        "lstm_zoo.train('sentiment', data, run='b', **options)\n"
    )
    command = [sys.executable, "-c", script]
    options = {"capture_output": True, "cwd": tmp_path}
    done = subprocess.run(command, env=environment(), **options)
    assert noise(done) == []
    assert b"epoch 1/1" in done.stderr
    assert done.stderr.endswith(b"quiet from here\n")

    embedded = {**environment(), "LSTM_ZOO_EMBEDDED": "1"}
    script = "import lstm_zoo; lstm_zoo.build_sentiment; import os; print(dict(os.environ))"
    done = subprocess.run([sys.executable, "-c", script], env=embedded, **options)
    assert b"TF_CPP_MIN_LOG_LEVEL" not in done.stdout


@pytest.mark.slow
def test_quiet_and_verbose(tmp_path):
    command = ["sentiment", "train", *TRAIN["sentiment"], "--run"]
    options = {"fresh": True, "env": environment(), "cwd": tmp_path}
    done = run_cli(*command, "a", "-q", **options)
    assert done.stdout == b"a\n"
    assert re.fullmatch(rb"Warning: only \d+ training steps .*\n", done.stderr)
    done = run_cli(*command, "b", "--verbose", **options)
    assert re.search(rb"^epoch 1/1  step 2/\d+  loss 0\.\d+$", done.stderr, re.MULTILINE)
    assert re.search(rb"\.cc:\d+\]", done.stderr)  # TensorFlow's own log
    done = run_cli(*command, "c", "-q", "-v", **options)
    assert done.returncode == 2
    assert done.stderr == b"Error: --quiet and --verbose exclude each other.\n"
