"""Readers of labelled texts: a folder of classes, .tsv, .csv, .jsonl, and fastText's lines."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_zoo import families
from lstm_zoo.data import columns, headers, rows, splits, tables
from lstm_zoo.data.arrays import take
from lstm_zoo.data.rows import Source
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.files import user_path

COLUMNS = {"text_column": ("text",), "label_column": ("label",)}
GROUPS = ("group",)
FIELDS = ("texts", "labels", "places", "groups")  # of a corpus
EXPECTED = (
    "a folder with one folder of .txt files per class, a .tsv or .csv whose header has text and "
    "label, a .jsonl with those keys, or fastText's lines (__label__NAME text)"
)
FASTTEXT = "__label__"
NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?")
UNLABELLED_FOLDERS = {"unsup"}  # of aclImdb


@dataclass(frozen=True)
class Corpus(families.Corpus):
    """Labelled texts, and the rows that were skipped.

    Attributes:
        texts: the texts, none of them empty; like the other columns a list, or
            `lstm_zoo.data.arrays.Texts`, which are on disk.
        labels: the class name of each text.
        places: where each row comes from, such as `train.tsv:7`.
        skipped: a (place, reason) for each skipped row.
        skipped_rows: the number of each skipped row in the data, from 0.
        groups: the group of each text, "" for none; empty if no text has one.
    """

    texts: Sequence[str]
    labels: Sequence[str]
    places: Sequence[str]
    groups: Sequence[str] = ()
    skipped: Sequence[tuple[str, str]] = ()
    skipped_rows: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def classes(self) -> list[str]:
        """The class names: numbers by value, others by name."""
        names = sorted(set(self.labels))
        return sorted(names, key=float) if all(map(NUMBER.fullmatch, names)) else names

    @property
    def columns(self) -> tuple[Sequence[str], ...]:
        """The texts and the labels, and the groups if there are some, as `read` accepts them."""
        return (self.texts, self.labels, *([self.groups] if self.groups else []))

    @property
    def identity(self) -> tuple[Sequence[str], Sequence[str]]:
        """The columns of the fingerprint."""
        return self.texts, self.labels

    @property
    def label_counts(self) -> Mapping[str, int]:
        """The number of texts of each class."""
        return Counter(self.labels)

    def take(self, indices: Sequence[int] | np.ndarray) -> "Corpus":
        """Return the rows at these indices, without the skipped ones."""
        columns = (self.texts, self.labels, self.places, self.groups)
        return Corpus(*(take(column, indices) for column in columns))

    def split(self, fraction: float, seed: int) -> tuple["Corpus", "Corpus"]:
        """Split off a share of the texts, stratified by class; see `lstm_zoo.data.splits.split`."""
        contents = splits.content_hashes(self.texts)
        rest, held_out = splits.split(contents, self.labels, fraction, seed, self.groups)
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

        def index(label: str) -> int:
            return index_of_class.get(label, -1)

        indices = np.fromiter(map(index, self.labels), np.int64)
        if (indices < 0).any():
            row = int(np.argmin(indices))
            raise DataError(
                f"{self.places[row]}: the label {self.labels[row]!r} is not one of the training "
                f"classes: {', '.join(classes)}."
            )
        return indices


def read(
    data: Any,
    strict: bool = False,
    given: Mapping[str, Any] | None = None,
    fallback: Mapping[str, Any] | None = None,
    cache: Path | None = None,
) -> Corpus:
    """Read a corpus from a folder, a table, lines in fastText's format or columns in memory.

    Args:
        data: a path, or sequences (texts, labels) or (texts, labels, groups) of one length, such as
            columns of a pandas DataFrame. In a folder, each folder is a class (`unsup` is ignored).
            A label is a str or a number; a whole number is the same class as an integer and as a
            float. A missing text or label (None, NaN, pandas' NA) is skipped.
        strict: whether a row without a text or a label is an error; it is skipped otherwise.
        given: the settings `text_column` and `label_column`, which name a table's columns, see
            `lstm_zoo.data.headers.wanted`; and `group_column`, without which no groups are read.
        fallback: names to prefer to the usual ones where none is given.
        cache: the folder of prepared examples, for large files; see `lstm_zoo.data.rows`. None for
            lists.

    Returns:
        The corpus, in the order of the file; a folder is read in the order of its file names.

    Raises:
        CallError: if the path does not exist or its suffix is unknown, or a column is given for
            data without columns.
        DataError: if the data is malformed or has no usable row; the message names the file and
            the line.

    Example:

    >>> read((["good", "bad"], ["pos", "neg"])).classes
    ['neg', 'pos']
    """
    wanted = headers.wanted(COLUMNS, given, fallback)
    wanted, optional = headers.with_group(wanted, GROUPS, given)
    if isinstance(data, (str, os.PathLike)):
        path = user_path(data)
        name = str(path)
        found = _rows_of_path(path, wanted, optional)
        source = cache and Source(path, ("sentiment", wanted, optional), cache)
    else:
        name, source = "the given data", None
        headers.refuse(wanted, "data in memory")
        found = _rows_of_columns(data, grouped=bool(optional))
    columns, *skipped = rows.gather(
        map(_check, found), FIELDS, "both", strict=strict, texts=("texts",), source=source
    )
    if not len(columns[0]):
        reason = f" ({len(skipped[0])} rows were skipped)" if skipped[0] else ""
        raise DataError(f"{name}: no labelled text{reason}. Expected {EXPECTED}.")
    *columns, groups = columns
    return Corpus(*columns, groups if any(groups) else [], *skipped)


class _Row(NamedTuple):
    place: str
    text: str
    label: str
    group: str = ""


def _check(row: _Row) -> tuple[str, tuple[str, ...]]:
    """Return why a row can't be used, "" if it can, and its fields as in a corpus."""
    label = row.label.strip()
    reason = "no text" if not row.text.strip() else "no label" if not label else ""
    return reason, (row.text, label, row.place, row.group)


def _rows_of_columns(data: Any, grouped: bool) -> Iterator[_Row]:
    given = columns.read_columns(data, ("texts", "labels"), ("groups",))
    for index, (text, label, *group) in enumerate(zip(*given, strict=True)):
        yield _Row(
            f"row {index}",
            columns.text_of(text, f"text {index}"),
            columns.label_of(label, f"label {index}"),
            columns.label_of(*group, f"group {index}") if group and grouped else "",
        )


def _rows_of_path(
    path: Path, wanted: Sequence[headers.Column], optional: Sequence[headers.Column]
) -> Iterator[_Row]:
    if path.is_dir():
        headers.refuse(wanted, f"{path}, a folder,")
        return _rows_of_folder(path)
    if not path.exists():
        raise CallError(f"{path}: no such file or folder. Expected {EXPECTED}.")
    positioned = all(column.position is not None for column in wanted)
    if path.suffix.lower() in tables.SUFFIXES or positioned:
        return _rows_of_table(path, wanted, optional)
    with path.open("rb") as file:
        if FASTTEXT.encode() not in file.read(len(FASTTEXT) + 3):  # after a byte order mark
            raise CallError(
                f"{path}: not a known kind of corpus. Expected {EXPECTED}; or tab-separated lines, "
                "with the columns' positions given."
            )
    headers.refuse(wanted, f"{path}, in fastText's format,")
    return _rows_of_fasttext(path)


def _rows_of_folder(path: Path) -> Iterator[_Row]:
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
            yield _Row(str(file), tables.decode(file), folder.name)


def _rows_of_table(
    path: Path, wanted: Sequence[headers.Column], optional: Sequence[headers.Column]
) -> Iterator[_Row]:
    for place, row in tables.read_rows(path, wanted, optional):
        text, label, *group = ("" if value is None else value for value in row)
        if not isinstance(text, str) or type(label) not in (str, int):
            raise DataError(f"{place}: expected text to be a string, label a string or integer.")
        yield _Row(
            place, text, str(label), *(columns.label_of(g, f"{place}: group") for g in group)
        )


def _rows_of_fasttext(path: Path) -> Iterator[_Row]:
    for number, line in tables.lines(path):
        words = line.split()
        labels = [word for word in words if word.startswith(FASTTEXT)]
        if len(labels) != 1 or words[0] != labels[0]:
            raise DataError(
                f"{path}:{number}: {len(labels)} labels ({' '.join(labels[:3]) or 'none'}); "
                f"expected one, at the start of the line: {FASTTEXT}NAME text."
            )
        text = line.strip()[len(labels[0]) :].strip()
        yield _Row(f"{path}:{number}", text, labels[0][len(FASTTEXT) :])
