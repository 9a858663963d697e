"""The README's examples, run as they are written."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", README.read_text("utf-8"), re.M | re.S)


@pytest.mark.slow
def test_every_example_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    # Setting up and serving need what a test has not: the network, and Docker.
    set_up, _, *examples = [code for kind, code in BLOCKS]
    away = ("docker", "curl", "grpc")
    examples = [code for code in examples if not any(word in code for word in away)]
    first = set_up.split("&& .venv/bin/")[-1]
    assert first.startswith("lstm-zoo sentiment train")
    done = subprocess.run(["bash", "-c", first], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # It judges the network on a part that it has not seen, and the network has learned the order.
    accuracy = re.search(r"^report: accuracy (\d\.\d+)", done.stderr, re.M)
    assert float(accuracy[1]) > 0.9
    assert (tmp_path / "exports/demo/1/saved_model.pb").is_file()
    for code in examples:
        shell = "import" not in code
        command = ["bash", "-euc", code] if shell else [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{code}\n{done.stderr}"
    assert len(examples) >= 5
