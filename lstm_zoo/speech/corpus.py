"""Read transcribed speech: LibriSpeech and LJSpeech folders, and .tsv, .csv, .jsonl manifests."""

import hashlib
import itertools
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_zoo import families
from lstm_zoo.data import columns, headers, splits, tables
from lstm_zoo.data.rows import gather
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.files import file_digest, user_path
from lstm_zoo.printing import progress_bar, shorten
from lstm_zoo.speech.audio import as_clip

COLUMNS = {"path_column": ("path",), "text_column": ("text", "sentence")}
SPEAKERS = ("speaker", "client_id")
GROUPS = ("group", *SPEAKERS)
FIELDS = ("clips", "texts", "speakers", "places")  # of a corpus
CLIPS_FOLDER = "clips"  # paths in Common Voice's manifests are relative to it
SUFFIXES = (".flac", ".wav", ".ogg", ".opus", ".mp3")  # tried for clips that are named without one
EXPECTED = (
    "a LibriSpeech folder (*.trans.txt next to the audio), an LJSpeech folder (metadata.csv and "
    "wavs), or a .tsv, .csv or .jsonl with path and text (or sentence)"
)


@dataclass(frozen=True)
class Corpus(families.Corpus):
    """Clips and their transcripts.

    Attributes:
        clips: for each clip its path, bytes or a pair (samples, sample_rate), as
            `lstm_zoo.speech.audio.as_clip` returns it.
        texts: the transcripts, not normalized, none of them empty.
        speakers: the speaker of each clip, or what the column of groups has; "" if unknown.
        places: the source of each row, such as `train.tsv:7`.
        skipped: a (place, reason) for each skipped row.
        skipped_rows: the number of each skipped row in the data, from 0.
        grouped: whether a split keeps each speaker on one side, rather than on both alike.
    """

    clips: list[Any]
    texts: list[str]
    speakers: list[str]
    places: list[str]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    skipped_rows: list[int] = field(default_factory=list)
    grouped: bool = False

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def columns(self) -> tuple[list[Any], list[str], list[str]]:
        """The clips, transcripts and speakers, as accepted by `read`."""
        return self.clips, self.texts, self.speakers

    @property
    def identity(self) -> tuple[list[str], list[str]]:
        """A fingerprint of each clip, and its transcript.

        The fingerprint of a file is its name and size: it does not change when a corpus is moved,
        and no audio is read.
        """
        return [*map(_fingerprint, self.clips)], self.texts

    @property
    def file_digests(self) -> list[str]:
        """The SHA-256 of each clip that is a file; "" for one in memory, or that can't be read."""
        with ThreadPoolExecutor() as pool:
            digests = pool.map(_digest, self.clips)
            return [*progress_bar(digests, "checksums", len(self))]

    @property
    def groups(self) -> list[str]:
        """The speakers, if a split keeps each on one side; empty otherwise."""
        return self.speakers if self.grouped and any(self.speakers) else []

    def take(self, indices: Sequence[int] | np.ndarray) -> "Corpus":
        """Return the rows with these indices, without `skipped`."""
        columns = (self.clips, self.texts, self.speakers, self.places)
        taken = ([column[i] for i in indices] for column in columns)
        return Corpus(*taken, grouped=self.grouped)

    def split(self, fraction: float, seed: int) -> tuple["Corpus", "Corpus"]:
        """Split by transcript, and by speaker or stratified by speaker.

        See `lstm_zoo.data.splits.split`. Where it is stratified, speakers with too few clips, and
        unknown ones, are one stratum together.
        """
        counts = Counter() if self.groups else Counter(self.speakers)
        strata = [name if counts[name] * fraction >= 1 else "" for name in self.speakers]
        contents = splits.content_hashes(self._contents())
        rest, held_out = splits.split(contents, strata, fraction, seed, self.groups)
        return self.take(rest), self.take(held_out)

    def overlap(self, held_out: "Corpus") -> int:
        """Count the held-out clips whose transcript is also in this corpus."""
        return splits.overlap(self._contents(), held_out._contents())

    def _contents(self) -> list[str]:
        """Return the transcripts in lower case, without punctuation, to find equal ones."""
        return [
            normalize_transcript(text, lower_case=True, punctuation="drop") for text in self.texts
        ]


