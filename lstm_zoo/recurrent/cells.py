"""The recurrent layers, each on the fastest path available.

simple_rnn: Elman 1990. lstm: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al.
2000. gru: Cho et al. 2014, in cuDNN's reset-after form.

The layers are subclasses of Keras's, with the same weights, configuration and results; only the
loop inside is replaced. They keep Keras's class names, by which a weights file identifies layers.
"""

import functools
from typing import Any

import keras
import tensorflow as tf

from lstm_zoo import compat
from lstm_zoo.recurrent import cudnn, fused, padding, portable
from lstm_zoo.recurrent.bidirectional import Bidirectional


class _Fused(compat.LoopOverride):
    """A mixin of the three layers: chooses the path, and runs it."""

    # Whether the batch is split into two halves that run at once; a bidirectional layer has two
    # loops already.
    split_batch = True

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        # XLA compiles the loop's body only; compiling the entire model is slower.
        self.supports_jit = False

    def run_loop(self, sequences, initial_state, mask, training):
        if isinstance(mask, (list, tuple)):
            mask = mask[0]
        if fused_obstacle(self):  # an obstacle of cuDNN too
            return self.keras_loop(sequences, initial_state, mask, training)
        if portable.is_chosen():
            return _run_portably(self, sequences, initial_state, mask)
        if self.use_cudnn is True or not cudnn_obstacle(self):
            return cudnn.run(self, sequences, initial_state, mask, training)
        return _run(self, sequences, initial_state, mask, training)


@keras.saving.register_keras_serializable("lstm_zoo")
class SimpleRNN(_Fused, keras.layers.SimpleRNN):
    """Keras's SimpleRNN, with the fused loop on a CPU."""

    use_cudnn = False  # Keras has no cuDNN path for it


@keras.saving.register_keras_serializable("lstm_zoo")
class GRU(_Fused, keras.layers.GRU):
    """Keras's GRU: cuDNN on a GPU, the fused loop on a CPU."""


@keras.saving.register_keras_serializable("lstm_zoo")
class LSTM(_Fused, keras.layers.LSTM):
    """Keras's LSTM: cuDNN on a GPU, the fused loop on a CPU."""


CELLS = {"simple_rnn": SimpleRNN, "gru": GRU, "lstm": LSTM}


def recurrent_layer(
    cell: str,
    units: int,
    *,
    bidirectional: bool = False,
    use_cudnn: bool | str = "auto",
    **options,
) -> keras.Layer:
    """Build one recurrent layer.

    Args:
        cell: "simple_rnn", "gru" or "lstm".
        units: the size of the state, in each direction.
        bidirectional: whether a second layer reads the sequence backwards (Schuster and Paliwal
            1997); the outputs of the two are concatenated.
        use_cudnn: "auto" for cuDNN where it can run, False for never. A SimpleRNN ignores it.
        **options: further arguments of Keras's layer, such as `return_sequences`.

    Returns:
        A Keras layer for inputs `(batch, time, features)`.

    Raises:
        ValueError: if the cell is unknown.

    Example:

    >>> recurrent_layer("lstm", 8, bidirectional=True)(keras.ops.zeros((2, 5, 3))).shape
    TensorShape([2, 16])
    """
    if cell not in CELLS:
        raise ValueError(f"cell is one of {', '.join(CELLS)}. Received: {cell!r}")
    if cell != "simple_rnn":
        options["use_cudnn"] = use_cudnn
    if not bidirectional:
        return CELLS[cell](units, **options)
    name = options.pop("name", cell)
    # Both directions are given, since Bidirectional may lose `use_cudnn` when it copies one; and
    # named, since weights files hold the names, and equal training runs must write equal files.
    return Bidirectional(
        CELLS[cell](units, name=name, **options),  # Keras prefixes "forward_"
        backward_layer=CELLS[cell](units, name=f"backward_{name}", go_backwards=True, **options),
        name=name,
        dtype=options.get("dtype"),
    )


def cudnn_obstacle(layer: keras.layers.RNN) -> str | None:
    """Return the first condition of cuDNN that a layer does not meet, or None.

    Example:

    >>> cudnn_obstacle(recurrent_layer("simple_rnn", 4))
    'cuDNN has no SimpleRNN in Keras'
    """
    if not isinstance(layer, (keras.layers.LSTM, keras.layers.GRU)):
        return f"cuDNN has no {type(layer).__name__} in Keras"
    if layer.use_cudnn is False:
        return "use_cudnn is False"
    conditions = {
        **_conditions(layer),
        "use_bias is False": layer.use_bias,
        "TensorFlow sees no GPU": bool(tf.config.list_physical_devices("GPU")),
    }
    return _first_unmet(conditions)


