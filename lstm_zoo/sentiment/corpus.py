"""Readers of labelled texts: a folder of classes, .tsv, .csv and .jsonl."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lstm_zoo import families
from lstm_zoo.data import columns, splits, tables
from lstm_zoo.errors import CallError, DataError

COLUMNS = ("text", "label")
EXPECTED = (
    "a folder with one folder of .txt files per class, "
    "a .tsv or .csv whose header has text and label, or a .jsonl with those keys"
)
NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?")
UNLABELLED_FOLDERS = {"unsup"}  # of aclImdb


@dataclass(frozen=True)
class Corpus(families.Corpus):
    """Labelled texts, and the rows that were skipped.

    Attributes:
        texts: the texts, none of them empty.
        labels: the class name of each text.
        places: where each row comes from, such as `train.tsv:7`.
        skipped: a (place, reason) for each skipped row.
        skipped_rows: the number of each skipped row in the data, from 0.
    """

    texts: list[str]
    labels: list[str]
    places: list[str]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    skipped_rows: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def classes(self) -> list[str]:
        """The class names: numbers by value, others by name."""
        names = sorted(set(self.labels))
        return sorted(names, key=float) if all(map(NUMBER.fullmatch, names)) else names

    @property
    def columns(self) -> tuple[list[str], list[str]]:
        """The texts and the labels: a pair that `read` accepts."""
        return self.texts, self.labels

    @property
    def identity(self) -> tuple[list[str], list[str]]:
        """The columns of the fingerprint."""
        return self.columns

    def take(self, indices: Sequence[int] | np.ndarray) -> "Corpus":
        """Return the rows at these indices, without the skipped ones."""
        columns = (self.texts, self.labels, self.places)
        return Corpus(*([column[i] for i in indices] for column in columns))

    def split(self, fraction: float, seed: int) -> tuple["Corpus", "Corpus"]:
        """Split off a share of the texts, stratified by class; see `lstm_zoo.data.splits.split`."""
        rest, held_out = splits.split(self.texts, self.labels, fraction, seed)
        return self.take(rest), self.take(held_out)

    def overlap(self, held_out: "Corpus") -> int:
        """Count the held-out texts that also occur in this corpus."""
        return splits.overlap(self.texts, held_out.texts)

    def class_indices(self, classes: Sequence[str]) -> np.ndarray:
        """Return the index of each label in `classes`, int64 `(texts,)`.

        Raises:
            DataError: if a label is not one of them; the message names its place.
        """
        index_of_class = {name: index for index, name in enumerate(classes)}
        for label, place in zip(self.labels, self.places, strict=True):
            if label not in index_of_class:
                raise DataError(
                    f"{place}: the label {label!r} is not one of the training classes: "
                    f"{', '.join(classes)}."
                )
        return np.array([index_of_class[label] for label in self.labels])


def read(data: Any, strict: bool = False) -> Corpus:
    """Read a corpus from a folder, a table or a pair of sequences.

    Args:
        data: a path, or a pair (texts, labels) of sequences of one length, such as columns of a
            pandas DataFrame. In a folder, each folder is a class (`unsup` is ignored). A label is a
            str or a number; a whole number is the same class as an integer and as a float. A
            missing text or label (None, NaN, pandas' NA) is skipped.
        strict: whether a row without a text or a label is an error; it is skipped otherwise.

    Returns:
        The corpus, in the order of the file; a folder is read in the order of its file names.

    Raises:
        CallError: if the path does not exist or its suffix is unknown.
        DataError: if the data is malformed or has no usable row; the message names the file and
            the line.

    Example:

    >>> read((["good", "bad"], ["pos", "neg"])).classes
    ['neg', 'pos']
    """
    if isinstance(data, (str, os.PathLike)):
        name = os.fspath(data)
        rows = _rows_of_path(Path(data))
    else:
        name = "the given data"
        rows = _rows_of_pair(data)
    corpus = Corpus([], [], [])
    for number, (place, text, label) in enumerate(rows):
        label = label.strip()
        reason = "no text" if not text.strip() else "no label" if not label else None
        if reason and strict:
            raise DataError(f"{place}: {reason}; expected both (without strict it is skipped).")
        if reason:
            corpus.skipped.append((place, reason))
            corpus.skipped_rows.append(number)
        else:
            corpus.texts.append(text)
            corpus.labels.append(label)
            corpus.places.append(place)
    if not corpus.texts:
        skipped = f" ({len(corpus.skipped)} rows were skipped)" if corpus.skipped else ""
        raise DataError(f"{name}: no labelled text{skipped}. Expected {EXPECTED}.")
    return corpus


def _rows_of_pair(data: Any) -> Iterator[tuple[str, str, str]]:
    pairs = zip(*columns.read_columns(data, ("texts", "labels")), strict=True)
    for index, (text, label) in enumerate(pairs):
        yield (
            f"row {index}",
            columns.text_of(text, f"text {index}"),
            columns.label_of(label, f"label {index}"),
        )


def _rows_of_path(path: Path) -> Iterator[tuple[str, str, str]]:
    if path.is_dir():
        return _rows_of_folder(path)
    if not path.exists():
        raise CallError(f"{path}: no such file or folder. Expected {EXPECTED}.")
    if path.suffix.lower() not in tables.SUFFIXES:
        raise CallError(f"{path}: not a known kind of corpus. Expected {EXPECTED}.")
    return _rows_of_table(path)


def _rows_of_folder(path: Path) -> Iterator[tuple[str, str, str]]:
    folders = [folder for folder in sorted(path.iterdir()) if folder.is_dir()]
    classes = [
        folder
        for folder in folders
        if folder.name not in UNLABELLED_FOLDERS and any(folder.glob("*.txt"))
    ]
    if not classes:
        nested = [f for f in folders if any(f.glob("*/*.txt"))]
        hint = f" Did you mean {nested[0]}?" if nested else ""
        raise DataError(f"{path}: no folder of .txt files in it.{hint} Expected {EXPECTED}.")
    for folder in classes:
        for file in sorted(folder.glob("*.txt")):
            yield str(file), tables.decode(file), folder.name


def _rows_of_table(path: Path) -> Iterator[tuple[str, str, str]]:
    for place, row in tables.read_rows(path, COLUMNS):
        text, label = ("" if value is None else value for value in row)
        if not isinstance(text, str) or type(label) not in (str, int):
            raise DataError(f"{place}: expected text to be a string, label a string or integer.")
        yield place, text, str(label)
