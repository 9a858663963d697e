"""A linear n-gram classifier, to average with a recurrent network."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from lstm_zoo.recurrent import portable
from lstm_zoo.text.tokenizers import PADDING

HASH_FACTOR = 1_000_003  # a prime: no usual number of buckets shares a divisor with it
# AdamW's steps have a fixed size, and the scores of rare n-grams get few of them. Without a gain,
# the network memorizes the training texts before the n-grams have an effect.
GAIN = 16.0
# The probability that a training text gets the logits of the n-grams, not of the network: n-grams
# need fewer epochs.
NGRAM_PROBABILITY = 1 / 3
# For `fit_ngrams`: the strengths of regularization that are tried, and the texts that are used.
INVERSE_STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
MAX_TEXTS = 100_000
TOLERANCE = 1e-3  # of its gradient; less takes longer, and changes hardly any answer
MIN_TRIED, MAX_TRIED = 100, 10_000


@keras.saving.register_keras_serializable("lstm_zoo")
class NgramScores(keras.layers.Layer):
    """Class logits from a bag of n-grams.

    The logits are `GAIN` times the sum of the n-grams' scores over the square root of their number.
    N-grams are hashed to the rows of one table of scores (Weinberger et al. 2009).

    The input is int32 ids `(batch, time)`, right-padded with 0; the output is
    `(batch, num_classes)`.

    Args:
        num_classes: the number of classes.
        length: the maximum length of an n-gram; 2 for unigrams and bigrams.
        buckets: the rows of the table.
        dropout: the share of n-grams dropped in training.
        use_bias: whether a bias is added.
        distinct: whether an n-gram that a text repeats counts once.
        seed: an integer, or None for one drawn by Keras.

    Example:

    >>> NgramScores(2, 2, 1_000)(ops.convert_to_tensor([[5, 6, 0]])).numpy().tolist()
    [[0.0, 0.0]]
    """

    def __init__(
        self,
        num_classes: int,
        length: int,
        buckets: int,
        dropout: float = 0.0,
        use_bias: bool = False,
        distinct: bool = False,
        seed: int | None = None,
        **options: Any,
    ):
        super().__init__(**options)
        self.num_classes = num_classes
        self.length = length
        self.buckets = buckets
        self.use_bias = use_bias
        self.distinct = distinct
        self.seed = seed
        self.dropout = keras.layers.Dropout(
            dropout, seed=seed, dtype=self.dtype_policy, name="dropout"
        )

    def build(self, shape: tuple) -> None:
        self.table = self.add_weight(
            shape=(self.buckets, self.num_classes), initializer="zeros", name="table"
        )
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.num_classes,), initializer="zeros", name="bias")

    def call(self, ids: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        ids = ops.cast(ids, "int64")
        hashed, rows, valid = ops.zeros_like(ids), [], []
        for number in range(self.length):
            # The n-grams that start at each token extend those one token shorter.
            token = ops.pad(ids, [[0, 0], [0, number]])[:, number:]
            hashed = hashed * HASH_FACTOR % self.buckets + token
            rows.append(hashed % self.buckets)
            valid.append(ops.cast(token != PADDING, self.compute_dtype))
        rows = ops.concatenate(rows, axis=1)
        valid = ops.concatenate(valid, axis=1)  # (batch, length * time)
        if self.distinct and portable.is_chosen():
            # A LiteRT file's sort would make the whole network's shapes unknown until it runs.
            places = ops.cumsum(ops.ones_like(rows[:1]), axis=1)
            # Those of padding equal no others.
            rows = ops.cast(ops.where(valid > 0, rows, -places), "int32")
            earlier = ops.expand_dims(places, 1) < ops.expand_dims(places, 2)  # (1, n, n)
            equal = ops.expand_dims(rows, 1) == ops.expand_dims(rows, 2)  # (batch, n, n)
            valid = valid * ops.cast(~ops.any(equal & earlier, axis=2), self.compute_dtype)
            rows = ops.maximum(rows, 0)
        elif self.distinct:
            # Sorted, equal ones are next to each other, and those of padding at the end.
            rows = ops.sort(ops.where(valid > 0, rows, self.buckets), axis=1)
            repeated = ops.pad(rows[:, 1:] == rows[:, :-1], [[0, 0], [1, 0]])
            valid = ops.cast((rows < self.buckets) & ~repeated, self.compute_dtype)
            rows = ops.minimum(rows, self.buckets - 1)
        count = ops.sum(valid, axis=1)
        kept = ops.expand_dims(self.dropout(valid, training=training), 2)
        scores = ops.take(ops.convert_to_tensor(self.table), rows, axis=0)
        total = ops.sum(scores * kept, axis=1)  # (batch, num_classes)
        logits = GAIN * total / ops.sqrt(ops.maximum(ops.expand_dims(count, 1), 1.0))
        return logits + self.bias if self.use_bias else logits

    def compute_output_shape(self, shape: tuple) -> tuple:
        return shape[0], self.num_classes

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "length": self.length,
            "buckets": self.buckets,
            "dropout": self.dropout.rate,
            "use_bias": self.use_bias,
            "distinct": self.distinct,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable("lstm_zoo")
class MeanOrOne(keras.layers.Layer):
    """Mean of the logits of a network and of n-grams; in training, one of the two per text.

    Trained on their sum, n-grams memorize the training texts before the network learns anything.
    Therefore each training text randomly gets the logits of one of the two, those of the n-grams
    with probability `NGRAM_PROBABILITY` (after ModDrop, Neverova et al. 2016).

    The inputs are the logits of the network and of the n-grams, both `(batch, num_classes)`.

    Args:
        seed: an integer, or None for one drawn by Keras.

    Example:

    >>> MeanOrOne()(ops.ones((1, 2)), ops.zeros((1, 2))).numpy().tolist()
    [[0.5, 0.5]]
    """

    def __init__(self, seed: int | None = None, **options: Any):
        super().__init__(**options)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(
        self, network: keras.KerasTensor, ngrams: keras.KerasTensor, training: bool = False
    ) -> keras.KerasTensor:
        # Not `network + ngrams`: with an empty batch, Keras takes one for a bias of the other.
        both = ops.stack([network, ngrams])
        if not training:
            return ops.mean(both, axis=0)
        drawn = keras.random.uniform(
            (ops.shape(network)[0], 1), dtype="float32", seed=self.seed_generator
        )
        return ops.where(drawn < NGRAM_PROBABILITY, both[1], both[0])

    def compute_output_shape(self, network_shape: tuple, ngrams_shape: tuple) -> tuple:
        return network_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable("lstm_zoo")
class WeightedSum(keras.layers.Layer):
    """The sum of two logits, each times a weight; in training the logits of the network alone.

    N-grams that are fitted before the network learn nothing from it, and it is to learn as if it
    were alone. The weights are fitted when it has: see `lstm_zoo.sentiment.calibration`.

    The inputs are the logits of the network and of the n-grams, both `(batch, num_classes)`.

    Example:

    >>> WeightedSum()(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])).numpy().tolist()
    [[0.5, 0.5]]
    """

    def build(self, network_shape: tuple, ngrams_shape: tuple) -> None:
        self.scale = self.add_weight(
            shape=(2,), initializer=keras.initializers.Constant(0.5), trainable=False, name="scale"
        )

    def call(
        self, network: keras.KerasTensor, ngrams: keras.KerasTensor, training: bool = False
    ) -> keras.KerasTensor:
        if training:
            return network
        return self.scale[0] * network + self.scale[1] * ngrams

    def compute_output_shape(self, network_shape: tuple, ngrams_shape: tuple) -> tuple:
        return network_shape


def fit_ngrams(
    ids: Sequence[np.ndarray],
    targets: np.ndarray,
    num_classes: int,
    length: int,
    buckets: int,
    *,
    weights: np.ndarray | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit the weights of `NgramScores` by logistic regression, on n-grams weighted by their rarity.

    It is a convex problem, which is solved in seconds, where gradient steps on small batches need
    many epochs for rare n-grams. Each distinct n-gram of a text is weighted by its inverse document
    frequency; how strongly the scores are regularized is chosen on a tenth of the texts.

    Args:
        ids: the token ids of each text, integers `(time,)`.
        targets: the class index of each text, integers `(texts,)`; or of texts with several labels
            1 for each of their classes, else 0, `(texts, num_classes)`.
        num_classes: the number of classes.
        length: the maximum length of an n-gram.
        buckets: the rows of the table.
        weights: the weight of each text, floats `(texts,)`; None for equal ones.
        seed: the seed of what is drawn: the texts, where there are more than `MAX_TEXTS`, and those
            on which the regularization is chosen.

    Returns:
        The table and the bias, float32 `(buckets, num_classes)` and `(num_classes,)`.

    Example:

    >>> texts = [np.array([4, 5]), np.array([6, 5])] * 10
    >>> table, _ = fit_ngrams(texts, np.array([0, 1] * 10), 2, 1, 1_000)
    >>> bool(table[4, 0] > 0 > table[6, 0])
    True
    """
    random = np.random.default_rng(seed)
    chosen = random.permutation(len(ids))[:MAX_TEXTS]
    found = _find_ngrams([ids[index] for index in chosen], length, buckets)
    targets, weights = targets[chosen], None if weights is None else weights[chosen]
    columns, frequencies = np.unique(found.indices, return_counts=True)
    rarity = np.log((1 + len(chosen)) / (1 + frequencies)) + 1
    scale = GAIN / np.sqrt(np.maximum(found.sum(axis=1).A1, 1))
    features = (sparse.diags(scale) @ found[:, columns] @ sparse.diags(rarity)).tocsr()

    def fit(labels: np.ndarray, rows: slice, strength: float) -> LogisticRegression:
        regression = LogisticRegression(C=strength / GAIN**2, tol=TOLERANCE, max_iter=300)
        return regression.fit(
            features[rows], labels[rows], None if weights is None else weights[rows]
        )

    def choose(labels: np.ndarray) -> float:
        tried = min(len(labels), MAX_TRIED)
        held_out, rest = slice(tried // 10), slice(tried // 10, tried)
        enough = tried >= MIN_TRIED
        if not enough or not np.array_equal(np.unique(labels[rest]), np.unique(labels)):
            return 1.0
        losses = []
        for strength in INVERSE_STRENGTHS:
            regression = fit(labels, rest, strength)
            probabilities = regression.predict_proba(features[held_out])
            losses.append(log_loss(labels[held_out], probabilities, labels=regression.classes_))
        return INVERSE_STRENGTHS[int(np.argmin(losses))]

    if targets.ndim == 1:
        regression = fit(targets, slice(None), choose(targets))
        scores, intercepts = regression.coef_, regression.intercept_
        classes = regression.classes_
        if len(scores) == 1:  # of two classes, the scores are those of the second one
            scores = np.concatenate([-scores, scores]) / 2
            intercepts = np.concatenate([-intercepts, intercepts]) / 2
    else:  # a regression for each class that some texts have, and others not
        shares = targets.mean(axis=0)
        classes = np.flatnonzero((shares > 0) & (shares < 1))
        # How strongly to regularize is chosen once, on the class that splits the texts best.
        strength = choose(targets[:, np.argmin(np.abs(shares - 0.5))])
        fitted = [fit(targets[:, index], slice(None), strength) for index in classes]
        scores = np.reshape([each.coef_[0] for each in fitted], (-1, len(columns)))
        intercepts = np.reshape([each.intercept_[0] for each in fitted], -1)
    table = np.zeros((buckets, num_classes), np.float32)
    table[np.ix_(columns, classes)] = scores.T * rarity[:, None]
    bias = np.zeros(num_classes, np.float32)
    bias[classes] = intercepts
    return table, bias


def _find_ngrams(ids: Sequence[np.ndarray], length: int, buckets: int) -> sparse.csr_matrix:
    """Find the n-grams of each text by their rows in a table, as `NgramScores` hashes them.

    Returns:
        float32 1 for the n-grams of a text, else 0, `(texts, buckets)`.
    """
    lengths = np.array([len(row) for row in ids])
    flat = np.concatenate([*ids, np.zeros(length, np.int32)]).astype(np.int64)
    texts = np.repeat(np.arange(len(ids)), lengths)
    starts = np.arange(len(texts))
    ends = np.cumsum(lengths)[texts]
    hashed, rows, columns = np.zeros(len(texts), np.int64), [], []
    for number in range(length):
        inside = starts + number < ends
        token = flat[starts + number]
        hashed = hashed * HASH_FACTOR % buckets + token
        rows.append(texts[inside])
        columns.append((hashed % buckets)[inside])
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    ones = np.ones(len(rows), np.float32)
    found = sparse.csr_matrix((ones, (rows, columns)), (len(ids), buckets))
    found.sum_duplicates()
    found.data[:] = 1
    return found
