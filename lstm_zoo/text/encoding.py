"""Texts to token ids, in memory or prepared on disk."""

import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from lstm_zoo.data.arrays import Arrays, Texts
from lstm_zoo.data.prepared import fingerprint, prepare, writing
from lstm_zoo.files import find_damage, write_checksums
from lstm_zoo.printing import log
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
        cache: the folder of prepared examples, where the ids of `PREPARED_TEXTS` or more are kept,
            and those of texts on disk; None for memory alone.

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
        batch = tokenizers.as_bytes(texts[indices.start : indices.stop])
        values, splits = tokenize(tf.constant(batch))
        return np.split(values, splits[1:-1])

    on_disk = isinstance(texts, Texts)
    if cache is None or not on_disk and len(texts) < PREPARED_TEXTS:
        return Arrays([tokenize(batch) for batch in tokenizers.batches(texts)])
    content = texts.key if on_disk else fingerprint(texts)
    key = f"{tokenizer.fingerprint} {max_length} {content}"
    return prepare(
        cache / f"ids-{hashlib.sha256(key.encode()).hexdigest()[:16]}",
        compute,
        len(texts),
        "tokenization",
        dtype="int32",
        block=tokenizers.BATCH,
        shard_size=SHARD,
    )[0]


def learn(kind: type[tf.Module], texts: Sequence[str], **options: Any) -> tf.Module:
    """Learn a tokenizer; from texts on disk, take that of an earlier training, if there is one.

    Args:
        kind: a class of `lstm_zoo.text.tokenizers`.
        texts: the training texts; in the folder of `lstm_zoo.data.arrays.Texts`, the tokenizer is
            kept.
        **options: those of the class's `learn`, `fold_case` among them.

    Returns:
        What `kind.learn` returns.

    Example:

    >>> learn(tokenizers.WordTokenizer, ["good"] * 2, vocabulary_size=9, fold_case=True).words
    ('good',)
    """
    if not isinstance(texts, Texts):
        return kind.learn(texts, **options)
    key = f"{tokenizers.FORMAT} {tf_text.__version__} {kind.__name__} {options} {texts.key}"
    folder = texts.folder / f"tokenizer-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    if find_damage(folder) != []:
        log(f"Learning a vocabulary from {len(texts):,} texts")
        tokenizer = kind.learn(texts, **options)
        with writing(folder) as staging:
            tokenizer.save(staging)
            write_checksums(staging)
    return kind.load(folder, options["fold_case"])


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
