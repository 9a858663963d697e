"""Tokenizers as TensorFlow ops, from texts to ids: words, or SentencePiece pieces (and back).

Training, Python and exports run the same ops. Every tokenizer first normalizes: bytes that are not
UTF-8 become U+FFFD, texts are cut to 100,000 characters, HTML line breaks and control characters
become spaces, and Unicode is brought to NFKC (and case-folded with `fold_case`).
Ids below 4 are the same everywhere: 0 padding, 1 unknown, 2 start, 3 end.
"""

import collections
import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from lstm_zoo import compat
from lstm_zoo.errors import DataError
from lstm_zoo.files import atomic_write, reading
from lstm_zoo.printing import progress_bar
from lstm_zoo.text import pieces
from lstm_zoo.text.vocabulary import (
    END,
    MAX_CHARACTERS,
    PADDING,
    PIECES,
    SPECIAL_TOKENS,
    START,
    UNKNOWN,
    WORDS,
    as_bytes,
    read_words,
)

FORMAT = 1  # raised when an equal vocabulary gives other ids than before
MAX_COUNTED = 2_000_000  # different words of which counts are kept
BATCH = 1_024  # texts tokenized at once outside a graph


def normalize(texts: tf.Tensor, fold_case: bool) -> tf.Tensor:
    """Normalize texts to valid NFKC UTF-8 of at most `MAX_CHARACTERS` characters.

    Args:
        texts: string tensor of any shape; any bytes.
        fold_case: whether to fold case too.

    Returns:
        A string tensor of the same shape.

    Example:

    >>> normalize(tf.constant("A \ufb01lm<br/>"), fold_case=True).numpy()
    b'a film '
    """
    # Cut by bytes first (a character has at most 4), to bound the cost of the next ops.
    texts = tf.strings.substr(texts, 0, 4 * MAX_CHARACTERS)
    texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
    texts = tf.strings.substr(texts, 0, MAX_CHARACTERS, unit="UTF8_CHAR")
    texts = tf.strings.regex_replace(
        texts, r"(?i)<br\s*/?>|[\x00-\x1f\x7f\x{85}\x{2028}\x{2029}]", " "
    )
    texts = tf_text.normalize_utf8(texts, "NFKC")
    return tf_text.case_fold_utf8(texts) if fold_case else texts


