r"""The recurrent cells in NumPy, written from the literature's equations: what tests compare with.

Nothing here comes from Keras but its names, the order of its gates and the layout of its weights,
`(kernel W, recurrent kernel U, bias b)`. With a row's input x and its last state h, and with
s(a) = 1 / (1 + exp(-a)) and products of states taken element by element:

simple_rnn (Elman 1990, "Finding structure in time", Cognitive Science 14; tanh for its sigmoid):
    h' = tanh(W x + U h + b)

lstm (Hochreiter and Schmidhuber 1997, "Long short-term memory", Neural Computation 9; the forget
gate of Gers, Schmidhuber and Cummins 2000, "Learning to forget", Neural Computation 12; no
peepholes; tanh for the squashing of input and output). State h and c, gates in the order i f g o:
    i = s(W_i x + U_i h + b_i)      f = s(W_f x + U_f h + b_f)
    g = tanh(W_g x + U_g h + b_g)   o = s(W_o x + U_o h + b_o)
    c' = f c + i g                  h' = o tanh(c')

gru (Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder", EMNLP, with its
z for how much of the state stays; the reset gate behind the matrix, as in cuDNN's documentation of
CUDNN_GRU, hence two rows of bias, b of the input and d of the state). Gates in the order z r n:
    z = s(W_z x + b_z + U_z h + d_z)
    r = s(W_r x + b_r + U_r h + d_r)
    n = tanh(W_n x + b_n + r (U_n h + d_n))
    h' = z h + (1 - z) n

Each cell is thus a function of its states and of two projections, a = W x + b and e = U h + d.
The gradients are these equations differentiated by hand, and run back through time (Werbos 1990,
"Backpropagation through time", Proceedings of the IEEE 78).

Batches are padded on the right: a row has `length` real steps, at least one. Past them its states
stay and its output repeats the last real one, which is what Keras's loop does with a mask. Other
paths give zeros there, so compare `real_steps` only where more than that loop is tested.

Numbers stay in the type they come in: give float64 for a reference.
"""

import numpy as np

GATES = {"simple_rnn": 1, "gru": 3, "lstm": 4}
STATES = {"simple_rnn": 1, "gru": 1, "lstm": 2}


def forward(cell, weights, inputs, lengths=None, initial_states=None):
    """Run one cell over a batch, from the first step to the last.

    Args:
        cell: "simple_rnn", "gru" or "lstm".
        weights: kernel, recurrent kernel and bias, as a Keras layer's `get_weights` gives them.
        inputs: `(batch, time, features)`.
        lengths: the number of real steps of each row; all of them by default.
        initial_states: one `(batch, units)` for each state; zeros by default.

    Returns:
        Outputs `(batch, time, units)`, the list of final states, and the tape for `backward`.
    """
    kernel, recurrent_kernel, bias = weights
    input_bias, state_bias = bias if cell == "gru" else (bias, np.zeros_like(bias))
    batch, time = inputs.shape[:2]
    if initial_states is None:
        zeros = np.zeros((batch, recurrent_kernel.shape[0]), inputs.dtype)
        initial_states = [zeros] * STATES[cell]
    real = real_steps(lengths, batch, time)
    step = _STEPS[cell][0]
    states, outputs, tape = list(initial_states), [], []
    for t in range(time):
        a = inputs[:, t] @ kernel + input_bias
        e = states[0] @ recurrent_kernel + state_bias
        new_states, record = step(a, e, states)
        here = real[:, t, None]
        tape.append((inputs[:, t], states[0], here, record))
        states = [np.where(here, new, old) for new, old in zip(new_states, states, strict=True)]
        outputs.append(states[0])
    return np.stack(outputs, axis=1), states, tape


