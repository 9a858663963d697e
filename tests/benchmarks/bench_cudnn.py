"""Time what may make the recurrent layers faster on a GPU, beside ours, stock Keras and PyTorch.

    python tests/benchmarks/bench_cudnn.py
    python tests/benchmarks/bench_cudnn.py --masked

prints, for the shapes of `bench_recurrent.py`, the milliseconds of a forward pass and of a training
step; with `--masked`, rows have between half of the steps and all. Each column's outputs and
gradient of the inputs are compared with ours: a `*` marks those farther than `TOLERANCE` (of
float16: `MIXED_TOLERANCE`) of the largest value. At the end, the geometric means of the times over
ours. The columns:

- `op`: cuDNN's op, one per direction, that saves nothing for the backward pass in a forward pass;
- `time first`: the same with the time axis first, of inputs and outputs too, as inside a stack:
  nothing is transposed, and where there is no mask, TensorFlow has cuDNN skip its handling of
  padding;
- `one op`: one op for both directions, with the time axis first;
- `fused`: our loop for processors, with XLA in training (try XLA_FLAGS with
  --xla_gpu_enable_command_buffer=+WHILE too);
- `loop`: an LSTM of plain TensorFlow under XLA, both directions in one loop, without a mask;
- `float16`: ours in mixed precision;
- `padded`, `packed`: PyTorch's layer, where it is installed.

Without a GPU, the columns that need cuDNN are omitted, and ours is the fused loop.
"""

import importlib.util
import os
import statistics
from collections.abc import Callable
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import bench_recurrent
import click
import keras
import numpy as np
import stock
import tensorflow as tf
from bench_recurrent import GATES, SHAPES, median

from lstm_zoo.recurrent import recurrent_layer
from lstm_zoo.recurrent.steps import CELLS
from lstm_zoo.training import process

TOLERANCE, MIXED_TOLERANCE = 2e-3, 3e-2  # TF32 alone changes results by 2e-4


class Column(NamedTuple):
    """A way to run a layer: `run(inputs, training)` returns the outputs."""

    run: Callable
    time_major: bool = False
    tolerance: float = TOLERANCE
    needs_gpu: bool = False
    jit_compile: bool = False


@click.command(help=__doc__.split("\n")[0])
@click.option("--rounds", default=5, show_default=True, help="Timed rounds.")
@click.option("--only", multiple=True, type=int, help="Index of a shape, from 0; repeatable.")
@click.option("--masked", is_flag=True, help="Rows of different lengths.")
def main(rounds: int, only: tuple[int, ...], masked: bool) -> None:
    process.keep_freed_memory()
    bench_recurrent.print_header(rounds)
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    omitted = set()
    for training in (False, True):
        click.echo(f"\n{'training step' if training else 'forward'}, milliseconds")
        ratios = {}
        for shape in [SHAPES[number] for number in only] or SHAPES:
            functions, differing = {}, set()
            for name, column in columns(shape, masked).items():
                if column.needs_gpu and not has_gpu:
                    omitted.add(name)
                    continue
                functions[name] = step(column, shape, masked, training)
                if differs(functions["ours"](), functions[name](), shape, masked, column):
                    differing.add(name)
            functions |= torch_functions(shape, training, masked)
            seconds = bench_recurrent.time_in_turn(functions, rounds)
            cells = []
            for name, values in seconds.items():
                ratios.setdefault(name, []).append(median(values) / median(seconds["ours"]))
                mark = "*" if name in differing else ""
                cells.append(f"{name} {median(values) * 1e3:.2f}{mark}")
            click.echo(f"{title(shape):32}{'  '.join(cells)}")
        means = {name: statistics.geometric_mean(values) for name, values in ratios.items()}
        click.echo("over ours: " + ", ".join(f"{name} {mean:.2f}" for name, mean in means.items()))
    if omitted:
        click.echo(f"\nTensorFlow sees no GPU: omitted {', '.join(sorted(omitted))}")