class WordTokenizer(tf.Module):
    """A tokenizer of words and single punctuation marks; other words have the id `UNKNOWN`.

    A word is a run of letters, marks, digits and underscores, with apostrophes before a letter
    (`don't`). Every other character that is not white space is a token by itself.

    Args:
        words: the vocabulary, the most frequent first; the first word has the id 4.
        fold_case: whether to fold case before the lookup.

    Example:

    >>> tokenizer = WordTokenizer(["good", "film"])
    >>> tokenizer.tokenize(tf.constant(["A good film", ""])).to_list()
    [[1, 4, 5], []]
    """

    FILE = WORDS

    def __init__(self, words: Sequence[str], fold_case: bool = True):
        super().__init__()
        self.fold_case = fold_case
        self.words = tuple(words)
        tokens = tf.constant([*SPECIAL_TOKENS, *self.words])
        ids = tf.range(len(tokens), dtype=tf.int64)
        self._id_of_word = tf.lookup.StaticHashTable(
            # No text gives a special token: "<" is split from the rest.
            tf.lookup.KeyValueTensorInitializer(tokens, ids),
            default_value=UNKNOWN,
        )

    @classmethod
    def learn(
        cls, texts: Iterable[str], vocabulary_size: int, fold_case: bool = True, min_count: int = 2
    ) -> "WordTokenizer":
        """Learn the vocabulary of a corpus: its most frequent words.

        Args:
            texts: the training texts.
            vocabulary_size: the maximum number of ids, the four special ones included.
            fold_case: whether to fold case.
            min_count: the minimum count of a word. Above 1, `UNKNOWN` occurs in training.

        Returns:
            A tokenizer with the learned vocabulary. Counts are exact up to `MAX_COUNTED` different
            words. Beyond that the rarest are dropped, and counts may be a little too small (Misra
            and Gries 1982): by at most the number of words read over `MAX_COUNTED`.

        Example:

        >>> WordTokenizer.learn(["good film", "good ending"], 100).vocabulary
        ['<pad>', '<unk>', '<s>', '</s>', 'good']
        """

        def count(batch: tf.Tensor) -> dict[bytes, int]:
            words = split_words(normalize(batch, fold_case)).flat_values
            unique, _, numbers = tf.unique_with_counts(words)
            return dict(zip(unique.numpy(), numbers.numpy().tolist(), strict=True))

        counts: collections.Counter[bytes] = collections.Counter()
        for found in in_threads(count, batches(_with_bar(texts))):
            counts.update(found)
            while len(counts) > max(MAX_COUNTED, 2 * vocabulary_size):
                counts = collections.Counter({w: n - 1 for w, n in counts.items() if n > 1})
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        kept = [word.decode() for word, count in ranked if count >= min_count]
        return cls(kept[: vocabulary_size - len(SPECIAL_TOKENS)], fold_case)

    def extended(self, words: Iterable[str], vocabulary_size: int) -> "WordTokenizer":
        """Make a tokenizer that knows more words.

        Args:
            words: those to add after its own, the most frequent first. What no text has as a
                token, such as capital letters with `fold_case`, is left out.
            vocabulary_size: the maximum number of ids, the four special ones included.

        Returns:
            The tokenizer; the ids of this one's words are the same.

        Example:

        >>> WordTokenizer(["good"]).extended(["Dull", "dull", "good", "far off"], 100).words
        ('good', 'dull')
        """
        kept = dict.fromkeys(self.words)
        size = max(len(kept), vocabulary_size - len(SPECIAL_TOKENS))
        for batch in batches(words):
            if len(kept) >= size:
                break
            tokens = split_words(normalize(batch, self.fold_case)).to_list()
            found = zip(batch.numpy(), tokens, strict=True)
            kept.update((word.decode(), None) for word, split in found if split == [word])
        return WordTokenizer([*kept][:size], self.fold_case)

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits that change with the ids of some text."""
        return _fingerprint(self, "\n".join(self.words).encode())

    @property
    def vocabulary_size(self) -> int:
        """The number of ids, the special ones included."""
        return len(SPECIAL_TOKENS) + len(self.words)

    @property
    def vocabulary(self) -> list[str]:
        """All tokens, by id."""
        return [*SPECIAL_TOKENS, *self.words]

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Tokenize texts.

        Args:
            texts: string tensor `(batch,)`.

        Returns:
            Ragged int32 ids `(batch, None)`.
        """
        words = split_words(normalize(texts, self.fold_case))
        return tf.cast(tf.ragged.map_flat_values(self._id_of_word.lookup, words), tf.int32)

    def save(self, directory: str | os.PathLike) -> None:
        """Write `vocabulary.txt`: a word a line, by id from 4."""
        with atomic_write(Path(directory) / self.FILE) as path:
            path.write_text("".join(f"{word}\n" for word in self.words), encoding="utf-8")

    @classmethod
    def load(cls, directory: str | os.PathLike, fold_case: bool = True) -> "WordTokenizer":
        """Load a tokenizer from the directory that `save` wrote to."""
        path = Path(directory) / cls.FILE
        with reading(path):
            return cls(read_words(path), fold_case)


def split_words(texts: tf.Tensor) -> tf.RaggedTensor:
    """Split normalized texts into words and single punctuation marks.

    Args:
        texts: string tensor `(batch,)`, as `normalize` returns it.

    Returns:
        Ragged string tensor `(batch, None)`.

    Example:

    >>> split_words(tf.constant(["don't stop!"])).to_list()
    [[b"don't", b'stop', b'!']]
    """
    # Keep apostrophes inside a word as U+0001, which no normalized text has, during the split.
    # Twice, since the matches of "rock'n'roll" overlap.
    marked = texts
    for _ in range(2):
        marked = tf.strings.regex_replace(marked, r"([\pL\pM\pN_])['’](\pL)", "\\1\x01\\2")
    spaced = tf.strings.regex_replace(marked, r"([^\pL\pM\pN_\x01\pZ])", r" \1 ")
    spaced = tf.strings.regex_replace(spaced, r"[^\PZ ]", " ")  # any space but the usual one
    return tf.strings.split(tf.strings.regex_replace(spaced, "\x01", "'"))


