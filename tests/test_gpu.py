"""What a person does on a GPU, for each family; also with cuDNN faked on a processor."""

import io
import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import soundfile
import tensorflow as tf

import lstm_zoo
from lstm_zoo.export import saved_model
from lstm_zoo.export.inspection import describe
from lstm_zoo.files import read_json
from lstm_zoo.recurrent import explain, recurrent_layer
from lstm_zoo.sentiment import demo
from tests.conftest import READY_RUNS, serve_elsewhere
from tests.recurrent import oracle
from tests.recurrent.fake_cudnn import fake_cudnn
from tests.recurrent.helpers import both_directions
from tests.training.helpers import Interrupt
from tests.translation.phrases import phrases

pytestmark = pytest.mark.slow
on_a_gpu = pytest.mark.gpu

RATE = 8_000


@pytest.fixture(params=["faked", pytest.param("real", marks=on_a_gpu)])
def gpu(request, monkeypatch):
    """A GPU, or a processor with cuDNN faked: then the tests' own code is tested without one."""
    if request.param == "faked":
        fake_cudnn(monkeypatch)


def tones(count, seed):
    """Make clips of one to three tones, and their transcripts; needs no synthesizer."""
    generator = np.random.default_rng(seed)
    clips, texts = [], []
    for _ in range(count):
        words = generator.choice(["low", "high"], size=generator.integers(1, 4))
        time = np.arange(RATE // 4) / RATE
        pitch = {"low": 300, "high": 1_200}
        samples = np.concatenate([0.3 * np.sin(2 * np.pi * pitch[word] * time) for word in words])
        clips.append((samples.astype("float32"), RATE))
        texts.append(" ".join(words))
    return clips, texts


def wav(clip):
    buffer = io.BytesIO()
    soundfile.write(buffer, *clip, format="WAV")
    return buffer.getvalue()


SMALL = {"epochs": 2, "variant": "tiny", "batch_size": 8}
CLIPS, PHRASES = tones(48, seed=1), phrases(60, seed=1)
# The data, the settings, and inputs as an export takes them, of different lengths.
FAMILIES = {
    "sentiment": (demo.generate(200, seed=1)[:2], SMALL, ["The film is not dull.", "Good.", ""]),
    "speech": (CLIPS, SMALL, [wav(clip) for clip in CLIPS[0][:3]]),
    "translation": (
        PHRASES,
        {
            "epochs": 2,
            "variant": "tiny",
            "source": "en",
            "target": "de",
            "vocabulary_size": 300,
            "batch_tokens": 200,
        },
        [*PHRASES[0][:2], ""],
    ),
}
SERVE = """
import base64, json, sys
import tensorflow as tf
import tensorflow_text

assert not tf.config.list_physical_devices("GPU")
answer = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
(name,) = answer.structured_input_signature[1]
answers = []
for rows in json.loads(sys.stdin.read()):
    outputs = answer(**{name: tf.constant([base64.b64decode(row) for row in rows])})
    floats = {key: x.numpy().tolist() for key, x in outputs.items() if x.dtype == tf.float32}
    answers.append(floats)
print(json.dumps(answers))
"""


@pytest.mark.parametrize(
    "gpu, family",
    [
        ("faked", "sentiment"),  # the others pass too, and take minutes
        *(pytest.param("real", family, marks=on_a_gpu) for family in FAMILIES),
    ],
    indirect=["gpu"],
)
def test_train_resume_inspect_and_export(family, gpu, tmp_path, monkeypatch):
    data, settings, inputs = FAMILIES[family]
    run = tmp_path / "run"
    lstm_zoo.train(family, data, run=run, callbacks=[Interrupt(epoch=2)], **settings)
    pipeline = lstm_zoo.train(family, data, run=run, resume=True)
    assert all(np.isfinite(weight).all() for weight in pipeline.model.get_weights())
    assert len((run / "history.csv").read_text().splitlines()) == 3  # two epochs
    assert read_json(run / "environment.json")["gpus"]
    assert {row["path"] for row in describe(str(run))["layers"]} == {"cuDNN"}

    exported = pipeline.export(tmp_path / "exports")
    assert not [op for op in saved_model.read_ops(exported) if op.startswith("Cudnn")]
    answer = pipeline.signatures["serving_default"]
    (name,) = pipeline.probes["serving_default"][0]
    expected = answer(**{name: tf.constant(inputs)})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")  # of the other process
    (found,) = serve_elsewhere(SERVE, exported, tmp_path, [inputs])
    assert found
    for key, values in found.items():
        np.testing.assert_allclose(values, expected[key], atol=1e-3, err_msg=key)


@both_directions
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_padding_has_no_gradient(cell, bidirectional, gpu):
    layer = recurrent_layer(cell, 32, bidirectional=bidirectional, return_sequences=True)
    assert {row.path for row in explain(keras.Sequential([layer]))} == {"cuDNN"}
    inputs = tf.random.stateless_normal((16, 50, 24), seed=[1, 2])
    mask = oracle.valid_steps(np.arange(16) * 3 + 1, 16, 50)
    layer(inputs)

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, mask=mask, training=True)
        return outputs, tape.gradient(outputs, inputs)

    for _ in range(3):
        # Memory that is NaN is free for what cuDNN leaves uninitialized.
        del [tf.fill(inputs.shape, float("nan")) for _ in range(20)][:]
        outputs, d_inputs = gradient()
        assert not np.any(d_inputs.numpy()[~mask]) and not np.any(outputs.numpy()[~mask])
        assert np.all(np.any(d_inputs.numpy()[mask], axis=-1))


@pytest.mark.parametrize(
    "policy, tolerance", [("mixed_float16", 2e-2), ("mixed_bfloat16", 0.1)], ids=str
)
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_mixed_precision_is_near_float32(cell, policy, tolerance, gpu):
    inputs = tf.random.stateless_normal((4, 9, 3), seed=[1, 2])
    mask = oracle.valid_steps([9, 1, 4, 7], 4, 9)
    results, weights = [], None
    for dtype in ("float32", policy):
        layer = recurrent_layer(cell, 4, bidirectional=True, return_sequences=True, dtype=dtype)
        layer.build(inputs.shape)
        weights = weights or layer.get_weights()
        layer.set_weights(weights)
        assert {row.path for row in explain(keras.Sequential([layer]))} == {"cuDNN"}
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, mask=mask)
        variables = [weight.value for weight in layer.trainable_weights]
        results.append([outputs, *tape.gradient(outputs, [inputs, *variables])])
    for exact, mixed in zip(*results, strict=True):
        mixed = tf.cast(mixed, tf.float32)
        scale = max(1.0, np.abs(exact).max())
        np.testing.assert_allclose(mixed, exact, rtol=0, atol=tolerance * scale)


@on_a_gpu
@pytest.mark.skipif(not shutil.which("nvidia-smi"), reason="no nvidia-smi")
def test_tensorflow_does_not_take_all_memory():
    code = f"""
import subprocess
import lstm_zoo

def used():
    query = ["nvidia-smi", "--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits"]
    first = subprocess.run(query, capture_output=True, check=True).stdout.splitlines()[0]
    return [int(number) for number in first.split(b",")]

before, _ = used()
lstm_zoo.load({str(READY_RUNS / "sentiment")!r}).predict(["a film"])
after, total = used()
print((after - before) / total)
"""
    growth = "TF_FORCE_GPU_ALLOW_GROWTH"  # which the tests set too
    environment = {name: os.environ[name] for name in os.environ if name != growth}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True
    )
    assert float(done.stdout.split()[-1]) < 0.5  # TensorFlow's own way takes nearly all
