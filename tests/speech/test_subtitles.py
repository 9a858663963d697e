"""Transcripts with times: words, SubRip, WebVTT and CTM."""

import json
import re
import shutil

import pytest
from click.testing import CliRunner

from lstm_zoo.cli import cli
from lstm_zoo.errors import CallError
from lstm_zoo.speech import subtitles
from lstm_zoo.speech.predictor import Predictor
from lstm_zoo.speech.subtitles import Word
from tests.conftest import READY_RUNS

SPOKEN = READY_RUNS / "spoken.wav"


def tokens(text, step=0.1):
    return [(character, round(step * index, 3)) for index, character in enumerate(text)]


def test_words_of_characters_have_starts_ends_and_mean_probabilities():
    found = subtitles.words("ab c", tokens("ab c"), [0.2, 0.4, 0.9, 0.7])
    assert found == [Word("ab", 0.0, 0.2, 0.3), Word("c", 0.3, 0.6, 0.7)]
    assert subtitles.words("", [], []) == []
    assert [word.text for word in subtitles.words(" a  b", tokens(" a  b"), [1] * 5)] == ["a", "b"]


def test_words_of_pieces_take_their_text_from_the_transcript():
    pieces = [("▁caf", 0.1), ("<0xC3>", 0.2), ("<0xA9>", 0.3), ("▁", 0.5), ("go", 0.6)]
    found = subtitles.words("café go", pieces, [1.0] * 5)
    assert [(word.text, word.start, word.end) for word in found] == [
        ("café", 0.1, 0.5),
        ("go", 0.6, 0.9),
    ]


def spoken(count, step=0.5, text="word"):
    return [Word(text, index * step, index * step + 0.3, 0.5) for index in range(count)]


def cues(text):
    """Read back (start, end, lines) of SubRip or WebVTT."""
    blocks = [block.split("\n") for block in text.strip().split("\n\n")]
    found = []
    for block in blocks:
        at = next((i for i, line in enumerate(block) if " --> " in line), None)
        if at is not None:
            found.append((*block[at].split(" --> "), block[at + 1 :]))
    return found


def test_subtitles_are_bounded_in_width_lines_and_time():
    read = cues(subtitles.srt(spoken(60)))
    assert len(read) == 5  # 14 words of 0.5 s in 7 s
    assert [line for *_, lines in read for line in lines if len(line) > 42] == []
    assert all(1 <= len(lines) <= 2 for *_, lines in read)
    assert " ".join(line for *_, lines in read for line in lines).split() == ["word"] * 60
    fast = cues(subtitles.vtt(spoken(60, step=0.05)))
    assert len(fast) == 4  # two lines of eight words each
    assert all(len(line) <= 42 for *_, lines in fast for line in lines)
    long = cues(subtitles.srt([Word("x" * 100, 0.0, 1.0, 1.0)]))
    assert [len(line) for line in long[0][2]] == [42, 42, 16]


def test_languages_without_spaces_have_the_same_bounds():
    text = "今天天气很好我们去公园散步" * 12
    each = subtitles.words(text, tokens(text, 0.3), [1.0] * len(text), "characters")
    assert "".join(word.text for word in each) == text and len(each) == len(text)
    read = cues(subtitles.srt(each, text))
    assert "".join(line for *_, lines in read for line in lines) == text
    assert len(read) == 7  # 23 characters of 0.3 s in 7 s
    fast = cues(subtitles.vtt([Word(c, 0.0, 0.1, 1.0) for c in text], text))
    assert [[len(line) for line in lines] for *_, lines in fast] == [[42, 42], [42, 30]]
    # Spaces that are there are kept, by characters and by pieces; bytes stay in one word.
    mixed = subtitles.words("你好 ok", tokens("你好 ok"), [1.0] * 5, "characters")
    assert [word.text for word in mixed] == [*"你好ok"]
    assert cues(subtitles.srt(mixed, "你好 ok"))[0][2] == ["你好 ok"]
    pieces = [("▁你好", 0.1), ("吗", 0.2)]
    assert [word.text for word in subtitles.words("你好吗", pieces, [1.0] * 2, "characters")] == [
        "你好",
        "吗",
    ]
    pieces = [("▁你", 0.1), ("<0xE5>", 0.2), ("<0xA5>", 0.3), ("<0xBD>", 0.4)]
    (word,) = subtitles.words("你好", pieces, [1.0] * 4, "characters")
    assert (word.text, word.start) == ("你好", 0.1)