def backward(cell, weights, tape, output_gradients, final_state_gradients):
    """Carry a loss's gradients back through time.

    Args:
        cell: as in `forward`.
        weights: as in `forward`.
        tape: what `forward` returned.
        output_gradients: the loss's gradient in each output, `(batch, time, units)`.
        final_state_gradients: its gradient in each final state, `(batch, units)` each.

    Returns:
        A dictionary: "kernel", "recurrent_kernel", "bias", "inputs", each of the shape of what it
        is the gradient of, and "initial_states", a list.
    """
    kernel, recurrent_kernel, bias = weights
    step_back = _STEPS[cell][1]
    kernel_gradient = np.zeros_like(kernel)
    recurrent_gradient = np.zeros_like(recurrent_kernel)
    input_bias_gradient = np.zeros_like(kernel[0])
    state_bias_gradient = np.zeros_like(kernel[0])
    input_gradients = []
    state_gradients = list(final_state_gradients)
    for t in reversed(range(len(tape))):
        x, h, here, record = tape[t]
        # An output is the state after its step, past the length too.
        state_gradients[0] = state_gradients[0] + output_gradients[:, t]
        # Only a real step is gone through; a padded one hands its gradient on as it is.
        through = [np.where(here, gradient, 0) for gradient in state_gradients]
        past = [np.where(here, 0, gradient) for gradient in state_gradients]
        da, de, direct = step_back(record, through)
        kernel_gradient += x.T @ da
        recurrent_gradient += h.T @ de
        input_bias_gradient += da.sum(axis=0)
        state_bias_gradient += de.sum(axis=0)
        input_gradients.append(da @ kernel.T)
        state_gradients = [p + d for p, d in zip(past, direct, strict=True)]
        state_gradients[0] = state_gradients[0] + de @ recurrent_kernel.T
    if cell == "gru":
        bias_gradient = np.stack([input_bias_gradient, state_bias_gradient])
    else:
        bias_gradient = input_bias_gradient
    return {
        "kernel": kernel_gradient,
        "recurrent_kernel": recurrent_gradient,
        "bias": bias_gradient,
        "inputs": np.stack(input_gradients[::-1], axis=1),
        "initial_states": state_gradients,
    }


def bidirectional_forward(cell, weights, inputs, lengths=None, initial_states=None):
    """Run a cell forward and another from the end (Schuster and Paliwal 1997).

    The second one reads each row from its last real step to its first. "Bidirectional recurrent
    neural networks", IEEE Transactions on Signal Processing 45.

    Args:
        cell: as in `forward`.
        weights: the forward cell's three, then the backward cell's.
        inputs: as in `forward`.
        lengths: as in `forward`.
        initial_states: the forward cell's, then the backward cell's.

    Returns:
        The outputs `(batch, time, 2 * units)`, the backward half in the order of the inputs; the
        final states of the forward cell, then of the backward one; the tape. Past the length the
        forward half repeats its output of the last real step, and the backward half the last it
        computed, that of the first step; Keras has zeros there.
    """
    lengths = _all_lengths(lengths, *inputs.shape[:2])
    there, back = _halves(initial_states) if initial_states is not None else (None, None)
    outputs, states, tape = forward(cell, weights[:3], inputs, lengths, there)
    back_outputs, back_states, back_tape = forward(
        cell, weights[3:], reverse(inputs, lengths), lengths, back
    )
    outputs = np.concatenate([outputs, reverse(back_outputs, lengths)], axis=-1)
    return outputs, states + back_states, (tape, back_tape, lengths)


def bidirectional_backward(cell, weights, tape, output_gradients, final_state_gradients):
    """Do as `backward` does, for `bidirectional_forward`.

    Returns:
        `backward`'s dictionary of the forward cell, then the backward cell's; both have the same
        "inputs", since both cells read them: the sum.
    """
    there_tape, back_tape, lengths = tape
    there_gradients, back_gradients = np.split(output_gradients, 2, axis=-1)
    there_states, back_states = _halves(final_state_gradients)
    there = backward(cell, weights[:3], there_tape, there_gradients, there_states)
    back = backward(cell, weights[3:], back_tape, reverse(back_gradients, lengths), back_states)
    there["inputs"] = back["inputs"] = there["inputs"] + reverse(back["inputs"], lengths)
    return there, back