class _Row(NamedTuple):
    place: str
    clip: Any  # the path of an existing file, a pair, or None
    name: str  # the clip's name in the corpus
    text: str
    speaker: str


def read(
    data: Any,
    strict: bool = False,
    given: Mapping[str, Any] | None = None,
    fallback: Mapping[str, Any] | None = None,
) -> Corpus:
    """Read a corpus, detecting its format.

    Args:
        data: a path, or equally long sequences (clips, texts) or (clips, texts, speakers), each
            clip as for `lstm_zoo.speech.audio.as_clip`. Paths in a manifest are relative to its
            folder or, as in Common Voice, to the folder `clips` there.
        strict: whether an unusable row (no text, or no such clip) is an error; otherwise it is
            skipped.
        given: the settings `path_column` and `text_column`, which choose a table's columns, see
            `lstm_zoo.data.headers.wanted`; and `group_column`, without which splits have speakers
            on both sides.
        fallback: names to prefer to the usual ones where none is given.

    Returns:
        The corpus, in the order of the file; LibriSpeech's is sorted by file name.

    Raises:
        CallError: if the path does not exist or its format is unknown, a clip is not as for
            `as_clip`, or a column is given for data without columns.
        DataError: if the data is malformed or has no usable row; the message names file and line.

    Example:

    >>> clip = np.zeros(8_000, np.float32), 16_000
    >>> read(([clip, clip], ["one", ""])).skipped
    [('row 1', 'no text')]
    """
    wanted = headers.wanted(COLUMNS, given, fallback)
    wanted, optional = headers.with_group(wanted, GROUPS, given)
    grouped = (given or {}).get("group_column") is not None
    if not grouped:
        optional = [headers.Column(SPEAKERS)]
    if isinstance(data, (str, os.PathLike)):
        path = user_path(data)
        name = str(path)
        rows = _rows_of_path(path, wanted, optional)
    else:
        name = "the given data"
        headers.refuse(wanted, "data in memory")
        rows = _rows_of_columns(data)
    columns, *skipped = gather(map(_check, rows), FIELDS, "a clip and its text", strict=strict)
    if not len(columns[0]):
        reason = ""
        if skipped[0]:
            place, first = skipped[0][0]
            reason = f" ({len(skipped[0])} rows were skipped, the first, {place}: {first})"
        raise DataError(f"{name}: no transcribed clip{reason}. Expected {EXPECTED}.")
    return Corpus(*columns, *skipped, grouped=grouped)


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

    >>> check("none.tsv", {}, {})
    Traceback (most recent call last):
    lstm_zoo.errors.CallError: none.tsv: no ...
    """
    path = user_path(data)
    wanted = headers.wanted(COLUMNS, given, settings)
    found = _rows_of_path(path, wanted, [headers.Column(SPEAKERS)])
    if tables.is_quick(path):
        next(found, None)


def _check(row: _Row) -> tuple[str, tuple[Any, ...]]:
    """Return why a row can't be used, "" if it can, and its fields as in a corpus."""
    reason = ""
    if not row.text.strip():
        reason = "no text"
    elif row.clip is None:
        reason = f"no such clip: {row.name}" if row.name else "no path"
    return reason, (row.clip, row.text, row.speaker, row.place)


def unknown_share(texts: Sequence[str], vocabulary: Iterable[str]) -> float:
    """Return the share of normalized transcripts' characters that are not in an alphabet.

    Args:
        texts: the transcripts.
        vocabulary: the characters of the alphabet; other tokens have no effect.

    Example:

    >>> unknown_share(["abba", "cd"], ["<blank>", "a", "b", "c", "d"][:-1])
    0.16666666666666663
    """
    counts = Counter(itertools.chain.from_iterable(texts))
    known = sum(counts[character] for character in vocabulary)
    return 1 - known / max(1, counts.total())


