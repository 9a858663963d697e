"""TF Serving's interface, gRPC and REST over sockets; of the test server, or a real one."""

import contextlib
import os
import random
import threading
import time
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from tests.conftest import HOSTILE
from tests.serving.client import Refused, call_rest, predict_grpc, to_rest
from tests.serving.conftest import FAMILIES
from tests.speech.test_pipeline import wav_bytes

pytestmark = pytest.mark.slow  # all families are exported for it

WORDS = ["three", "old", "dogs", "and", "the", "film", "is", "not", "dull", "é", "\U0001f600", ""]


def good_inputs(family, signature, generator, least=0):
    """Draw a valid request: a batch of random size, contents and lengths."""
    batch = generator.randint(least, 6)
    if signature == "waveform":
        longest = generator.randint(1, 6_000)
        lengths = [generator.randint(0, longest) for _ in range(batch)]
        audio = np.random.default_rng(generator.randrange(2**32)).normal(0, 0.1, (batch, longest))
        return {
            "audio": tf.constant(audio, tf.float32),
            "num_samples": tf.constant(lengths, tf.int32),
        }
    rows = []
    for _ in range(batch):
        kind = generator.randrange(3)
        if kind == 0:
            rows.append(generator.randbytes(generator.randint(0, 60)))
        elif family == "speech" and kind == 1:
            noise = np.random.default_rng(generator.randrange(2**32)).normal(0, 0.1, 4_000)
            rows.append(wav_bytes(noise, generator.choice([8_000, 8_000, 16_000])))
        else:
            words = generator.choices(WORDS, k=generator.randint(0, 12))
            rows.append(" ".join(words).encode())
    name = "wav" if family == "speech" else "text"
    return {name: tf.constant(rows, tf.string, shape=[batch])}


def bad_inputs(family, signature, generator):
    """Draw an invalid request: an input has another name, type, or number of dimensions."""
    inputs = good_inputs(family, signature, generator, least=1)
    name = generator.choice([*inputs])
    wrong = generator.randrange(4)
    if wrong == 0:
        return {**{key: t for key, t in inputs.items() if key != name}, "other": inputs[name]}
    if wrong == 1:
        return {**inputs, "other": tf.constant([1.0])}
    if wrong == 2:
        return {**inputs, name: tf.zeros([2, 3], tf.float64)}
    return {**inputs, name: inputs[name][..., tf.newaxis, tf.newaxis]}


def assert_alike(expected, answer):
    assert set(expected) == set(answer)
    for name, tensor in expected.items():
        found = answer[name]
        if tensor.dtype == tf.string:
            texts = tensor.numpy()
            assert np.shape(found) == texts.shape
            assert np.array(found, object).ravel().tolist() == texts.ravel().tolist(), name
        else:
            found = np.array(found, np.float32).reshape(tensor.shape)
            np.testing.assert_allclose(found, tensor, rtol=1e-4, atol=1e-4, err_msg=name)


def from_rows(rows, names):
    """Turn REST's rows into columns, texts into bytes."""
    if len(names) == 1:
        rows = [{names[0]: row} for row in rows]
    columns = {name: [row[name] for row in rows] for name in names}
    return {name: encoded(column) for name, column in columns.items()}


def encoded(value):
    if isinstance(value, list):
        return [encoded(item) for item in value]
    return value.encode() if isinstance(value, str) else value


def signatures_of(pipelines):
    return [(family, name) for family in FAMILIES for name in pipelines[family].signatures]


def test_grpc_and_rest_give_the_pipelines_outputs(server, pipelines):
    generator = random.Random(1)
    for family, signature in signatures_of(pipelines):
        function = pipelines[family].signatures[signature]
        for _ in range(5):
            inputs = good_inputs(family, signature, generator, least=1)
            expected = function(**inputs)
            assert_alike(expected, predict_grpc(server.grpc, family, signature, inputs))
            path = f"/v1/models/{family}:predict"
            columns = {name: to_rest(tensor) for name, tensor in inputs.items()}
            body = {"signature_name": signature, "inputs": columns}
            answer = call_rest(server.rest, path, body)["outputs"]
            assert_alike(expected, {name: encoded(value) for name, value in answer.items()})
            rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values())]  # noqa: B905
            body = {"signature_name": signature, "instances": rows}
            answer = call_rest(server.rest, path, body)["predictions"]
            assert_alike(expected, from_rows(answer, [*expected]))


def test_strings_are_rows_and_hostile_ones_have_outputs(server, pipelines):
    texts = [text for text in HOSTILE if isinstance(text, str)]
    expected = pipelines["sentiment"].predict(texts)
    answer = call_rest(server.rest, "/v1/models/sentiment:predict", {"instances": texts})
    for row, one in zip(answer["predictions"], expected, strict=True):
        assert row["probability"] == pytest.approx(one.probability, abs=1e-4)
    inputs = {"text": tf.constant(["", b"\xff\xfe", "word " * 20_000])}
    outputs = predict_grpc(server.grpc, "translation", "serving_default", inputs)
    assert_alike(pipelines["translation"].translate(**inputs), outputs)


