"""Tokenizers without TensorFlow: the twins of `lstm_zoo.text.tokenizers`, with the same ids.

Normalization, case folding and the splitting of words use the tables of an export
(`lstm_zoo.text.unicode_tables`), rather than Python's: Unicode's versions differ.
"""

from __future__ import annotations

import functools
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_zoo.errors import DataError
from lstm_zoo.files import reading
from lstm_zoo.text.vocabulary import (
    MAX_CHARACTERS,
    PIECES,
    SPECIAL_TOKENS,
    UNKNOWN,
    WORDS,
    read_words,
)

TABLES = "unicode.npz"  # the file of an export
MAX_TABLE = 2**24  # bytes of an array in it
LETTER, MARK_OR_NUMBER, SEPARATOR = 1, 2, 3  # classes of characters; others have 0
CLASS = 3  # the bits of a class in a character's flags
CHANGES, FOLDS = 4, 8  # flags: normalization may change it, folding does
HANGUL = range(0xAC00, 0xD7A4)  # syllables, which an algorithm composes
JAMO = (range(0x1161, 0x1176), range(0x11A8, 0x11C3))  # what composes with what is before it
APOSTROPHES = (ord("'"), ord("’"))
SHORT = 8  # characters of a run whose normalized form is kept
CACHED = 4_096  # such runs
_SPACES = re.compile("(?i:<br[\t\n\f\r ]*/?>)|[\x00-\x1f\x7f\x85\u2028\u2029]")

# The words of a normalized text of ASCII.
_ASCII_WORDS = re.compile(r"\w+(?:'[A-Za-z]\w*)*|[^ ]", re.ASCII)


class Tables(NamedTuple):
    """What graph ops know of Unicode, as `unicode.npz` holds it.

    Attributes:
        decomposed: the characters that NFKD changes, but for Hangul: code points.
        decomposition_lengths: the number of characters that each becomes.
        decompositions: all of these, one after the other.
        marks: the characters with a canonical combining class that is not 0.
        mark_classes: these classes.
        pairs: `(pairs, 3)`, two characters that NFC composes, and what they become.
        folded, fold_lengths, folds: the same as the first three, for case folding (NFKC_Casefold)
            of what NFKC does not change.
        class_starts: the first character of each range of characters of the same class.
        classes: `LETTER`, `MARK_OR_NUMBER` (and the underscore), `SEPARATOR` or 0.
    """

    decomposed: np.ndarray
    decomposition_lengths: np.ndarray
    decompositions: np.ndarray
    marks: np.ndarray
    mark_classes: np.ndarray
    pairs: np.ndarray
    folded: np.ndarray
    fold_lengths: np.ndarray
    folds: np.ndarray
    class_starts: np.ndarray
    classes: np.ndarray


def read_tables(directory: Path) -> Tables:
    """Read an export's `unicode.npz`.

    Raises:
        DataError: if it is missing or damaged.
    """
    path = directory / TABLES
    with reading(path):
        with zipfile.ZipFile(path) as archive:  # a small file may unpack to a huge one
            if max(info.file_size for info in archive.filelist) > MAX_TABLE:
                raise DataError(f"{path}: an array is larger than expected.")
        with np.load(path, allow_pickle=False) as arrays:
            tables = Tables(**{name: arrays[name] for name in Tables._fields})
        for array in tables:
            if array.dtype.kind != "u":
                raise DataError(f"{path}: expected unsigned integers.")
    return tables


