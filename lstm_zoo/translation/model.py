"""The network: an encoder that sums the source up in one vector, and a decoder that spells it out.

Sutskever et al. 2014, with what else makes such a network strong without attention: an encoder of
both directions, its steps pooled, the summary given to every step of the decoder and to its output
(Cho et al. 2014), and one matrix for the target's embedding and the logits (Press and Wolf 2017).
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from lstm_zoo.errors import CallError
from lstm_zoo.recurrent import (
    CELLS,
    check_pooling,
    length_mask,
    pool,
    recurrent_layer,
    recurrent_stack,
)
from lstm_zoo.settings import positive_integers, with_variant
from lstm_zoo.text.word_dropout import WordDropout
from lstm_zoo.translation import VARIANTS


def build_translation(
    source_vocabulary_size: int = 4_000,
    target_vocabulary_size: int = 4_000,
    variant: str = "base",
    *,
    use_cudnn: bool | str = "auto",
    **sizes: Any,
) -> keras.Model:
    """Build a translator: encoder, summary, decoder, logits.

    Args:
        source_vocabulary_size: the number of the source's token ids, 0 for padding included.
        target_vocabulary_size: the number of the target's.
        variant: a row of `lstm_zoo.translation.VARIANTS`: "tiny", "small", "base" or "large".
        use_cudnn: "auto" for cuDNN where it can run, False for never (a model that must also run
            on a CPU). It is not saved with the model.
        **sizes: what replaces an entry of the variant:
            embedding_size: the width of a token's vector, on both sides.
            encoder_units: the width of each encoder layer, in each direction.
            decoder_units: the width of each decoder layer.
            cell: "lstm", "gru" or "simple_rnn".
            bidirectional: whether the encoder runs in both directions.
            reverse_source: whether the encoder reads the source from its end.
            pooling: how the encoder's steps become the summary: "last" (the last states), "mean",
                "max", or several with "+" between, concatenated. Padding never counts.
            context: whether every decoder step is given the summary; without, it only sets the
                decoder's initial states.
            residual: whether a layer as wide as the one below it adds its input to its output.
            tied: whether the logits use the matrix that embeds the target's tokens.
            token_dropout: the share of tokens, on both sides, that are made unknown in training.
            dropout: the share dropped of embeddings, between layers and before the logits.

    Returns:
        A functional `keras.Model` from two int32 arrays, right-padded with 0: the source's ids
        `(batch, source time)` and the target's, a step late, `(batch, target time)`; to float32
        logits `(batch, target time, target_vocabulary_size)` of the target's next id at each step.

    Raises:
        CallError: (a ValueError) on an unknown variant or keyword, listing the known ones, or on
            a bad value.

    Example:

    >>> model = build_translation(50, 60, variant="tiny")
    >>> model([np.array([[5, 6, 3]]), np.array([[2, 7]])]).shape
    TensorShape([1, 2, 60])
    """
    sizes = resolve_sizes(variant, **sizes)

    # Inputs and masks
    source = keras.Input((None,), dtype="int32", name="source")  # (batch, source time)
    target = keras.Input((None,), dtype="int32", name="target")  # (batch, target time)
    mask = length_mask(source)  # (batch, source time)

    # Encoder
    tokens = WordDropout(sizes["token_dropout"], name="source_dropout")(source)
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

    # Summary
    summary = pool(sizes["pooling"], sequence, last_states, mask)  # (batch, summary width)
    summary = keras.layers.Dropout(sizes["dropout"], name="summary_dropout")(summary)

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
    )([target, summary])
    return keras.Model([source, target], logits, name="translation")


def encoder(model: keras.Model) -> keras.Model:
    """Return the part of `build_translation`'s model from source ids to the summary."""
    _, summary = model.get_layer("decoder").input
    return keras.Model(model.inputs[0], summary, name="encoder")


