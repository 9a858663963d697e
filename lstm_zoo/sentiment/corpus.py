"""Readers of labelled texts: a folder of classes, .tsv, .csv, .jsonl, and fastText's lines."""

import itertools
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
SEPARATOR = "|"  # of several labels of a text
HEAD = 1 << 16  # bytes of a file in which a label tells that its format is fastText's
NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?")
UNLABELLED_FOLDERS = {"unsup"}  # of aclImdb


@dataclass(frozen=True)
class Corpus(families.Corpus):
    """Labelled texts, and the rows that were skipped.

    Attributes:
        texts: the texts, none of them empty; like the other columns a list, or
            `lstm_zoo.data.arrays.Texts`, which are on disk.
        labels: the class name of each text; with `multi_label` those of its classes, sorted, with
            `SEPARATOR` between, "" for none.
        places: where each row comes from, such as `train.tsv:7`.
        skipped: a (place, reason) for each skipped row.
        skipped_rows: the number of each skipped row in the data, from 0.
        groups: the group of each text, "" for none; empty if no text has one.
        multi_label: whether a text may have several labels, or none.
    """

    texts: Sequence[str]
    labels: Sequence[str]
    places: Sequence[str]
    groups: Sequence[str] = ()
    skipped: Sequence[tuple[str, str]] = ()
    skipped_rows: Sequence[int] = ()
    multi_label: bool = False

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def classes(self) -> list[str]:
        """The class names: numbers by value, others by name."""
        names = sorted(self.label_counts)
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
        if not self.multi_label:
            return Counter(self.labels)
        return Counter(name for label in self.labels for name in split_label(label))

    def take(self, indices: Sequence[int] | np.ndarray) -> "Corpus":
        """Return the rows at these indices, without the skipped ones."""
        columns = (self.texts, self.labels, self.places, self.groups)
        return Corpus(*(take(column, indices) for column in columns), multi_label=self.multi_label)

    def split(self, fraction: float, seed: int) -> tuple["Corpus", "Corpus"]:
        """Split off a share of the texts, stratified by class; see `lstm_zoo.data.splits.split`.

        Of several labels, each keeps its share.
        """
        labels = [*map(split_label, self.labels)] if self.multi_label else self.labels
        rest, held_out = splits.split(
            splits.content_hashes(self.texts), labels, fraction, seed, self.groups, self.multi_label
        )
        return self.take(rest), self.take(held_out)

    def overlap(self, held_out: "Corpus") -> int:
        """Count the held-out texts that also occur in this corpus."""
        return splits.overlap(self.texts, held_out.texts)

    def targets(self, classes: Sequence[str]) -> np.ndarray:
        """Return the index of each label in `classes`, int64 `(texts,)`.

        With `multi_label`, 1 for the classes of each text, float32 `(texts, classes)`.

        Raises:
            DataError: if a label is not one of them; the message names its place.
        """
        index_of_class = {name: index for index, name in enumerate(classes)}

        def index(row: int, name: str) -> int:
            if name not in index_of_class:
                raise DataError(
                    f"{self.places[row]}: the label {name!r} is not one of the training "
                    f"classes: {', '.join(classes)}."
                )
            return index_of_class[name]

        if not self.multi_label:
            return np.fromiter(itertools.starmap(index, enumerate(self.labels)), np.int64)
        targets = np.zeros((len(self), len(classes)), np.float32)
        for row, label in enumerate(self.labels):
            targets[row, [index(row, name) for name in split_label(label)]] = 1
        return targets


def split_label(label: str) -> list[str]:
    """Return the labels of a text's field, sorted, each once.

    Example:

    >>> split_label("new | art|new"), split_label(" ")
    (['art', 'new'], [])
    """
    return sorted({name.strip() for name in label.split(SEPARATOR)} - {""})