def fused_obstacle(layer: keras.layers.RNN) -> str | None:
    """Return the first condition of the fused loop that a layer does not meet, or None.

    Example:

    >>> fused_obstacle(recurrent_layer("gru", 4, unroll=True))
    'unroll is set'
    """
    if not isinstance(layer, _Fused):
        return f"{type(layer).__name__} is not one of lstm_zoo's layers"
    return _first_unmet(_conditions(layer))


def _conditions(layer: keras.layers.RNN) -> dict[str, bool]:
    """Map each condition shared by cuDNN and the fused loop, as it reads if unmet, to its truth."""
    sigmoid = keras.activations.sigmoid
    return {
        "activation is not tanh": layer.activation is keras.activations.tanh,
        "recurrent_activation is not sigmoid": (
            getattr(layer, "recurrent_activation", sigmoid) is sigmoid
        ),
        "unroll is set": not layer.unroll,
        "recurrent_dropout is set": not layer.recurrent_dropout,
        "reset_after is False": getattr(layer, "reset_after", True),
    }


def _first_unmet(conditions: dict[str, bool]) -> str | None:
    return next((text for text, met in conditions.items() if not met), None)


def _run(layer, sequences, initial_state, mask, training):
    """Run a layer on the fused loop; return the results of Keras's `inner_loop`."""
    cell = layer.cell
    states = initial_state if isinstance(initial_state, (list, tuple)) else [initial_state]
    if training and layer.dropout:
        sequences *= tf.expand_dims(compat.input_dropout_mask(cell, sequences[:, 0, :]), 1)
    kernel, recurrent_kernel, bias = _weights(layer)
    lengths = None
    if mask is not None:
        mask = tf.reshape(tf.cast(mask, tf.bool), tf.shape(sequences)[:2])
        lengths = padding.lengths(mask)
        sequences = padding.valid_steps_first(sequences, mask, layer.go_backwards)
    elif layer.go_backwards:
        sequences = tf.reverse(sequences, [1])
    run = functools.partial(fused.run, _NAMES[type(layer)])
    if tf.executing_eagerly():  # where `tf.while_loop` is a Python loop
        run = _in_graph(_NAMES[type(layer)], *kernel.shape)
    outputs, states = run(
        sequences,
        states,
        kernel,
        recurrent_kernel,
        bias,
        lengths,
        compiled=bool(training) and not compat.ops_are_watched(),  # XLA can't compile the checks
        split_batch=layer.split_batch,
    )
    if mask is not None:
        outputs = padding.restore_step_order(
            outputs, mask, layer.go_backwards, compat.zeroes_masked_outputs(layer)
        )
    return outputs[:, -1], outputs, list(states)


def _run_portably(layer, sequences, initial_state, mask):
    """Run a layer on the portable loop; return the results of Keras's `inner_loop`."""
    states = initial_state if isinstance(initial_state, (list, tuple)) else [initial_state]
    with tf.init_scope():  # outside the graph being traced, where weights have values
        weights = [weight.numpy() for weight in _weights(layer)]
    if mask is not None:
        mask = tf.cast(mask, tf.bool)
    if layer.go_backwards:
        sequences = tf.reverse(sequences, [1])
        mask = None if mask is None else tf.reverse(mask, [1])
    outputs, states = portable.run(
        _NAMES[type(layer)],
        sequences,
        states,
        *weights,
        mask,
        zero_output_for_mask=compat.zeroes_masked_outputs(layer),
    )
    return outputs[:, -1], outputs, states


def _weights(layer):
    """Return a layer's kernel, recurrent kernel and bias (zeros if it has none)."""
    cell = layer.cell
    # In the layer's compute dtype; and tensors, since `tf.custom_gradient` takes no variable where
    # it runs eagerly.
    kernel, recurrent_kernel, *bias = (
        tf.convert_to_tensor(keras.ops.convert_to_tensor(weight))
        for weight in (cell.kernel, cell.recurrent_kernel, *([cell.bias] if layer.use_bias else []))
    )
    if bias:
        return kernel, recurrent_kernel, *bias
    rows = [2] if isinstance(layer, GRU) else []
    return kernel, recurrent_kernel, tf.zeros([*rows, kernel.shape[1]], kernel.dtype)


@functools.cache
def _in_graph(cell, features, width):
    """Make a function per size of weights, traced for any batch size and number of steps."""
    return tf.function(functools.partial(fused.run, cell), reduce_retracing=True)


_NAMES = {layer: name for name, layer in CELLS.items()}