@keras.saving.register_keras_serializable("lstm_zoo")
class ReverseSteps(keras.layers.Layer):
    """Turns the real steps of each row round; the padding stays on the right."""

    def call(self, sequence: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        lengths = ops.sum(ops.cast(mask, "int32"), axis=1)
        return tf.reverse_sequence(sequence, lengths, seq_axis=1)

    def compute_output_spec(self, sequence: Any, mask: Any) -> keras.KerasTensor:
        return keras.KerasTensor(sequence.shape, sequence.dtype)


@keras.saving.register_keras_serializable("lstm_zoo")
class Decoder(keras.layers.Layer):
    """Predicts the target's next id from those before and the source's summary.

    Training runs a whole target at once, decoding a step at a time, on the same weights.

    Args:
        vocabulary_size: the number of the target's ids.
        embedding_size: the width of a token's vector.
        units: the width of each recurrent layer.
        cell: "lstm", "gru" or "simple_rnn".
        context: whether every step, and the output, is given the summary.
        residual: whether a layer as wide as the one below it adds its input to its output.
        tied: whether the logits use the embedding's matrix.
        token_dropout: the share of ids made unknown in training.
        dropout: the share dropped of embeddings, between layers and before the logits.
        use_cudnn: "auto" for cuDNN where it can run, False for never; not saved.
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
        # From the summary to the initial state: an LSTM has two, the hidden one between -1 and 1.
        self.bridges = [
            [
                keras.layers.Dense(width, activation, name=f"bridge_{number}_{name}")
                for name, activation in (("hidden", "tanh"), ("cell", None))[: _states(cell)]
            ]
            for number, width in enumerate(units, 1)
        ]
        self.fed = self.shown = None
        if context:
            self.fed = keras.layers.Dense(embedding_size, use_bias=False, name="fed_summary")
            self.shown = keras.layers.Dense(embedding_size, use_bias=False, name="shown_summary")
        self.readout = keras.layers.Dense(embedding_size, name="readout")
        self.logits = None
        if not tied:
            self.logits = keras.layers.Dense(vocabulary_size, use_bias=False, name="logits")

    def build(self, shapes: Sequence[tuple]) -> None:
        _, summary = shapes
        size = self._saved["embedding_size"]
        self.embedding.build(None)
        width = size
        for layer, bridges in zip(self.layers, self.bridges, strict=True):
            layer.build((None, None, width))
            width = layer.units
            for bridge in bridges:
                bridge.build(summary)
        for projection in (self.fed, self.shown):
            if projection is not None:
                projection.build(summary)
        self.readout.build((None, width))
        if self.logits is not None:
            self.logits.build((None, size))
        self.bias = self.add_weight(
            shape=(self._saved["vocabulary_size"],), initializer="zeros", name="bias"
        )
        super().build(shapes)

    def call(self, inputs: Sequence[tf.Tensor], training: bool = False) -> tf.Tensor:
        """Predict the id after each of `(batch, time)` ids, given summaries `(batch, width)`."""
        ids, summary = inputs
        states = self.initial_states(summary)
        summary = ops.expand_dims(summary, 1)  # (batch, 1, width)
        ids = self.token_dropout(ids, training=training)
        sequence = self._inputs(ids, summary, training)  # (batch, time, embedding_size)
        for number, layer in enumerate(self.layers):
            if number:
                sequence = self.dropout(sequence, training=training)
            outputs = layer(sequence, initial_state=states[number], training=training)
            sequence = self._with_residual(number, outputs, sequence)
        return self._outputs(sequence, summary, training)

    def initial_states(self, summary: tf.Tensor) -> list[list[tf.Tensor]]:
        """Return the states, `(batch, units)` each, that every layer begins with."""
        return [[bridge(summary) for bridge in bridges] for bridges in self.bridges]

    def step(
        self, ids: tf.Tensor, summary: tf.Tensor, states: Sequence[Sequence[tf.Tensor]]
    ) -> tuple[tf.Tensor, list[list[tf.Tensor]]]:
        """Predict the next id of each row.

        Args:
            ids: the last id of each row, `(batch,)`.
            summary: `(batch, width)`.
            states: of each layer, as `initial_states` or the step before gave them.

        Returns:
            Float32 logits `(batch, vocabulary_size)`, and the new states.
        """
        vector = self._inputs(ids, summary, training=False)
        new_states = []
        for number, layer in enumerate(self.layers):
            outputs, new = layer.cell(vector, list(states[number]))
            new_states.append(list(new))
            vector = self._with_residual(number, outputs, vector)
        return self._outputs(vector, summary, training=False), new_states

    def _inputs(self, ids: tf.Tensor, summary: tf.Tensor, training: bool) -> tf.Tensor:
        embedded = self.embedding(ids)
        if self.fed is not None:
            embedded = embedded + self.fed(summary)
        return self.dropout(embedded, training=training)

    def _outputs(self, vectors: tf.Tensor, summary: tf.Tensor, training: bool) -> tf.Tensor:
        vectors = self.readout(vectors)
        if self.shown is not None:
            vectors = vectors + self.shown(summary)
        # No tanh: beside tied logits it saturates, and nothing but frequencies is learned.
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
    for name in ("encoder_units", "decoder_units"):
        resolved[name] = positive_integers(name, resolved[name])
    (resolved["embedding_size"],) = positive_integers(
        "embedding_size", [resolved["embedding_size"]]
    )
    if resolved["cell"] not in CELLS:
        raise CallError(f"cell is one of {', '.join(CELLS)}. Received: {resolved['cell']!r}")
    try:
        check_pooling(resolved["pooling"])
    except ValueError as error:
        raise CallError(str(error)) from error
    for name in ("token_dropout", "dropout"):
        if not 0 <= resolved[name] < 1:
            raise CallError(f"{name} is at least 0 and below 1. Received: {resolved[name]}")
    return resolved


def _states(cell: str) -> int:
    return 2 if cell == "lstm" else 1