def test_metadata_and_status(server, pipelines, models):
    with grpc.insecure_channel(server.grpc) as channel:
        for family in FAMILIES:
            request = get_model_metadata_pb2.GetModelMetadataRequest()
            request.model_spec.name = family
            request.metadata_field.append("signature_def")
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            found = get_model_metadata_pb2.SignatureDefMap()
            stub.GetModelMetadata(request).metadata["signature_def"].Unpack(found)
            for name, function in pipelines[family].signatures.items():
                inputs = found.signature_def[name].inputs
                assert set(inputs) == {spec.name for spec in function.input_signature}
                for spec in function.input_signature:
                    assert tf.as_dtype(inputs[spec.name].dtype) == spec.dtype
                    assert inputs[spec.name].tensor_shape.dim[0].size == -1
            newest = max(int(path.name) for path in (models / family).iterdir())
            request = get_model_status_pb2.GetModelStatusRequest()
            request.model_spec.name = family
            status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request)
            available = [row for row in status.model_version_status if row.state == 30]
            assert [row.version for row in available] == [newest]
            (row,) = call_rest(server.rest, f"/v1/models/{family}")["model_version_status"]
            assert row["state"] == "AVAILABLE" and row["version"] == str(newest)
            card = call_rest(server.rest, f"/v1/models/{family}/metadata")
            signatures = card["metadata"]["signature_def"]["signature_def"]
            assert set(pipelines[family].signatures) <= set(signatures)


@pytest.mark.parametrize(
    "path, body, status",
    [
        ("/v1/models/none:predict", {"instances": ["x"]}, 404),
        ("/v1/models/sentiment/versions/999:predict", {"instances": ["x"]}, 404),
        ("/v1/models/sentiment:predict", b"{not JSON", 400),
        ("/v1/models/sentiment:predict", {"instances": ["x"], "inputs": ["x"]}, 400),
        ("/v1/models/sentiment:predict", {"instances": [1.5]}, 400),
        ("/v1/models/sentiment:predict", {"inputs": {"other": ["x"]}}, 400),
        ("/v1/models/sentiment:predict", {"signature_name": "none", "instances": ["x"]}, 400),
        ("/v1/models/speech:predict", {"instances": [{"wav": {"b64": "!!"}}]}, 400),
    ],
)
def test_a_bad_request_is_refused_with_a_reason_and_the_next_is_served(server, path, body, status):
    with pytest.raises(Refused) as refused:
        call_rest(server.rest, path, body)
    assert refused.value.status == status and str(refused.value)
    good = call_rest(server.rest, "/v1/models/sentiment:predict", {"instances": ["fine"]})
    assert len(good["predictions"]) == 1


def test_grpc_has_the_status_of_what_is_missing(server):
    inputs = {"text": tf.constant(["x"])}
    for model, signature, code in (
        ("none", "serving_default", grpc.StatusCode.NOT_FOUND),
        ("sentiment", "none", grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(Refused) as refused:
            predict_grpc(server.grpc, model, signature, inputs)
        assert refused.value.status == code


def test_a_new_version_is_loaded(server, pipelines, models):
    version = int(pipelines["sentiment"].export(models / "sentiment").name)
    for _ in range(300):
        (row,) = call_rest(server.rest, "/v1/models/sentiment")["model_version_status"][:1]
        if row["version"] == str(version):
            break
        time.sleep(0.1)
    assert row["version"] == str(version) and version > 1
    answer = call_rest(server.rest, "/v1/models/sentiment:predict", {"instances": ["fine"]})
    expected = pipelines["sentiment"].predict(["fine"])[0].probability
    assert answer["predictions"][0]["probability"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_random_requests(family, server, pipelines):
    generator = random.Random(7)
    pipeline = pipelines[family]
    valid = refused = 0
    early = {}
    for number in range(240):
        signature = generator.choice([*pipeline.signatures])
        if generator.random() < 0.2:
            inputs = bad_inputs(family, signature, generator)
            with pytest.raises(Refused) as reason:
                predict_grpc(server.grpc, family, signature, inputs)
            assert str(reason.value)
            refused += 1
        else:
            inputs = good_inputs(family, signature, generator)
            answer = predict_grpc(server.grpc, family, signature, inputs)
            assert_alike(pipeline.signatures[signature](**inputs), answer)
            valid += 1
        if number == 90:
            early = memory(server)
    assert valid > 150 and refused > 24
    late = memory(server)
    for process in early.keys() & late.keys():  # the process of a replaced version has ended
        assert late[process] < 1.15 * early[process] + 20e6, (early, late)


def test_eight_clients_at_once(server, pipelines):
    generator = random.Random(3)
    cases = []
    for family, signature in signatures_of(pipelines) * 8:
        inputs = good_inputs(family, signature, generator, least=1)
        cases.append((family, signature, inputs, pipelines[family].signatures[signature](**inputs)))
    end = time.monotonic() + 10
    counts, failures = [0] * 8, []

    def send_requests(client):
        generator = random.Random(client)
        while time.monotonic() < end:
            family, signature, inputs, expected = generator.choice(cases)
            try:
                assert_alike(expected, predict_grpc(server.grpc, family, signature, inputs))
                counts[client] += 1
            except (AssertionError, Refused) as error:
                failures.append((family, signature, error))
                return

    threads = [threading.Thread(target=send_requests, args=[client]) for client in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and min(counts) > 4


def memory(server):
    """Return the resident bytes of each process of the test server; {} for a real server."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # the process has ended meanwhile
            process, parent = (
                int(stat.parent.name),
                int(stat.read_text().rsplit(")")[-1].split()[1]),
            )
            if server.process and server.process in (process, parent):
                pages = int(stat.with_name("statm").read_text().split()[1])
                found[process] = pages * os.sysconf("SC_PAGESIZE")
    return found
