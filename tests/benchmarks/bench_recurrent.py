"""Compare the speed of the recurrent layers with stock Keras, PyTorch and ONNX Runtime.

    python tests/benchmarks/bench_recurrent.py

prints tables of milliseconds: a forward pass, the same of a SavedModel, and a training step
(forward pass, gradients of weights and inputs), float32, without masks. In each round all columns
of a row are timed in turn, each after a rest and untimed runs. Prints medians, with the spread
(half the interquartile range, relative to the median) of our column and of stock Keras's. `floor`
is the time of the matrix products alone, in sequence, in TensorFlow. PyTorch (`pip install
torch==2.13.0`) packs no sequences, which is faster where all steps are valid. It and ONNX Runtime
(`pip install onnx onnxruntime`) are omitted where they are not installed.

As in lstm_zoo's training, the process keeps memory that it frees (`lstm_zoo.training.process`), in
all columns.

Where TensorFlow sees a GPU, every LSTM and GRU must run on cuDNN, or the benchmark stops.
"""

import importlib.metadata
import importlib.util
import os
import platform
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import click
import keras
import numpy as np
import stock
import tensorflow as tf

from lstm_zoo.recurrent import explain, recurrent_layer
from lstm_zoo.training import process

# Cell, bidirectional, batch, time steps, features, units.
SHAPES = [
    ("lstm", False, 1, 100, 128, 128),
    ("lstm", False, 1, 400, 256, 256),
    ("lstm", False, 8, 50, 64, 64),
    ("lstm", False, 32, 100, 128, 128),
    ("lstm", False, 32, 400, 128, 128),
    ("lstm", False, 64, 200, 128, 256),
    ("lstm", False, 128, 25, 256, 512),
    ("lstm", True, 1, 100, 128, 128),
    ("lstm", True, 32, 200, 128, 96),
    ("lstm", True, 64, 100, 256, 256),
    ("gru", False, 1, 100, 128, 128),
    ("gru", False, 32, 100, 128, 128),
]
GATES = {"lstm": 4, "gru": 3}
WARM_UP = 2
REST = 0.25  # seconds
UNTIMED = 0.03  # seconds of runs after a rest, to warm up caches and clocks


@click.command(help=__doc__.split("\n")[0])
@click.option("--rounds", default=9, show_default=True, help="Timed rounds.")
@click.option("--only", multiple=True, type=int, help="Index of a row to time, from 0; repeatable.")
def main(rounds: int, only: tuple[int, ...]) -> None:
    process.keep_freed_memory()
    print_header(rounds)
    shapes = [SHAPES[number] for number in only] or SHAPES
    for mode in ("forward", "forward, exported", "training step"):
        click.echo(f"\n{mode}, milliseconds")
        rows = []
        for shape in shapes:
            rows.append(time_in_turn(functions_to_time(*shape, mode), rounds))
            print_row(shape, rows[-1], heading=len(rows) == 1)
        for other in ("stock", "torch", "onnx"):
            ratios = [median(row[other]) / median(row["ours"]) for row in rows if other in row]
            if ratios:
                click.echo(
                    f"{other} / ours, geometric mean: {statistics.geometric_mean(ratios):.2f}"
                )


def functions_to_time(cell, bidirectional, batch, steps, features, units, mode):
    """Make the functions to time, without arguments, by name."""
    training = mode == "training step"
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(batch, steps, features)).astype(np.float32)
    width = units * (2 if bidirectional else 1)
    gradients = rng.normal(size=(batch, steps, width)).astype(np.float32)
    ours = recurrent_layer(cell, units, bidirectional=bidirectional, return_sequences=True)
    keras_own = stock.LAYERS[cell](units, return_sequences=True)
    if bidirectional:
        keras_own = keras.layers.Bidirectional(keras_own)
    if mode == "forward, exported":
        return {
            "ours": exported_function(ours, inputs),
            "stock": exported_function(keras_own, inputs),
        }
    functions = {
        "ours": keras_function(ours, inputs, gradients, training),
        "stock": keras_function(keras_own, inputs, gradients, training),
        "floor": products(cell, bidirectional, inputs, units, training),
    }
    if tf.config.list_physical_devices("GPU"):
        paths = [row.path for row in explain(keras.Sequential([ours]))]
        if set(paths) != {"cuDNN"}:
            raise SystemExit(f"{cell} does not run on cuDNN here: {paths}")
    if importlib.util.find_spec("torch"):
        functions["torch"] = torch_function(cell, bidirectional, inputs, gradients, units, training)
    if (
        not training
        and importlib.util.find_spec("onnx")
        and importlib.util.find_spec("onnxruntime")
    ):
        functions["onnx"] = onnx_function(cell, bidirectional, inputs, units)
    return functions


def keras_function(layer, inputs, gradients, training):
    inputs, gradients = tf.constant(inputs), tf.constant(gradients)
    layer(inputs)

    @tf.function
    def run():
        if not training:
            return layer(inputs, training=False)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
        weights = [weight.value for weight in layer.trainable_weights]
        return tape.gradient(outputs, [inputs, *weights], output_gradients=gradients)

    return lambda: fetched(tf.nest.flatten(run()))


def exported_function(layer, inputs):
    """Export a layer for any batch size and number of steps, and load it."""
    layer(inputs)
    module = tf.Module()
    module.layer = layer
    module.run = tf.function(
        lambda sequence: layer(sequence, training=False),
        input_signature=[tf.TensorSpec([None, None, inputs.shape[-1]])],
        autograph=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder)
        loaded = tf.saved_model.load(folder)
    inputs = tf.constant(inputs)
    return lambda: fetched([loaded.run(inputs)])


