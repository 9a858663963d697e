"""The recurrent cells on a CPU: few large ops and hand-written gradients, with Keras's results.

Keras runs a layer as a loop of small ops and lets TensorFlow differentiate it, which adds to the
gradients of the weights at every step. Here one matrix product before the loop projects the inputs
of all steps; the loop computes only what depends on the state; and the backward pass collects the
gradients of the pre-activations, from which one product after it computes those of the weights.

What makes it fast, as measured on two cores by `tests/benchmarks/bench_recurrent.py`:

- The batch is split into two halves, each with its own loop, and TensorFlow runs both at once: a
  step's product is too small to be split among cores. Steps as small as `SMALL_STATE`, and batches
  with halves as small as `SMALLEST_HALF`, are not split.
- In training, XLA compiles the loop's body (nothing else), in chunks of `CHUNK` steps or, for small
  layers and batches, `LONG_CHUNK`, so that one compilation serves every length. Each batch size and
  layer size has its own, which takes one to three seconds.
- The states after each row's last valid step are looked up after the loop, and the kernel is
  transposed once for the backward pass, rather than at every step.
- Without XLA (predictions, exports), an iteration of TensorFlow's loop holds `UNROLLED` steps, and
  an LSTM with few rows and units (`BLOCK_PRODUCT`) runs as TensorFlow's single op for it.

What did not help: that op for more rows or units, and in training (its gradient adds to the
weights' at every step); TensorArrays of single steps in place of stacked ones; one sigmoid for all
four gates, with the tanh computed from it; computing what the backward pass needs of the saved
activations for all steps before it; chunks unrolled under XLA, which take ten times as long to
compile; oneDNN's products (`TF_ENABLE_ONEDNN_OPTS=1` where TensorFlow leaves them off); XLA's flags
for XNNPACK, YNNPACK, Eigen and wider vectors.

Memory grows with the number of steps only: training saves, for each step, row and unit, five
numbers (one for a SimpleRNN) and the output; the backward pass adds the gradients of the
projections, four numbers for an LSTM, six for a GRU. In float32 that is 24 bytes, and 16 or 24
more.
"""

import functools
from collections.abc import Sequence

import tensorflow as tf

from lstm_zoo.recurrent.steps import CELLS

