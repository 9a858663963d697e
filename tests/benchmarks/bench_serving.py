"""Time exports in every supported runtime: milliseconds per batch of 1 and of 32.

    python tests/benchmarks/bench_serving.py runs/imdb=reviews.tsv runs/digits=LibriSpeech/dev

takes runs, each with data as for `evaluate`, and prints two specs of rows for each. End to end from
raw inputs: the SavedModel through TensorFlow's C API, which TF Serving is built on (without XLA, in
a process without Python's TensorFlow), the ONNX export (float32 and int8) and the run, both in
Python. The network alone, on ids or
features computed before: TensorFlow, ONNX Runtime (float32 and int8) and LiteRT; for a translator,
the encoder and 20 steps of greedy decoding. Every runtime may use all cores. A run's runtimes are
timed in turn, batch by batch, in one process (the C API in a second one). With --record the table
replaces the last one in recipes/RESULTS.md.
"""

import base64
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np
import onnxruntime
import soundfile
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

import lstm_zoo
from lstm_zoo import families
from lstm_zoo.data import batching
from lstm_zoo.speech.audio import read_audio
from lstm_zoo.text import encoding, tokenizers
from lstm_zoo.translation.model import encoder

REPOSITORY = Path(__file__).resolve().parents[2]
BATCHES = (1, 32)
STEPS = 20  # of greedy decoding, in a translator's network alone
COLUMNS = ("family", "weights", "what", "runtime", "batch", "p50 ms", "p99 ms", "a second")
# The process of the C API: it times its own calls, so that parsing JSON is not timed.
CHILD = f"""
import json, sys, time
sys.path.insert(0, {str(REPOSITORY / "tests/serving")!r})
from runtime import Runtime
runtime = Runtime(sys.argv[1])
for line in sys.stdin:
    inputs = json.loads(line)
    start = time.perf_counter()
    runtime.run("serving_default", inputs)
    print(time.perf_counter() - start, flush=True)
"""


@click.command(help=__doc__.split("\n")[0])
@click.argument("pairs", metavar="RUN=DATA...", nargs=-1, required=True)
@click.option(
    "--calls", default=200, show_default=True, help="Timed calls of each, after ten of warm-up."
)
@click.option("--record", is_flag=True, help="Write the table into recipes/RESULTS.md.")
def main(pairs: tuple[str, ...], calls: int, record: bool) -> None:
    rows = []
    for pair in pairs:
        run, data = pair.split("=", 1)
        for row in time_run(lstm_zoo.load(run, use_cudnn=False), data, calls):
            click.echo("  ".join(row))
            rows.append(row)
    if record:
        sys.path.insert(0, str(REPOSITORY / "recipes"))
        import common

        versions = f"onnxruntime {onnxruntime.__version__}, " + common.environment_heading()[3:]
        common.record_latency(f"{versions}; {calls} calls of each", COLUMNS, rows)


def time_run(pipeline: Any, data: str, calls: int):
    """Time all runtimes on one run; yield the rows of the table."""
    family, settings = pipeline.config["family"], pipeline.config["settings"]
    inputs = families.task(family).read(data, settings).columns[0]
    inputs = inputs[:: batching.count(len(inputs), 256)]
    if family == "speech":  # reading and resampling are not timed
        rate = pipeline.sample_rate
        inputs = [(read_audio(clip, rate), rate) for clip in inputs]
    with tempfile.TemporaryDirectory() as directory:
        for size in BATCHES:
            batches = [
                [inputs[(start + n) % len(inputs)] for n in range(size)]
                for start in range(0, 64 * size, size)
            ]
            runtimes = runtimes_of(pipeline, Path(directory), size)
            found = {name: [] for name in runtimes}
            for turn in range(calls + 10):  # the first ten are a warm-up
                for name, runtime in runtimes.items():
                    preprocess, predict = runtime
                    batch = preprocess(batches[turn % len(batches)])
                    start = time.perf_counter()
                    # Another process returns the seconds that it has measured.
                    seconds = predict(batch) or time.perf_counter() - start
                    if turn >= 10:
                        found[name].append(seconds)
            for (what, runtime), seconds in found.items():
                median, p99 = np.percentile(seconds, (50, 99))
                yield (
                    family,
                    f"{pipeline.model.count_params():,}",
                    what,
                    runtime,
                    str(size),
                    f"{1e3 * median:.2f}",
                    f"{1e3 * p99:.2f}",
                    f"{size * len(seconds) / sum(seconds):.0f}",
                )


def runtimes_of(pipeline: Any, directory: Path, size: int) -> dict:
    """Export a pipeline to every format; return functions by (what, runtime).

    The first function of a pair preprocesses a batch; the second one, which is timed, predicts.
    """
    paths = {name: directory / f"{name}" for name in ("onnx", "int8")}
    saved = pipeline.export(directory / "saved")
    for name, path in paths.items():
        if not path.exists():  # it exists for the second batch size
            pipeline.export(path, format="onnx", int8=name == "int8")
    lite = pipeline.export(directory / f"litert-{size}", format="litert", batch_size=size)
    preprocess = network_inputs(pipeline)
    networks = {
        "TensorFlow": tensorflow_functions(pipeline),
        "ONNX Runtime": onnx_functions(paths["onnx"]),
        "ONNX Runtime, int8": onnx_functions(paths["int8"]),
        "LiteRT": litert_functions(lite),
    }
    exports = {
        "ONNX Runtime": lstm_zoo.load(paths["onnx"]),
        "ONNX Runtime, int8": lstm_zoo.load(paths["int8"]),
    }
    return {
        ("raw input to answer", "TensorFlow's C API"): (
            lambda batch: request(pipeline, batch),
            c_api(saved),
        ),
        ("raw input to answer", "pipeline, Python"): (
            lambda batch: batch,
            lambda batch: pipeline.predict(batch, batch_size=size) and None,
        ),
        **{
            ("raw input to answer", name): (
                lambda batch: batch,
                lambda batch, light=light: light.predict(batch, batch_size=size) and None,
            )
            for name, light in exports.items()
        },
        **{
            ("network alone", name): (
                preprocess,
                lambda inputs, functions=functions: run_network(functions, inputs),
            )
            for name, functions in networks.items()
        },
    }