def normalize_transcript(text: str, *, lower_case: bool, punctuation: str) -> str:
    """Normalize a transcript for training and scoring.

    Applies Unicode NFKC. Control characters become spaces; format characters (except the zero-width
    joiner and non-joiner) and lone surrogates are removed. White space is collapsed and stripped.

    Args:
        text: the transcript.
        lower_case: whether to convert it to lower case.
        punctuation: "keep", or "drop" to replace punctuation by spaces, except apostrophes between
            letters, which become "'". Unicode symbols, such as "$" and "+", are not punctuation.

    Returns:
        The normalized transcript; "" if nothing is left of it.

    Example:

    >>> normalize_transcript("“Don’t—stop!”", lower_case=True, punctuation="drop")
    "don't stop"
    """
    text = unicodedata.normalize("NFKC", text)
    if lower_case:
        # lower() decomposes some letters.
        text = unicodedata.normalize("NFKC", text.lower())
    if punctuation == "drop":
        text = re.sub(r"(?<=[^\W\d_])’(?=[^\W\d_])", "'", text)
        text = "".join(
            " " if unicodedata.category(c).startswith("P") and c != "'" else c for c in text
        )
        text = re.sub(r"(?<![^\W\d_])'|'(?![^\W\d_])", " ", text)
    kept = []
    for character in text:
        category = unicodedata.category(character)
        if category == "Cc":
            kept.append(" ")
        elif category not in ("Cf", "Cs") or character in "\u200c\u200d":
            kept.append(character)
    return " ".join("".join(kept).split())


def _rows_of_columns(data: Any) -> Iterator[_Row]:
    given = columns.read_columns(data, ("clips", "texts"), ("speakers",))
    for index, (clip, text, *speaker) in enumerate(zip(*given, strict=True)):
        clip = None if columns.is_missing(clip) else as_clip(clip)
        name = clip if isinstance(clip, str) else ""
        if isinstance(clip, str) and not os.path.isfile(clip):
            clip = None
        yield _Row(
            f"row {index}",
            clip,
            name,
            columns.text_of(text, f"text {index}"),
            columns.label_of(*speaker, f"speaker {index}") if speaker else "",
        )


def _rows_of_path(
    path: Path, wanted: Sequence[headers.Column], optional: Sequence[headers.Column]
) -> Iterator[_Row]:
    if path.is_dir():
        if (path / "metadata.csv").is_file() and (path / "wavs").is_dir():
            return _rows_of_ljspeech(path, wanted)
        transcripts = sorted(path.rglob("*.trans.txt"))
        if not transcripts:
            manifests = [p for p in sorted(path.iterdir()) if p.suffix.lower() in tables.SUFFIXES]
            hint = f" Did you mean {manifests[0]}?" if manifests else ""
            raise DataError(f"{path}: no transcripts in this folder.{hint} Expected {EXPECTED}.")
        headers.refuse(wanted, f"{path}, in LibriSpeech's format,")
        return _rows_of_librispeech(transcripts)
    if not path.exists():
        raise CallError(f"{path}: no such file or folder. Expected {EXPECTED}.")
    if path.suffix.lower() not in tables.SUFFIXES:
        raise CallError(f"{path}: not a known kind of corpus. Expected {EXPECTED}.")
    return _rows_of_manifest(path, wanted, optional)


def _rows_of_librispeech(transcripts: list[Path]) -> Iterator[_Row]:
    for path in transcripts:
        for number, line in tables.lines(path):
            name, _, text = line.partition(" ")
            # <speaker>-<chapter>-<number>
            speaker = name.split("-")[0] if name.count("-") == 2 else ""
            yield _Row(f"{path}:{number}", _find(path.parent, name), name, text, speaker)