def title(shape):
    cell, bidirectional, batch, steps, features, units = shape
    return f"{'bi' if bidirectional else ''}{cell} {batch}x{steps}, {features} -> {units}"


def lengths_of(shape, masked):
    _, _, batch, steps, _, _ = shape
    return np.linspace(steps, steps // 2 if masked else steps, batch).astype("int32")


def arrays(shape, masked):
    """Draw a layer's inputs and the gradient of its outputs, zeros at padding, the batch first."""
    _, bidirectional, batch, steps, features, units = shape
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(batch, steps, features))
    gradients = generator.normal(size=(batch, steps, units * (2 if bidirectional else 1)))
    gradients *= np.arange(steps)[:, np.newaxis] < lengths_of(shape, masked)[:, None, None]
    return inputs.astype("float32"), gradients.astype("float32")


def columns(shape, masked):
    """Make the ways to run a layer, with equal weights."""
    cell, bidirectional, _, steps, features, units = shape
    lengths = lengths_of(shape, masked)
    mask = tf.sequence_mask(lengths, steps) if masked else None

    def ours(**options):
        return recurrent_layer(
            cell, units, bidirectional=bidirectional, return_sequences=True, **options
        )

    keras_own = stock.LAYERS[cell](units, return_sequences=True)
    if bidirectional:
        keras_own = keras.layers.Bidirectional(keras_own)
    layers = {
        "ours": ours(),
        "stock": keras_own,
        "fused": ours(use_cudnn=False),
        "float16": ours(dtype="mixed_float16"),
    }
    found = {}
    for name, layer in layers.items():
        layer.build((None, None, features))
        layer.set_weights(layers["ours"].get_weights())
        tolerance = MIXED_TOLERANCE if name == "float16" else TOLERANCE
        found[name] = Column(
            lambda x, training, layer=layer: layer(x, mask=mask, training=training),
            tolerance=tolerance,
        )
    weights = [tf.Variable(weight) for weight in layers["ours"].get_weights()]
    directions = [weights[:3], weights[3:]] if bidirectional else [weights]
    for name, time_major in (("op", False), ("time first", True)):
        found[name] = Column(
            lambda x, training, time_major=time_major: separate_ops(
                cell, x, directions, lengths, training, time_major
            ),
            time_major,
            needs_gpu=True,
        )
    if bidirectional:
        found["one op"] = Column(
            lambda x, training: op(cell, x, directions, lengths, training, True),
            True,
            needs_gpu=True,
        )
    if cell == "lstm" and not masked:
        found["loop"] = Column(lambda x, training: one_loop(x, directions), jit_compile=True)
    return found


def op(cell, inputs, directions, lengths, training, time_major):
    """Run one op of cuDNN for one direction or both."""
    units = directions[0][1].shape[0]
    shape = [len(directions), len(lengths)] if time_major else [len(lengths), len(directions)]
    states = tf.zeros([*shape, units])
    packed = [parameters(cell, *weights) for weights in directions]
    params = [part for weights, _ in packed for part in weights]
    params += [part for _, biases in packed for part in biases]
    return tf.raw_ops.CudnnRNNV3(
        input=inputs,
        input_h=states,
        input_c=states if cell == "lstm" else tf.zeros([]),
        params=tf.concat(params, 0),
        sequence_lengths=lengths,
        rnn_mode=cell,
        direction="bidirectional" if len(directions) == 2 else "unidirectional",
        is_training=training,
        time_major=time_major,
    ).output


def separate_ops(cell, inputs, directions, lengths, training, time_major):
    """Run one op of cuDNN for each direction."""
    axes = {"seq_axis": 0, "batch_axis": 1} if time_major else {"seq_axis": 1, "batch_axis": 0}
    full = lengths.min() == inputs.shape[axes["seq_axis"]]

    def reverse(tensor):
        if full:
            return tf.reverse(tensor, [axes["seq_axis"]])
        return tf.reverse_sequence(tensor, lengths, **axes)

    outputs = [op(cell, inputs, directions[:1], lengths, training, time_major)]
    if len(directions) == 2:
        backward = op(cell, reverse(inputs), directions[1:], lengths, training, time_major)
        outputs.append(reverse(backward))
    return tf.concat(outputs, -1)


