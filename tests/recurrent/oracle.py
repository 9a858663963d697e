r"""The recurrent cells in NumPy, written from the literature's equations, as a reference for tests.

Only the names, the order of the gates and the layout of the weights are Keras's,
`(kernel W, recurrent kernel U, bias b)`. With the input x, the previous hidden state h,
s(a) = 1 / (1 + exp(-a)) and element-wise products of states:

simple_rnn (Elman 1990, "Finding structure in time", Cognitive Science 14; tanh for its sigmoid):
    h' = tanh(W x + U h + b)

lstm (Hochreiter and Schmidhuber 1997, "Long short-term memory", Neural Computation 9; the forget
gate of Gers, Schmidhuber and Cummins 2000, "Learning to forget", Neural Computation 12; no
peepholes; tanh for the squashing of input and output). States h and c, gates in the order i f g o:
    i = s(W_i x + U_i h + b_i)      f = s(W_f x + U_f h + b_f)
    g = tanh(W_g x + U_g h + b_g)   o = s(W_o x + U_o h + b_o)
    c' = f c + i g                  h' = o tanh(c')

gru (Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder", EMNLP, with its
z, the share of the state that is kept; the reset gate after the matrix product, as in cuDNN's
documentation of CUDNN_GRU, hence two rows of bias, b for the input and d for the state). Gates in
the order z r n:
    z = s(W_z x + b_z + U_z h + d_z)
    r = s(W_r x + b_r + U_r h + d_r)
    n = tanh(W_n x + b_n + r (U_n h + d_n))
    h' = z h + (1 - z) n

Each cell is a function of its states and of two projections, a = W x + b and e = U h + d. The
gradients are derived from these equations by hand, for backpropagation through time (Werbos 1990,
"Backpropagation through time", Proceedings of the IEEE 78).

Batches are padded on the right: a row has `length` valid steps, at least one. At padding its states
stay and its output repeats the last valid one, as in Keras's loop with a mask. Other paths output
zeros there: to test them too, compare only `valid_steps`.

Results have the dtype of the arguments: pass float64 for a reference.
"""

import numpy as np

GATES = {"simple_rnn": 1, "gru": 3, "lstm": 4}
STATES = {"simple_rnn": 1, "gru": 1, "lstm": 2}


