"""Masks and stacks: what stands between a family's inputs and its outputs."""

from collections.abc import Sequence

import keras
from keras import ops

from lstm_zoo.recurrent.cells import recurrent_layer


def length_mask(ids: keras.KerasTensor) -> keras.KerasTensor:
    """Tell which time steps of right-padded ids are real.

    A row of padding only keeps its first step, since cuDNN fails on a row that is all masked.

    Args:
        ids: `(batch, time)` integers, 0 where padded.

    Returns:
        A boolean `(batch, time)`: a run of true, then false.
    """
    real = ops.cast(ops.not_equal(ids, 0), "int32")
    # A step is real if an id that is not 0 stands there or later. (No maximum: Keras's refuses
    # the empty batch.)
    from_here_on = ops.flip(ops.cumsum(ops.flip(real, axis=1), axis=1), axis=1)
    positions = ops.cumsum(ops.ones_like(real), axis=1)  # (batch, time): 1, 2, 3, …
    return ops.logical_or(ops.greater(from_here_on, 0), ops.less_equal(positions, 1))


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
    """Run recurrent layers one upon the other, with dropout between.

    Args:
        inputs: `(batch, time, features)`.
        mask: boolean `(batch, time)`, true on the real steps; they come first in each row.
        cell: "simple_rnn", "gru" or "lstm".
        units: the width of each layer, in each direction.
        bidirectional: whether every layer runs in both directions.
        dropout: the share of the outputs dropped between two layers. It is a layer of its own,
            since dropout inside the recurrence would give up cuDNN.
        residual: whether a layer as wide as the one below it adds its input to its output.
        use_cudnn: as `recurrent_layer` takes it.

    Returns:
        The last layer's outputs `(batch, time, width)`, and its last hidden state of each
        direction, `(batch, units)` each: of the last real step forward, of the first backward.
    """
    sequence = inputs
    states = []
    for number, width in enumerate(units, 1):
        if number > 1:
            sequence = keras.layers.Dropout(dropout, name=f"dropout_{number - 1}")(sequence)
        layer = recurrent_layer(
            cell,
            width,
            bidirectional=bidirectional,
            use_cudnn=use_cudnn,
            return_sequences=True,
            return_state=True,
            name=f"{cell}_{number}",
        )
        outputs, *states = layer(sequence, mask=mask)  # (batch, time, width)
        if residual and number > 1 and outputs.shape[-1] == sequence.shape[-1]:
            outputs = outputs + sequence
        sequence = outputs
    # An LSTM's states come as (hidden, cell) for each direction.
    hidden_states = states[::2] if cell == "lstm" else states
    return sequence, list(hidden_states)
