"""Length masks and stacks of recurrent layers, which the families' networks share."""

from collections.abc import Sequence

import keras
from keras import ops

from lstm_zoo.recurrent import portable
from lstm_zoo.recurrent.cells import recurrent_layer
from lstm_zoo.recurrent.steps import CELLS


@keras.saving.register_keras_serializable("lstm_zoo")
class RightPadding(keras.layers.Layer):
    """Moves padding on the left of ids to the right, where all layers expect it.

    The input and the output are integer ids `(batch, time)`, 0 where padded. Zeros between other
    ids stay where they are, and right-padded ids as they are. (Keras's `pad_sequences` pads on the
    left unless it is called with `padding="post"`.)

    Example:

    >>> RightPadding()(tf.constant([[0, 5, 0, 7], [6, 0, 0, 0]])).numpy().tolist()
    [[5, 0, 7, 0], [6, 0, 0, 0]]
    """

    def call(self, ids: keras.KerasTensor) -> keras.KerasTensor:
        if portable.is_chosen():  # a LiteRT file's ids are right-padded
            return ids
        positions = ops.cumsum(ops.ones_like(ids, dtype="int32"), axis=1) - 1
        seen = ops.cumsum(ops.cast(ops.not_equal(ids, 0), "int32"), axis=1)
        leading = ops.sum(ops.cast(ops.equal(seen, 0), "int32"), axis=1, keepdims=True)
        # Each row is rotated to the left.
        return ops.take_along_axis(ids, (positions + leading) % ops.shape(ids)[1], axis=1)

    def compute_output_shape(self, shape: tuple) -> tuple:
        return shape


@keras.saving.register_keras_serializable("lstm_zoo")
class LengthMask(keras.layers.Layer):
    """Says which time steps of right-padded ids are valid.

    A row of padding keeps its first step, since cuDNN fails on a row that is all masked.

    The input is integer ids `(batch, time)`, 0 where padded; the output is boolean `(batch, time)`:
    true up to the last id that is not 0, then false.

    Example:

    >>> mask = LengthMask()(tf.constant([[5, 0, 7, 0], [0, 0, 0, 0]]))
    >>> mask.numpy().astype(int).tolist()
    [[1, 1, 1, 0], [1, 0, 0, 0]]
    """

    def call(self, ids: keras.KerasTensor) -> keras.KerasTensor:
        nonzero = ops.cast(ops.not_equal(ids, 0), "int32")
        # A step is valid if its id or a later one is not 0. (No maximum: Keras's refuses the empty
        # batch.)
        from_here_on = ops.flip(ops.cumsum(ops.flip(nonzero, axis=1), axis=1), axis=1)
        positions = ops.cumsum(ops.ones_like(nonzero), axis=1)  # (batch, time): 1, 2, 3, …
        return ops.logical_or(ops.greater(from_here_on, 0), ops.less_equal(positions, 1))

    def compute_output_spec(self, ids: keras.KerasTensor) -> keras.KerasTensor:
        return keras.KerasTensor(ids.shape, "bool")


def recurrent_stack(
    inputs: keras.KerasTensor,
    mask: keras.KerasTensor,
    *,
    cell: str,
    units: Sequence[int],
    bidirectional: bool,
    dropout: float,
    residual: bool = False,
    use_cudnn: bool | str = "auto",
) -> tuple[keras.KerasTensor, list[keras.KerasTensor]]:
    """Stack recurrent layers, with dropout between them.

    Args:
        inputs: `(batch, time, features)`.
        mask: boolean `(batch, time)`, true at valid steps, which come first in each row.
        cell: "simple_rnn", "gru" or "lstm".
        units: the units of each layer, in each direction.
        bidirectional: whether every layer runs in both directions.
        dropout: the dropout rate between two layers, as a layer of its own: dropout inside the
            recurrence would rule out cuDNN.
        residual: whether a layer as wide as the one below it adds its input to its output.
        use_cudnn: as in `recurrent_layer`.

    Returns:
        The last layer's outputs `(batch, time, width)`, and its last hidden state in each
        direction, `(batch, units)` each: after the last valid step forwards, after the first
        backwards.

    Example:

    >>> inputs, mask = keras.Input((None, 3)), keras.Input((None,), dtype="bool")
    >>> sequence, states = recurrent_stack(
    ...     inputs, mask, cell="gru", units=(4, 2), bidirectional=True, dropout=0.1
    ... )
    >>> sequence.shape, [state.shape for state in states]
    ((None, None, 4), [(None, 2), (None, 2)])
    """
    sequence = inputs
    states = []
    for number, (name, width) in enumerate(zip(layer_names(cell, units), units, strict=True), 1):
        if number > 1:
            sequence = keras.layers.Dropout(dropout, name=f"dropout_{number - 1}")(sequence)
        layer = recurrent_layer(
            cell,
            width,
            bidirectional=bidirectional,
            use_cudnn=use_cudnn,
            return_sequences=True,
            return_state=True,
            name=name,
        )
        outputs, *states = layer(sequence, mask=mask)  # (batch, time, width)
        if residual and number > 1 and outputs.shape[-1] == sequence.shape[-1]:
            outputs = keras.layers.Add(name=f"residual_{number}")([outputs, sequence])
        sequence = outputs
    # An LSTM's states are (hidden, cell) for each direction.
    hidden_states = states[:: len(state_names(cell))]
    return sequence, list(hidden_states)


def layer_names(cell: str, units: Sequence[int]) -> list[str]:
    """Return the names of the recurrent layers of a stack, the first at the bottom.

    Args:
        cell: "simple_rnn", "gru" or "lstm".
        units: the units of each layer.

    Example:

    >>> layer_names("gru", (4, 2))
    ['gru_1', 'gru_2']
    """
    return [f"{cell}_{number}" for number in range(1, 1 + len(units))]


def state_names(cell: str) -> tuple[str, ...]:
    """Return what the states of a cell are called, the hidden state first.

    Args:
        cell: "simple_rnn", "gru" or "lstm".

    Example:

    >>> state_names("lstm"), state_names("gru")
    (('hidden', 'cell'), ('hidden',))
    """
    return CELLS[cell].state_names
