"""Text to ids and back, in the graph: words, or SentencePiece pieces.

The same ops run while training, in Python and in an export. Every tokenizer normalises in the
same way first: bytes that are not UTF-8 become U+FFFD, what is past 100,000 characters is cut, HTML
line breaks and control characters become spaces, and Unicode goes to NFKC (and, with `fold_case`,
case is folded).
Ids below 4 are the same everywhere: 0 padding, 1 unknown, 2 start, 3 end.
"""

import collections
import io
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from lstm_zoo import compat
from lstm_zoo.errors import DataError
from lstm_zoo.files import atomic_write

PADDING, UNKNOWN, START, END = range(4)
SPECIAL_TOKENS = ("<pad>", "<unk>", "<s>", "</s>")
MAX_CHARACTERS = 100_000
CHUNK = 1_024  # texts tokenized at once outside a graph


def normalize(texts: tf.Tensor, fold_case: bool) -> tf.Tensor:
    """Return valid, NFKC-normalised UTF-8 of at most `MAX_CHARACTERS` characters.

    Args:
        texts: string tensor of any shape; any bytes.
        fold_case: whether case is folded too.

    Returns:
        A string tensor of the same shape.
    """
    # Cut by bytes first (4 bytes hold any character), so that no op sees an endless text.
    texts = tf.strings.substr(texts, 0, 4 * MAX_CHARACTERS)
    texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
    texts = tf.strings.substr(texts, 0, MAX_CHARACTERS, unit="UTF8_CHAR")
    texts = tf.strings.regex_replace(
        texts, r"(?i)<br\s*/?>|[\x00-\x1f\x7f\x{85}\x{2028}\x{2029}]", " "
    )
    texts = tf_text.normalize_utf8(texts, "NFKC")
    return tf_text.case_fold_utf8(texts) if fold_case else texts


