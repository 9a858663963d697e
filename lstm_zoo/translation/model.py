"""An encoder-decoder without attention: the encoder's context vector conditions the decoder.

After Sutskever et al. 2014, with a bidirectional encoder whose outputs are pooled into the context
vector, the context vector as an input of every decoder step and of the logits (Cho et al. 2014),
and target embedding and logits with one matrix (Press and Wolf 2017).
"""

import os
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from lstm_zoo.recurrent import (
    LengthMask,
    Pooling,
    RightPadding,
    recurrent_layer,
    recurrent_stack,
    state_names,
)
from lstm_zoo.runs.loading import pretrained
from lstm_zoo.settings import network_sizes
from lstm_zoo.text.word_dropout import WordDropout
from lstm_zoo.translation import SETTINGS, VARIANTS


def build_translation(
    source_vocabulary_size: int = 4_000,
    target_vocabulary_size: int = 4_000,
    variant: str = "base",
    *,
    weights: str | os.PathLike | None = None,
    use_cudnn: bool | str = "auto",
    **sizes: Any,
) -> keras.Model:
    """Build an encoder-decoder network for translation.

    Args:
        source_vocabulary_size: the number of source ids, padding (0) included.
        target_vocabulary_size: the number of target ids.
        variant: a row of `lstm_zoo.translation.VARIANTS`: "tiny", "small", "base" or "large".
        weights: a preset's name (see `lstm_zoo.presets`) or a run's directory, for its network
            with its weights, which decide the sizes; None for a new network.
        use_cudnn: "auto" uses cuDNN where it can run; False never does, for a model that must also
            run on a CPU. It is not saved with the model.
        **sizes: entries that replace the variant's:
            embedding_size: the width of the source and target embeddings.
            encoder_units: the width of each encoder layer, in each direction.
            decoder_units: the width of each decoder layer.
            cell: "lstm", "gru" or "simple_rnn".
            bidirectional: whether the encoder runs in both directions.
            reverse_source: whether the encoder reads the source from its last token to its first.
            pooling: how the encoder's outputs become the context vector: "last" (the last hidden
                states), "mean", "max", or several joined by "+", concatenated. Padding is masked.
            context: whether the context vector is an input of every decoder step and of the
                logits; otherwise it only sets the decoder's initial states.
            residual: whether a layer as wide as the one below it adds its input to its output.
            tied: whether the logits use the target embedding's matrix.
            token_dropout: the fraction of source and target ids replaced by unknown in training.
            dropout: the dropout rate of embeddings, between layers and before the logits.

    Returns:
        A functional `keras.Model` of two int32 inputs, right-padded with 0: source ids `(batch,
        source time)`, and target ids from the start token on `(batch, target time)`. Its output is
        float32 logits `(batch, target time, target_vocabulary_size)` of the next target id.

    Raises:
        CallError: (a ValueError) on an unknown variant or keyword, or an invalid value.

    Example:

    >>> model = build_translation(50, 60, variant="tiny")
    >>> model([np.array([[5, 6, 3]]), np.array([[2, 7]])]).shape
    TensorShape([1, 2, 60])
    """
    if weights is not None:
        given = {
            "source_vocabulary_size": source_vocabulary_size,
            "target_vocabulary_size": target_vocabulary_size,
            "variant": variant,
            **sizes,
        }
        return pretrained(build_translation, "translation", weights, given, use_cudnn)
    sizes = network_sizes(SETTINGS, VARIANTS, variant, **sizes)

    # Inputs and masks
    source = keras.Input((None,), dtype="int32", name="source")  # (batch, source time)
    target = keras.Input((None,), dtype="int32", name="target")  # (batch, target time)
    aligned = RightPadding(name="right_padding")(source)
    mask = LengthMask(name="length_mask")(aligned)  # (batch, source time)

    # Encoder
    tokens = WordDropout(sizes["token_dropout"], name="source_dropout")(aligned)
    embedded = keras.layers.Embedding(
        source_vocabulary_size,
        sizes["embedding_size"],
        keras.initializers.RandomNormal(stddev=0.05),
        name="source_embedding",
    )(tokens)  # (batch, source time, embedding_size)
    embedded = keras.layers.Dropout(sizes["dropout"], name="embedding_dropout")(embedded)
    if sizes["reverse_source"]:
        embedded = ReverseSteps(name="reverse_source")(embedded, mask)
    sequence, last_states = recurrent_stack(
        embedded,
        mask,
        cell=sizes["cell"],
        units=sizes["encoder_units"],
        bidirectional=sizes["bidirectional"],
        dropout=sizes["dropout"],
        residual=sizes["residual"],
        use_cudnn=use_cudnn,
    )  # (batch, source time, width)

    # Context vector
    # (batch, context width)
    context = Pooling(sizes["pooling"], name="pooling")(sequence, last_states, mask)
    context = keras.layers.Dropout(sizes["dropout"], name="summary_dropout")(context)

    # Decoder
    logits = Decoder(
        target_vocabulary_size,
        sizes["embedding_size"],
        sizes["decoder_units"],
        cell=sizes["cell"],
        context=sizes["context"],
        residual=sizes["residual"],
        tied=sizes["tied"],
        token_dropout=sizes["token_dropout"],
        dropout=sizes["dropout"],
        use_cudnn=use_cudnn,
        name="decoder",
    )([target, context])
    return keras.Model([source, target], logits, name="translation")


