"""The recurrent cells on a CPU: few large ops, gradients written out, results those of Keras.

Keras runs a layer as a loop of small ops and lets TensorFlow differentiate it, which adds to the
gradients of the weights at every step. Here the inputs of all steps meet the kernel in one matrix
product before the loop; the loop holds only what hangs on the state; and walking back it gathers
the gradients of the pre-activations, so that those of the weights are one product after it.

What makes it fast, as measured on two cores by `tests/benchmarks/bench_recurrent.py`:

- The batch is cut in two halves, each with a loop of its own, and TensorFlow runs both at once.
  A step's product is too small to be shared out among cores. Where the steps are as small as
  `SMALL_STATE`, or the halves as `SMALLEST_HALF`, the batch stays whole.
- In training, XLA compiles the loop's body (no other part), in pieces of `PIECE` steps or, of small
  layers and batches, `LONG_PIECE`, so that one compilation serves every length. There is one for
  each batch size and size of layer, of one to three seconds.
- The states after a row's own last step are looked up after the loop, and the kernel is turned once
  for the way back, where both were in the loop.
- Without XLA (predictions, exports), an iteration of TensorFlow's loop holds `UNROLLED` steps, and
  an LSTM of few rows and units (`BLOCK_PRODUCT`) is TensorFlow's one op for it.

What did not: that op for more rows or units, and in training (its gradient adds to the weights' at
every step); TensorFlow's arrays of single steps in place of stacked ones; a sigmoid of all four
gates at once, with the tanh made of it; what the way back needs of the records, computed for all
steps before it; pieces unrolled under XLA, which take ten times as long to compile; oneDNN's
products (`TF_ENABLE_ONEDNN_OPTS=1` where TensorFlow leaves them off); XLA's flags for XNNPACK,
YNNPACK, Eigen and wider vectors.

Memory grows with the steps alone: training keeps, for each step, row and unit, five numbers (one
for a SimpleRNN) and the output, and adds the gradients of the projections when it walks back, four
numbers for an LSTM, six for a GRU. In float32 that is 24 bytes, and 16 or 24 more.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

PIECE = 16  # time steps: the inputs are padded to whole pieces, so not many
LONG_PIECE = 64  # of small steps, of which several take as long as the launch of a piece
SMALL_STATE = 1_024  # rows x units: what makes steps small
UNROLLED = 4  # more is as fast, and the graph larger
BLOCK_PRODUCT = 2**17  # multiplications: of a step's inputs with the kernel
SMALLEST_HALF = 4  # rows: below it a product costs as much as of more

Tensors = tuple[tf.Tensor, ...]


class Cell(NamedTuple):
    """The mathematics of one step.

    Shapes: states and what is recorded `(batch, units)`; projections `(batch, gates x units)`.

    `step(projected, states, recurrent_kernel, recurrent_bias)` returns the new states, the output
    first among them, and a record for the way back. The recurrent bias is the GRU's, whose reset
    gate stands behind it; other cells have theirs in `projected`. `step_back(record, gradients,
    turned_kernel)`, given the record, an LSTM's old cell state behind it, and the gradients of the
    new states, returns those of the old states, and those of the projections of the input and of
    the last output: one array where they are equal. `recorded` and `projections` count the arrays
    of the record and of the projections.
    """

    step: Callable[..., tuple[Tensors, Tensors]]
    step_back: Callable[..., tuple[Tensors, Tensors]]
    recorded: int
    projections: int


def _simple_rnn_step(projected, states, recurrent_kernel, recurrent_bias):
    (output,) = states
    output = tf.tanh(projected + output @ recurrent_kernel)
    return (output,), (output,)


def _simple_rnn_step_back(record, gradients, turned_kernel):
    (output,), (d_output,) = record, gradients
    d = d_output * (1 - output * output)
    return (d @ turned_kernel,), (d,)


def _lstm_step(projected, states, recurrent_kernel, recurrent_bias):
    output, cell = states
    z = projected + output @ recurrent_kernel
    i, f, g, o = tf.split(z, 4, axis=-1)
    i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
    new_cell = f * cell + i * g
    return (o * tf.tanh(new_cell), new_cell), (i, f, g, o)


def _lstm_step_back(record, gradients, turned_kernel):
    i, f, g, o, cell = record
    d_output, d_cell = gradients
    squashed = tf.tanh(f * cell + i * g)
    d_cell = d_cell + d_output * o * (1 - squashed * squashed)
    d = tf.concat(
        [
            d_cell * g * i * (1 - i),
            d_cell * cell * f * (1 - f),
            d_cell * i * (1 - g * g),
            d_output * squashed * o * (1 - o),
        ],
        axis=-1,
    )
    return (d @ turned_kernel, d_cell * f), (d,)


def _gru_step(projected, states, recurrent_kernel, recurrent_bias):
    (output,) = states
    units = output.shape[-1]
    recurrent = tf.nn.bias_add(output @ recurrent_kernel, recurrent_bias)
    gates, n = tf.split(projected, [2 * units, units], axis=-1)
    recurrent_gates, recurrent_n = tf.split(recurrent, [2 * units, units], axis=-1)
    z, r = tf.split(tf.sigmoid(gates + recurrent_gates), 2, axis=-1)
    n = tf.tanh(n + r * recurrent_n)
    return (n + z * (output - n),), (z, r, n, recurrent_n, output)


def _gru_step_back(record, gradients, turned_kernel):
    z, r, n, recurrent_n, output = record
    (d_output,) = gradients
    d_z = d_output * (output - n) * z * (1 - z)
    d_n = d_output * (1 - z) * (1 - n * n)
    d_r = d_n * recurrent_n * r * (1 - r)
    d_recurrent = tf.concat([d_z, d_r, d_n * r], axis=-1)
    d_last = d_output * z + d_recurrent @ turned_kernel
    return (d_last,), (tf.concat([d_z, d_r, d_n], axis=-1), d_recurrent)


CELLS = {
    "simple_rnn": Cell(_simple_rnn_step, _simple_rnn_step_back, recorded=1, projections=1),
    "lstm": Cell(_lstm_step, _lstm_step_back, recorded=4, projections=1),
    "gru": Cell(_gru_step, _gru_step_back, recorded=5, projections=2),
}


def run(
    cell: str,
    inputs: tf.Tensor,
    states: Sequence[tf.Tensor],
    kernel: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    bias: tf.Tensor,
    lengths: tf.Tensor | None = None,
    *,
    compiled: bool = False,
    halves: bool = True,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Run one cell over a batch, from the first step to the last.

    Args:
        cell: "simple_rnn", "gru" (reset after the product) or "lstm".
        inputs: `(batch, time, features)`, of any float type; all other floats are of the same.
        states: the initial states, `(batch, units)` each: the output, and an LSTM's cell.
        kernel: `(features, gates x units)`, the gates in Keras's order.
        recurrent_kernel: `(units, gates x units)`.
        bias: `(gates x units,)`, for a GRU `(2, gates x units)`.
        lengths: int32 `(batch,)`, the real steps of each row; None for all of them.
        compiled: whether XLA compiles the steps, and all is recorded for the way back. Without,
            a gradient runs the steps once more.
        halves: whether the batch is cut in two that run at once.

    Returns:
        The outputs `(batch, time, units)`, of no meaning past a row's length, and the states after
        each row's last real step (the initial ones where it has none).

    Example:

    >>> one = tf.ones((1, 1))
    >>> outputs, _ = run("simple_rnn", tf.ones((1, 2, 1)), [0 * one], one, one, one[0] - 1)
    >>> [round(x, 4) for x in outputs[0, :, 0].numpy().tolist()]
    [0.7616, 0.9428]
    """
    batch, units = tf.shape(inputs)[0], recurrent_kernel.shape[0]
    # Loops insist on one static shape for a state; a batch size known of some tensors only is none.
    states = [tf.reshape(state, [batch, units]) for state in states]
    smallest = max(2 * SMALLEST_HALF, SMALL_STATE // units)
    if inputs.shape[0] is not None and inputs.shape[0] < smallest:
        halves = False
    run_part = functools.partial(
        _run_part,
        cell,
        kernel=kernel,
        recurrent_kernel=recurrent_kernel,
        bias=bias,
        compiled=compiled,
    )
    if not halves:
        return run_part(inputs, states, lengths=lengths)
    # A small batch of a size unknown here leaves the second half empty.
    first = tf.where(batch < smallest, batch, batch - batch // 2)
    # Not by slices, whose gradients are put together with zeros; those of a split are joined.
    halved = [tf.split(tensor, [first, batch - first]) for tensor in (inputs, *states)]
    lengths = (None, None) if lengths is None else tf.split(lengths, [first, batch - first])
    parts = [
        run_part(inputs, states, lengths=lengths)
        for (inputs, *states), lengths in zip(zip(*halved, strict=True), lengths, strict=True)
    ]
    outputs, states = zip(*parts, strict=True)
    return tf.concat(outputs, 0), [tf.concat(halves, 0) for halves in zip(*states, strict=True)]


def _run_part(cell, inputs, states, lengths, *, kernel, recurrent_kernel, bias, compiled):
    time = tf.shape(inputs)[1]
    inputs = tf.transpose(inputs, [1, 0, 2])  # (time, batch, features): a step lies in one piece
    if compiled:
        inputs = tf.pad(inputs, [[0, -time % _piece_size(states[0])], [0, 0], [0, 0]])

    @tf.custom_gradient
    def predict(*arguments):
        def gradient(*gradients):
            with tf.GradientTape() as tape:
                tape.watch(arguments)
                results = _train(cell, lengths, time, False, *arguments)
            return tape.gradient(results, arguments, output_gradients=gradients)

        return _predict(cell, lengths, *arguments), gradient

    run = functools.partial(_train, cell, lengths, time, True) if compiled else predict
    outputs, *states = run(inputs, kernel, recurrent_kernel, bias, *states)
    return tf.transpose(outputs, [1, 0, 2]), states


def _projected(cell, inputs, kernel, bias):
    """Project the inputs of all steps at once; return the bias left for the recurrent side too."""
    bias, recurrent_bias = tf.unstack(bias) if cell == "gru" else (bias, tf.zeros_like(bias))
    # Not `+`: the gradient of a bias that is added so is several times as fast.
    projected = tf.nn.bias_add(_rows(inputs) @ kernel, bias)
    shape = tf.concat([tf.shape(inputs)[:2], kernel.shape[1:]], axis=0)
    return tf.reshape(projected, shape), recurrent_bias


def _predict(cell, lengths, inputs, kernel, recurrent_kernel, bias, *states):
    """Run the steps and keep nothing but outputs `(time, batch, units)` and the last states."""

    def run_loop():
        projected, recurrent_bias = _projected(cell, inputs, kernel, bias)
        return _loop(cell, projected, (recurrent_kernel, recurrent_bias), states, lengths)

    def run_block():
        return _block(lengths, inputs, kernel, recurrent_kernel, bias, *states)

    if cell != "lstm" or inputs.dtype != tf.float32:
        return run_loop()
    rows, most = inputs.shape[1], BLOCK_PRODUCT // (kernel.shape[0] * kernel.shape[1])
    if rows is None and most:
        return tf.cond(tf.shape(inputs)[1] <= most, run_block, run_loop)
    # A condition that is known beforehand would upset TensorFlow's optimizer.
    return run_block() if most and rows <= most else run_loop()


def _loop(cell, projected, weights, states, lengths):
    """Run the steps in TensorFlow's loop, several an iteration."""
    step = CELLS[cell].step
    shape = tf.shape(projected)
    # A half without rows, as a small batch of a size unknown here leaves one, need not go on.
    time = tf.where(shape[1] > 0, shape[0], tf.minimum(shape[0], 1))
    most = time // UNROLLED
    # The first iterations hold UNROLLED steps each, the last ones the single steps that are left.
    outputs = tf.TensorArray(
        projected.dtype,
        most + time % UNROLLED,
        infer_shape=False,
        element_shape=[None, *states[0].shape],
    )

    def body(count, i, t, states, last, outputs):
        written = []
        for step_input in tf.unstack(projected[t : t + count], count):
            states, _ = step(step_input, states, *weights)
            written.append(states[0])
            t += 1
            last = states if lengths is None else _where(tf.equal(lengths, t), states, last)
        return i + 1, t, states, last, outputs.write(i, tf.stack(written))

    loop = (0, 0, tuple(states), tuple(states), outputs)
    for count in (UNROLLED, 1):
        loop = tf.while_loop(
            lambda i, t, *_, count=count: t + count <= time, functools.partial(body, count), loop
        )
    _, _, _, last, outputs = loop
    outputs = tf.reshape(outputs.concat(), tf.concat([shape[:2], states[0].shape[1:]], axis=0))
    return outputs, *last


def _block(lengths, inputs, kernel, recurrent_kernel, bias, output, cell):
    """Run an LSTM as TensorFlow's one op for it, which has no dispatch between the steps.

    For few rows that is most of the time; for many, its products are slower.
    """
    peephole = tf.zeros_like(bias[: cell.shape[-1]])
    block = tf.raw_ops.BlockLSTMV2(
        seq_len_max=tf.shape(inputs, out_type=tf.int64)[0],
        x=inputs,
        cs_prev=cell,
        h_prev=output,
        w=tf.concat([kernel, recurrent_kernel], axis=0),
        wci=peephole,
        wcf=peephole,
        wco=peephole,
        b=bias,
        cell_clip=0,
    )
    if lengths is None:
        return block.h, block.h[-1], block.cs[-1]
    rows = tf.range(tf.shape(lengths)[0])
    ends = tf.stack([tf.maximum(lengths - 1, 0), rows], axis=1)
    last = (tf.gather_nd(block.h, ends), tf.gather_nd(block.cs, ends))
    return block.h, *_where(tf.greater(lengths, 0), last, (output, cell))


def _train(cell, lengths, time, compiled, inputs, kernel, recurrent_kernel, bias, *states):
    """Run the steps, recorded, with gradients of our own; results as `_predict` has them."""

    @tf.custom_gradient
    def recur(projected, recurrent_kernel, recurrent_bias, *states):
        weights = (recurrent_kernel, recurrent_bias)
        outputs, last, records = _forward(
            cell, projected, weights, states, lengths, time, compiled=compiled
        )

        def gradient(d_outputs, *d_last):
            d_projections, d_states = _backward(
                cell, d_outputs, weights, d_last, lengths, time, records, compiled
            )
            d_projected, d_recurrent = d_projections[0], d_projections[-1]
            # Of what met the kernel: the initial output, then each step's but the last one's.
            d_kernel = tf.matmul(states[0], d_recurrent[0], transpose_a=True) + tf.matmul(
                _rows(outputs[:-1]), _rows(d_recurrent[1:]), transpose_a=True
            )
            d_bias = tf.raw_ops.BiasAddGrad(out_backprop=d_recurrent)
            return d_projected, d_kernel, d_bias, *d_states

        return (outputs[:time], *last), gradient

    projected, recurrent_bias = _projected(cell, inputs, kernel, bias)
    return recur(projected, recurrent_kernel, recurrent_bias, *states)


def _forward(cell, projected, weights, states, lengths, time, *, compiled):
    """Run the steps piece by piece and keep the records, an array of pieces each."""
    size = _piece_size(states[0]) if compiled else time
    pieces = -(-time // size)
    piece = _piece(_steps, cell, compiled, *weights[0].shape, projected.dtype)
    states = tuple(states)

    def body(i, states, arrays):
        start = i * size
        written, new = piece(projected[start : start + size], *weights, states, time - start)
        arrays = [array.write(i, new) for array, new in zip(arrays, written, strict=True)]
        return i + 1, _shaped_as(states, new), arrays

    arrays = _arrays(len(states) + 1, projected.dtype, pieces)
    _, last, (records, outputs, *others) = tf.while_loop(
        lambda i, *_: i < pieces, body, (0, states, arrays)
    )
    outputs = outputs.concat()
    outputs.set_shape([None, *states[0].shape])
    if lengths is not None:
        last = _last_states(lengths, time, states, last, outputs, others)
    return outputs, last, (records, *others)


def _last_states(lengths, time, states, last, outputs, others):
    """Find the states after each row's own last step, given those of the initial and the last one.

    They are looked up, since to keep them in the loop takes up to a quarter of its time.
    """
    rows = tf.range(tf.shape(lengths)[0])
    output = tf.gather_nd(outputs, tf.stack([tf.maximum(lengths - 1, 0), rows], axis=1))
    found = [tf.where(lengths[:, tf.newaxis] > 0, output, states[0])]
    for state, array in zip(last[1:], others, strict=True):  # kept as they are before each step
        before = tf.ensure_shape(array.concat(), outputs.shape)
        place = tf.stack([tf.minimum(lengths, time - 1), rows], axis=1)
        found.append(tf.where(lengths[:, tf.newaxis] < time, tf.gather_nd(before, place), state))
    return tuple(found)


def _backward(cell, d_outputs, weights, d_last, lengths, time, records, compiled):
    """Walk back through the pieces; return the gradients of projections and initial states."""
    size = _piece_size(d_last[0]) if compiled else time
    pieces = -(-time // size)
    d_outputs = tf.pad(d_outputs, [[0, pieces * size - time], [0, 0], [0, 0]])
    if lengths is None:
        lengths = tf.fill(tf.shape(d_outputs)[1:2], time)
    turned_kernel = tf.transpose(weights[0])
    piece = _piece(_steps_back, cell, compiled, *weights[0].shape, d_outputs.dtype)

    def body(i, d_states, arrays):
        start = i * size
        written, new = piece(
            d_outputs[start : start + size],
            turned_kernel,
            d_states,
            d_last,
            lengths - start,
            time - start,
            tuple(array.read(i) for array in records),
        )
        arrays = [array.write(i, new) for array, new in zip(arrays, written, strict=True)]
        return i - 1, _shaped_as(d_states, new), arrays

    arrays = _arrays(CELLS[cell].projections, d_outputs.dtype, pieces)
    nothing = tuple(tf.zeros_like(gradient) for gradient in d_last)
    _, d_states, arrays = tf.while_loop(lambda i, *_: i >= 0, body, (pieces - 1, nothing, arrays))
    # A row without a real step ends in its initial states.
    initial = _where(tf.equal(lengths, 0), d_last, nothing)
    d_states = [a + b for a, b in zip(d_states, initial, strict=True)]
    return [array.concat() for array in arrays], d_states


def _steps(cell, projected, recurrent_kernel, recurrent_bias, states, time):
    """Run the steps of a piece; `time` is counted from its start."""
    size, shape = tf.shape(projected)[0], states[0].shape

    def body(t, states, records, arrays):
        new, record = cell.step(projected[t], states, recurrent_kernel, recurrent_bias)
        for number, values in enumerate(record):
            records = records.write(t * cell.recorded + number, values)
        written = zip(arrays, (new[0], *states[1:]), strict=True)
        return t + 1, new, records, [array.write(t, values) for array, values in written]

    # One array holds the records of all kinds: XLA fills arrays with zeros first, and copies them.
    (records,) = _arrays(1, projected.dtype, size * cell.recorded, shape)
    arrays = _arrays(len(states), projected.dtype, size, shape)
    _, states, records, arrays = tf.while_loop(
        lambda t, *_: t < tf.minimum(size, time), body, (0, states, records, arrays)
    )
    return [array.stack() for array in (records, *arrays)], states


def _steps_back(cell, d_outputs, turned_kernel, d_states, d_last, lengths, time, records):
    """Walk back through the steps of a piece; `lengths` and `time` are counted from its start."""
    size = tf.shape(d_outputs)[0]
    records, *others = records

    def body(t, d_states, arrays):
        ended = tf.equal(lengths, t + 1)
        d_states = _where(ended, [a + b for a, b in zip(d_states, d_last, strict=True)], d_states)
        d_output, *rest = d_states
        record = [records[t * cell.recorded + number] for number in range(cell.recorded)]
        record += [states[t] for states in others]
        d_states, written = cell.step_back(record, (d_output + d_outputs[t], *rest), turned_kernel)
        written = zip(arrays, written, strict=True)
        return t - 1, d_states, [array.write(t, new) for array, new in written]

    width = [d_states[0].shape[0], turned_kernel.shape[0]]
    _, d_states, arrays = tf.while_loop(
        lambda t, *_: t >= 0,
        body,
        (
            tf.minimum(size, time) - 1,
            d_states,
            _arrays(cell.projections, d_outputs.dtype, size, width),
        ),
    )
    return [array.stack() for array in arrays], d_states


def _piece_size(state):
    """Return the steps of a compiled piece: one that is short of work is long."""
    return tf.where(tf.size(state) <= SMALL_STATE, LONG_PIECE, PIECE)


@functools.cache
def _piece(steps, cell, compiled, units, width, dtype):
    """Make a piece's function: one for each size of weights, kept, so that it is compiled once.

    Only the batch size varies between its calls, and only that is left open in its shapes.
    """
    steps = functools.partial(steps, CELLS[cell])
    return tf.function(steps, jit_compile=True, reduce_retracing=True) if compiled else steps


def _arrays(number, dtype, size, shape=None):
    return [
        tf.TensorArray(dtype, size, element_shape=shape, clear_after_read=False)
        for _ in range(number)
    ]


def _rows(steps):
    return tf.reshape(steps, [-1, steps.shape[-1]])


def _where(rows, chosen, others):
    rows = rows[:, tf.newaxis]
    return tuple(tf.where(rows, a, b) for a, b in zip(chosen, others, strict=True))


def _shaped_as(shaped, tensors):
    """Give tensors the static shapes of others: XLA's come without, and loops insist on them."""
    tf.nest.map_structure(lambda a, b: b.set_shape(a.shape), shaped, tuple(tensors))
    return tuple(tensors)
