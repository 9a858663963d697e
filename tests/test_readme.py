"""The README's examples, run as they are written."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"
SERVER = Path(__file__).parent / "serving/server.py"
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", README.read_text("utf-8"), re.M | re.S)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's REST client is curl")
def test_every_example_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    # Setting up needs the network, and TF Serving Docker: our server stands in its place.
    set_up, _, *examples = [code for kind, code in BLOCKS]
    examples = [code for code in examples if not code.startswith("docker")]
    clients = [code for code in examples if "localhost" in code]
    assert len(clients) == 2
    examples = [code for code in examples if code not in clients]
    first = set_up.split("&& .venv/bin/")[-1]
    assert first.startswith("lstm-zoo sentiment train")
    done = subprocess.run(["bash", "-c", first], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # It judges the network on a part that it has not seen, and the network has learned the order.
    accuracy = re.search(r"^test: accuracy (\d\.\d+)", done.stderr, re.M)
    assert float(accuracy[1]) > 0.9
    assert (tmp_path / "exports/demo/1/saved_model.pb").is_file()
    for code in examples:
        run(code, tmp_path)
    assert len(examples) >= 5

    for name in ("demo", "spoken", "phrases"):
        shutil.copytree(tmp_path / "exports" / name, tmp_path / "served" / name)
    command = [sys.executable, SERVER, tmp_path / "served"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        try:
            ports = json.loads(server.stdout.readline())
            said = [
                run(code.replace("8500", str(ports["grpc"])).replace("8501", str(ports["rest"])),
                    tmp_path)
                for code in clients
            ]  # fmt: skip
        finally:
            server.kill()
    by_rest, by_grpc = said
    assert by_rest.count('"predictions"') == 4 and '"label": "pos"' in by_rest
    label, transcript, translation = map(ast.literal_eval, by_grpc.splitlines())
    assert label == ["pos"] and transcript[0] in by_rest and translation[0] in by_rest


def run(code, directory):
    """Run an example, and return what it printed."""
    shell = not re.search(r"^(import|from) ", code, re.M)
    command = ["bash", "-euo", "pipefail", "-c", code] if shell else [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    assert done.returncode == 0, f"{code}\n{done.stderr}"
    return done.stdout