def encoder(model: keras.Model) -> keras.Model:
    """Return the encoder of `build_translation`'s model.

    Args:
        model: what `build_translation` returned.

    Returns:
        A `keras.Model` from source ids int32 `(batch, time)` to context vectors float32 `(batch,
        context width)`. It shares the weights.

    Example:

    >>> model = build_translation(50, 60, variant="tiny")  # 2 directions x 64 units x 3 poolings
    >>> encoder(model)(np.array([[5, 6, 3]])).shape
    TensorShape([1, 384])
    """
    _, context = model.get_layer("decoder").input
    return keras.Model(model.inputs[0], context, name="encoder")


@keras.saving.register_keras_serializable("lstm_zoo")
class ReverseSteps(keras.layers.Layer):
    """Reverses the valid time steps of each row; padding stays on the right."""

    def call(self, sequence: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        lengths = ops.sum(ops.cast(mask, "int32"), axis=1)
        return tf.reverse_sequence(sequence, lengths, seq_axis=1)

    def compute_output_spec(self, sequence: Any, mask: Any) -> keras.KerasTensor:
        return keras.KerasTensor(sequence.shape, sequence.dtype)


@keras.saving.register_keras_serializable("lstm_zoo")
class Decoder(keras.layers.Layer):
    """Predicts the next target id from the previous ones and the source's context vector.

    Calling it is teacher forcing on whole targets; `step` predicts one id at a time.

    Args:
        vocabulary_size: the number of target ids.
        embedding_size: the width of the target embeddings.
        units: the width of each recurrent layer.
        cell: "lstm", "gru" or "simple_rnn".
        context: whether the context vector is an input of every step and of the logits.
        residual: whether a layer as wide as the one below it adds its input to its output.
        tied: whether the logits use the embedding's matrix.
        token_dropout: the fraction of ids replaced by unknown in training.
        dropout: the dropout rate of embeddings, between layers and before the logits.
        use_cudnn: "auto" uses cuDNN where it can run; False never does. It is not saved.
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_size: int,
        units: Sequence[int],
        *,
        cell: str = "lstm",
        context: bool = True,
        residual: bool = False,
        tied: bool = True,
        token_dropout: float = 0.0,
        dropout: float = 0.0,
        use_cudnn: bool | str = "auto",
        **options: Any,
    ):
        super().__init__(**options)
        self._saved = {
            "vocabulary_size": vocabulary_size,
            "embedding_size": embedding_size,
            "units": tuple(units),
            "cell": cell,
            "context": context,
            "residual": residual,
            "tied": tied,
            "token_dropout": token_dropout,
            "dropout": dropout,
        }
        self.residual = residual
        self.token_dropout = WordDropout(token_dropout, name="token_dropout")
        self.embedding = keras.layers.Embedding(
            vocabulary_size,
            embedding_size,
            keras.initializers.RandomNormal(stddev=0.05),
            name="embedding",
        )
        self.dropout = keras.layers.Dropout(dropout, name="dropout")
        self.layers = [
            recurrent_layer(
                cell,
                width,
                use_cudnn=use_cudnn,
                return_sequences=True,
                name=f"{cell}_{number}",
            )
            for number, width in enumerate(units, 1)
        ]
        # Map the context vector to initial states. tanh: a hidden state lies between -1 and 1.
        self.bridges = [
            [
                keras.layers.Dense(
                    width, "tanh" if name == "hidden" else None, name=f"bridge_{number}_{name}"
                )
                for name in state_names(cell)
            ]
            for number, width in enumerate(units, 1)
        ]
        # The input and the output projection of the context vector. Weights files of earlier
        # versions hold the attributes' names, such as `decoder/fed/vars/0`: they must not change.
        self.fed = self.shown = None
        if context:
            self.fed = keras.layers.Dense(embedding_size, use_bias=False, name="input_projection")
            self.shown = keras.layers.Dense(
                embedding_size, use_bias=False, name="output_projection"
            )
        self.readout = keras.layers.Dense(embedding_size, name="readout")
        self.logits = None
        if not tied:
            self.logits = keras.layers.Dense(vocabulary_size, use_bias=False, name="logits")

    def build(self, shapes: Sequence[tuple]) -> None:
        _, context = shapes
        size = self._saved["embedding_size"]
        self.embedding.build(None)
        width = size
        for layer, bridges in zip(self.layers, self.bridges, strict=True):
            layer.build((None, None, width))
            width = layer.units
            for bridge in bridges:
                bridge.build(context)
        for projection in (self.fed, self.shown):
            if projection is not None:
                projection.build(context)
        self.readout.build((None, width))
        if self.logits is not None:
            self.logits.build((None, size))
        self.bias = self.add_weight(
            shape=(self._saved["vocabulary_size"],), initializer="zeros", name="bias"
        )
        super().build(shapes)

    def call(self, inputs: Sequence[tf.Tensor], training: bool = False) -> tf.Tensor:
        """Return the logits of the next id at every time step.

        Args:
            inputs: ids int32 `(batch, time)` and context vectors float32 `(batch, width)`.
            training: whether dropout is applied.

        Returns:
            Float32 `(batch, time, vocabulary_size)`.
        """
        ids, context = inputs
        _check_right_padding(ids)
        states = self.initial_states(context)
        context = ops.expand_dims(context, 1)  # (batch, 1, width)
        ids = self.token_dropout(ids, training=training)
        sequence = self._inputs(ids, context, training)  # (batch, time, embedding_size)
        for number, layer in enumerate(self.layers):
            if number:
                sequence = self.dropout(sequence, training=training)
            outputs = layer(sequence, initial_state=states[number], training=training)
            sequence = self._with_residual(number, outputs, sequence)
        return self._outputs(sequence, context, training)

    @property
    def state_widths(self) -> list[dict[str, int]]:
        """The states of each layer by their names in exported files, such as `hidden_1`."""
        names = state_names(self._saved["cell"])
        return [
            {f"{name}_{number}": width for name in names}
            for number, width in enumerate(self._saved["units"], 1)
        ]

    def initial_states(self, context: tf.Tensor) -> list[list[tf.Tensor]]:
        """Return the initial states of each layer, `(batch, units)` each: hidden, LSTM: cell."""
        return [[bridge(context) for bridge in bridges] for bridges in self.bridges]

    def step(
        self, ids: tf.Tensor, context: tf.Tensor, states: Sequence[Sequence[tf.Tensor]]
    ) -> tuple[tf.Tensor, list[list[tf.Tensor]]]:
        """Predict the next id of each row.

        Args:
            ids: the last id of each row, int32 `(batch,)`.
            context: the context vectors, float32 `(batch, width)`.
            states: the states of each layer, from `initial_states` or the previous step.

        Returns:
            Float32 logits `(batch, vocabulary_size)`, and the new states.
        """
        vector = self._inputs(ids, context, training=False)
        new_states = []
        for number, layer in enumerate(self.layers):
            outputs, new = layer.cell(vector, list(states[number]))
            new_states.append(list(new))
            vector = self._with_residual(number, outputs, vector)
        return self._outputs(vector, context, training=False), new_states

    def _inputs(self, ids: tf.Tensor, context: tf.Tensor, training: bool) -> tf.Tensor:
        embedded = self.embedding(ids)
        if self.fed is not None:
            embedded = embedded + self.fed(context)
        return self.dropout(embedded, training=training)

    def _outputs(self, vectors: tf.Tensor, context: tf.Tensor, training: bool) -> tf.Tensor:
        vectors = self.readout(vectors)
        if self.shown is not None:
            vectors = vectors + self.shown(context)
        # No tanh: with tied logits it saturates, and only token frequencies are learned.
        vectors = self.dropout(vectors, training=training)
        if self.logits is not None:
            logits = self.logits(vectors)
        else:
            logits = ops.matmul(vectors, ops.transpose(self.embedding.embeddings))
        return ops.cast(logits + self.bias, "float32")

    def _with_residual(self, number: int, outputs: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
        if self.residual and number and outputs.shape[-1] == inputs.shape[-1]:
            return outputs + inputs
        return outputs

    def compute_output_shape(self, shapes: Sequence[tuple]) -> tuple:
        return (*shapes[0], self._saved["vocabulary_size"])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._saved}


def _check_right_padding(ids: tf.Tensor) -> None:
    """Refuse padding on the left: the decoder would read it as tokens before the first one."""
    left_padded = tf.logical_and(tf.equal(ids[:, :1], 0), tf.not_equal(ids, 0))
    tf.debugging.assert_equal(
        tf.reduce_any(left_padded),
        False,
        "Target ids are padded with 0 on the right, not on the left.",
    )