def parameters(cell, kernel, recurrent_kernel, bias):
    """Return a direction's weights and biases in cuDNN's order: of a GRU's gates, r before z."""
    order = {"lstm": (0, 1, 2, 3), "gru": (1, 0, 2)}[cell]
    # Keras's LSTM has one bias for the two of cuDNN.
    rows = [tf.zeros_like(bias), bias] if cell == "lstm" else tf.unstack(bias)
    matrices = [tf.split(x, GATES[cell], axis=1) for x in (kernel, recurrent_kernel)]
    biases = [tf.split(row, GATES[cell]) for row in rows]
    return (
        [tf.reshape(tf.transpose(gates[gate]), [-1]) for gates in matrices for gate in order],
        [gates[gate] for gates in biases for gate in order],
    )


def one_loop(inputs, directions):
    """Run an LSTM's directions in one loop, whose products are of all directions at once."""
    kernel, recurrent_kernel, bias = [
        tf.stack(weights) for weights in zip(*directions, strict=True)
    ]
    both = tf.stack([inputs, tf.reverse(inputs, [1])][: len(directions)])
    projected = tf.einsum("dbtf,dfg->tdbg", both, kernel) + bias[:, tf.newaxis]
    steps, *shape, _ = projected.shape
    zeros = tf.zeros([*shape, recurrent_kernel.shape[1]])

    def body(t, states, outputs):
        states, _ = CELLS["lstm"].step(projected[t], states, recurrent_kernel, None)
        return t + 1, states, outputs.write(t, states[0])

    loop = (0, (zeros, zeros), tf.TensorArray(tf.float32, steps, element_shape=zeros.shape))
    _, _, outputs = tf.while_loop(lambda t, *_: t < steps, body, loop, maximum_iterations=steps)
    forward, *backward = tf.unstack(tf.transpose(outputs.stack(), [1, 2, 0, 3]))
    return tf.concat([forward, *(tf.reverse(x, [1]) for x in backward)], -1)


def step(column, shape, masked, training):
    """Make a function of a forward pass or a training step."""
    inputs, gradients = arrays(shape, masked)
    if column.time_major:
        inputs, gradients = (array.swapaxes(0, 1) for array in (inputs, gradients))
    inputs, gradients = tf.constant(inputs), tf.constant(gradients)

    @tf.function(autograph=False, jit_compile=column.jit_compile or None)
    def run():
        if not training:
            return [column.run(inputs, False)]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = column.run(inputs, True)
        # The variables that the tape has seen are the layer's weights.
        d_inputs, *d_weights = tape.gradient(
            outputs,
            [inputs, *tape.watched_variables()],
            output_gradients=tf.cast(gradients, outputs.dtype),
        )
        return [d_inputs, outputs, *d_weights]

    def fetched():
        tensors = run()
        bench_recurrent.fetched(tensors)
        return tensors

    return fetched


def differs(expected, found, shape, masked, column):
    """Return whether outputs or the gradient of inputs are far from ours, at valid steps."""
    valid = tf.sequence_mask(lengths_of(shape, masked), shape[3]).numpy()
    for ours, other in zip(expected[:2], found[:2], strict=True):
        ours, other = ours.numpy(), other.numpy().astype("float32")
        if column.time_major:
            other = other.swapaxes(0, 1)
        scale = np.abs(ours[valid]).max()
        if not np.abs(ours[valid] - other[valid]).max() <= column.tolerance * scale:
            return True
    return False


def torch_functions(shape, training, masked):
    if not importlib.util.find_spec("torch"):
        return {}
    cell, bidirectional, *_, units = shape
    inputs, gradients = arrays(shape, masked)
    common = (cell, bidirectional, inputs, gradients, units, training)
    return {
        "padded": bench_recurrent.torch_function(*common),
        "packed": bench_recurrent.torch_function(*common, lengths=lengths_of(shape, masked)),
    }


if __name__ == "__main__":
    main()
