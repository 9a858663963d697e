"""The network: token embeddings, a recurrent stack, pooling and class logits."""

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from lstm_zoo.errors import CallError
from lstm_zoo.recurrent import (
    LengthMask,
    Pooling,
    RightPadding,
    recurrent_stack,
)
from lstm_zoo.runs.loading import pretrained
from lstm_zoo.sentiment import SETTINGS, VARIANTS
from lstm_zoo.sentiment.ngrams import MeanOrOne, NgramScores, WeightedSum
from lstm_zoo.settings import network_sizes
from lstm_zoo.text.tokenizers import PADDING, UNKNOWN
from lstm_zoo.text.word_dropout import WordDropout


def build_sentiment(
    vocabulary_size: int = 8_000,
    num_classes: int = 2,
    variant: str = "base",
    *,
    weights: str | os.PathLike | None = None,
    vectors: np.ndarray | None = None,
    ratios: np.ndarray | None = None,
    fitted_ngrams: bool = False,
    include_top: bool = True,
    use_cudnn: bool | str = "auto",
    **sizes: Any,
) -> keras.Model:
    """Build a text classifier: embedding, recurrent stack, pooling, logits.

    Args:
        vocabulary_size: the number of token ids, padding (id 0) included.
        num_classes: the number of classes, at least 2.
        variant: a key of `lstm_zoo.sentiment.VARIANTS`: "tiny", "small", "base" or "large".
        weights: a preset's name (see `lstm_zoo.presets`) or a run's directory, for its network
            with its weights, which decide the sizes; None for a new network.
        vectors: initial embeddings, floats `(vocabulary_size, embedding_size)`; None for random
            ones.
        ratios: with `class_ratios`, what `class_log_ratios` returns, floats
            `(vocabulary_size, num_classes)`; None for zeros, where weights are loaded later.
        fitted_ngrams: with `ngrams`, whether their scores are to be those of `fit_ngrams`, and not
            trained, and the logits of both a `WeightedSum`; otherwise they are trained with the
            network.
        include_top: whether the network ends with logits; otherwise with the pooled outputs of the
            recurrent layers, for another head, and `num_classes` has no effect.
        use_cudnn: "auto" for cuDNN where it can run, False for never (a model that must also run
            on a CPU). It is not saved with the model.
        **sizes: override an entry of the variant:
            embedding_size: the size of the token embeddings.
            cell: "lstm", "gru" or "simple_rnn".
            units: the units of each recurrent layer, in each direction.
            bidirectional: whether the layers run in both directions.
            pooling: how time steps become one vector: "last" (the last hidden states), "mean",
                "max", or several, concatenated, such as "mean+max". Padding is ignored.
            class_ratios: whether each token's log-count ratio for every class is appended to its
                embedding, untrained (the ratios of Wang and Manning 2012).
            ngrams: the maximum length of n-grams whose logits are averaged with the network's
                (see `NgramScores`, and `MeanOrOne` for the training of both); 0 for none.
            ngram_buckets: the hash buckets of the n-grams.
            word_dropout: the share of tokens replaced by the unknown token in training.
            embedding_dropout: the dropout rate of the embeddings.
            dropout: the dropout rate between recurrent layers, before the logits and of n-grams.

    Returns:
        A functional `keras.Model` from int32 ids `(batch, time)`, padded with 0, to float32 logits
        `(batch, num_classes)`; without the top, to floats `(batch, pooled width)`.

    Raises:
        CallError: (a ValueError) on an unknown variant or keyword, or a bad value.

    Example:

    >>> model = build_sentiment(vocabulary_size=100, variant="tiny")
    >>> model(np.array([[5, 6, 7, 0]])).shape
    TensorShape([1, 2])
    """
    if weights is not None:
        given = {
            "vocabulary_size": vocabulary_size, "num_classes": num_classes, "variant": variant,
            "vectors": vectors, "ratios": ratios, **sizes,
        }  # fmt: skip
        changed = {"include_top": False, "ngrams": 0, "fitted_ngrams": False}
        changed = {} if include_top else changed
        return pretrained(build_sentiment, "sentiment", weights, given, use_cudnn, **changed)
    sizes = network_sizes(SETTINGS, VARIANTS, variant, **sizes)
    if num_classes < 2:
        raise CallError(f"num_classes is at least 2. Received: {num_classes}")
    if vectors is not None and vectors.shape != (vocabulary_size, sizes["embedding_size"]):
        raise CallError(
            "vectors has the shape (vocabulary_size, embedding_size) = "
            f"({vocabulary_size}, {sizes['embedding_size']}). Received: {vectors.shape}"
        )
    if ratios is not None and not sizes["class_ratios"]:
        raise CallError("ratios need class_ratios=True.")
    if ratios is not None and ratios.shape != (vocabulary_size, num_classes):
        raise CallError(
            f"ratios has the shape (vocabulary_size, num_classes) = ({vocabulary_size}, "
            f"{num_classes}). Received: {ratios.shape}"
        )

    if fitted_ngrams and not sizes["ngrams"]:
        raise CallError("fitted_ngrams needs ngrams of 1 or more.")
    if sizes["ngrams"] and not include_top:
        raise CallError("ngrams are a part of the top; they need include_top=True.")

    # Inputs and masks
    ids = keras.Input((None,), dtype="int32", name="ids")  # (batch, time)
    aligned = RightPadding(name="right_padding")(ids)
    mask = LengthMask(name="length_mask")(aligned)  # (batch, time)

    # Embedding
    tokens = WordDropout(sizes["word_dropout"], name="word_dropout")(aligned)
    initializer = keras.initializers.RandomNormal(stddev=0.05)
    if vectors is not None:
        initializer = keras.initializers.Constant(vectors)
    embedded = keras.layers.Embedding(
        vocabulary_size, sizes["embedding_size"], initializer, name="embedding"
    )(tokens)  # (batch, time, embedding_size)
    if sizes["class_ratios"]:
        table = keras.layers.Embedding(
            vocabulary_size,
            num_classes,
            "zeros" if ratios is None else keras.initializers.Constant(ratios),
            trainable=False,
            name="class_ratios",
        )
        embedded = keras.layers.Concatenate(name="embeddings")([embedded, table(tokens)])
    embedded = keras.layers.Dropout(sizes["embedding_dropout"], name="embedding_dropout")(embedded)

    # Recurrent layers
    sequence, last_states = recurrent_stack(
        embedded,
        mask,
        cell=sizes["cell"],
        units=sizes["units"],
        bidirectional=sizes["bidirectional"],
        dropout=sizes["dropout"],
        use_cudnn=use_cudnn,
    )  # (batch, time, width)

    # Pooling
    # (batch, pooled width)
    features = Pooling(sizes["pooling"], name="pooling")(sequence, last_states, mask)
    if not include_top:
        return keras.Model(ids, features, name="sentiment_features")

    # Logits
    features = keras.layers.Dropout(sizes["dropout"], name="dropout")(features)
    logits = keras.layers.Dense(num_classes, dtype="float32", name="logits")(features)
    if sizes["ngrams"]:
        scores = NgramScores(
            num_classes,
            sizes["ngrams"],
            sizes["ngram_buckets"],
            sizes["dropout"],
            use_bias=fitted_ngrams,
            distinct=fitted_ngrams,
            trainable=not fitted_ngrams,
            dtype="float32",
            name="ngrams",
        )(aligned)
        combine = (
            WeightedSum(dtype="float32", name="weighted_sum")
            if fitted_ngrams
            else MeanOrOne(dtype="float32", name="mean_or_one")
        )
        logits = combine(logits, scores)
    return keras.Model(ids, logits, name="sentiment")