class WordTokenizer(tf.Module):
    """Words and single punctuation marks; a word not in the vocabulary has the id `UNKNOWN`.

    A word is a run of letters, marks, digits and underscores; an apostrophe before a letter stays
    in it (`don't`). Every other character that is not white space is a token of its own.

    Args:
        words: the vocabulary, the most frequent word first; the first has the id 4.
        fold_case: whether case is folded before the words are looked up.

    Example:

    >>> tokenizer = WordTokenizer(["good", "film"])
    >>> tokenizer.tokenize(tf.constant(["A good film", ""])).to_list()
    [[1, 4, 5], []]
    """

    def __init__(self, words: Sequence[str], fold_case: bool = True):
        super().__init__()
        self.fold_case = fold_case
        self.words = tuple(words)
        tokens = tf.constant([*SPECIAL_TOKENS, *self.words])
        ids = tf.range(len(tokens), dtype=tf.int64)
        self._id_of_word = tf.lookup.StaticHashTable(
            # Special tokens can't be spelled in a text: "<" is a token of its own.
            tf.lookup.KeyValueTensorInitializer(tokens, ids),
            default_value=UNKNOWN,
        )
        self._word_of_id = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(ids, tokens),
            default_value=SPECIAL_TOKENS[UNKNOWN],
        )

    @classmethod
    def learn(
        cls, texts: Iterable[str], vocabulary_size: int, fold_case: bool = True, min_count: int = 2
    ) -> "WordTokenizer":
        """Learn the vocabulary of a corpus: its most frequent words.

        Args:
            texts: the training texts.
            vocabulary_size: the most ids there may be, the four special ones included.
            fold_case: whether case is folded.
            min_count: a rarer word is left out, so that `UNKNOWN` is seen in training.

        Returns:
            A tokenizer with the learned vocabulary.
        """
        counts: collections.Counter[bytes] = collections.Counter()
        for chunk in _chunks(texts):
            counts.update(split_words(normalize(chunk, fold_case)).flat_values.numpy())
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        kept = [word.decode() for word, count in ranked if count >= min_count]
        return cls(kept[: vocabulary_size - len(SPECIAL_TOKENS)], fold_case)

    @property
    def vocabulary_size(self) -> int:
        """The number of ids, the special ones included."""
        return len(SPECIAL_TOKENS) + len(self.words)

    @property
    def vocabulary(self) -> list[str]:
        """Every token in the order of the ids."""
        return [*SPECIAL_TOKENS, *self.words]

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Turn texts into ids.

        Args:
            texts: string tensor `(batch,)`.

        Returns:
            Ragged int32 ids `(batch, None)`.
        """
        words = split_words(normalize(texts, self.fold_case))
        return tf.cast(tf.ragged.map_flat_values(self._id_of_word.lookup, words), tf.int32)

    def detokenize(self, ids: tf.RaggedTensor) -> tf.Tensor:
        """Turn ids into words with a space between: the inverse up to spacing and unknown words.

        Args:
            ids: ragged integer tensor `(batch, None)`.

        Returns:
            String tensor `(batch,)`.
        """
        words = tf.ragged.map_flat_values(self._word_of_id.lookup, tf.cast(ids, tf.int64))
        return tf.strings.reduce_join(words, axis=-1, separator=" ")

    def save(self, directory: str | os.PathLike) -> None:
        """Write `vocabulary.txt`, a word a line in the order of the ids from 4 on."""
        with atomic_write(Path(directory) / "vocabulary.txt") as path:
            path.write_text("".join(f"{word}\n" for word in self.words), encoding="utf-8")

    @classmethod
    def load(cls, directory: str | os.PathLike, fold_case: bool = True) -> "WordTokenizer":
        """Read what `save` wrote."""
        text = (Path(directory) / "vocabulary.txt").read_text(encoding="utf-8")
        # Not splitlines(): a word may be one of the characters that it takes for line ends.
        return cls(text.split("\n")[:-1], fold_case)


def split_words(texts: tf.Tensor) -> tf.RaggedTensor:
    """Split normalised texts into words and single punctuation marks, ragged `(batch, None)`."""
    # An apostrophe inside a word is held as U+0001, which no normalised text has, while the rest
    # is split. Twice, since the matches of "rock'n'roll" share a letter.
    held = texts
    for _ in range(2):
        held = tf.strings.regex_replace(held, r"([\pL\pM\pN_])['’](\pL)", "\\1\x01\\2")
    spaced = tf.strings.regex_replace(held, r"([^\pL\pM\pN_\x01\pZ])", r" \1 ")
    spaced = tf.strings.regex_replace(spaced, r"\pZ", " ")
    return tf.strings.split(tf.strings.regex_replace(spaced, "\x01", "'"))


class PieceTokenizer(tf.Module):
    """SentencePiece unigram pieces (Kudo 2018) with byte fallback, so nothing is unknown.

    Args:
        model: the bytes of a SentencePiece model whose normalisation is NFKC.
        fold_case: whether case is folded before the text is cut into pieces.
    """

    def __init__(self, model: bytes, fold_case: bool = True):
        super().__init__()
        self.fold_case = fold_case
        self.model = model
        self._sentencepiece = compat.sentencepiece_tokenizer(model)

    @classmethod
    def learn(
        cls,
        texts: Iterable[str],
        vocabulary_size: int,
        fold_case: bool = True,
        seed: int = 0,
        instead: str = "",
    ) -> "PieceTokenizer":
        """Learn the pieces of a corpus.

        Args:
            texts: the training texts.
            vocabulary_size: the most ids there may be, the special ones and 256 bytes included;
                a small corpus gives fewer.
            fold_case: whether case is folded.
            seed: the seed of SentencePiece's sampling.
            instead: the setting, if there is one, that takes any corpus; an error names it.

        Returns:
            A tokenizer with the learned pieces.

        Raises:
            DataError: if the corpus is too small for SentencePiece, or the vocabulary is
                smaller than its characters and bytes.
        """
        import sentencepiece

        def lines() -> Iterator[str]:
            for chunk in _chunks(texts):
                for text in normalize(chunk, fold_case).numpy():
                    yield from _short_lines(text.decode())

        sentencepiece.set_random_generator_seed(seed)
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=lines(),
                model_writer=model,
                vocab_size=vocabulary_size,
                hard_vocab_limit=False,
                character_coverage=1.0,
                byte_fallback=True,
                normalization_rule_name="nfkc",
                pad_id=PADDING,
                unk_id=UNKNOWN,
                bos_id=START,
                eos_id=END,
                num_threads=1,  # more than one makes the result depend on timing
                minloglevel=2,
            )
        except (RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())
            hint = f"; {instead} takes any" if instead else ""
            raise DataError(
                f"SentencePiece could not learn {vocabulary_size:,} pieces from this corpus{hint}. "
                f"({reason})"
            ) from error
        return cls(model.getvalue(), fold_case)

    @property
    def vocabulary_size(self) -> int:
        """The number of ids, the special ones and the bytes included."""
        return int(self._sentencepiece.vocab_size())

    @property
    def vocabulary(self) -> list[str]:
        """Every piece in the order of the ids."""
        ids = tf.range(self.vocabulary_size)
        return [piece.decode() for piece in self._sentencepiece.id_to_string(ids).numpy()]

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Turn texts `(batch,)` into ragged int32 ids `(batch, None)`."""
        return self._sentencepiece.tokenize(normalize(texts, self.fold_case))

    def detokenize(self, ids: tf.RaggedTensor) -> tf.Tensor:
        """Turn ragged ids `(batch, None)` into normalised texts `(batch,)`."""
        return self._sentencepiece.detokenize(tf.cast(ids, tf.int32))

    def save(self, directory: str | os.PathLike) -> None:
        """Write `pieces.model`, a SentencePiece model that any SentencePiece reads."""
        with atomic_write(Path(directory) / "pieces.model") as path:
            path.write_bytes(self.model)

    @classmethod
    def load(cls, directory: str | os.PathLike, fold_case: bool = True) -> "PieceTokenizer":
        """Read what `save` wrote."""
        return cls((Path(directory) / "pieces.model").read_bytes(), fold_case)


