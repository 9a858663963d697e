"""The recurrent cells in one plain loop of few kinds of ops, for runtimes smaller than TensorFlow.

`lstm_zoo.litert` traces a network so: the fused loops hold ops that LiteRT has not, and branches on
shapes that it can't take. Here the masked steps are stepped over inside the loop, each row keeping
its states, so that a mask needs no sorting and may lie anywhere.
"""

import contextlib
import contextvars
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from lstm_zoo.recurrent import fused

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
        cell: as `lstm_zoo.recurrent.fused.run` takes it, and the next five, the weights as arrays.
        inputs: `(batch, time, features)`, the batch's size known.
        states: the initial states, `(batch, units)` each.
        kernel: `(features, gates x units)`.
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
    [0.7616, 0.9428]
    """
    step = fused.CELLS[cell].step
    bias, recurrent_bias = bias if cell == "gru" else (bias, np.zeros_like(bias))
    batch, units = inputs.shape[0], len(recurrent_kernel)
    # The inputs of all steps meet the kernel at once.
    projected = tf.tensordot(tf.transpose(inputs, [1, 0, 2]), kernel, 1) + bias
    time = tf.shape(projected)[0]
    steps_mask = None if mask is None else tf.transpose(mask)  # (time, batch)

    def body(t, states, outputs):
        # Constants of the body: a runtime lays them out for its products once.
        weights = tf.constant(recurrent_kernel), tf.constant(recurrent_bias)
        new, _ = step(tf.gather(projected, t), states, *weights)
        if mask is not None:
            real = tf.gather(steps_mask, t)[:, tf.newaxis]
            new = tuple(tf.where(real, a, b) for a, b in zip(new, states, strict=True))
        return t + 1, new, outputs.write(t, new[0])

    outputs = tf.TensorArray(inputs.dtype, time, element_shape=[batch, units])
    states = tuple(tf.reshape(state, [batch, units]) for state in states)
    _, states, outputs = tf.while_loop(lambda t, *_: t < time, body, (0, states, outputs))
    outputs = tf.transpose(outputs.stack(), [1, 0, 2])  # (batch, time, units)
    if mask is not None:
        shown = mask if zero_padding else tf.cumsum(tf.cast(mask, tf.int32), axis=1) > 0
        outputs = tf.where(shown[..., tf.newaxis], outputs, 0.0)
    return outputs, list(states)