def fetched(tensors):
    """On a GPU, wait for the results and copy the first to the CPU, as PyTorch's column does.

    On a CPU the results are ready when the call returns, and `numpy` would copy them.
    """
    return tensors[0].numpy() if tf.config.list_physical_devices("GPU") else tensors


def products(cell, bidirectional, inputs, units, training):
    """Make a function of a layer's matrix products: one for all steps, and one for each step."""
    batch, steps, features = inputs.shape
    kernel = tf.random.normal((features, GATES[cell] * units))
    recurrent_kernel = tf.random.normal((units, GATES[cell] * units)) / units
    all_inputs = tf.constant(inputs.reshape(-1, features))

    @tf.function
    def run():
        results = []
        for _ in range(2 if bidirectional else 1):
            projected = all_inputs @ kernel
            output = projected[:batch, :units]
            for _ in range(steps):
                output = (output @ recurrent_kernel)[:, :units]
            results.append(output)
            if training:
                d = projected[:batch]
                for _ in range(steps):
                    d_output = tf.matmul(d, recurrent_kernel, transpose_b=True)
                    d = tf.tile(d_output, [1, GATES[cell]])
                d = projected + d[0]
                results.append(tf.matmul(all_inputs, d, transpose_a=True))
                results.append(tf.matmul(projected[:, :units], d, transpose_a=True))
                results.append(tf.matmul(d, kernel, transpose_b=True))
        return results

    return lambda: fetched(run())


def torch_function(cell, bidirectional, inputs, gradients, units, training, lengths=None):
    """Make a function of PyTorch's layer, of packed sequences if there are lengths."""
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    device = "cuda" if tf.config.list_physical_devices("GPU") else "cpu"
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell]
    layer = kind(inputs.shape[-1], units, batch_first=True, bidirectional=bidirectional).to(device)
    inputs = torch.tensor(inputs, device=device, requires_grad=training)
    gradients = torch.tensor(gradients, device=device)

    def outputs():
        if lengths is None:
            return layer(inputs)[0]
        packed = pack_padded_sequence(inputs, torch.from_numpy(lengths), batch_first=True)
        return pad_packed_sequence(layer(packed)[0], batch_first=True)[0]

    def run():
        if not training:
            with torch.no_grad():
                return outputs().cpu()
        inputs.grad = None
        layer.zero_grad()
        outputs().backward(gradients)
        return inputs.grad.cpu()

    return run


def onnx_function(cell, bidirectional, inputs, units):
    import onnx
    import onnxruntime

    directions = 2 if bidirectional else 1
    rng = np.random.default_rng(0)
    gates, features = GATES[cell] * units, inputs.shape[-1]
    weights = {
        "W": rng.normal(size=(directions, gates, features)) / units,
        "R": rng.normal(size=(directions, gates, units)) / units,
        "B": np.zeros((directions, 2 * gates)),
    }
    node = onnx.helper.make_node(
        cell.upper(),
        ["x", *weights],
        ["y"],
        hidden_size=units,
        direction="bidirectional" if bidirectional else "forward",
        **({"linear_before_reset": 1} if cell == "gru" else {}),
    )
    floats = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [node],
        cell,
        [onnx.helper.make_tensor_value_info("x", floats, [None, None, features])],
        [onnx.helper.make_tensor_value_info("y", floats, [None, directions, None, units])],
        [
            onnx.numpy_helper.from_array(array.astype(np.float32), name)
            for name, array in weights.items()
        ],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 8
    session = onnxruntime.InferenceSession(model.SerializeToString())
    time_first = np.ascontiguousarray(inputs.transpose(1, 0, 2))
    return lambda: session.run(None, {"x": time_first})


def time_in_turn(functions, rounds):
    """Time functions in turn, round after round; return the seconds of each round by name."""
    for function in functions.values():
        for _ in range(WARM_UP):
            function()
    seconds = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            # Another library's threads spin for a while after its run, and occupy a core.
            time.sleep(REST)
            start = time.perf_counter()
            while time.perf_counter() < start + UNTIMED:
                function()
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def median(seconds):
    return statistics.median(seconds)


def spread(seconds):
    """Return half the interquartile range, relative to the median."""
    low, _, high = statistics.quantiles(seconds, n=4)
    return (high - low) / 2 / median(seconds)


def print_header(rounds):
    names = ("keras", "tensorflow", "torch", "onnxruntime")
    versions = []
    for name in names:
        if importlib.util.find_spec(name):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    gpus = len(tf.config.list_physical_devices("GPU"))
    click.echo(
        f"Python {platform.python_version()}, {', '.join(versions)}; {os.cpu_count()} cores, "
        f"{gpus} GPUs; medians of {rounds} rounds"
    )


def print_row(shape, seconds, heading):
    cell, bidirectional, batch, steps, features, units = shape
    if heading:
        columns = "".join(f"{name:>9}" for name in seconds)
        click.echo(f"{'':34}{columns}   stock/ours   spread of ours, stock")
    name = f"{'bi' if bidirectional else ''}{cell} {batch}x{steps}, {features} -> {units}"
    times = "".join(f"{median(values) * 1e3:9.2f}" for values in seconds.values())
    ratio = median(seconds["stock"]) / median(seconds["ours"])
    spreads = f"{spread(seconds['ours']):.0%}, {spread(seconds['stock']):.0%}"
    click.echo(f"{name:34}{times}{ratio:13.2f}   {spreads}")


if __name__ == "__main__":
    main()
