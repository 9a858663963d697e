"""The speech network: subsampling, stacked recurrent layers, logits for CTC."""

import os
from typing import Any

import keras
from keras import ops

from lstm_zoo.errors import CallError
from lstm_zoo.recurrent import portable, recurrent_stack
from lstm_zoo.runs.loading import pretrained
from lstm_zoo.settings import check_integer, network_sizes
from lstm_zoo.speech import SETTINGS, VARIANTS
from lstm_zoo.speech.feature_settings import output_lengths
from lstm_zoo.speech.spec_augment import MASK_FILLS, SpecAugment


def build_speech(
    vocabulary_size: int = 30,
    num_features: int = 40,
    variant: str = "base",
    *,
    weights: str | os.PathLike | None = None,
    mask_fill: str = "zero",
    include_top: bool = True,
    use_cudnn: bool | str = "auto",
    **sizes: Any,
) -> keras.Model:
    """Build a speech recognizer for CTC.

    Args:
        vocabulary_size: the number of label ids, the blank 0 included; at least 2.
        num_features: the number of features of a frame.
        variant: a name in `lstm_zoo.speech.VARIANTS`: "tiny", "small", "base" or "large".
        weights: a preset's name (see `lstm_zoo.presets`) or a run's directory, for its network
            with its weights, which decide the sizes; None for a new network.
        mask_fill: the value of `SpecAugment`'s masks: "zero", or "mean" for features that are not
            normalized.
        include_top: whether the network ends with logits; otherwise with the outputs of the last
            recurrent layer, for another head, and `vocabulary_size` has no effect.
        use_cudnn: "auto" to use cuDNN where available, False for a model that must also run on a
            CPU. It is not saved with the model.
        **sizes: override entries of the variant:
            cell: "lstm", "gru" or "simple_rnn".
            units: the units of each recurrent layer, in each direction.
            bidirectional: whether the layers run in both directions.
            subsampling: the number of frames merged into one; 1 for no subsampling.
            subsampling_kind: "stack" concatenates the frames; "conv" is a convolution with stride
                `subsampling`, kernel size `2 * subsampling + 1` and as many filters as features of
                stacked frames.
            dropout: the dropout rate between recurrent layers and before the logits.
            time_masks, time_mask_width, frequency_masks, frequency_mask_width: arguments of
                `SpecAugment`.

    Returns:
        A functional `keras.Model` from right-padded float32 features
        `(batch, frames, num_features)` and int32 lengths `(batch,)` to float32 logits
        `(batch, output frames, vocabulary_size)`, without a Keras mask. The first `output_lengths`
        frames of each row are valid; they do not depend on the padding. Without the top, the output
        is floats `(batch, output frames, width)`.

    Raises:
        CallError: (a ValueError) on an unknown variant or keyword, or an invalid value.

    Example:

    >>> model = build_speech(variant="tiny")
    >>> model([np.zeros((2, 90, 40)), np.array([90, 75])]).shape
    TensorShape([2, 30, 30])
    """
    if weights is not None:
        given = {
            "vocabulary_size": vocabulary_size, "num_features": num_features, "variant": variant,
            "mask_fill": mask_fill, **sizes,
        }  # fmt: skip
        changed = {} if include_top else {"include_top": False}
        return pretrained(build_speech, "speech", weights, given, use_cudnn, **changed)
    sizes = network_sizes(SETTINGS, VARIANTS, variant, **sizes)
    check_integer("vocabulary_size", vocabulary_size, 2)
    check_integer("num_features", num_features, 1)
    if mask_fill not in MASK_FILLS:
        raise CallError(f"mask_fill is one of {', '.join(MASK_FILLS)}. Received: {mask_fill!r}")

    # Inputs
    features = keras.Input((None, num_features), dtype="float32", name="features")
    lengths = keras.Input((), dtype="int32", name="lengths")  # (batch,)

    # Padding is set to zero, since subsampling mixes neighboring frames.
    sequence = ZeroPadding(name="zero_padding")(features, lengths)
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
        # Explicit padding: with "same", the first window depends on the padded length.
        sequence = keras.layers.ZeroPadding1D(
            factor, data_format="channels_last", name="conv_padding"
        )(sequence)
        sequence = Conv1D(
            factor * num_features,
            2 * factor + 1,
            strides=factor,
            activation="relu",
            data_format="channels_last",
            name="conv",
        )(sequence)
    mask = FrameMask(factor, name="frame_mask")(sequence, lengths)  # (batch, output frames)

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

    if not include_top:
        return keras.Model([features, lengths], sequence, name="speech_features")

    # Logits
    sequence = keras.layers.Dropout(sizes["dropout"], name="dropout")(sequence)
    logits = Logits(vocabulary_size, dtype="float32", name="logits")(sequence)
    return keras.Model([features, lengths], logits, name="speech")


