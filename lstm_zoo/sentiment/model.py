"""The network: stacked recurrent layers over embedded tokens, pooled, to class logits."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from lstm_zoo.errors import CallError
from lstm_zoo.recurrent import CELLS, length_mask, recurrent_stack
from lstm_zoo.sentiment import POOLINGS, VARIANTS
from lstm_zoo.tokenizers import PADDING, UNKNOWN


def build_sentiment(
    vocabulary_size: int = 8_000,
    num_classes: int = 2,
    variant: str = "base",
    *,
    vectors: np.ndarray | None = None,
    ratios: np.ndarray | None = None,
    use_cudnn: bool | str = "auto",
    **sizes: Any,
) -> keras.Model:
    """Build a text classifier: embedding, recurrent stack, pooling, logits.

    Args:
        vocabulary_size: the number of token ids, 0 for padding included.
        num_classes: the number of classes, two at least.
        variant: a row of `lstm_zoo.sentiment.VARIANTS`: "tiny", "small", "base" or "large".
        vectors: a float matrix `(vocabulary_size, embedding_size)` that the embedding starts from;
            None for random ones.
        ratios: with `class_ratios`, the table `(vocabulary_size, num_classes)` of
            `class_log_ratios`; None for zeros, to load weights into.
        use_cudnn: "auto" for cuDNN where it can run, False for never (a model that must also run
            on a CPU). It is not saved with the model.
        **sizes: what replaces an entry of the variant:
            embedding_size: the width of a token's vector.
            cell: "lstm", "gru" or "simple_rnn".
            units: the width of each recurrent layer, in each direction.
            bidirectional: whether the layers run in both directions.
            pooling: how time steps become one vector: "last" (the last states), "mean", "max",
                or several with "+" between, concatenated. Padding never counts.
            class_ratios: whether a fixed table of each token's log-ratio of every class stands
                beside its vector (after Wang and Manning 2012, who weigh a linear model so).
            word_dropout: the share of tokens that are made unknown in training.
            embedding_dropout: the share of the embeddings dropped.
            dropout: the share dropped between recurrent layers and before the logits.

    Returns:
        A functional `keras.Model` from int32 ids `(batch, time)`, right-padded with 0, to float32
        logits `(batch, num_classes)`.

    Raises:
        CallError: (a ValueError) on an unknown variant or keyword, listing the known ones, or on
            a bad value.

    Example:

    >>> model = build_sentiment(vocabulary_size=100, variant="tiny")
    >>> model(np.array([[5, 6, 7, 0]])).shape
    TensorShape([1, 2])
    """
    sizes = resolve_sizes(variant, **sizes)
    if num_classes < 2:
        raise CallError(f"num_classes is at least 2. Received: {num_classes}")
    if vectors is not None and vectors.shape != (vocabulary_size, sizes["embedding_size"]):
        raise CallError(
            "vectors has the shape (vocabulary_size, embedding_size) = "
            f"({vocabulary_size}, {sizes['embedding_size']}). Received: {vectors.shape}"
        )
    if ratios is not None and not sizes["class_ratios"]:
        raise CallError("ratios go with class_ratios=True.")
    if ratios is not None and ratios.shape != (vocabulary_size, num_classes):
        raise CallError(
            f"ratios has the shape (vocabulary_size, num_classes) = ({vocabulary_size}, "
            f"{num_classes}). Received: {ratios.shape}"
        )

    # Inputs and masks
    ids = keras.Input((None,), dtype="int32", name="ids")  # (batch, time)
    mask = length_mask(ids)  # (batch, time)

    # Embedding
    tokens = WordDropout(sizes["word_dropout"], name="word_dropout")(ids)
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
        embedded = ops.concatenate([embedded, table(tokens)], axis=-1)
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
    pooled = [
        vector
        for kind in sizes["pooling"].split("+")
        for vector in (last_states if kind == "last" else [_pool(kind, sequence, mask)])
    ]
    features = ops.concatenate(pooled, axis=-1) if len(pooled) > 1 else pooled[0]

    # Logits
    features = keras.layers.Dropout(sizes["dropout"], name="dropout")(features)
    logits = keras.layers.Dense(num_classes, dtype="float32", name="logits")(features)
    return keras.Model(ids, logits, name="sentiment")


@keras.saving.register_keras_serializable("lstm_zoo")
class WordDropout(keras.layers.Layer):
    """Makes a share of the tokens unknown in training, so that no word is trusted alone.

    Args:
        rate: the share, at least 0 and below 1.
        seed: an integer, or None for one drawn from Keras's.
    """

    def __init__(self, rate: float, seed: int | None = None, **options: Any):
        super().__init__(**options)
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, ids: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        if not training or not self.rate:
            return ids
        dropped = keras.random.uniform(ops.shape(ids), seed=self.seed_generator) < self.rate
        return ops.where(ops.logical_and(dropped, ids != PADDING), UNKNOWN, ids)

    def compute_output_shape(self, shape: tuple) -> tuple:
        return shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


def class_log_ratios(
    ids: Sequence[np.ndarray], targets: np.ndarray, vocabulary_size: int, num_classes: int
) -> np.ndarray:
    """Compute how much more often each token stands in texts of a class than in the others.

    Args:
        ids: the token ids of each text.
        targets: the class of each text, `(texts,)`.
        vocabulary_size: the number of token ids.
        num_classes: the number of classes.

    Returns:
        A float32 table `(vocabulary_size, num_classes)`: the logarithm of the token's share in
        the texts of the class over its share in the others, with one text of each kind added to
        every count, divided by 4 to be of an embedding's scale; 0 for padding and unknown tokens.

    Example:

    >>> table = class_log_ratios([np.array([4]), np.array([5])], np.array([0, 1]), 6, 2)
    >>> bool(table[4, 0] > 0 > table[4, 1])
    True
    """
    counts = np.ones((num_classes, vocabulary_size))
    for row, target in zip(ids, targets, strict=True):
        counts[target, np.unique(row)] += 1
    others = counts.sum(axis=0) - counts
    shares = counts / counts.sum(axis=1, keepdims=True)
    ratios = np.log(shares / (others / others.sum(axis=1, keepdims=True)))
    ratios[:, [PADDING, UNKNOWN]] = 0
    return (ratios.T / 4).astype(np.float32)


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
    if variant not in VARIANTS:
        raise CallError(f"variant is one of {', '.join(VARIANTS)}. Received: {variant!r}")
    row = VARIANTS[variant]
    unknown = [name for name in sizes if name not in row]
    if unknown:
        raise CallError(f"Unknown argument {unknown[0]!r}. Known: {', '.join(row)}.")
    resolved = {**row, **sizes}
    resolved["units"] = _positive_integers("units", resolved["units"])
    (resolved["embedding_size"],) = _positive_integers(
        "embedding_size", [resolved["embedding_size"]]
    )
    if resolved["cell"] not in CELLS:
        raise CallError(f"cell is one of {', '.join(CELLS)}. Received: {resolved['cell']!r}")
    kinds = str(resolved["pooling"]).split("+")
    if len(set(kinds)) < len(kinds) or not set(kinds) <= set(POOLINGS):
        raise CallError(
            f"pooling is one or more of {', '.join(POOLINGS)}, each once, with + between. "
            f"Received: {resolved['pooling']!r}"
        )
    for name in ("word_dropout", "embedding_dropout", "dropout"):
        if not 0 <= resolved[name] < 1:
            raise CallError(f"{name} is at least 0 and below 1. Received: {resolved[name]}")
    return resolved


def _positive_integers(name: str, values: Sequence[int]) -> tuple[int, ...]:
    if isinstance(values, (int, np.integer)):
        values = (values,)
    if not len(values) or not all(
        isinstance(v, (int, np.integer)) and not isinstance(v, bool) and v > 0 for v in values
    ):
        raise CallError(f"{name} takes positive integers. Received: {values!r}")
    return tuple(int(value) for value in values)


def _pool(kind: str, sequence: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    """Reduce `(batch, time, width)` to `(batch, width)` over the steps that are real."""
    real = ops.expand_dims(mask, -1)  # (batch, time, 1)
    if kind == "max":
        # Recurrent outputs lie in (-1, 1), so -2 never wins where a row has a real step. Without
        # `initial`, Keras refuses the empty batch.
        return ops.max(ops.where(real, sequence, -2.0), axis=1, initial=-2.0)
    weights = ops.cast(real, sequence.dtype)
    return ops.sum(sequence * weights, axis=1) / ops.sum(weights, axis=1)
