"""Texts to token ids, in memory or prepared on disk."""

import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from lstm_zoo.data.arrays import Arrays
from lstm_zoo.data.prepared import fingerprint, prepare
from lstm_zoo.text import tokenizers

PREPARED_TEXTS = 50_000  # fewer are tokenized anew for each training, in memory
SHARD = 65_536  # texts written together


def encode(
    tokenizer: tf.Module, texts: Sequence[str], max_length: int, cache: Path | None = None
) -> Arrays:
    """Tokenize many texts, outside a graph.

    Args:
        tokenizer: a tokenizer of `lstm_zoo.text.tokenizers`.
        texts: the texts.
        max_length: the maximum number of ids of a text; the rest is cut.
        cache: the folder of prepared examples, where the ids of `PREPARED_TEXTS` or more are kept;
            None for memory alone.

    Returns:
        The int32 ids `(time,)` of each text, memory-mapped if they are on disk.

    Example:

    >>> tokenizer = tokenizers.WordTokenizer(["good", "film"])
    >>> [ids.tolist() for ids in encode(tokenizer, ["A good film", ""], max_length=2)]
    [[1, 4], []]
    """

    def tokenize(batch: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
        ids = tokenizer.tokenize(batch)[:, :max_length]
        return ids.flat_values.numpy(), ids.row_splits.numpy()

    def compute(indices: range) -> list[np.ndarray]:
        values, splits = tokenize(tf.constant(tokenizers.as_bytes(texts[i] for i in indices)))
        return np.split(values, splits[1:-1])

    if cache is None or len(texts) < PREPARED_TEXTS:
        return Arrays([tokenize(batch) for batch in tokenizers.batches(texts)])
    key = f"{tokenizer.fingerprint} {max_length} {fingerprint(texts)}"
    return prepare(
        cache / f"ids-{hashlib.sha256(key.encode()).hexdigest()[:16]}",
        compute,
        len(texts),
        "tokenization",
        dtype="int32",
        block=tokenizers.BATCH,
        shard_size=SHARD,
    )[0]


def unknown_share(ids: Sequence[np.ndarray]) -> float:
    """Return the share of unknown tokens, from 0 to 1.

    Args:
        ids: the ids `(time,)` of each text.

    Example:

    >>> unknown_share([np.array([4, 1]), np.array([]), np.array([5, 6])])
    0.25
    """
    total = unknown = 0
    rows = iter(ids)
    while batch := [*itertools.islice(rows, tokenizers.BATCH)]:
        values = np.concatenate(batch)
        total += len(values)
        unknown += int(np.count_nonzero(values == tokenizers.UNKNOWN))
    return unknown / max(1, total)