class Normalizer:
    """Brings texts to valid NFKC, as `lstm_zoo.text.tokenizers.normalize` does.

    Args:
        tables: an export's tables.
        fold_case: whether to fold case too.
    """

    def __init__(self, tables: Tables, fold_case: bool):
        self.tables = tables
        self.fold_case = fold_case
        self._short_run = functools.lru_cache(CACHED)(self._normalize_run)

    @classmethod
    def load(cls, directory: Path, fold_case: bool) -> Normalizer:
        """Load the tables of an export."""
        return cls(read_tables(directory), fold_case)

    def __call__(self, text: str | bytes) -> str:
        """Normalize a text, of any bytes.

        Returns:
            A text of at most `MAX_CHARACTERS` characters, before those that normalization adds.
        """
        if isinstance(text, str):
            text = text[:MAX_CHARACTERS].encode("utf-8", "surrogatepass")
        text = text[: 4 * MAX_CHARACTERS].decode("utf-8", "replace")[:MAX_CHARACTERS]
        text = _SPACES.sub(" ", text)
        if text.isascii():
            return text.lower() if self.fold_case else text
        text = self._nfkc(text)
        if self.fold_case and (self._flags[code_points(text)] & FOLDS).any():
            text = self._nfkc(text.translate({ord(c): self._folds.get(c, c) for c in set(text)}))
        return text

    def character_classes(self, text: str) -> np.ndarray:
        """Return the class of each character, uint8 `(characters,)`."""
        return self._flags[code_points(text)] & CLASS

    @functools.cached_property
    def _flags(self) -> np.ndarray:
        """The flags of every code point, uint8."""
        tables = self.tables
        flags = np.zeros(0x110000, np.uint8)
        for start, stop, number in zip(
            tables.class_starts, tables.class_starts[1:], tables.classes, strict=False
        ):
            flags[start:stop] = number
        changes = {*tables.marks.tolist(), *tables.pairs[:, 1].tolist(), *JAMO[0], *JAMO[1]}
        composed = {*tables.pairs[:, 2].tolist()}  # they come apart, and together again
        changes.update(code for code in tables.decomposed.tolist() if code not in composed)
        flags[[*changes]] |= CHANGES
        flags[tables.folded] |= FOLDS
        return flags

    @functools.cached_property
    def _folds(self) -> dict[str, str]:
        return _mapping(self.tables.folded, self.tables.fold_lengths, self.tables.folds)

    @functools.cached_property
    def _decompositions(self) -> dict[str, str]:
        tables = self.tables
        return _mapping(tables.decomposed, tables.decomposition_lengths, tables.decompositions)

    @functools.cached_property
    def _marks(self) -> dict[str, int]:
        classes = self.tables.mark_classes.tolist()
        return dict(zip(map(chr, self.tables.marks.tolist()), classes, strict=True))

    @functools.cached_property
    def _pairs(self) -> dict[tuple[str, str], str]:
        rows = self.tables.pairs.tolist()
        return {(chr(first), chr(second)): chr(whole) for first, second, whole in rows}

    def _nfkc(self, text: str) -> str:
        """Normalize the characters that are not, each with the one before it, which may change."""
        changes = np.flatnonzero(self._flags[code_points(text)] & CHANGES)
        if not len(changes):
            return text
        parts, end = [], 0
        for run in np.split(changes, np.flatnonzero(np.diff(changes) > 1) + 1):
            start, stop = max(int(run[0]) - 1, end), int(run[-1]) + 1
            normalize = self._short_run if stop - start <= SHORT else self._normalize_run
            parts += [text[end:start], normalize(text[start:stop])]
            end = stop
        return "".join([*parts, text[end:]])

    def _normalize_run(self, text: str) -> str:
        """Decompose a text, sort its marks and compose it: Unicode's definition of NFKC."""
        apart: list[str] = []
        for character in text:
            if ord(character) in HANGUL:
                apart += _hangul_apart(character)
            else:
                apart += self._decompositions.get(character, character)
        marks, start = self._marks, 0
        while start < len(apart):
            stop = start + 1
            if apart[start] in marks:
                while stop < len(apart) and apart[stop] in marks:
                    stop += 1
                apart[start:stop] = sorted(apart[start:stop], key=marks.__getitem__)
            start = stop
        composed: list[str] = []
        starter, last = None, 0  # the place of the last starter, and the class of the mark before
        for character in apart:
            number = marks.get(character, 0)
            # What stands between a mark and the starter blocks it, if it is not of a lower class.
            if starter is not None and (last < number or starter == len(composed) - 1):
                whole = self._compose(composed[starter], character)
                if whole is not None:
                    composed[starter] = whole
                    continue
            if number == 0:
                starter = len(composed)
            last = number
            composed.append(character)
        return "".join(composed)

    def _compose(self, first: str, second: str) -> str | None:
        """Return the character that two others compose to, None if they do not."""
        index, number = ord(second), ord(first)
        if index in JAMO[0] and 0x1100 <= number < 0x1113:
            return chr(HANGUL.start + ((number - 0x1100) * 21 + index - 0x1161) * 28)
        if index in JAMO[1] and number in HANGUL and (number - HANGUL.start) % 28 == 0:
            return chr(number + index - 0x11A7)
        return self._pairs.get((first, second))


