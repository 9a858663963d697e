"""Every export on TensorFlow's C API: no Python TensorFlow, no lstm_zoo, no XLA."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.serving.conftest import FAMILIES
from tests.serving.server import from_plain, to_plain


def ask(export, questions, cwd):
    lines = b"".join(json.dumps(question).encode() + b"\n" for question in questions)
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("runtime.py"), export],
        input=lines,
        capture_output=True,
        check=True,
        cwd=cwd,
        timeout=300,
    )
    first, *answers = map(json.loads, done.stdout.splitlines())
    return first["signatures"], answers


def assert_alike(expected, answer):
    assert set(expected) == set(answer)
    for name, tensor in expected.items():
        found = from_plain(answer[name])
        assert found.shape == tuple(tensor.shape), name
        if found.dtype == object:
            assert found.tolist() == tensor.numpy().tolist(), name
        else:
            np.testing.assert_allclose(found, tensor, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_each_signature_answers_as_the_pipeline(family, pipelines, models, tmp_path):
    pipeline = pipelines[family]
    cases = [(name, probe) for name, probes in pipeline.probes.items() for probe in probes]
    questions = [
        {"signature": name, "inputs": {key: to_plain(t.numpy()) for key, t in probe.items()}}
        for name, probe in cases
    ]
    bad = [
        {"signature": "none", "inputs": {}},
        {"signature": "serving_default", "inputs": {}},
        "nonsense",
    ]
    # The contract's tests may have added a version before.
    version = max((models / family).iterdir(), key=lambda directory: int(directory.name))
    signatures, answers = ask(version, [*questions, *bad, questions[-1]], tmp_path)
    assert set(signatures) == set(pipeline.signatures)
    for (name, probe), answer in zip(cases, answers, strict=False):
        assert_alike(pipeline.signatures[name](**probe), answer["outputs"])
    assert all("error" in answer for answer in answers[len(cases) : len(cases) + len(bad)])
    assert answers[-1] == answers[len(cases) - 1]


def test_what_must_be_compiled_by_xla_fails_here_as_on_a_server(tmp_path):
    """So that the test above would see it: the runtime does not have XLA by accident."""
    script = """
import sys, tensorflow as tf
module = tf.Module()
inner = tf.function(lambda x: x + 1.0, jit_compile=True)
module.serve = tf.function(
    lambda x: {"y": inner(x)}, input_signature=[tf.TensorSpec([None], tf.float32, "x")]
)
tf.saved_model.save(module, sys.argv[1], signatures=module.serve)
"""
    subprocess.run([sys.executable, "-c", script, tmp_path / "model"], check=True)
    inputs = {"x": {"dtype": "float32", "shape": [1], "values": [2.0]}}
    question = {"signature": "serving_default", "inputs": inputs}
    _, (answer,) = ask(tmp_path / "model", [question], tmp_path)
    assert "XLA" in answer["error"]


def test_bytes_go_in_and_come_out_as_they_are():
    array = np.empty((2, 1), object)
    array[:, 0] = [b"\xff\x00", b""]
    spelled = to_plain(array)
    assert spelled["values"] == [base64.b64encode(b"\xff\x00").decode(), ""]
    assert from_plain(spelled).tolist() == array.tolist()
