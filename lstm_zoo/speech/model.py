"""The network: features, fewer frames, stacked recurrent layers, to logits for CTC."""

from typing import Any

import keras
from keras import ops

from lstm_zoo.errors import CallError
from lstm_zoo.recurrent import CELLS, portable, recurrent_stack
from lstm_zoo.settings import check_integer, positive_integers, with_variant
from lstm_zoo.speech import SUBSAMPLING_KINDS, VARIANTS
from lstm_zoo.speech.spec_augment import MASK_FILLS, SpecAugment


def build_speech(
    vocabulary_size: int = 30,
    num_features: int = 40,
    variant: str = "base",
    *,
    mask_fill: str = "zero",
    use_cudnn: bool | str = "auto",
    **sizes: Any,
) -> keras.Model:
    """Build a speech recognizer: subsampling in time, recurrent stack, logits for CTC.

    Args:
        vocabulary_size: the number of label ids, 0 for the blank included; two at least.
        num_features: the width of a frame.
        variant: a row of `lstm_zoo.speech.VARIANTS`: "tiny", "small", "base" or "large".
        mask_fill: what `SpecAugment` fills with: "zero", or "mean" for features that are not
            normalised.
        use_cudnn: "auto" for cuDNN where it can run, False for never (a model that must also run
            on a CPU). It is not saved with the model.
        **sizes: what replaces an entry of the variant:
            cell: "lstm", "gru" or "simple_rnn".
            units: the width of each recurrent layer, in each direction.
            bidirectional: whether the layers run in both directions.
            subsampling: how many frames become one; 1 leaves them all.
            subsampling_kind: "stack" puts their features side by side; "conv" is a convolution
                over twice as many frames and one, as wide as stacked frames.
            dropout: the share dropped between recurrent layers and before the logits.
            time_masks, time_mask_width, frequency_masks, frequency_mask_width: of `SpecAugment`,
                in training only.

    Returns:
        A functional `keras.Model` from float32 features `(batch, frames, num_features)`, padded on
        the right, and their int32 lengths `(batch,)`, to float32 logits
        `(batch, output frames, vocabulary_size)`, without a Keras mask. Of each row, the first
        `output_lengths` are real; what the padding holds changes none of them.

    Raises:
        CallError: (a ValueError) on an unknown variant or keyword, listing the known ones, or on
            a bad value.

    Example:

    >>> model = build_speech(variant="tiny")
    >>> model([np.zeros((2, 90, 40)), np.array([90, 75])]).shape
    TensorShape([2, 30, 30])
    """
    sizes = resolve_sizes(variant, **sizes)
    check_integer("vocabulary_size", vocabulary_size, 2)
    check_integer("num_features", num_features, 1)
    if mask_fill not in MASK_FILLS:
        raise CallError(f"mask_fill is one of {', '.join(MASK_FILLS)}. Received: {mask_fill!r}")

    # Inputs
    features = keras.Input((None, num_features), dtype="float32", name="features")
    lengths = keras.Input((), dtype="int32", name="lengths")  # (batch,)

    # Padding is zeros from here on, since subsampling lets frames see their neighbours.
    real = ops.expand_dims(_length_mask(features, lengths), 2)  # (batch, frames, 1)
    sequence = ops.where(real, features, 0.0)  # (batch, frames, num_features)
    sequence = SpecAugment(
        sizes["time_masks"],
        sizes["time_mask_width"],
        sizes["frequency_masks"],
        sizes["frequency_mask_width"],
        mask_fill,
        name="spec_augment",
    )(sequence, lengths)

    # Subsampling
    factor = sizes["subsampling"]
    if factor > 1 and sizes["subsampling_kind"] == "stack":
        sequence = FrameStack(factor, name="stack")(sequence)
    elif factor > 1:
        # The padding is spelled out: Keras's "same" begins at a frame that depends on the width.
        sequence = keras.layers.ZeroPadding1D(factor, name="conv_padding")(sequence)
        sequence = Conv1D(
            factor * num_features,
            2 * factor + 1,
            strides=factor,
            activation="relu",
            name="conv",
        )(sequence)
    mask = _length_mask(sequence, output_lengths(lengths, factor))  # (batch, output frames)

    # Recurrent layers
    sequence, _ = recurrent_stack(
        sequence,
        mask,
        cell=sizes["cell"],
        units=sizes["units"],
        bidirectional=sizes["bidirectional"],
        dropout=sizes["dropout"],
        use_cudnn=use_cudnn,
    )  # (batch, output frames, width)

    # Logits
    sequence = keras.layers.Dropout(sizes["dropout"], name="dropout")(sequence)
    logits = Logits(vocabulary_size, dtype="float32", name="logits")(sequence)
    return keras.Model([features, lengths], logits, name="speech")