def request(pipeline: Any, batch: list) -> bytes:
    """Format a batch of raw inputs as JSON for the C API's process."""
    name = next(iter(pipeline.probes["serving_default"][0]))
    raw = tokenizers.as_bytes(batch) if name == "text" else [wav(pipeline, clip) for clip in batch]
    values = [base64.b64encode(value).decode() for value in raw]
    tensor = {"dtype": "string", "shape": [len(values)], "values": values}
    return json.dumps({name: tensor}).encode() + b"\n"


def wav(pipeline: Any, clip: Any) -> bytes:
    """Read a clip; return it as a WAV file at the recognizer's sample rate."""
    file = io.BytesIO()
    samples = read_audio(clip, pipeline.sample_rate)
    soundfile.write(file, samples, pipeline.sample_rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def c_api(export: Path):
    """Start a process with an export on the C API; return a function that calls it."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, export], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )

    def predict(line: bytes) -> float:
        process.stdin.write(line)
        process.stdin.flush()
        return float(process.stdout.readline())

    return predict


def network_inputs(pipeline: Any):
    """Return a function that preprocesses a batch to the network's inputs, arrays by name."""
    settings = pipeline.config["settings"]
    if pipeline.config["family"] == "speech":
        return lambda batch: feature_inputs(pipeline, batch)
    if pipeline.config["family"] == "sentiment":
        return lambda batch: {
            "ids": batching.pad(encoding.encode(pipeline.tokenizer, batch, settings["max_length"]))
        }
    return lambda batch: {"source": pipeline.source_ids(tf.constant(batch)).numpy()}


def feature_inputs(pipeline: Any, clips: list) -> dict[str, np.ndarray]:
    """Compute the features of clips, padded, and their lengths."""
    features = pipeline.features
    rows = [
        features.normalize(features.extract(read_audio(clip, pipeline.sample_rate)))
        for clip in clips
    ]
    lengths = np.array([*map(len, rows)], np.int32)
    padded = np.zeros((len(rows), lengths.max(), rows[0].shape[1]), np.float32)
    for padded_row, row in zip(padded, rows, strict=True):
        padded_row[: len(row)] = row
    return {"features": padded, "lengths": lengths}


# A network is a list of functions of arrays by name: one, or a translator's encoder and decoder.


def tensorflow_functions(pipeline: Any) -> list:
    model = pipeline.model
    names = [tensor.name for tensor in model.inputs]
    # Traced once, for any size.
    specs = {
        t.name: tf.TensorSpec([None, None, *t.shape[2:]], t.dtype, t.name) for t in model.inputs
    }
    if "lengths" in specs:
        specs["lengths"] = tf.TensorSpec([None], tf.int32, "lengths")
    if pipeline.config["family"] != "translation":
        network = tf.function(
            lambda inputs: model(
                [inputs[name] for name in names] if len(names) > 1 else inputs["ids"]
            )
        ).get_concrete_function(specs)
        return [lambda inputs: network(tensors(inputs))]
    decoder, encode = model.get_layer("decoder"), encoder(model)

    @tf.function(input_signature=[specs["source"]])
    def begin(source):
        context = encode(source)
        return {"summary": context, "states": decoder.initial_states(context)}

    @tf.function(reduce_retracing=True)
    def step(ids, context, states):
        logits, states = decoder.step(ids, context, states)
        return {"logits": logits, "states": states}

    return [
        lambda inputs: begin(tf.constant(inputs["source"])),
        lambda inputs: step(tf.constant(inputs["ids"]), inputs["summary"], inputs["states"]),
    ]


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {name: tf.constant(array) for name, array in arrays.items()}


def onnx_functions(directory: Path) -> list:
    def function(name):
        session = onnxruntime.InferenceSession(
            str(directory / f"{name}.onnx"), providers=["CPUExecutionProvider"]
        )
        input_names = [value.name for value in session.get_inputs()]
        # The names of a step's new states are next_hidden_1 and so on.
        names = [value.name.removeprefix("next_") for value in session.get_outputs()]
        return lambda inputs: dict(
            zip(names, session.run(None, {name: inputs[name] for name in input_names}), strict=True)
        )

    if (directory / "decoder.onnx").exists():
        return [function("encoder"), function("decoder")]
    return [function("model")]


def litert_functions(path: Path) -> list:
    interpreter = Interpreter(str(path), num_threads=os.cpu_count())
    names = ["encode", "step"] if len(interpreter.get_signature_list()) > 1 else [None]

    def function(name):
        runner = interpreter.get_signature_runner(name)
        input_names = runner.get_input_details()
        return lambda inputs: runner(**{key: inputs[key] for key in input_names})

    return [function(name) for name in names]


def run_network(functions: list, inputs: dict) -> None:
    """Run a network on one batch; for a translator, with greedy decoding."""
    begin, *step = functions
    outputs = begin(inputs)
    if not step:
        np.asarray(outputs["logits"] if isinstance(outputs, dict) else outputs)
        return
    outputs = {**outputs, "ids": np.full(len(inputs["source"]), tokenizers.START, np.int32)}
    for _ in range(STEPS):
        outputs |= step[0](outputs)
        outputs["ids"] = np.asarray(outputs["logits"]).argmax(-1).astype(np.int32)


if __name__ == "__main__":
    main()