def class_log_ratios(
    ids: Sequence[np.ndarray], targets: np.ndarray, vocabulary_size: int, num_classes: int
) -> np.ndarray:
    """Compute the log-count ratio of each token for each class (Wang and Manning 2012).

    Args:
        ids: the token ids of each text, integers `(time,)`.
        targets: the class index of each text, integers `(texts,)`; or of texts of several classes 1
            for each of them, else 0, `(texts, classes)`.
        vocabulary_size: the number of token ids.
        num_classes: the number of classes.

    Returns:
        float32 `(vocabulary_size, num_classes)`: the log of the token's share in the texts of the
        class over its share in the other texts. Texts are counted once per token, with add-one
        smoothing. Divided by 4, to the scale of the embeddings; 0 for padding and unknown tokens.

    Example:

    >>> table = class_log_ratios([np.array([4]), np.array([5])], np.array([0, 1]), 6, 2)
    >>> bool(table[4, 0] > 0 > table[4, 1])
    True
    """
    counts = np.ones((num_classes, vocabulary_size))
    if targets.ndim == 2:
        others = np.ones_like(counts)
        for row, target in zip(ids, targets, strict=True):
            counts[:, np.unique(row)] += target[:, np.newaxis]
            others[:, np.unique(row)] += 1 - target[:, np.newaxis]
    else:
        for row, target in zip(ids, targets, strict=True):
            counts[target, np.unique(row)] += 1
        others = counts.sum(axis=0) - counts
    shares = counts / counts.sum(axis=1, keepdims=True)
    ratios = np.log(shares / (others / others.sum(axis=1, keepdims=True)))
    ratios[:, [PADDING, UNKNOWN]] = 0
    return (ratios.T / 4).astype(np.float32)