def forward(cell, weights, inputs, lengths=None, initial_states=None):
    """Run one cell over a batch, from the first step to the last.

    Args:
        cell: "simple_rnn", "gru" or "lstm".
        weights: kernel, recurrent kernel and bias, as from a Keras layer's `get_weights`.
        inputs: `(batch, time, features)`.
        lengths: the number of valid steps of each row; all of them by default.
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
    valid = valid_steps(lengths, batch, time)
    step = _STEPS[cell][0]
    states, outputs, tape = list(initial_states), [], []
    for t in range(time):
        a = inputs[:, t] @ kernel + input_bias
        e = states[0] @ recurrent_kernel + state_bias
        new_states, saved = step(a, e, states)
        here = valid[:, t, None]
        tape.append((inputs[:, t], states[0], here, saved))
        states = [np.where(here, new, old) for new, old in zip(new_states, states, strict=True)]
        outputs.append(states[0])
    return np.stack(outputs, axis=1), states, tape


def backward(cell, weights, tape, output_gradients, final_state_gradients):
    """Compute a loss's gradients by backpropagation through time.

    Args:
        cell: as in `forward`.
        weights: as in `forward`.
        tape: what `forward` returned.
        output_gradients: the loss's gradient with respect to each output, `(batch, time, units)`.
        final_state_gradients: with respect to each final state, `(batch, units)` each.

    Returns:
        A dictionary: the gradients "kernel", "recurrent_kernel", "bias", "inputs", each with the
        shape of its variable, and "initial_states", a list.
    """
    kernel, recurrent_kernel, bias = weights
    backward_step = _STEPS[cell][1]
    kernel_gradient = np.zeros_like(kernel)
    recurrent_gradient = np.zeros_like(recurrent_kernel)
    input_bias_gradient = np.zeros_like(kernel[0])
    state_bias_gradient = np.zeros_like(kernel[0])
    input_gradients = []
    state_gradients = list(final_state_gradients)
    for t in reversed(range(len(tape))):
        x, h, here, saved = tape[t]
        # An output is the state after its step, at padding too.
        state_gradients[0] = state_gradients[0] + output_gradients[:, t]
        # A padded step passes its gradient on unchanged.
        through = [np.where(here, gradient, 0) for gradient in state_gradients]
        past = [np.where(here, 0, gradient) for gradient in state_gradients]
        da, de, direct = backward_step(saved, through)
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
    """Run a cell forwards and another backwards (Schuster and Paliwal 1997).

    The second one reads each row from its last valid step to its first. "Bidirectional recurrent
    neural networks", IEEE Transactions on Signal Processing 45.

    Args:
        cell: as in `forward`.
        weights: the forward cell's three, then the backward cell's.
        inputs: as in `forward`.
        lengths: as in `forward`.
        initial_states: the forward cell's, then the backward cell's.

    Returns:
        The outputs `(batch, time, 2 * units)`, the backward half in the order of the inputs; the
        final states of the forward cell, then of the backward one; the tape. At padding the
        forward half repeats its output of the last valid step, and the backward half the last it
        computed, that of the first step; Keras has zeros there.
    """
    lengths = _all_lengths(lengths, *inputs.shape[:2])
    initial, b_initial = _halves(initial_states) if initial_states is not None else (None, None)
    outputs, states, tape = forward(cell, weights[:3], inputs, lengths, initial)
    b_outputs, b_states, b_tape = forward(
        cell, weights[3:], reverse(inputs, lengths), lengths, b_initial
    )
    outputs = np.concatenate([outputs, reverse(b_outputs, lengths)], axis=-1)
    return outputs, states + b_states, (tape, b_tape, lengths)


def bidirectional_backward(cell, weights, tape, output_gradients, final_state_gradients):
    """Compute the gradients of `bidirectional_forward`.

    Returns:
        `backward`'s dictionary for the forward cell, then for the backward cell. Both cells read
        the inputs, so both dictionaries hold the sum of their gradients as "inputs".
    """
    f_tape, b_tape, lengths = tape
    f_gradients, b_gradients = np.split(output_gradients, 2, axis=-1)
    f_states, b_states = _halves(final_state_gradients)
    f = backward(cell, weights[:3], f_tape, f_gradients, f_states)
    b = backward(cell, weights[3:], b_tape, reverse(b_gradients, lengths), b_states)
    f["inputs"] = b["inputs"] = f["inputs"] + reverse(b["inputs"], lengths)
    return f, b


def reverse(sequences, lengths):
    """Reverse each row's valid steps, and keep its padding in place."""
    reversed_ = sequences.copy()
    for row, length in enumerate(lengths):
        reversed_[row, :length] = sequences[row, :length][::-1]
    return reversed_


def valid_steps(lengths, batch, time):
    """Return which steps are valid: a boolean `(batch, time)`."""
    return np.arange(time) < np.asarray(_all_lengths(lengths, batch, time))[:, None]


def random_weights(rng, cell, features, units, *, bidirectional=False):
    """Draw float64 weights, none of them zero, biases included, so that every term matters."""
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


# The forward and the backward step of each cell. `step(a, e, states)` returns the new states and
# the saved activations; `backward_step(saved, gradients of the new states)` returns the gradients
# of a, of e, and of the old states as far as they enter directly rather than through e.


def _simple_rnn(a, e, states):
    h = np.tanh(a + e)
    return [h], h


def _simple_rnn_backward(h, gradients):
    (dh,) = gradients
    da = dh * (1 - h**2)
    return da, da, [np.zeros_like(dh)]


def _lstm(a, e, states):
    _, c = states
    a_i, a_f, a_g, a_o = np.split(a + e, 4, axis=-1)
    i, f, g, o = _sigmoid(a_i), _sigmoid(a_f), np.tanh(a_g), _sigmoid(a_o)
    new_c = f * c + i * g
    return [o * np.tanh(new_c), new_c], (i, f, g, o, c, np.tanh(new_c))


def _lstm_backward(saved, gradients):
    i, f, g, o, c, tanh_c = saved
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


def _gru_backward(saved, gradients):
    z, r, n, e_n, h = saved
    (dh,) = gradients
    da_z = dh * (h - n) * z * (1 - z)
    da_n = dh * (1 - z) * (1 - n**2)
    da_r = da_n * e_n * r * (1 - r)
    da = np.concatenate([da_z, da_r, da_n], axis=-1)
    de = np.concatenate([da_z, da_r, da_n * r], axis=-1)
    return da, de, [dh * z]


_STEPS = {
    "simple_rnn": (_simple_rnn, _simple_rnn_backward),
    "lstm": (_lstm, _lstm_backward),
    "gru": (_gru, _gru_backward),
}