def reverse(sequences, lengths):
    """Reverse each row's real steps, and leave its padding where it is."""
    reversed_ = sequences.copy()
    for row, length in enumerate(lengths):
        reversed_[row, :length] = sequences[row, :length][::-1]
    return reversed_


def real_steps(lengths, batch, time):
    """Tell which steps are real: a boolean `(batch, time)`."""
    return np.arange(time) < np.asarray(_all_lengths(lengths, batch, time))[:, None]


def random_weights(rng, cell, features, units, *, bidirectional=False):
    """Draw float64 weights none of which is zero, biases included, so that every term counts."""
    width = GATES[cell] * units
    shapes = [(features, width), (units, width), (2, width) if cell == "gru" else (width,)]
    return [rng.normal(0, 0.7, shape) for shape in shapes * (2 if bidirectional else 1)]


def _all_lengths(lengths, batch, time):
    lengths = [time] * batch if lengths is None else list(lengths)
    if len(lengths) != batch or not all(1 <= length <= time for length in lengths):
        raise ValueError(f"lengths are {batch} numbers of 1 to {time}. Received: {lengths}")
    return lengths


def _halves(items):
    return items[: len(items) // 2], items[len(items) // 2 :]


def _sigmoid(a):
    return 1 / (1 + np.exp(-a))


# Of each cell, the step and the step back. `step(a, e, states)` gives the new states and a record;
# `step_back(record, gradients of the new states)` gives the gradients of a, of e, and of the old
# states where they enter on their own rather than through e.


def _simple_rnn(a, e, states):
    h = np.tanh(a + e)
    return [h], h


def _simple_rnn_back(h, gradients):
    (dh,) = gradients
    da = dh * (1 - h**2)
    return da, da, [np.zeros_like(dh)]


def _lstm(a, e, states):
    _, c = states
    a_i, a_f, a_g, a_o = np.split(a + e, 4, axis=-1)
    i, f, g, o = _sigmoid(a_i), _sigmoid(a_f), np.tanh(a_g), _sigmoid(a_o)
    new_c = f * c + i * g
    return [o * np.tanh(new_c), new_c], (i, f, g, o, c, np.tanh(new_c))


def _lstm_back(record, gradients):
    i, f, g, o, c, tanh_c = record
    dh, dc = gradients
    dc = dc + dh * o * (1 - tanh_c**2)
    da_i = dc * g * i * (1 - i)
    da_f = dc * c * f * (1 - f)
    da_g = dc * i * (1 - g**2)
    da_o = dh * tanh_c * o * (1 - o)
    da = np.concatenate([da_i, da_f, da_g, da_o], axis=-1)
    return da, da, [np.zeros_like(dh), dc * f]


def _gru(a, e, states):
    (h,) = states
    a_z, a_r, a_n = np.split(a, 3, axis=-1)
    e_z, e_r, e_n = np.split(e, 3, axis=-1)
    z, r = _sigmoid(a_z + e_z), _sigmoid(a_r + e_r)
    n = np.tanh(a_n + r * e_n)
    return [z * h + (1 - z) * n], (z, r, n, e_n, h)


def _gru_back(record, gradients):
    z, r, n, e_n, h = record
    (dh,) = gradients
    da_z = dh * (h - n) * z * (1 - z)
    da_n = dh * (1 - z) * (1 - n**2)
    da_r = da_n * e_n * r * (1 - r)
    da = np.concatenate([da_z, da_r, da_n], axis=-1)
    de = np.concatenate([da_z, da_r, da_n * r], axis=-1)
    return da, de, [dh * z]


_STEPS = {
    "simple_rnn": (_simple_rnn, _simple_rnn_back),
    "lstm": (_lstm, _lstm_back),
    "gru": (_gru, _gru_back),
}