CHUNK = 16  # time steps: the inputs are padded to full chunks
LONG_CHUNK = 64  # of small steps, of which several take as long as the launch of a chunk
SMALL_STATE = 1_024  # rows x units: up to this, a step is small
UNROLLED = 4  # more is as fast, and the graph larger
BLOCK_PRODUCT = 2**17  # multiplications: of a step's inputs with the kernel
SMALLEST_HALF = 4  # rows: a product of fewer takes as long


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
    split_batch: bool = True,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Run one cell over a batch, from the first step to the last.

    Args:
        cell: "simple_rnn", "gru" (reset after the product) or "lstm".
        inputs: `(batch, time, features)`, of any float dtype, which all other floats share.
        states: the initial states, `(batch, units)` each: the hidden state, and an LSTM's cell
            state.
        kernel: `(features, gates x units)`, the gates in Keras's order.
        recurrent_kernel: `(units, gates x units)`.
        bias: `(gates x units,)`, for a GRU `(2, gates x units)`.
        lengths: int32 `(batch,)`, the number of valid steps of each row; None for all of them.
        compiled: whether XLA compiles the steps, and the activations are saved for the backward
            pass. If False, a backward pass runs the steps once more.
        split_batch: whether the batch is split into two halves that run at once.

    Returns:
        The outputs `(batch, time, units)`, undefined at padding, and the states after each row's
        last valid step (the initial ones where it has none).

    Example:

    >>> one = tf.ones((1, 1))
    >>> outputs, _ = run("simple_rnn", tf.ones((1, 2, 1)), [0 * one], one, one, one[0] - 1)
    >>> [round(x, 3) for x in outputs[0, :, 0].numpy().tolist()]
    [0.762, 0.943]
    """
    batch, units = tf.shape(inputs)[0], recurrent_kernel.shape[0]
    # A loop's states need one static shape, but the batch size may be known of some tensors only.
    states = [tf.reshape(state, [batch, units]) for state in states]
    smallest = max(2 * SMALLEST_HALF, SMALL_STATE // units)
    if inputs.shape[0] is not None and inputs.shape[0] < smallest:
        split_batch = False
    run_rows = functools.partial(
        _run_rows,
        cell,
        kernel=kernel,
        recurrent_kernel=recurrent_kernel,
        bias=bias,
        compiled=compiled,
    )
    if not split_batch:
        return run_rows(inputs, states, lengths=lengths)
    # A small batch whose size is not static leaves the second half empty.
    first = tf.where(batch < smallest, batch, batch - batch // 2)
    # A split, since its gradient concatenates; that of slices pads each with zeros.
    split = [tf.split(tensor, [first, batch - first]) for tensor in (inputs, *states)]
    lengths = (None, None) if lengths is None else tf.split(lengths, [first, batch - first])
    halves = [
        run_rows(inputs, states, lengths=lengths)
        for (inputs, *states), lengths in zip(zip(*split, strict=True), lengths, strict=True)
    ]
    outputs, states = zip(*halves, strict=True)
    return tf.concat(outputs, 0), [tf.concat(halves, 0) for halves in zip(*states, strict=True)]


def _run_rows(cell, inputs, states, lengths, *, kernel, recurrent_kernel, bias, compiled):
    time = tf.shape(inputs)[1]
    inputs = tf.transpose(inputs, [1, 0, 2])  # (time, batch, features): a step is contiguous
    if compiled:
        inputs = tf.pad(inputs, [[0, -time % _chunk_size(states[0])], [0, 0], [0, 0]])

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
    """Project the inputs of all steps at once; return the recurrent bias too."""
    if CELLS[cell].has_recurrent_bias:
        bias, recurrent_bias = tf.unstack(bias)
    else:
        bias, recurrent_bias = bias, tf.zeros_like(bias)
    # Not `+`: the gradient of this op's bias is several times as fast.
    projected = tf.nn.bias_add(_rows(inputs) @ kernel, bias)
    shape = tf.concat([tf.shape(inputs)[:2], kernel.shape[1:]], axis=0)
    return tf.reshape(projected, shape), recurrent_bias


def _predict(cell, lengths, inputs, kernel, recurrent_kernel, bias, *states):
    """Run the steps, saving nothing; return the outputs `(time, batch, units)` and last states."""

    def run_loop():
        projected, recurrent_bias = _projected(cell, inputs, kernel, bias)
        return _loop(cell, projected, (recurrent_kernel, recurrent_bias), states, lengths)

    def run_block():
        return _block(lengths, inputs, kernel, recurrent_kernel, bias, *states)

    if cell != "lstm" or inputs.dtype != tf.float32:
        return run_loop()
    rows, max_rows = inputs.shape[1], BLOCK_PRODUCT // (kernel.shape[0] * kernel.shape[1])
    if rows is None and max_rows:
        return tf.cond(tf.shape(inputs)[1] <= max_rows, run_block, run_loop)
    # No `cond` with a constant condition, which breaks TensorFlow's graph optimizer.
    return run_block() if max_rows and rows <= max_rows else run_loop()


def _loop(cell, projected, weights, states, lengths):
    """Run the steps in TensorFlow's loop, several per iteration."""
    step = CELLS[cell].step
    shape = tf.shape(projected)
    # An empty half, as a small batch whose size is not static has one, needs a single step.
    time = tf.where(shape[1] > 0, shape[0], tf.minimum(shape[0], 1))
    unrolled = time // UNROLLED
    # The first iterations hold UNROLLED steps each, the last ones the remaining single steps.
    outputs = tf.TensorArray(
        projected.dtype,
        unrolled + time % UNROLLED,
        infer_shape=False,
        # The rows of all steps in one axis: of no elements, `concat` must know the others' sizes.
        element_shape=[None, states[0].shape[-1]],
    )

    def body(count, i, t, states, last, outputs):
        step_outputs = []
        for step_input in tf.unstack(projected[t : t + count], count):
            states, _ = step(step_input, states, *weights)
            step_outputs.append(states[0])
            t += 1
            last = states if lengths is None else _where(tf.equal(lengths, t), states, last)
        return i + 1, t, states, last, outputs.write(i, tf.concat(step_outputs, axis=0))

    loop = (0, 0, tuple(states), tuple(states), outputs)
    for count in (UNROLLED, 1):
        loop = tf.while_loop(
            lambda i, t, *_, count=count: t + count <= time, functools.partial(body, count), loop
        )
    _, _, _, last, outputs = loop
    outputs = tf.reshape(outputs.concat(), tf.concat([shape[:2], states[0].shape[1:]], axis=0))
    return outputs, *last


