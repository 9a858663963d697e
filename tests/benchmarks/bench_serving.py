"""Time exports in every runtime that we write for: milliseconds an answer, alone and 32 at once.

    python tests/benchmarks/bench_serving.py runs/imdb=reviews.tsv runs/digits=LibriSpeech/dev

takes runs, each with data that `evaluate` takes, and prints two kinds of rows for each. From raw
inputs to answers: the SavedModel through TensorFlow's C API, which TF Serving is built on (without
XLA, in a process without Python's TensorFlow), and the pipeline in Python. The network alone, on
ids or features that are ready: TensorFlow, ONNX Runtime (float32 and int8) and LiteRT; of a
translator that is the encoder and 20 steps of greedy decoding. Every runtime may use all cores. All
of a run take turns, a batch each, in one process (the C API's in one beside it). With --record the
table replaces the last one in recipes/RESULTS.md.
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
from lstm_zoo.text import tokenizers
from lstm_zoo.translation.model import encoder

REPOSITORY = Path(__file__).resolve().parents[2]
BATCHES = (1, 32)
STEPS = 20  # of decoding, where a translator's network is timed alone
COLUMNS = ("family", "weights", "what", "runtime", "batch", "p50 ms", "p99 ms", "a second")
# The process of the C API: it times its own calls, so that what the questions' JSON costs is out.
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
@click.option("--calls", default=200, show_default=True, help="Calls of each, after ten more.")
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
    """Time all runtimes on one run, and give rows of the table."""
    family, settings = pipeline.config["family"], pipeline.config["settings"]
    whole = families.task(family).read(data, settings)
    inputs = whole.columns[0]
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
            runtimes = contestants(pipeline, Path(directory), size)
            found = {name: [] for name in runtimes}
            for turn in range(calls + 10):  # the first ten trace, allocate and warm up
                for name, runtime in runtimes.items():
                    prepare, answer = runtime
                    given = prepare(batches[turn % len(batches)])
                    start = time.perf_counter()
                    # What is in another process tells its own time.
                    seconds = answer(given) or time.perf_counter() - start
                    if turn >= 10:
                        found[name].append(seconds)
            for (what, runtime), seconds in found.items():
                middle, highest = np.percentile(seconds, (50, 99))
                yield (
                    family,
                    f"{pipeline.model.count_params():,}",
                    what,
                    runtime,
                    str(size),
                    f"{1e3 * middle:.2f}",
                    f"{1e3 * highest:.2f}",
                    f"{size * len(seconds) / sum(seconds):.0f}",
                )


def contestants(pipeline: Any, directory: Path, size: int) -> dict:
    """Export a pipeline to every format: (what, runtime) → what prepares inputs, what answers."""
    paths = {name: directory / f"{name}" for name in ("onnx", "int8")}
    saved = pipeline.export(directory / "saved")
    for name, path in paths.items():
        if not path.exists():  # as it does for the second size of batches
            pipeline.export(path, format="onnx", int8=name == "int8")
    lite = pipeline.export(directory / f"litert-{size}", format="litert", batch_size=size)
    prepare = network_inputs(pipeline)
    networks = {
        "TensorFlow": tensorflow_parts(pipeline),
        "ONNX Runtime": onnx_parts(paths["onnx"]),
        "ONNX Runtime, int8": onnx_parts(paths["int8"]),
        "LiteRT": litert_parts(lite),
    }
    return {
        ("raw input to answer", "TensorFlow's C API"): (
            lambda batch: question(pipeline, batch),
            c_api(saved),
        ),
        ("raw input to answer", "pipeline, Python"): (
            lambda batch: batch,
            lambda batch: pipeline.predict(batch, batch_size=size) and None,
        ),
        **{
            ("network alone", name): (prepare, lambda given, parts=parts: run_network(parts, given))
            for name, parts in networks.items()
        },
    }


def question(pipeline: Any, batch: list) -> bytes:
    """Spell a batch of raw inputs as the C API's process reads it."""
    name = next(iter(pipeline.probes["serving_default"][0]))
    raw = tokenizers.as_bytes(batch) if name == "text" else [wav(pipeline, clip) for clip in batch]
    values = [base64.b64encode(value).decode() for value in raw]
    tensor = {"dtype": "string", "shape": [len(values)], "values": values}
    return json.dumps({name: tensor}).encode() + b"\n"


