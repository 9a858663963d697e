"""From texts to ids, and from a network to translations, in the graph."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from lstm_zoo.text.tokenizers import END, PADDING, PieceTokenizer, detokenize
from lstm_zoo.translation import beam
from lstm_zoo.translation.model import encoder


class Translated(NamedTuple):
    """Texts, string `(batch, n)`, and their scores, float32 `(batch, n)`, the best first."""

    texts: tf.Tensor
    scores: tf.Tensor


def source_ids(tokenizer: PieceTokenizer, texts: tf.Tensor, max_length: int) -> tf.Tensor:
    """Turn texts into what the network reads, in the graph.

    Args:
        tokenizer: the source's.
        texts: string tensor `(batch,)`.
        max_length: the pieces of a text past this one are cut.

    Returns:
        int32 ids `(batch, time)`, each row with its end, padded with 0.
    """
    ids = tokenizer.tokenize(texts)[:, :max_length]
    ends = tf.fill([ids.nrows(), 1], END)
    return tf.concat([ids, ends], axis=1).to_tensor(PADDING)


def translator(
    model: keras.Model,
    tokenizer: PieceTokenizer,
    width: int,
    n_best: int = 1,
    *,
    length_penalty: float = 0.0,
) -> Callable[[tf.Tensor], Translated]:
    """Make the function from source ids to translations, in the graph.

    Args:
        model: the network.
        tokenizer: the target's.
        width: translations kept while decoding; 1: greedy.
        n_best: how many are returned.
        length_penalty: as `lstm_zoo.translation.beam.search` takes it.

    Returns:
        A `tf.function` from `source_ids` to texts and scores. A row without a piece before its end
        has "" and 0 first, and -inf after it.
    """
    encode, decoder = encoder(model), model.get_layer("decoder")

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)], jit_compile=False)
    def translate(ids: tf.Tensor) -> Translated:
        context = encode(ids)

        def step(last: tf.Tensor, states: Any) -> tuple[tf.Tensor, Any]:
            logits, new = decoder.step(last, states[0], states[1])
            return logits, (states[0], new)

        lengths = tf.math.count_nonzero(ids, axis=1, dtype=tf.int32)
        found = beam.search(
            step,
            (context, decoder.initial_states(context)),
            limits=2 * lengths + 10,  # a translation is hardly ever longer
            width=width,
            n_best=n_best,
            length_penalty=length_penalty,
        )
        empty = (lengths <= 1)[:, tf.newaxis]
        certain = tf.one_hot(0, n_best, on_value=0.0, off_value=-float("inf"))
        return Translated(
            tf.where(empty, "", detokenize(tokenizer, found.ids)),
            tf.where(empty, certain, found.scores),
        )

    return translate