def _block(lengths, inputs, kernel, recurrent_kernel, bias, output, cell):
    """Run an LSTM as TensorFlow's single op for it, which has no dispatch between the steps.

    For few rows the dispatch is most of the time; for many, this op's products are slower.
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
    """Run the steps, saving the activations for hand-written gradients; results as `_predict`."""

    @tf.custom_gradient
    def recur(projected, recurrent_kernel, recurrent_bias, *states):
        weights = (recurrent_kernel, recurrent_bias)
        outputs, last, saved = _forward(
            cell, projected, weights, states, lengths, time, compiled=compiled
        )

        def gradient(d_outputs, *d_last):
            d_projections, d_states = _backward(
                cell, d_outputs, weights, d_last, lengths, time, saved, compiled
            )
            d_projected, d_recurrent = d_projections[0], d_projections[-1]
            # The kernel multiplied the initial hidden state, then each step's output but the last.
            d_kernel = tf.matmul(states[0], d_recurrent[0], transpose_a=True) + tf.matmul(
                _rows(outputs[:-1]), _rows(d_recurrent[1:]), transpose_a=True
            )
            d_bias = tf.raw_ops.BiasAddGrad(out_backprop=d_recurrent)
            return d_projected, d_kernel, d_bias, *d_states

        return (outputs[:time], *last), gradient

    projected, recurrent_bias = _projected(cell, inputs, kernel, bias)
    return recur(projected, recurrent_kernel, recurrent_bias, *states)


def _forward(cell, projected, weights, states, lengths, time, *, compiled):
    """Run the steps chunk by chunk; return the saved activations as TensorArrays of chunks."""
    size = _chunk_size(states[0]) if compiled else time
    num_chunks = -(-time // size)
    run_chunk = _chunk(_forward_steps, cell, compiled, *weights[0].shape, projected.dtype)
    states = tuple(states)

    def body(i, states, arrays):
        start = i * size
        values, new = run_chunk(projected[start : start + size], *weights, states, time - start)
        arrays = [array.write(i, value) for array, value in zip(arrays, values, strict=True)]
        return i + 1, _with_shapes_of(states, new), arrays

    arrays = _arrays(len(states) + 1, projected.dtype, num_chunks)
    _, last, (saved, outputs, *others) = tf.while_loop(
        lambda i, *_: i < num_chunks, body, (0, states, arrays)
    )
    outputs = outputs.concat()
    outputs.set_shape([None, *states[0].shape])
    if lengths is not None:
        last = _last_states(lengths, time, states, last, outputs, others)
    return outputs, last, (saved, *others)


def _last_states(lengths, time, states, last, outputs, others):
    """Return the states after each row's last valid step, from the initial and the final ones.

    They are looked up, since selecting them in the loop takes up to a quarter of its time.
    """
    rows = tf.range(tf.shape(lengths)[0])
    output = tf.gather_nd(outputs, tf.stack([tf.maximum(lengths - 1, 0), rows], axis=1))
    found = [tf.where(lengths[:, tf.newaxis] > 0, output, states[0])]
    for state, array in zip(last[1:], others, strict=True):  # saved as they are before each step
        before = tf.ensure_shape(array.concat(), outputs.shape)
        place = tf.stack([tf.minimum(lengths, time - 1), rows], axis=1)
        found.append(tf.where(lengths[:, tf.newaxis] < time, tf.gather_nd(before, place), state))
    return tuple(found)


def _backward(cell, d_outputs, weights, d_last, lengths, time, saved, compiled):
    """Run the backward pass; return the gradients of the projections and the initial states."""
    size = _chunk_size(d_last[0]) if compiled else time
    num_chunks = -(-time // size)
    d_outputs = tf.pad(d_outputs, [[0, num_chunks * size - time], [0, 0], [0, 0]])
    if lengths is None:
        lengths = tf.fill(tf.shape(d_outputs)[1:2], time)
    transposed_kernel = tf.transpose(weights[0])
    run_chunk = _chunk(_backward_steps, cell, compiled, *weights[0].shape, d_outputs.dtype)

    def body(i, d_states, arrays):
        start = i * size
        values, new = run_chunk(
            d_outputs[start : start + size],
            transposed_kernel,
            d_states,
            d_last,
            lengths - start,
            time - start,
            tuple(array.read(i) for array in saved),
        )
        arrays = [array.write(i, value) for array, value in zip(arrays, values, strict=True)]
        return i - 1, _with_shapes_of(d_states, new), arrays

    arrays = _arrays(CELLS[cell].num_projections, d_outputs.dtype, num_chunks)
    zeros = tuple(tf.zeros_like(gradient) for gradient in d_last)
    _, d_states, arrays = tf.while_loop(lambda i, *_: i >= 0, body, (num_chunks - 1, zeros, arrays))
    # The last states of a row without a valid step are its initial ones.
    initial = _where(tf.equal(lengths, 0), d_last, zeros)
    d_states = [a + b for a, b in zip(d_states, initial, strict=True)]
    return [array.concat() for array in arrays], d_states


def _forward_steps(cell, projected, recurrent_kernel, recurrent_bias, states, time):
    """Run the steps of a chunk; `time` is counted from its start."""
    size, shape = tf.shape(projected)[0], states[0].shape

    def body(t, states, saved, arrays):
        new, activations = cell.step(projected[t], states, recurrent_kernel, recurrent_bias)
        for number, values in enumerate(activations):
            saved = saved.write(t * cell.num_saved + number, values)
        pairs = zip(arrays, (new[0], *states[1:]), strict=True)
        return t + 1, new, saved, [array.write(t, values) for array, values in pairs]

    # One array for all saved activations: XLA fills each with zeros first, and copies it.
    (saved,) = _arrays(1, projected.dtype, size * cell.num_saved, shape)
    arrays = _arrays(len(states), projected.dtype, size, shape)
    _, states, saved, arrays = tf.while_loop(
        lambda t, *_: t < tf.minimum(size, time), body, (0, states, saved, arrays)
    )
    return [array.stack() for array in (saved, *arrays)], states


def _backward_steps(cell, d_outputs, transposed_kernel, d_states, d_last, lengths, time, saved):
    """Run a chunk's backward pass; `lengths` and `time` are counted from the chunk's start."""
    size = tf.shape(d_outputs)[0]
    saved, *others = saved

    def body(t, d_states, arrays):
        ended = tf.equal(lengths, t + 1)
        d_states = _where(ended, [a + b for a, b in zip(d_states, d_last, strict=True)], d_states)
        d_output, *rest = d_states
        activations = [saved[t * cell.num_saved + number] for number in range(cell.num_saved)]
        activations += [states[t] for states in others]
        d_states, d_projections = cell.backward_step(
            activations, (d_output + d_outputs[t], *rest), transposed_kernel
        )
        pairs = zip(arrays, d_projections, strict=True)
        return t - 1, d_states, [array.write(t, values) for array, values in pairs]

    width = [d_states[0].shape[0], transposed_kernel.shape[0]]
    _, d_states, arrays = tf.while_loop(
        lambda t, *_: t >= 0,
        body,
        (
            tf.minimum(size, time) - 1,
            d_states,
            _arrays(cell.num_projections, d_outputs.dtype, size, width),
        ),
    )
    return [array.stack() for array in arrays], d_states


def _chunk_size(state):
    """Return the number of steps of a compiled chunk: more where the steps are small."""
    return tf.where(tf.size(state) <= SMALL_STATE, LONG_CHUNK, CHUNK)


@functools.cache
def _chunk(steps, cell, compiled, units, width, dtype):
    """Make the function of a chunk, cached so that each size of weights is compiled once.

    Its calls differ in the batch size alone, the only dimension that is not static.
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


def _with_shapes_of(shaped, tensors):
    """Set the static shapes of `shaped`: XLA's results have none, and a loop's states need one."""
    tf.nest.map_structure(lambda a, b: b.set_shape(a.shape), shaped, tuple(tensors))
    return tuple(tensors)