@keras.saving.register_keras_serializable("lstm_zoo")
class ZeroPadding(keras.layers.Layer):
    """Sets the features `(batch, frames, num_features)` past a row's length `(batch,)` to zero."""

    def call(self, features: keras.KerasTensor, lengths: keras.KerasTensor) -> keras.KerasTensor:
        valid = ops.expand_dims(_length_mask(features, lengths), 2)  # (batch, frames, 1)
        return ops.where(valid, features, ops.zeros_like(features))

    def compute_output_shape(self, features_shape: tuple, lengths_shape: tuple) -> tuple:
        return features_shape


@keras.saving.register_keras_serializable("lstm_zoo")
class FrameMask(keras.layers.Layer):
    """Says which frames are valid after subsampling: boolean `(batch, output frames)`.

    It is called with the subsampled frames `(batch, output frames, width)`, and the lengths before
    the subsampling, `(batch,)`.

    Args:
        subsampling: the number of frames merged into one.

    Example:

    >>> mask = FrameMask(3)(tf.zeros((1, 3, 8)), tf.constant([4]))
    >>> mask.numpy().astype(int).tolist()
    [[1, 1, 0]]
    """

    def __init__(self, subsampling: int, **options: Any):
        super().__init__(**options)
        self.subsampling = subsampling

    def call(self, sequence: keras.KerasTensor, lengths: keras.KerasTensor) -> keras.KerasTensor:
        return _length_mask(sequence, output_lengths(lengths, self.subsampling))

    def compute_output_spec(
        self, sequence: keras.KerasTensor, lengths: keras.KerasTensor
    ) -> keras.KerasTensor:
        return keras.KerasTensor(sequence.shape[:2], "bool")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "subsampling": self.subsampling}


@keras.saving.register_keras_serializable("lstm_zoo")
class FrameStack(keras.layers.Layer):
    """Concatenate the features of adjacent frames; the last group is padded with zeros.

    Args:
        factor: the number of frames merged into one.

    Example:

    >>> FrameStack(2)(np.array([[[1.0], [2.0], [3.0]]])).numpy().tolist()
    [[[1.0, 2.0], [3.0, 0.0]]]
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

    With oneDNN, TensorFlow's op returns the wrong number of filters for an empty batch.
    """

    def call(self, sequence: keras.KerasTensor) -> keras.KerasTensor:
        if portable.is_chosen():
            return super().call(sequence)
        (stride,), (width,) = self.strides, self.kernel_size
        kernel = ops.reshape(self.kernel, (-1, self.filters))
        return self.activation(ops.matmul(_windows(sequence, width, stride), kernel) + self.bias)


@keras.saving.register_keras_serializable("lstm_zoo")
class Logits(keras.layers.Dense):
    """A dense layer without an output mask, by which Keras would multiply the loss."""

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        if not portable.is_chosen():
            return super().call(inputs, training=training)
        # As a matrix of rows: see `lstm_zoo.recurrent.portable`.
        batch, _, width = inputs.shape
        rows = super().call(ops.reshape(inputs, (-1, width)), training=training)
        return ops.reshape(rows, (batch, -1, self.units))

    def compute_mask(self, inputs: keras.KerasTensor, previous_mask: Any = None) -> None:
        return None


def _windows(sequence: keras.KerasTensor, width: int, stride: int) -> keras.KerasTensor:
    """Concatenate the frames of each window that lies within the sequence."""
    # For each offset within a window, one frame of every window.
    ends = [*range(1 - width, 0), None]
    frames = [sequence[:, start:end:stride] for start, end in enumerate(ends)]
    return ops.concatenate(frames, axis=-1)


def _length_mask(sequence: keras.KerasTensor, lengths: keras.KerasTensor) -> keras.KerasTensor:
    """Return a mask of the valid frames `(batch, frames)`; the first one is always valid.

    cuDNN fails for a row without valid time steps.
    """
    ones = ops.ones_like(sequence[:, :, 0], dtype="int32")
    positions = ops.cumsum(ones, axis=1)  # (batch, frames): 1, 2, 3, …
    return ops.less_equal(positions, ops.expand_dims(ops.maximum(lengths, 1), 1))