def test_a_pause_begins_a_subtitle_and_hours_are_counted():
    text = subtitles.srt([Word("one", 1.0, 1.2, 1), Word("two", 3_723.0075, 3_724.0, 1)])
    assert text == (
        "1\n00:00:01,000 --> 00:00:01,200\none\n\n2\n01:02:03,008 --> 01:02:04,000\ntwo\n"
    )
    assert subtitles.srt([]) == "" and subtitles.vtt([]) == "WEBVTT\n"


def test_markup_and_arrows_are_no_markup():
    words = [Word("a-->b", 0.0, 0.1, 1.0), Word("<i>&", 0.2, 0.3, 1.0)]
    assert cues(subtitles.vtt(words))[0][2] == ["a--&gt;b &lt;i&gt;&amp;"]
    assert cues(subtitles.srt(words))[0][2] == ["a->b <i>&"]


def run(*arguments):
    return CliRunner().invoke(cli, ["speech", "predict", str(READY_RUNS / "speech"), *arguments])


def test_the_command_line_prints_each_format(tmp_path):
    result = run(str(SPOKEN), "--json")
    words = json.loads(result.stdout)["predictions"][0]["words"]
    assert words and all(0 <= word[1] < word[2] and 0 <= word[3] <= 1 for word in words)
    starts = [word[1] for word in words]
    assert starts == sorted(starts)
    said = [word[0] for word in words]

    read = cues(run(str(SPOKEN), "--format", "srt").stdout)
    assert " ".join(line for *_, lines in read for line in lines).split() == said
    assert run(str(SPOKEN), "--format", "vtt").stdout.startswith("WEBVTT\n\n00:00:0")

    shutil.copy(SPOKEN, tmp_path / "two words.wav")
    result = run(str(SPOKEN), str(tmp_path / "two words.wav"), "--format", "ctm")
    lines = [line.split(" ") for line in result.stdout.splitlines()]
    assert [line[4] for line in lines] == said * 2
    assert {line[0] for line in lines} == {"spoken", "two_words"}
    assert all(re.fullmatch(r"\d+\.\d{3}", value) for line in lines for value in line[2:4])


def test_two_clips_of_one_name_are_no_ctm(tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        shutil.copy(SPOKEN, tmp_path / folder / "1.wav")
    result = run(str(tmp_path / "a/1.wav"), str(tmp_path / "b/1.wav"), "--format", "ctm")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "a/1.wav and" in result.stderr and "b/1.wav are both 1 in a CTM file" in result.stderr
    assert run(*[str(tmp_path / "a/1.wav")] * 2, "--format", "ctm").exit_code == 0


@pytest.mark.parametrize(
    "arguments, status, message",
    [
        ([SPOKEN, "--format", "pdf"], 2, "'pdf' is not one of"),
        ([SPOKEN, "--format", "srt", "--json"], 2, "--format has no effect with --json"),
        ([SPOKEN, SPOKEN, "--format", "srt"], 2, "--format srt takes one"),
        (["none.wav", "--format", "ctm"], 1, "none.wav: no such file"),
        (["none.wav", "--format", "vtt"], 1, "none.wav: no such file"),
    ],
)
def test_what_has_no_format_is_an_error(arguments, status, message):
    result = run(*map(str, arguments))
    assert (result.exit_code, message in result.output) == (status, True), result.output


@pytest.mark.parametrize("format", ["xyz", "words", ""])
def test_an_unknown_format_is_refused(format):
    with pytest.raises(CallError, match="format is one of srt, vtt, ctm. Received"):
        Predictor.format_answers([], format)