def read(
    data: Any,
    strict: bool = False,
    given: Mapping[str, Any] | None = None,
    fallback: Mapping[str, Any] | None = None,
    cache: Path | None = None,
    multi_label: bool = False,
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
        multi_label: whether a label is that of several classes, with `SEPARATOR` between; in memory
            and in .jsonl also a list. An empty one (also null, None or NaN) is that of a text with
            none.

    Returns:
        The corpus, in the order of the file; a folder is read in the order of its file names.

    Raises:
        CallError: if the path does not exist or its suffix is unknown, a column is given for data
            without columns, or `multi_label` for a folder.
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
        found = _rows_of_path(path, wanted, optional, multi_label)
        kind = ("multi_label",) if multi_label else ()
        source = cache and Source(path, ("sentiment", wanted, optional, *kind), cache)
    else:
        name, source = "the given data", None
        headers.refuse(wanted, "data in memory")
        found = _rows_of_columns(data, grouped=bool(optional), multi_label=multi_label)
    check = _check_multi_label if multi_label else _check
    columns, *skipped = rows.gather(
        map(check, found), FIELDS, "both", strict=strict, texts=("texts",), source=source
    )
    if not len(columns[0]):
        reason = f" ({len(skipped[0])} rows were skipped)" if skipped[0] else ""
        raise DataError(f"{name}: no labelled text{reason}. Expected {EXPECTED}.")
    *columns, groups = columns
    return Corpus(*columns, groups if any(groups) else [], *skipped, multi_label)


def check(data: str | os.PathLike, settings: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Check a path: whether it is there, its format and columns, and its first row.

    Args:
        data: the path.
        settings: the settings of a run.
        given: columns that replace the run's.

    Raises:
        CallError: if the path does not exist or its format is unknown.
        DataError: if its first row is malformed, or has no such column.

    Example:

    >>> check("none.tsv", {"multi_label": False}, {})
    Traceback (most recent call last):
    lstm_zoo.errors.CallError: none.tsv: no ...
    """
    path = user_path(data)
    wanted = headers.wanted(COLUMNS, given, settings)
    found = _rows_of_path(path, wanted, [], settings["multi_label"])
    if tables.is_quick(path):
        next(found, None)


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


def _check_multi_label(row: _Row) -> tuple[str, tuple[str, ...]]:
    """Return the same, for a text that may have several labels, or none."""
    label = SEPARATOR.join(split_label(row.label))
    return "" if row.text.strip() else "no text", (row.text, label, row.place, row.group)


def _field(label: Any, name: str, multi_label: bool) -> str:
    """Return a label as a table has it; several may be a list."""
    if multi_label and isinstance(label, (list, tuple, set, frozenset, np.ndarray)):
        return _joined([columns.label_of(part, name) for part in label], name)
    return columns.label_of(label, name)


def _joined(names: Sequence[str], place: str) -> str:
    for name in names:
        if SEPARATOR in name:
            raise DataError(
                f"{place}: the label {name!r} contains {SEPARATOR!r}, which separates the labels "
                "of a text. Expected another name."
            )
    return SEPARATOR.join(names)


def _rows_of_columns(data: Any, grouped: bool, multi_label: bool) -> Iterator[_Row]:
    given = columns.read_columns(data, ("texts", "labels"), ("groups",))
    for index, (text, label, *group) in enumerate(zip(*given, strict=True)):
        yield _Row(
            f"row {index}",
            columns.text_of(text, f"text {index}"),
            _field(label, f"label {index}", multi_label),
            columns.label_of(*group, f"group {index}") if group and grouped else "",
        )


def _rows_of_path(
    path: Path,
    wanted: Sequence[headers.Column],
    optional: Sequence[headers.Column],
    multi_label: bool,
) -> Iterator[_Row]:
    if path.is_dir():
        headers.refuse(wanted, f"{path}, a folder,")
        if multi_label:
            raise CallError(
                f"{path}: a folder of classes gives each text one label; multi_label=true takes a "
                "table or fastText's lines."
            )
        return _rows_of_folder(path)
    if not path.exists():
        raise CallError(f"{path}: no such file or folder. Expected {EXPECTED}.")
    # Of several labels, the first lines may have none; else one is after a byte order mark.
    size = HEAD if multi_label else len(FASTTEXT) + 3
    with path.open("rb") as file:
        is_fasttext = FASTTEXT.encode() in file.read(size)
    is_given = any(column.given is not None for column in wanted)
    positioned = all(column.position is not None for column in wanted)
    if path.suffix.lower() in tables.SUFFIXES or positioned and (is_given or not is_fasttext):
        return _rows_of_table(path, wanted, optional, multi_label)
    if not is_fasttext:
        raise CallError(
            f"{path}: not a known kind of corpus. Expected {EXPECTED}; or tab-separated lines, "
            "with the columns' positions given."
        )
    headers.refuse(wanted, f"{path}, in fastText's format,")
    return _rows_of_fasttext(path, multi_label)


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
    path: Path,
    wanted: Sequence[headers.Column],
    optional: Sequence[headers.Column],
    multi_label: bool,
) -> Iterator[_Row]:
    for place, row in tables.read_rows(path, wanted, optional):
        text, label, *group = ("" if value is None else value for value in row)
        if isinstance(label, list):  # of .jsonl
            label = _field(label, f"{place}: label", multi_label)
        if not isinstance(text, str) or type(label) not in (str, int):
            raise DataError(f"{place}: expected text to be a string, label a string or integer.")
        yield _Row(
            place, text, str(label), *(columns.label_of(g, f"{place}: group") for g in group)
        )


def _rows_of_fasttext(path: Path, multi_label: bool) -> Iterator[_Row]:
    for number, line in tables.lines(path):
        words = line.split()
        labels = [word for word in words if word.startswith(FASTTEXT)]
        if multi_label:  # fastText takes them anywhere in the line
            text = " ".join(word for word in words if not word.startswith(FASTTEXT))
            place = f"{path}:{number}"
            yield _Row(place, text, _joined([word[len(FASTTEXT) :] for word in labels], place))
            continue
        if len(labels) != 1 or words[0] != labels[0]:
            raise DataError(
                f"{path}:{number}: {len(labels)} labels ({' '.join(labels[:3]) or 'none'}); "
                f"expected one, at the start of the line: {FASTTEXT}NAME text. For texts of "
                "several labels, set multi_label=true."
            )
        text = line.strip()[len(labels[0]) :].strip()
        yield _Row(f"{path}:{number}", text, labels[0][len(FASTTEXT) :])