def _rows_of_ljspeech(folder: Path, wanted: Sequence[headers.Column]) -> Iterator[_Row]:
    path = folder / "metadata.csv"
    for column in wanted:
        if column.given is not None and column.position is None:
            raise CallError(
                f"{path} has no header in LJSpeech's format, so that {column.setting} is a "
                f"position, from 1. Received: {column.given!r}. For a table with a header, give "
                "the file rather than the folder."
            )
    name, text, *group = (column.position for column in wanted)
    rows = [(number, line.split("|")) for number, line in tables.lines(path)]
    for number, fields in rows:
        if text is None and len(fields) not in (2, 3):
            raise DataError(
                f"{path}:{number}: {len(fields)} fields; expected 2 or 3, separated by |: the "
                "clip's name, its text, its normalized text. Choose others by "
                f"{headers.fix(wanted)}, each a position, from 1."
            )
        if max(name or 0, text or 0, *group) >= len(fields):
            raise DataError(
                f"{path}:{number}: {len(fields)} fields, separated by |; expected at least "
                f"{max(name or 0, text or 0, *group) + 1}."
            )
    clips = [_find(folder / "wavs", fields[name or 0]) for _, fields in rows]
    if text is None:
        # Without a row that has no clip, such as a header.
        usable = [fields for clip, (_, fields) in zip(clips, rows, strict=True) if clip]
        _check_last_column(path, usable, wanted[1])
    for clip, (number, fields) in zip(clips, rows, strict=True):
        transcript = (fields[-1] or fields[1]) if text is None else fields[text]
        speaker = fields[group[0]] if group else ""
        yield _Row(f"{path}:{number}", clip, fields[name or 0], transcript, speaker)


def _check_last_column(path: Path, rows: list[list[str]], column: headers.Column) -> None:
    """Check that LJSpeech's last column, which is guessed to be the transcript, may be one.

    Raises:
        DataError: if it is something else, such as durations or speakers.
    """
    last = max(map(len, rows), default=2)
    raw, texts = ([fields[index] for fields in rows if len(fields) == last] for index in (1, -1))
    found = headers.unlikely_text(texts)
    if not found and len({*texts}) <= len({*raw}) / 2:
        # The normalized text of a corpus differs from row to row as its text does.
        shown = shorten(texts[0])
        found = f"{len({*texts})} values, such as {shown!r}, for {len({*raw})} texts"
    if found:
        hint = " or ".join(headers.fix([column], [str(number)]) for number in range(2, last + 1))
        raise DataError(
            f"{path}: column {last} has {found}; expected transcripts. Choose the column of the "
            f"transcripts by its position: {hint}."
        )


def _rows_of_manifest(
    path: Path, wanted: Sequence[headers.Column], optional: Sequence[headers.Column]
) -> Iterator[_Row]:
    for place, row in tables.read_rows(path, wanted, optional):
        name, text, speaker = ("" if value is None else value for value in row)
        if not isinstance(name, str) or not isinstance(text, str):
            raise DataError(f"{place}: expected path and text to be strings.")
        yield _Row(
            place,
            find_clip(path.parent, name),
            name,
            text,
            columns.label_of(speaker, f"{place}: group"),
        )


def find_clip(folder: Path, name: str) -> str | None:
    """Find a clip that a manifest names.

    Args:
        folder: the manifest's folder.
        name: the clip's path, relative to the folder or, as in Common Voice, to `clips` in it.

    Returns:
        The path of an existing file; None if there is none.

    Example:

    >>> find_clip(Path("."), "call.wav")
    'call.wav'
    """
    candidates = (folder / user_path(name or "."), folder / CLIPS_FOLDER / name)
    return next((str(clip) for clip in candidates if os.path.isfile(clip)), None)


def _find(folder: Path, name: str) -> str | None:
    """Find a clip by its name, with or without a suffix."""
    names = (f"{name}{suffix}" for suffix in ("", *SUFFIXES))
    return next((str(folder / name) for name in names if os.path.isfile(folder / name)), None)


def _digest(clip: Any) -> str:
    try:
        return file_digest(clip) if isinstance(clip, str) else ""
    except OSError:
        return ""


def _fingerprint(clip: Any) -> str:
    if isinstance(clip, str):
        return f"{os.path.basename(clip)}:{os.path.getsize(clip)}"
    if isinstance(clip, bytes):
        return hashlib.sha256(clip).hexdigest()
    samples, rate = clip
    return f"{hashlib.sha256(np.ascontiguousarray(samples).tobytes()).hexdigest()}:{rate}"
