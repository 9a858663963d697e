"""Tokenize sources and decode translations, as TensorFlow graph functions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from lstm_zoo.text.tokenizers import END, PADDING, PieceTokenizer, detokenize
from lstm_zoo.translation import beam
from lstm_zoo.translation.model import encoder
from lstm_zoo.translation.predictor import output_limits


class Translated(NamedTuple):
    """Texts, string `(batch, n)`, and their scores, float32 `(batch, n)`, best first."""

    texts: tf.Tensor
    scores: tf.Tensor


def source_ids(tokenizer: PieceTokenizer, texts: tf.Tensor, max_length: int) -> tf.Tensor:
    """Tokenize source texts.

    Args:
        tokenizer: the source's tokenizer.
        texts: string tensor `(batch,)`.
        max_length: the maximum number of pieces of a text; further ones are dropped.

    Returns:
        int32 ids `(batch, time)`, each row ending with the end token, padded with 0.
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
    """Make the function from source ids to translations.

    Args:
        model: a model of `build_translation`.
        tokenizer: the target's tokenizer.
        width: the number of hypotheses kept while decoding; 1 is greedy.
        n_best: the number of translations returned, at most `width`.
        length_penalty: as for `lstm_zoo.translation.beam.search`.

    Returns:
        A `tf.function` from int32 source ids `(batch, time)` to `Translated`. The translation of an
        empty source is "" with score 0; its other scores are -inf.
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
            limits=output_limits(lengths),
            width=width,
            n_best=n_best,
            length_penalty=length_penalty,
        )
        is_empty = (lengths <= 1)[:, tf.newaxis]  # the end token alone
        scores_of_empty = tf.one_hot(0, n_best, on_value=0.0, off_value=-float("inf"))
        return Translated(
            tf.where(is_empty, "", detokenize(tokenizer, found.ids)),
            tf.where(is_empty, scores_of_empty, found.scores),
        )

    return translate
