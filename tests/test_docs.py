"""The examples of the README and of docs/, run as they are written, one after the other."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import lstm_zoo
from tests import preloaded

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SERVER = Path(__file__).parent / "serving/server.py"


class Block(NamedTuple):
    """A block of code: the name of the file that it is, if the line before it names one."""

    file: str
    kind: str
    code: str


def blocks_of(page):
    found = re.findall(
        r"^(?:`([\w/]+\.py)`\n\n)?```(sh|python)\n(.*?)^```", page.read_text("utf-8"), re.M | re.S
    )
    return [Block(*groups) for groups in found]


def test_the_readme_is_short_and_links_to_pages_that_are_there():
    text = PAGES[0].read_text("utf-8")
    assert len(text.splitlines()) <= 200
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
    assert {f"docs/{page.name}" for page in PAGES[1:]} == set(re.findall(r"\((docs/[^)]+)\)", text))


def test_the_table_of_presets_has_what_their_cards_say():
    text = (ROOT / "docs/presets.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| .* \| (.+?), .* \| (.+) MB \| (.+) \|$", text, re.M)
    expected = []
    for name, card in lstm_zoo.presets().items():
        metric, size, licence = (card["preset"][key] for key in ("metric", "bytes", "data"))
        value = metric["value"] * 100 if metric["name"] == "wer" else metric["value"]
        shown = {
            "accuracy": f"accuracy {value:.3f}", "wer": f"WER {value:.1f} %",
            "bleu": f"BLEU {value:.1f}",
        }[metric["name"]]  # fmt: skip
        expected.append((name, shown, f"{size / 1e6:.1f}", licence["licence"]))
    assert sorted(rows) == sorted(expected)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="the REST client of docs/ is curl")
def test_every_example_runs(tmp_path, monkeypatch):
    # The first command is the environment's own; the others begin with TensorFlow imported.
    own, ready = Path(sys.executable).parent, preloaded.python().parent
    monkeypatch.setenv("PATH", f"{ready}:{own}:/usr/bin:/bin")
    # Setting up needs the network, and TF Serving Docker: our server stands in its place.
    set_up, _, *examples = [block for page in PAGES for block in blocks_of(page)]
    examples = [block for block in examples if not block.code.startswith("docker")]
    clients = [block for block in examples if "localhost" in block.code]
    assert len(clients) == 2
    examples = [block for block in examples if block not in clients]
    first = set_up.code.split(" && ")[-1]
    assert "| .venv/bin/lstm-zoo sentiment predict" in first
    answer = run(set_up._replace(code=first.replace(".venv/bin", str(own))), tmp_path)
    assert answer.startswith("pos")
    for block in examples:
        if block.file:
            (tmp_path / block.file).parent.mkdir(exist_ok=True)
            (tmp_path / block.file).write_text(block.code)
        else:
            run(block, tmp_path)
    assert len(examples) >= 20
    assert (tmp_path / "exports/demo/1/saved_model.pb").is_file()
    # The demo's network is evaluated on a test set, and has learned the order of words.
    metrics = json.loads((tmp_path / "runs/demo/metrics.json").read_text("utf-8"))
    assert metrics["test"]["accuracy"] > 0.9

    for name in ("demo", "spoken", "phrases"):
        shutil.copytree(tmp_path / "exports" / name, tmp_path / "served" / name)
    command = [sys.executable, SERVER, tmp_path / "served"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        try:
            ports = json.loads(server.stdout.readline())
            answers = []
            for block in clients:
                code = block.code.replace("8500", str(ports["grpc"]))
                block = block._replace(code=code.replace("8501", str(ports["rest"])))
                answers.append(run(block, tmp_path))
        finally:
            server.kill()
    by_rest, by_grpc = answers
    assert by_rest.count('"predictions"') == 4 and '"label": "pos"' in by_rest
    label, transcript, translation = map(ast.literal_eval, by_grpc.splitlines())
    assert label == ["pos"] and transcript[0] in by_rest and translation[0] in by_rest


def run(block, directory):
    """Run an example, and return what it printed."""
    shell = ["bash", "-euo", "pipefail", "-c", block.code]
    python = ["python", "-c", block.code]
    command = shell if block.kind == "sh" else python
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    assert done.returncode == 0, f"{block.code}\n{done.stderr}"
    return done.stdout
