"""The three cells of the literature, as Keras layers.

simple_rnn: Elman 1990. lstm: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al.
2000. gru: Cho et al. 2014, in the reset-after form that cuDNN has.
"""

import keras

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "lstm_zoo's models run on Keras's TensorFlow backend; set KERAS_BACKEND=tensorflow. "
        f"Found: {keras.backend.backend()}"
    )

CELLS = {
    "simple_rnn": keras.layers.SimpleRNN,
    "gru": keras.layers.GRU,
    "lstm": keras.layers.LSTM,
}


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
        units: the width of the state, in each direction.
        bidirectional: whether a second layer runs from the end (Schuster and Paliwal 1997); the
            outputs of the two are concatenated.
        use_cudnn: "auto" for cuDNN where it can run, False for never. A SimpleRNN has no cuDNN.
        **options: what Keras's layer takes, such as `return_sequences`.

    Returns:
        A Keras layer that takes `(batch, time, features)`.

    Raises:
        ValueError: on an unknown cell.

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
    # Both directions are given, since Bidirectional may lose `use_cudnn` in copying one; and named,
    # since a weights file holds the names, and equal trainings shall leave equal files.
    return keras.layers.Bidirectional(
        CELLS[cell](units, name=name, **options),  # Keras puts "forward_" before it
        backward_layer=CELLS[cell](units, name=f"backward_{name}", go_backwards=True, **options),
        name=name,
        dtype=options.get("dtype"),
    )