TOKENIZERS = {"words": WordTokenizer, "pieces": PieceTokenizer}


def pad(ids: tf.RaggedTensor, max_length: int) -> tf.Tensor:
    """Pad ids on the right, in the graph.

    Args:
        ids: ragged int32 ids `(batch, None)`.
        max_length: tokens past it are cut.

    Returns:
        A dense int32 tensor `(batch, time)` of at least one time step, 0 where it is padded.
    """
    dense = ids[:, :max_length].to_tensor(default_value=PADDING)
    missing = tf.cast(tf.equal(tf.shape(dense)[1], 0), tf.int32)
    return tf.pad(dense, [[0, 0], [0, missing]])


def encode(tokenizer: tf.Module, texts: Sequence[str], max_length: int) -> list[np.ndarray]:
    """Tokenize many texts at once, outside a graph.

    Args:
        tokenizer: a tokenizer of this module.
        texts: the texts.
        max_length: tokens past it are cut.

    Returns:
        An int32 array of ids for each text.
    """
    arrays: list[np.ndarray] = []
    for chunk in _chunks(texts):
        ids = tokenizer.tokenize(chunk)[:, :max_length]
        arrays += np.split(ids.flat_values.numpy(), ids.row_splits.numpy()[1:-1])
    return arrays


def detokenize(tokenizer: tf.Module, ids: tf.Tensor) -> tf.Tensor:
    """Turn several sequences of ids for each row into texts, in the graph.

    Args:
        tokenizer: whose ids they are.
        ids: int32 `(batch, n, time)`, padded with 0.

    Returns:
        String tensor `(batch, n)`.
    """
    shape = tf.shape(ids)
    flat = tf.reshape(ids, [shape[0] * shape[1], shape[2]])
    texts = tokenizer.detokenize(tf.RaggedTensor.from_tensor(flat, padding=PADDING))
    return tf.reshape(texts, shape[:2])


def as_bytes(texts: Iterable[str | bytes]) -> list[bytes]:
    """Return texts as UTF-8; what a str can hold and UTF-8 can't is left for the graph to mend."""
    return [
        text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass") for text in texts
    ]


def _chunks(texts: Iterable[str]) -> Iterator[tf.Tensor]:
    iterator = iter(texts)
    while chunk := as_bytes(itertools.islice(iterator, CHUNK)):
        yield tf.constant(chunk)


def _short_lines(text: str, length: int = 1_000) -> Iterator[str]:
    """Cut a text at white space into lines that SentencePiece's trainer does not drop."""
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