def output_lengths(lengths: Any, subsampling: int) -> Any:
    """Return how many frames of the logits are real.

    Args:
        lengths: frames of the features: an int, array or tensor.
        subsampling: how many frames become one; the last of them may be fewer.

    Returns:
        The same as `lengths` is.

    Example:

    >>> output_lengths(np.array([1, 3, 4]), 3)
    array([1, 1, 2])
    """
    return (lengths + (subsampling - 1)) // subsampling


@keras.saving.register_keras_serializable("lstm_zoo")
class FrameStack(keras.layers.Layer):
    """Puts the features of several frames side by side; the last frames are filled up with 0.

    Args:
        factor: how many frames become one.
    """

    def __init__(self, factor: int, **options: Any):
        super().__init__(**options)
        self.factor = factor

    def call(self, sequence: keras.KerasTensor) -> keras.KerasTensor:
        padded = ops.pad(sequence, [[0, 0], [0, self.factor - 1], [0, 0]])
        return _windows(padded, self.factor, self.factor)

    def compute_output_shape(self, shape: tuple) -> tuple:
        batch, time, width = shape
        return batch, time and output_lengths(time, self.factor), self.factor * width

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable("lstm_zoo")
class Conv1D(keras.layers.Conv1D):
    """Keras's convolution with a bias, unpadded and undilated, as one matrix product.

    TensorFlow's op gives a batch without rows the wrong width where oneDNN computes it.
    """

    def call(self, sequence: keras.KerasTensor) -> keras.KerasTensor:
        if portable.is_chosen():
            return super().call(sequence)
        (stride,), (width,) = self.strides, self.kernel_size
        kernel = ops.reshape(self.kernel, (-1, self.filters))
        return self.activation(ops.matmul(_windows(sequence, width, stride), kernel) + self.bias)


@keras.saving.register_keras_serializable("lstm_zoo")
class Logits(keras.layers.Dense):
    """A dense layer that ends the mask: Keras would multiply a loss by it, row by frame."""

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        if not portable.is_chosen():
            return super().call(inputs, training=training)
        # In rows, else shapes are computed: see `lstm_zoo.recurrent.portable` for what that does.
        batch, _, width = inputs.shape
        rows = super().call(ops.reshape(inputs, (-1, width)), training=training)
        return ops.reshape(rows, (batch, -1, self.units))

    def compute_mask(self, inputs: keras.KerasTensor, previous_mask: Any = None) -> None:
        return None


def resolve_sizes(variant: str = "base", **sizes: Any) -> dict[str, Any]:
    """Give every size of the network its value: the variant's, where none is given.

    Args:
        variant: a name in `VARIANTS`.
        **sizes: entries that replace the variant's.

    Returns:
        A row like those of `VARIANTS`.

    Raises:
        CallError: (a ValueError) on an unknown variant, an unknown size, or a bad value.
    """
    resolved = with_variant(VARIANTS, variant, sizes)
    for name, known in (("cell", CELLS), ("subsampling_kind", SUBSAMPLING_KINDS)):
        if resolved[name] not in known:
            raise CallError(f"{name} is one of {', '.join(known)}. Received: {resolved[name]!r}")
    resolved["units"] = positive_integers("units", resolved["units"])
    check_integer("subsampling", resolved["subsampling"], 1)
    for name in ("time_masks", "time_mask_width", "frequency_masks", "frequency_mask_width"):
        check_integer(name, resolved[name], 0)
    if not 0 <= resolved["dropout"] < 1:
        raise CallError(f"dropout is at least 0 and below 1. Received: {resolved['dropout']}")
    return resolved


def _windows(sequence: keras.KerasTensor, width: int, stride: int) -> keras.KerasTensor:
    """Put the frames of each window that lies within the sequence side by side."""
    # Of each offset into a window, as many frames as there are windows.
    ends = [*range(1 - width, 0), None]
    parts = [sequence[:, start:end:stride] for start, end in enumerate(ends)]
    return ops.concatenate(parts, axis=-1)


def _length_mask(sequence: keras.KerasTensor, lengths: keras.KerasTensor) -> keras.KerasTensor:
    """Tell which of the frames `(batch, frames, features)` are real; the first one always is.

    cuDNN fails on a row that is all masked.
    """
    ones = ops.ones_like(sequence[:, :, 0], dtype="int32")
    positions = ops.cumsum(ones, axis=1)  # (batch, frames): 1, 2, 3, …
    return ops.less_equal(positions, ops.expand_dims(ops.maximum(lengths, 1), 1))
