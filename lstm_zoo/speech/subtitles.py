"""Transcripts with times: their words, and the formats SubRip, WebVTT and CTM."""

import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

LINE, LINES = 42, 2  # characters of a line of a subtitle, and lines: what is read with ease
CUE_SECONDS = 7.0  # that a subtitle is shown at most
PAUSE = 1.0  # seconds without a word that end a subtitle
TAIL = 0.3  # seconds of a word after the start of its last token at most
BREAK = " ▁"  # that a word begins with: the space of an alphabet, and that of pieces


class Word(NamedTuple):
    """A word of a transcript.

    text: the word.
    start: when its first token starts, in seconds.
    end: when it ends: where the next token starts, `TAIL` after its last token at the latest.
    confidence: the mean of its tokens' probabilities, from 0 to 1, each in the frame in which the
        most probable alignment of the transcript starts it.
    """

    text: str
    start: float
    end: float
    confidence: float


def words(
    text: str,
    tokens: Sequence[tuple[str, float]],
    probabilities: Sequence[float],
    unit: str = "words",
) -> list[Word]:
    """Join a transcript's tokens to words.

    Args:
        text: the transcript.
        tokens: its tokens, each with its start in seconds.
        probabilities: the probability of each token in the frame of its start.
        unit: "words"; or "characters", where no spaces separate words: each token is one.

    Returns:
        The words, in order.

    Example:

    >>> words("go on", [*zip("go on", (0.1, 0.2, 0.3, 0.9, 1.0))], [0.5, 0.7, 1, 0.9, 0.9])
    [Word(text='go', start=0.1, end=0.3, confidence=0.6), Word(text='on', start=0.9, end=1.3, ...)]
    """
    # Pieces may be bytes, which only the text has decoded, and are then in no word of their own.
    spelled = "".join(token.strip(BREAK) for token, _ in tokens) == "".join(text.split())
    apart = unit == "characters" and spelled
    groups: list[list[int]] = []
    for index, (token, _) in enumerate(tokens):
        if not groups or apart or token[:1] in BREAK:
            groups.append([])
        if token.strip(BREAK):
            groups[-1].append(index)
    groups = [group for group in groups if group]
    names = ["".join(tokens[index][0] for index in group).strip(BREAK) for group in groups]
    if len(text.split()) == len(names):
        names = text.split()
    found = []
    for name, group in zip(names, groups, strict=True):
        end = tokens[group[-1]][1] + TAIL
        if group[-1] + 1 < len(tokens):
            end = min(end, tokens[group[-1] + 1][1])
        confidence = math.fsum(probabilities[index] for index in group) / len(group)
        found.append(Word(name, tokens[group[0]][1], round(end, 3), round(confidence, 4)))
    return found


def srt(spoken: Sequence[Word], text: str = "") -> str:
    """Format words as a SubRip file.

    Args:
        spoken: the words.
        text: the transcript, which shows where no space is between two words.

    Example:

    >>> print(srt([Word("zero", 0.5, 1.25, 0.9)]), end="")
    1
    00:00:00,500 --> 00:00:01,250
    zero
    """
    blocks = [
        # Within a text, an arrow would look like a line of times.
        f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{shown.replace('-->', '->')}\n"
        for number, (start, end, shown) in enumerate(_cues(spoken, text), 1)
    ]
    return "\n".join(blocks)


def vtt(spoken: Sequence[Word], text: str = "") -> str:
    """Format words as a WebVTT file; the characters of markup are escaped.

    Args:
        spoken, text: as for `srt`.

    Example:

    >>> print(vtt([Word("<zero>", 0.5, 1.25, 0.9)]), end="")
    WEBVTT
    <BLANKLINE>
    00:00:00.500 --> 00:00:01.250
    &lt;zero&gt;
    """
    blocks = ["WEBVTT\n"]
    for start, end, shown in _cues(spoken, text):
        shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        blocks.append(f"{_clock(start, '.')} --> {_clock(end, '.')}\n{shown}\n")
    return "\n".join(blocks)


def ctm(path: str, spoken: Sequence[Word]) -> str:
    """Format words as lines of a NIST CTM file.

    A line is the clip's name without its suffix, the channel (always 1), the start, the duration,
    the word and its confidence. White space in the name becomes `_`.

    Example:

    >>> print(ctm("clips/call 1.wav", [Word("zero", 0.5, 1.25, 0.9)]), end="")
    call_1 1 0.500 0.750 zero 0.9000
    """
    name = clip_name(path)
    return "".join(
        f"{name} 1 {word.start:.3f} {word.end - word.start:.3f} {word.text} {word.confidence:.4f}\n"
        for word in spoken
    )


def clip_name(path: str) -> str:
    """Return a clip's name in a CTM file.

    Example:

    >>> clip_name("clips/call 1.wav"), clip_name("")
    ('call_1', 'clip')
    """
    return re.sub(r"\s", "_", Path(path).stem) or "clip"


def _cues(spoken: Sequence[Word], text: str) -> Iterator[tuple[float, float, str]]:
    """Yield subtitles: start, end, and the text in at most `LINES` lines."""
    cue: list[Word] = []
    for word in _with_spaces(spoken, text):
        if cue and (
            len(_wrapped([*cue, word])) > LINES
            or word.end - cue[0].start > CUE_SECONDS
            or word.start - cue[-1].end > PAUSE
        ):
            yield cue[0].start, cue[-1].end, "\n".join(_wrapped(cue))
            cue = []
        cue.append(word)
    if cue:
        yield cue[0].start, cue[-1].end, "\n".join(_wrapped(cue))


def _with_spaces(spoken: Sequence[Word], text: str) -> Iterator[Word]:
    """Yield words that begin with a space, but for those that have none before in the text."""
    end = 0
    for word in spoken:
        start = text.find(word.text, end)
        joined = start == end
        end = start + len(word.text) if start >= 0 else end
        yield word if joined else word._replace(text=f" {word.text}")


def _wrapped(cue: Sequence[Word]) -> list[str]:
    text = "".join(word.text for word in cue).strip()
    return textwrap.wrap(text, LINE, break_on_hyphens=False)


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(1_000 * seconds)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1_000:02}{point}{milliseconds % 1_000:03}"