class PieceTokenizer(tf.Module):
    """A SentencePiece unigram tokenizer (Kudo 2018) with byte fallback: no text is unknown.

    Args:
        model: the bytes of a SentencePiece model with NFKC normalization.
        fold_case: whether to fold case before the segmentation.

    Example:

    >>> tokenizer = PieceTokenizer.learn(["a good film", "a bad film"] * 9, vocabulary_size=280)
    >>> ids = tokenizer.tokenize(tf.constant(["a GOOD film"]))
    >>> tokenizer.detokenize(ids).numpy().tolist()
    [b'a good film']
    """

    FILE = PIECES

    def __init__(self, model: bytes, fold_case: bool = True):
        super().__init__()
        self.fold_case = fold_case
        self.model = model
        self._sentencepiece = compat.sentencepiece_tokenizer(model)

    @classmethod
    def learn(
        cls,
        texts: Sequence[str],
        vocabulary_size: int,
        fold_case: bool = True,
        seed: int = 0,
        instead: str = "",
        sample: int | None = None,
    ) -> "PieceTokenizer":
        """Learn the pieces of a corpus.

        Args:
            texts: the training texts.
            vocabulary_size: the maximum number of ids, the special ones and 256 bytes included;
                a small corpus gives fewer.
            fold_case: whether to fold case.
            seed: the seed of the sample and of SentencePiece.
            instead: a setting that takes any corpus, for the error message.
            sample: the maximum number of texts to learn from, drawn at random; None for all.

        Returns:
            A tokenizer with the learned pieces.

        Raises:
            DataError: if the corpus is too small for SentencePiece, or the vocabulary is
                smaller than its characters and bytes.
        """
        chosen: Iterable[str] = texts
        if sample is not None and len(texts) > sample:
            drawn = np.random.default_rng(seed).choice(len(texts), sample, replace=False)
            chosen = (texts[index] for index in np.sort(drawn))

        def lines() -> Iterator[str]:
            for batch in batches(_with_bar(chosen)):
                for text in normalize(batch, fold_case).numpy():
                    yield from _short_lines(text.decode())

        try:
            model = pieces.learn(
                lines(),
                seed,
                vocab_size=vocabulary_size,
                hard_vocab_limit=False,
                character_coverage=1.0,
                byte_fallback=True,
                normalization_rule_name="nfkc",
                pad_id=PADDING,
                unk_id=UNKNOWN,
                bos_id=START,
                eos_id=END,
                num_threads=1,  # with more, the result depends on timing
                minloglevel=2,
            )
        except RuntimeError as error:
            hint = f"; {instead} takes any" if instead else ""
            raise DataError(
                f"SentencePiece could not learn {vocabulary_size:,} pieces from this corpus{hint}. "
                f"({error})"
            ) from error
        return cls(model, fold_case)

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits that change with the ids of some text."""
        return _fingerprint(self, self.model)

    @property
    def vocabulary_size(self) -> int:
        """The number of ids, the special ones and 256 bytes included."""
        return int(self._sentencepiece.vocab_size())

    @property
    def vocabulary(self) -> list[str]:
        """All pieces, by id."""
        ids = tf.range(self.vocabulary_size)
        return [piece.decode() for piece in self._sentencepiece.id_to_string(ids).numpy()]

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Tokenize texts `(batch,)` to ragged int32 ids `(batch, None)`."""
        return self._sentencepiece.tokenize(normalize(texts, self.fold_case))

    def detokenize(self, ids: tf.RaggedTensor) -> tf.Tensor:
        """Detokenize ragged ids `(batch, None)` to normalized texts `(batch,)`."""
        return self._sentencepiece.detokenize(tf.cast(ids, tf.int32))

    def save(self, directory: str | os.PathLike) -> None:
        """Write `pieces.model`, a standard SentencePiece model."""
        with atomic_write(Path(directory) / self.FILE) as path:
            path.write_bytes(self.model)

    @classmethod
    def load(cls, directory: str | os.PathLike, fold_case: bool = True) -> "PieceTokenizer":
        """Load a tokenizer from the directory that `save` wrote to."""
        path = Path(directory) / cls.FILE
        with reading(path):
            tokenizer = cls(path.read_bytes(), fold_case)
            _ = tokenizer.vocabulary_size  # fails if the file is damaged
        return tokenizer


