"""The equations of the recurrent cells: a forward and a backward step of each.

`lstm_zoo.recurrent.fused` and `lstm_zoo.recurrent.portable` loop over these steps. A new cell is an
entry in `CELLS` here, and one in `lstm_zoo.recurrent.cells` for its Keras layer.

simple_rnn: Elman 1990. lstm: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al.
2000. gru: Cho et al. 2014, with the reset gate after the matrix product, as in cuDNN.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

Tensors = tuple[tf.Tensor, ...]


class Cell(NamedTuple):
    """The forward and the backward step of a cell.

    Shapes: states and saved activations `(batch, units)`, projections `(batch, gates x units)`.

    Attributes:
        step: `step(projected, states, recurrent_kernel, recurrent_bias)` takes the projection of
            the inputs, and returns the new states, the hidden state first, and the saved
            activations. A cell without a recurrent bias ignores it.
        backward_step: `backward_step(saved, gradients, transposed_kernel)` takes the saved
            activations, followed by an LSTM's old cell state, the gradients of the new states, and
            the transposed recurrent kernel. It returns the gradients of the old states, and those
            of the input's projection and the hidden state's: one tensor where they are equal.
        num_saved: how many activations `step` saves.
        num_projections: how many gradients of projections `backward_step` returns.
        state_names: what the states are called, the hidden state first.
    """

    step: Callable[..., tuple[Tensors, Tensors]]
    backward_step: Callable[..., tuple[Tensors, Tensors]]
    num_saved: int
    num_projections: int
    state_names: tuple[str, ...] = ("hidden",)

    @property
    def has_recurrent_bias(self) -> bool:
        """Whether the hidden state's projection has its own bias, the second row of the bias.

        A cell that adds the two projections needs only one bias.
        """
        return self.num_projections == 2


def _simple_rnn_step(projected, states, recurrent_kernel, recurrent_bias):
    (output,) = states
    output = tf.tanh(projected + output @ recurrent_kernel)
    return (output,), (output,)


def _simple_rnn_backward_step(saved, gradients, transposed_kernel):
    (output,), (d_output,) = saved, gradients
    d = d_output * (1 - output * output)
    return (d @ transposed_kernel,), (d,)


def _lstm_step(projected, states, recurrent_kernel, recurrent_bias):
    output, cell = states
    z = projected + output @ recurrent_kernel
    i, f, g, o = tf.split(z, 4, axis=-1)
    i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
    new_cell = f * cell + i * g
    return (o * tf.tanh(new_cell), new_cell), (i, f, g, o)


def _lstm_backward_step(saved, gradients, transposed_kernel):
    i, f, g, o, cell = saved
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
    return (d @ transposed_kernel, d_cell * f), (d,)


def _gru_step(projected, states, recurrent_kernel, recurrent_bias):
    (output,) = states
    units = output.shape[-1]
    recurrent = tf.nn.bias_add(output @ recurrent_kernel, recurrent_bias)
    gates, n = tf.split(projected, [2 * units, units], axis=-1)
    recurrent_gates, recurrent_n = tf.split(recurrent, [2 * units, units], axis=-1)
    z, r = tf.split(tf.sigmoid(gates + recurrent_gates), 2, axis=-1)
    n = tf.tanh(n + r * recurrent_n)
    return (n + z * (output - n),), (z, r, n, recurrent_n, output)


def _gru_backward_step(saved, gradients, transposed_kernel):
    z, r, n, recurrent_n, output = saved
    (d_output,) = gradients
    d_z = d_output * (output - n) * z * (1 - z)
    d_n = d_output * (1 - z) * (1 - n * n)
    d_r = d_n * recurrent_n * r * (1 - r)
    d_recurrent = tf.concat([d_z, d_r, d_n * r], axis=-1)
    d_old_output = d_output * z + d_recurrent @ transposed_kernel
    return (d_old_output,), (tf.concat([d_z, d_r, d_n], axis=-1), d_recurrent)


CELLS = {
    "simple_rnn": Cell(_simple_rnn_step, _simple_rnn_backward_step, num_saved=1, num_projections=1),
    "lstm": Cell(
        _lstm_step,
        _lstm_backward_step,
        num_saved=4,
        num_projections=1,
        state_names=("hidden", "cell"),
    ),
    "gru": Cell(_gru_step, _gru_backward_step, num_saved=5, num_projections=2),
}
