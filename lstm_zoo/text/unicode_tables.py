"""Tables of what the tokenizers' graph ops know of Unicode, for `numpy_tokenizers`.

TensorFlow, tensorflow-text and Python each have a version of Unicode of their own: of newer
characters, one knows what another does not. So an ONNX export holds the tables of the ops that its
run was trained with, computed by these ops themselves.
"""

import functools
import unicodedata
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from lstm_zoo.files import atomic_write
from lstm_zoo.text.numpy_tokenizers import (
    HANGUL,
    LETTER,
    MARK_OR_NUMBER,
    SEPARATOR,
    TABLES,
    Tables,
)

# The other planes are unassigned or for private use.
PLANES = (0, 1, 2, 3, 14)
SURROGATES = range(0xD800, 0xE000)


def save(directory: Path) -> None:
    """Write `unicode.npz` into a directory.

    Example:

    >>> save(Path("."))
    >>> Path("unicode.npz").stat().st_size < 100_000
    True
    """
    with atomic_write(directory / TABLES) as path:
        np.savez_compressed(path, **compute()._asdict())


@functools.cache
def compute() -> Tables:
    """Compute the tables with the ops of `lstm_zoo.text.tokenizers`.

    Example:

    >>> tables = compute()
    >>> ligature = np.flatnonzero(tables.decomposed == ord("\ufb01"))
    >>> tables.decompositions[2 * ligature[0]:].size > 0
    True
    """
    codes = [
        code
        for plane in PLANES
        for code in range(plane << 16, (plane + 1) << 16)
        if code not in SURROGATES
    ]
    characters = [chr(code) for code in codes]
    apart = _normalized(characters, "NFKD")
    changed = [
        (code, text)
        for code, character, text in zip(codes, characters, apart, strict=True)
        if text != character and code not in HANGUL
    ]
    folded = [
        (code, text)
        for code, character, together, text in zip(
            codes,
            characters,
            _normalized(characters, "NFKC"),
            _strings(tf_text.case_fold_utf8(tf.constant(characters))),
            strict=True,
        )
        if text != character and together == character  # the others never reach it
    ]
    classes = np.zeros(len(codes), np.uint8)
    for pattern, number in ((r"\pL", LETTER), (r"[\pM\pN_]", MARK_OR_NUMBER), (r"\pZ", SEPARATOR)):
        classes[tf.strings.regex_full_match(characters, pattern).numpy()] = number
    starts = np.flatnonzero(np.diff(classes, prepend=0) | (np.diff(codes, prepend=0) > 1))
    starts = np.append(starts, len(codes) - 1)  # what follows has no class
    marks = _combining_classes(characters, apart)
    return Tables(
        *_columns(changed),
        np.array([*marks], np.uint32),
        np.array([*marks.values()], np.uint8),
        _pairs([chr(code) for code, _ in changed]),
        *_columns(folded),
        np.array(codes, np.uint32)[starts],
        np.append(classes[starts[:-1]], 0).astype(np.uint8),
    )


def _strings(texts: tf.Tensor) -> list[str]:
    return [text.decode() for text in texts.numpy()]


def _normalized(texts: list[str], form: str) -> list[str]:
    return _strings(tf_text.normalize_utf8(tf.constant(texts), form))


def _columns(rows: list[tuple[int, str]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return codes, the lengths of their texts, and the code points of all texts."""
    codes, texts = zip(*rows, strict=True)
    joined = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32)
    return np.array(codes, np.uint32), np.array([*map(len, texts)], np.uint8), joined


def _combining_classes(characters: list[str], apart: list[str]) -> dict[int, int]:
    """Return the canonical combining classes that are not 0, by code point.

    No op returns them, but marks are sorted by them: one is before a mark of a higher class. Every
    class has a mark in every version of Unicode.
    """
    known = {unicodedata.combining(character): character for character in characters}
    del known[0]
    highest = known[max(known)]
    stable = [c for c, text in zip(characters, apart, strict=True) if c == text]
    pairs = [f"a{highest}{character}" for character in stable]
    marks = [
        character
        for character, pair, text in zip(stable, pairs, _normalized(pairs, "NFD"), strict=True)
        if pair != text
    ] + [highest]
    found = dict.fromkeys(map(ord, marks), 0)
    for number in sorted(known):
        pairs = [f"a{known[number]}{mark}" for mark in marks]
        for mark, pair, text in zip(marks, pairs, _normalized(pairs, "NFD"), strict=True):
            if pair == text:  # its class is at least this one
                found[ord(mark)] = number
    return found


def _pairs(changed: list[str]) -> np.ndarray:
    """Return the code points that compose in NFKC: two, and what they become, `(pairs, 3)`."""
    apart = _normalized(changed, "NFD")
    kept = [(c, text) for c, text in zip(changed, apart, strict=True) if len(text) > 1]
    firsts = _normalized([text[:-1] for _, text in kept], "NFC")
    together = _normalized([text for _, text in kept], "NFKC")
    rows = [
        (ord(first), ord(text[-1]), ord(character))
        for (character, text), first, whole in zip(kept, firsts, together, strict=True)
        if whole == character and len(first) == 1
    ]
    return np.array(rows, np.uint32)