class WordTokenizer:
    """Words and single punctuation marks; the twin of `lstm_zoo.text.tokenizers.WordTokenizer`.

    Args:
        words: the vocabulary; the first word has the id 4.
        normalizer: what normalizes texts.
    """

    def __init__(self, words: Sequence[str], normalizer: Normalizer):
        self.vocabulary = [*SPECIAL_TOKENS, *words]
        self.normalizer = normalizer
        self._id_of_word = {word: number for number, word in enumerate(self.vocabulary)}

    @classmethod
    def load(cls, directory: Path, normalizer: Normalizer) -> WordTokenizer:
        """Load the tokenizer of an export."""
        return cls(read_words(directory / WORDS), normalizer)

    def tokenize(self, text: str | bytes) -> list[int]:
        """Return the ids of a text."""
        ids = self._id_of_word
        return [ids.get(word, UNKNOWN) for word in self.split(self.normalizer(text))]

    def split(self, text: str) -> list[str]:
        """Split a normalized text, as `lstm_zoo.text.tokenizers.split_words` does."""
        if text.isascii():
            return _ASCII_WORDS.findall(text)
        codes, classes = code_points(text), self.normalizer.character_classes(text)
        in_word = (classes == LETTER) | (classes == MARK_OR_NUMBER)
        # An apostrophe after a word's character and before a letter is a part of the word.
        joins = np.zeros(len(codes), bool)
        apostrophes = (codes[1:-1] == APOSTROPHES[0]) | (codes[1:-1] == APOSTROPHES[1])
        joins[1:-1] = apostrophes & in_word[:-2] & (classes[2:] == LETTER)
        if joins.any():
            codes = np.where(joins, APOSTROPHES[0], codes).astype(np.uint32)
            text = codes.tobytes().decode("utf-32-le")
            in_word |= joins
        alone = ~in_word & (classes != SEPARATOR)
        edges = np.diff(in_word, prepend=False, append=False)  # of words, first and last in turn
        starts = np.flatnonzero((edges[:-1] & in_word) | alone).tolist()
        stops = np.flatnonzero((edges[1:] & in_word) | alone).tolist()
        return [text[start : stop + 1] for start, stop in zip(starts, stops, strict=True)]


class PieceTokenizer:
    """SentencePiece's pieces; the twin of `lstm_zoo.text.tokenizers.PieceTokenizer`.

    Args:
        model: the bytes of a SentencePiece model.
        normalizer: what normalizes texts; None for a tokenizer of labels, which are only joined.
    """

    def __init__(self, model: bytes, normalizer: Normalizer | None = None):
        import sentencepiece

        self.normalizer = normalizer
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)

    @classmethod
    def load(cls, directory: Path, normalizer: Normalizer | None = None) -> PieceTokenizer:
        """Load the tokenizer of an export."""
        path = directory / PIECES
        with reading(path):
            return cls(path.read_bytes(), normalizer)

    @functools.cached_property
    def vocabulary(self) -> list[str]:
        """All pieces, by id."""
        return self._processor.id_to_piece([*range(len(self._processor))])

    def tokenize(self, text: str | bytes) -> list[int]:
        """Return the ids of a text."""
        return self._processor.encode(self.normalizer(text))

    def detokenize(self, ids: Sequence[int]) -> str:
        """Return the text of some ids."""
        return self._processor.decode([*map(int, ids)])


TOKENIZERS = {"words": WordTokenizer, "pieces": PieceTokenizer}


def code_points(text: str) -> np.ndarray:
    """Return the code points of a text without lone surrogates, uint32 `(characters,)`.

    Example:

    >>> code_points("aé").tolist()
    [97, 233]
    """
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)


def _mapping(codes: np.ndarray, lengths: np.ndarray, joined: np.ndarray) -> dict[str, str]:
    """Return the texts of characters by character."""
    text = joined.astype("<u4").tobytes().decode("utf-32-le")
    ends = np.cumsum(lengths, dtype=int).tolist()
    starts: list[Any] = [0, *ends[:-1]]
    return {
        chr(code): text[start:end]
        for code, start, end in zip(codes.tolist(), starts, ends, strict=True)
    }


def _hangul_apart(syllable: str) -> list[str]:
    index = ord(syllable) - HANGUL.start
    jamo = [chr(0x1100 + index // 588), chr(0x1161 + index % 588 // 28)]
    return jamo + ([chr(0x11A7 + index % 28)] if index % 28 else [])
