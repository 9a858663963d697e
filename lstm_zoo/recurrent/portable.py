"""The recurrent cells as one plain loop of few kinds of ops, for runtimes such as LiteRT.

`lstm_zoo.export.litert` traces networks with it: the fused loops use ops that LiteRT lacks, and
branch on shapes, which it does not support. Here a masked step keeps the states of its row inside
the loop, so a mask needs no sorting, and masked steps may be anywhere.

All shapes follow from those of the inputs alone. With computed shapes, LiteRT would resize tensors
at run time, and its XNNPACK delegate would occasionally read a buffer that has moved: one
interpreter in some hundreds to some thousands returned wrong numbers (ai-edge-litert 2.3.0).
"""

import contextlib
import contextvars
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from lstm_zoo.recurrent.steps import CELLS

UNROLLED = 8  # steps per iteration; more is slower for short rows

_chosen = contextvars.ContextVar("portable_loops", default=False)


@contextlib.contextmanager
def portable_loops() -> Iterator[None]:
    """Make the recurrent layers traced inside the block use the portable loop.

    The traced graph holds the weights as constants: it is for exports, not for training.

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
    """Return whether this runs inside a `portable_loops` block."""
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
    zero_output_for_mask: bool = False,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Run one cell over a batch, from the first step to the last.

    Args:
        cell: "simple_rnn", "gru" (reset after the product) or "lstm".
        inputs: `(batch, time, features)`, with a static batch size.
        states: the initial states, `(batch, units)` each.
        kernel: `(features, gates x units)`, the gates in Keras's order.
        recurrent_kernel: `(units, gates x units)`.
        bias: `(gates x units,)`, for a GRU `(2, gates x units)`.
        mask: boolean `(batch, time)`, true at valid steps; None where all are.
        zero_output_for_mask: whether masked steps have zeros rather than the output of the last
            valid step before them (zeros before the first).

    Returns:
        The outputs `(batch, time, units)`, and the states after each row's last valid step.

    Example:

    >>> one = np.ones((1, 1), np.float32)
    >>> outputs, _ = run("simple_rnn", tf.ones((1, 2, 1)), [tf.zeros((1, 1))], one, one, one[0] - 1)
    >>> [round(x, 3) for x in outputs[0, :, 0].numpy().tolist()]
    [0.762, 0.943]
    """
    step = CELLS[cell].step
    if CELLS[cell].has_recurrent_bias:
        bias, recurrent_bias = bias
    else:
        bias, recurrent_bias = bias, np.zeros_like(bias)
    batch, units = inputs.shape[0], len(recurrent_kernel)
    valid = tf.ones_like(inputs[..., 0], tf.bool) if mask is None else mask  # (batch, time)

    # One product projects the inputs of all steps.
    rows = tf.reshape(inputs, [-1, len(kernel)])
    projected = tf.reshape(rows @ kernel + bias, [batch, -1, kernel.shape[1]])
    # Enough padding to fill the last block, whatever the number of steps.
    extra = [[0, UNROLLED - 1], [0, 0], [0, 0]]
    projected = tf.pad(tf.transpose(projected, [1, 0, 2]), extra)
    valid_steps = tf.pad(tf.transpose(valid[..., tf.newaxis], [1, 0, 2]), extra)
    time = tf.shape(inputs)[1]

    def body(start, states, outputs):
        # Constants of the body: a runtime packs them for its products once.
        weights = tf.constant(recurrent_kernel), tf.constant(recurrent_bias)
        block = start + tf.range(UNROLLED)
        for i, (step_input, is_valid) in enumerate(
            zip(
                tf.unstack(tf.gather(projected, block)),
                tf.unstack(tf.gather(valid_steps, block)),
                strict=True,
            )
        ):
            new, _ = step(step_input, states, *weights)
            states = tuple(tf.where(is_valid, a, b) for a, b in zip(new, states, strict=True))
            outputs = outputs.write(start + i, states[0])
        return start + UNROLLED, states, outputs

    # Initialized from zeros of a known shape; from a length, the shape would be computed.
    zeros = tf.zeros_like(projected[..., :units])
    outputs = tf.TensorArray(inputs.dtype, tf.shape(zeros)[0], element_shape=[batch, units])
    outputs = outputs.unstack(zeros)
    states = tuple(tf.reshape(state, [batch, units]) for state in states)
    _, states, outputs = tf.while_loop(lambda start, *_: start < time, body, (0, states, outputs))
    outputs = tf.transpose(outputs.stack()[: 1 - UNROLLED], [1, 0, 2])  # (batch, time, units)
    if mask is not None:
        kept = mask if zero_output_for_mask else tf.cumsum(tf.cast(mask, tf.int32), axis=1) > 0
        outputs = tf.where(kept[..., tf.newaxis], outputs, 0.0)
    return outputs, list(states)
