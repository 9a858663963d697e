"""Every export on TensorFlow's C API, without TensorFlow's Python, lstm_zoo and XLA."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.serving.conftest import FAMILIES
from tests.serving.server import from_message, to_message


def run_requests(export, requests, cwd):
    lines = b"".join(json.dumps(request).encode() + b"\n" for request in requests)
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("runtime.py"), export],
        input=lines,
        capture_output=True,
        check=True,
        cwd=cwd,
        timeout=300,
    )
    first, *responses = map(json.loads, done.stdout.splitlines())
    return first["signatures"], responses


def assert_alike(expected, answer):
    assert set(expected) == set(answer)
    for name, tensor in expected.items():
        found = from_message(answer[name])
        assert found.shape == tuple(tensor.shape), name
        if found.dtype == object:
            assert found.tolist() == tensor.numpy().tolist(), name
        else:
            np.testing.assert_allclose(found, tensor, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_each_signature_gives_the_pipelines_outputs(family, pipelines, models, tmp_path):
    pipeline = pipelines[family]
    cases = [(name, probe) for name, probes in pipeline.probes.items() for probe in probes]
    requests = [
        {"signature": name, "inputs": {key: to_message(t.numpy()) for key, t in probe.items()}}
        for name, probe in cases
    ]
    bad = [
        {"signature": "none", "inputs": {}},
        {"signature": "serving_default", "inputs": {}},
        "nonsense",
    ]
    # test_contract.py may have added a version.
    version = max((models / family).iterdir(), key=lambda directory: int(directory.name))
    signatures, responses = run_requests(version, [*requests, *bad, requests[-1]], tmp_path)
    assert set(signatures) == set(pipeline.signatures)
    for (name, probe), response in zip(cases, responses, strict=False):
        assert_alike(pipeline.signatures[name](**probe), response["outputs"])
    assert all("error" in response for response in responses[len(cases) : len(cases) + len(bad)])
    assert responses[-1] == responses[len(cases) - 1]


@pytest.mark.slow
def test_a_function_that_xla_must_compile_fails_as_on_a_server(tmp_path):
    """Shows that the runtime lacks XLA, and the test above would fail on such a function."""
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
    request = {"signature": "serving_default", "inputs": inputs}
    _, (response,) = run_requests(tmp_path / "model", [request], tmp_path)
    assert "XLA" in response["error"]


def test_bytes_are_encoded_and_decoded_unchanged():
    array = np.empty((2, 1), object)
    array[:, 0] = [b"\xff\x00", b""]
    tensor = to_message(array)
    assert tensor["values"] == [base64.b64encode(b"\xff\x00").decode(), ""]
    assert from_message(tensor).tolist() == array.tolist()