def wav(pipeline: Any, clip: Any) -> bytes:
    """Read a clip, and write it as a WAV file of the recognizer's rate."""
    file = io.BytesIO()
    samples = read_audio(clip, pipeline.sample_rate)
    soundfile.write(file, samples, pipeline.sample_rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def c_api(export: Path):
    """Start the process that has an export on the C API; return what asks it, and its seconds."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, export], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )

    def answer(line: bytes) -> float:
        process.stdin.write(line)
        process.stdin.flush()
        return float(process.stdout.readline())

    return answer


def network_inputs(pipeline: Any):
    """Return what makes the network's own inputs of a batch, arrays by name."""
    settings = pipeline.config["settings"]
    if pipeline.config["family"] == "speech":
        return lambda batch: spectra(pipeline, batch)
    if pipeline.config["family"] == "sentiment":
        return lambda batch: {
            "ids": batching.pad(
                tokenizers.encode(pipeline.tokenizer, batch, settings["max_length"])
            )
        }
    return lambda batch: {"source": pipeline.source_ids(tf.constant(batch)).numpy()}


def spectra(pipeline: Any, clips: list) -> dict[str, np.ndarray]:
    """Compute the features of clips, padded, and their lengths."""
    features = pipeline.features
    rows = [
        features.normalize(features.extract(read_audio(clip, pipeline.sample_rate)))
        for clip in clips
    ]
    lengths = np.array([*map(len, rows)], np.int32)
    padded = np.zeros((len(rows), lengths.max(), rows[0].shape[1]), np.float32)
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = row
    return {"features": padded, "lengths": lengths}


# A network is one function of arrays by name, or for a translator two: it begins, and it steps.


def tensorflow_parts(pipeline: Any) -> list:
    model = pipeline.model
    names = [tensor.name for tensor in model.inputs]
    # Traced once, for open sizes.
    kinds = {
        t.name: tf.TensorSpec([None, None, *t.shape[2:]], t.dtype, t.name) for t in model.inputs
    }
    if "lengths" in kinds:
        kinds["lengths"] = tf.TensorSpec([None], tf.int32, "lengths")
    if pipeline.config["family"] != "translation":
        whole = tf.function(
            lambda given: model([given[name] for name in names] if len(names) > 1 else given["ids"])
        ).get_concrete_function(kinds)
        return [lambda given: whole(tensors(given))]
    decoder, summarize = model.get_layer("decoder"), encoder(model)

    @tf.function(input_signature=[kinds["source"]])
    def begin(source):
        summary = summarize(source)
        return {"summary": summary, "states": decoder.initial_states(summary)}

    @tf.function(reduce_retracing=True)
    def step(ids, summary, states):
        logits, states = decoder.step(ids, summary, states)
        return {"logits": logits, "states": states}

    return [
        lambda given: begin(tf.constant(given["source"])),
        lambda given: step(tf.constant(given["ids"]), given["summary"], given["states"]),
    ]


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {name: tf.constant(array) for name, array in arrays.items()}


def onnx_parts(directory: Path) -> list:
    def part(name):
        session = onnxruntime.InferenceSession(
            str(directory / f"{name}.onnx"), providers=["CPUExecutionProvider"]
        )
        wanted = [value.name for value in session.get_inputs()]
        # A step's states come out as next_hidden_1 and so on.
        names = [value.name.removeprefix("next_") for value in session.get_outputs()]
        return lambda given: dict(
            zip(names, session.run(None, {name: given[name] for name in wanted}), strict=True)
        )

    whole = not (directory / "decoder.onnx").exists()
    return [part("model")] if whole else [part("encoder"), part("decoder")]


def litert_parts(path: Path) -> list:
    interpreter = Interpreter(str(path), num_threads=os.cpu_count())
    names = ["encode", "step"] if len(interpreter.get_signature_list()) > 1 else [None]

    def part(name):
        runner = interpreter.get_signature_runner(name)
        wanted = runner.get_input_details()
        return lambda given: runner(**{key: given[key] for key in wanted})

    return [part(name) for name in names]


def run_network(parts: list, given: dict) -> None:
    """Run a network on one batch; a translator's decoder takes the best id at each step."""
    begin, *step = parts
    answers = begin(given)
    if not step:
        np.asarray(answers["logits"] if isinstance(answers, dict) else answers)
        return
    answers = {**answers, "ids": np.full(len(given["source"]), tokenizers.START, np.int32)}
    for _ in range(STEPS):
        answers |= step[0](answers)
        answers["ids"] = np.asarray(answers["logits"]).argmax(-1).astype(np.int32)


if __name__ == "__main__":
    main()
