"""The recurrent cells in one plain loop of few kinds of ops, for runtimes smaller than TensorFlow.

`lstm_zoo.export.litert` traces a network so: the fused loops hold ops that LiteRT has not, and
branches on shapes that it can't take. Here the masked steps are stepped over inside the loop, each row keeping
its states, so that a mask needs no sorting and may lie anywhere.

All shapes follow from those of the inputs alone. Were one computed, LiteRT would size tensors while
it runs, and there its XNNPACK delegate now and then reads a buffer that has moved: one interpreter
in some hundreds to some thousands answered with wrong numbers (ai-edge-litert 2.3.0).
"""

import contextlib
import contextvars
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from lstm_zoo.recurrent import fused

UNROLLED = 8  # steps an iteration; more costs short rows

_chosen = contextvars.ContextVar("portable_loops", default=False)


@contextlib.contextmanager
def portable_loops() -> Iterator[None]:
    """Have the recurrent layers that are traced inside the block take the portable loop.

    What is traced holds the weights as constants: it is for exports, not for training.

    Example:

    >>> with portable_loops():
    ...     is_chosen()
    True
    """
    token = _chosen.set(True)
    try:
        yield
    finally:
        _chosen.reset(token)


def is_chosen() -> bool:
    """Tell whether this is inside of `portable_loops`."""
    return _chosen.get()


def run(
    cell: str,
    inputs: tf.Tensor,
    states: Sequence[tf.Tensor],
    kernel: np.ndarray,
    recurrent_kernel: np.ndarray,
    bias: np.ndarray,
    mask: tf.Tensor | None = None,
    *,
    zero_padding: bool = False,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Run one cell over a batch, from the first step to the last.

    Args:
        cell: "simple_rnn", "gru" (reset after the product) or "lstm".
        inputs: `(batch, time, features)`, the batch's size known.
        states: the initial states, `(batch, units)` each.
        kernel: `(features, gates x units)`, the gates in Keras's order.
        recurrent_kernel: `(units, gates x units)`.
        bias: `(gates x units,)`, for a GRU `(2, gates x units)`.
        mask: boolean `(batch, time)`, true on the real steps; None where all are.
        zero_padding: whether a masked step has zeros, not the last real step's output (zeros
            before the first).

    Returns:
        The outputs `(batch, time, units)`, and the states after each row's last real step.

    Example:

    >>> one = np.ones((1, 1), np.float32)
    >>> outputs, _ = run("simple_rnn", tf.ones((1, 2, 1)), [tf.zeros((1, 1))], one, one, one[0] - 1)
    >>> [round(x, 4) for x in outputs[0, :, 0].numpy().tolist()]
    [0.7616, 0.9427]
    """
    step = fused.CELLS[cell].step
    bias, recurrent_bias = bias if cell == "gru" else (bias, np.zeros_like(bias))
    batch, units = inputs.shape[0], len(recurrent_kernel)
    real = tf.ones_like(inputs[..., 0], tf.bool) if mask is None else mask  # (batch, time)

    # The inputs of all steps meet the kernel at once.
    rows = tf.reshape(inputs, [-1, len(kernel)])
    projected = tf.reshape(rows @ kernel + bias, [batch, -1, kernel.shape[1]])
    # As many steps more as make the last block whole, however many steps there are.
    extra = [[0, UNROLLED - 1], [0, 0], [0, 0]]
    projected = tf.pad(tf.transpose(projected, [1, 0, 2]), extra)
    real_steps = tf.pad(tf.transpose(real[..., tf.newaxis], [1, 0, 2]), extra)
    time = tf.shape(inputs)[1]

    def body(start, states, outputs):
        # Constants of the body: a runtime lays them out for its products once.
        weights = tf.constant(recurrent_kernel), tf.constant(recurrent_bias)
        block = start + tf.range(UNROLLED)
        for i, (step_input, is_real) in enumerate(
            zip(
                tf.unstack(tf.gather(projected, block)),
                tf.unstack(tf.gather(real_steps, block)),
                strict=True,
            )
        ):
            new, _ = step(step_input, states, *weights)
            states = tuple(tf.where(is_real, a, b) for a, b in zip(new, states, strict=True))
            outputs = outputs.write(start + i, states[0])
        return start + UNROLLED, states, outputs

    # Begun as zeros of a known shape; a length alone would be a shape that is computed.
    zeros = tf.zeros_like(projected[..., :units])
    outputs = tf.TensorArray(inputs.dtype, tf.shape(zeros)[0], element_shape=[batch, units])
    outputs = outputs.unstack(zeros)
    states = tuple(tf.reshape(state, [batch, units]) for state in states)
    _, states, outputs = tf.while_loop(lambda start, *_: start < time, body, (0, states, outputs))
    outputs = tf.transpose(outputs.stack()[: 1 - UNROLLED], [1, 0, 2])  # (batch, time, units)
    if mask is not None:
        shown = mask if zero_padding else tf.cumsum(tf.cast(mask, tf.int32), axis=1) > 0
        outputs = tf.where(shown[..., tf.newaxis], outputs, 0.0)
    return outputs, list(states)