TOKENIZERS = {"words": WordTokenizer, "pieces": PieceTokenizer}


def pad(ids: tf.RaggedTensor, max_length: int) -> tf.Tensor:
    """Pad ids on the right with 0, in the graph.

    Args:
        ids: ragged int32 ids `(batch, None)`.
        max_length: the maximum number of ids of a row; the rest is cut.

    Returns:
        A dense int32 tensor `(batch, time)` of at least one time step.

    Example:

    >>> pad(tf.ragged.constant([[4, 5, 6], [7]]), max_length=2).numpy().tolist()
    [[4, 5], [7, 0]]
    """
    dense = ids[:, :max_length].to_tensor(default_value=PADDING)
    missing = tf.cast(tf.equal(tf.shape(dense)[1], 0), tf.int32)
    return tf.pad(dense, [[0, 0], [0, missing]])


def detokenize(tokenizer: tf.Module, ids: tf.Tensor) -> tf.Tensor:
    """Detokenize several hypotheses of each row, in the graph.

    Args:
        tokenizer: the tokenizer of the ids.
        ids: int32 `(batch, n, time)`, right-padded with 0.

    Returns:
        String tensor `(batch, n)`.

    Example:

    >>> tokenizer = PieceTokenizer.learn(["a good film", "a bad film"] * 9, vocabulary_size=280)
    >>> ids = pad(tokenizer.tokenize(tf.constant(["a good film", "a film"])), max_length=9)
    >>> detokenize(tokenizer, ids[tf.newaxis]).numpy().tolist()
    [[b'a good film', b'a film']]
    """
    shape = tf.shape(ids)
    flat = tf.reshape(ids, [shape[0] * shape[1], shape[2]])
    texts = tokenizer.detokenize(tf.RaggedTensor.from_tensor(flat, padding=PADDING))
    return tf.reshape(texts, shape[:2])


def batches(texts: Iterable[str]) -> Iterator[tf.Tensor]:
    """Yield texts as string tensors `(batch,)` of at most `BATCH` texts."""
    iterator = iter(texts)
    while batch := as_bytes(itertools.islice(iterator, BATCH)):
        yield tf.constant(batch)


def in_threads(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """Yield what a function returns for each item, in order, computed by all processors.

    Unlike `ThreadPoolExecutor.map`, it takes few items ahead. TensorFlow's ops run in parallel.

    Example:

    >>> list(in_threads(len, ["good", "film", ""]))
    [4, 4, 0]
    """
    processors, items = os.cpu_count() or 1, iter(items)
    with ThreadPoolExecutor(processors) as pool:
        while ahead := [*itertools.islice(items, 4 * processors)]:
            yield from pool.map(function, ahead)


def _with_bar(texts: Iterable[str]) -> Iterable[str]:
    """Show a progress bar while texts are read, if that takes long."""
    return progress_bar(texts, "vocabulary", unit=" texts", delay=1)


def _fingerprint(tokenizer: WordTokenizer | PieceTokenizer, learned: bytes) -> str:
    name = f"{type(tokenizer).__name__} {tokenizer.fold_case} {FORMAT}\n"
    return hashlib.sha256(name.encode() + learned).hexdigest()


def _short_lines(text: str, length: int = 1_000) -> Iterator[str]:
    """Split a text at white space into lines short enough for SentencePiece's trainer."""
    line: list[str] = []
    size = 0
    for word in text.split():
        if size + len(word) > length and line:
            yield " ".join(line)
            line, size = [], 0
        line.append(word)
        size += len(word) + 1
    if line:
        yield " ".join(line)
