"""Corpus readers: each format, errors in bad data, and normalization of transcripts."""

import json
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.errors import CallError, DataError
from lstm_zoo.speech.corpus import normalize_transcript, read
from lstm_zoo.training import corpora

CLIP = np.zeros(80, np.float32), 8_000


def clips(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"audio")


def test_a_librispeech_folder_at_any_depth(tmp_path):
    chapter = tmp_path / "dev/84/121"
    clips(chapter, "84-121-0000.flac", "84-121-0002.wav", "x.ogg")
    (chapter / "84-121.trans.txt").write_bytes(
        "84-121-0000 GO É\r\n84-121-0001 GONE\n\n84-121-0002  TWO WORDS\nx NOBODY\n".encode()
    )
    corpus = read(tmp_path)
    assert corpus.clips == [
        str(chapter / name) for name in ("84-121-0000.flac", "84-121-0002.wav", "x.ogg")
    ]
    assert corpus.texts == ["GO É", " TWO WORDS", "NOBODY"]
    assert corpus.speakers == ["84", "84", ""]
    assert corpus.places[1] == f"{chapter}/84-121.trans.txt:4"
    assert corpus.skipped == [(f"{chapter}/84-121.trans.txt:2", "no such clip: 84-121-0001")]


def test_an_ljspeech_folder_prefers_the_normalized_text(tmp_path):
    clips(tmp_path, "wavs/a.wav", "wavs/b.wav", "wavs/c.flac")
    (tmp_path / "metadata.csv").write_text(
        'a|In 1999, "so|in nineteen ninety-nine, "so\nb|Only raw|\nc|Two fields\nd|Gone|gone\n'
    )
    corpus = read(tmp_path)
    assert corpus.texts == ['in nineteen ninety-nine, "so', "Only raw", "Two fields"]
    assert corpus.clips[2] == str(tmp_path / "wavs/c.flac")
    assert corpus.skipped == [(f"{tmp_path}/metadata.csv:4", "no such clip: d")]


def test_manifests_with_paths_relative_to_their_folder(tmp_path):
    clips(tmp_path, "a.wav", "more/b.ogg")
    path = tmp_path / "a.tsv"
    path.write_bytes(f'text\tpath\n"one\ta.wav\ntwo\t{tmp_path}/more/b.ogg\n'.encode())
    corpus = read(path)
    assert (corpus.texts, corpus.speakers) == (['"one', "two"], ["", ""])
    assert corpus.clips == [str(tmp_path / "a.wav"), str(tmp_path / "more/b.ogg")]
    path = tmp_path / "a.csv"
    path.write_text('\ufeffpath,text,speaker\nmore/b.ogg,"one, two",ann\n', encoding="utf-8")
    assert (read(path).texts, read(path).speakers) == (["one, two"], ["ann"])
    path = tmp_path / "a.jsonl"
    rows = [{"path": "a.wav", "text": "one", "speaker": 3}, {"path": None, "text": "two"}]
    path.write_text("\n".join(map(json.dumps, rows)))
    corpus = read(path)
    assert (corpus.texts, corpus.speakers) == (["one"], ["3"])
    assert corpus.skipped == [(f"{path}:2", "no path")]


def test_common_voice_has_sentences_and_a_folder_of_clips(tmp_path):
    clips(tmp_path, "clips/common_voice_1.mp3")
    path = tmp_path / "validated.tsv"
    path.write_text(
        "client_id\tpath\tsentence\tup_votes\nabc\tcommon_voice_1.mp3\tHé said: “go”.\t2\n"
    )
    corpus = read(path)
    assert corpus.clips == [str(tmp_path / "clips/common_voice_1.mp3")]
    assert (corpus.texts, corpus.speakers) == (["Hé said: “go”."], ["abc"])


def test_the_real_corpora(shared_data):
    digits = read(shared_data / "digits/LibriSpeech/dev")
    assert len(digits) == 200 and not digits.skipped and "" not in digits.speakers
    mboshi = read(shared_data / "mboshi/train.tsv")
    assert len(mboshi) == 4_616 and len(set(mboshi.speakers)) == 3
    assert len(read(shared_data / "ljspeech_sample")) == 40
    with pytest.raises(DataError, match=r"Did you mean .*train.tsv\?"):
        read(shared_data / "mboshi")


def test_rows_without_text_or_clip_are_skipped_with_their_place(tmp_path):
    clips(tmp_path, "a.wav")
    path = tmp_path / "a.tsv"
    path.write_text("path\ttext\na.wav\t \nb.wav\tone\n\ttwo\na.wav\tthree\n")
    corpus = read(path)
    assert corpus.texts == ["three"]
    assert corpus.skipped == [
        (f"{path}:2", "no text"),
        (f"{path}:3", "no such clip: b.wav"),
        (f"{path}:4", "no path"),
    ]
    with pytest.raises(DataError, match=r"a.tsv:2: no text"):
        read(path, strict=True)
    path.write_text("path\ttext\nb\0.wav\tone\n")
    with pytest.raises(DataError, match=r"1 rows were skipped, the first, .*a.tsv:2: no such clip"):
        read(path)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.csv", b"path,words\na.wav,x\n", r"a.csv:1: no column named text \(or sentence\) in"),
        ("a.tsv", b"", r"named path or text \(or sentence\) .*Expected path and text .*nothing"),
        ("a.tsv", b"path\ttext\na.wav\n", r"a.tsv:2: 1 fields; expected 2"),
        ("a.tsv", b"path\ttext\na.wav\tb\xe4d\n", r"a.tsv:2: byte 0xe4 is not UTF-8"),
        ("a.csv", b'path,text\n"a.wav,b\n', r"a.csv:2: not valid CSV"),
        ("a.jsonl", b'{"path": "a.wav"}\n', r"a.jsonl:1: expected an object with the keys path"),
        ("a.jsonl", b'{"path": "a.wav"\n', r"a.jsonl:1: not valid JSON"),
        ("a.jsonl", b'{"path": 1, "text": "x"}\n', r"a.jsonl:1: expected path and text to be str"),
        ("a.jsonl", b"", r"a.jsonl: no transcribed clip"),
    ],
)
def test_bad_manifests_name_the_file_and_the_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path / name)


def test_bad_folders_and_paths(tmp_path):
    (tmp_path / "wavs").mkdir()
    with pytest.raises(DataError, match="no transcripts in this folder. Expected a LibriSpeech"):
        read(tmp_path)
    (tmp_path / "metadata.csv").write_text("a|one|two\nb\n")
    with pytest.raises(
        DataError, match=r"metadata.csv:2: 1 fields; expected 2 or 3, separated by \|"
    ):
        read(tmp_path)
    with pytest.raises(CallError, match="none: no such file or folder"):
        read(tmp_path / "none")
    clips(tmp_path, "a.wav")
    with pytest.raises(CallError, match="a.wav: not a known kind of corpus"):
        read(tmp_path / "a.wav")


def test_columns_in_memory(tmp_path):
    clips(tmp_path, "a.wav")
    samples = np.arange(9, dtype=np.int16), 8_000
    data = ([samples, str(tmp_path / "a.wav"), tmp_path / "b.wav"], ["one", "two", "three"])
    corpus = read(data)
    (array, rate), path = corpus.clips
    assert np.shares_memory(array, samples[0]) and (rate, path) == (8_000, str(tmp_path / "a.wav"))
    assert corpus.skipped == [("row 2", f"no such clip: {tmp_path}/b.wav")]
    assert read((*data, ["x", None, "z"])).speakers == ["x", ""]
    with pytest.raises(DataError, match="1 clips but 2 texts"):
        read(([samples], ["a", "b"]))
    with pytest.raises(DataError, match="text 0: expected a str. Received: int"):
        read(([samples], [1]))
    for wrong in (3, ["a.tsv", "b.tsv"], [[samples]], ([samples], 3)):
        with pytest.raises(CallError, match="a path or columns"):
            read(wrong)


def test_a_clip_is_a_path_or_a_pair_and_a_pair_may_be_of_lists():
    for wrong in (3, np.zeros(9), np.zeros((2, 9)), ("ab", 8_000), (np.zeros(9), 8_000, 1)):
        with pytest.raises(CallError, match="Audio is a path, the bytes"):
            read(([wrong], ["one"]))
    one, two = (read(([(made([0.5, 0.25]), 8_000)], ["one"])) for made in (list, np.array))
    assert one.identity == two.identity


def test_take_keeps_rows_and_identity_depends_on_content(tmp_path):
    clips(tmp_path, "a/1.wav", "b/1.wav")
    sound = np.zeros(9, np.int16)
    one = read(([str(tmp_path / "a/1.wav"), (sound, 8_000), (sound + 1, 8_000)], ["x", "y", "z"]))
    two = read(([str(tmp_path / "b/1.wav"), (sound, 8_000), (sound, 8_000)], ["x", "y", "z"]))
    assert one.take([0, 1]).identity == two.take(np.array([0, 1])).identity
    assert one.identity != two.identity
    assert (one.take([2]).places, one.take([2]).texts, len(one.take([]))) == (["row 2"], ["z"], 0)
    (tmp_path / "b/1.wav").write_bytes(b"other audio")
    assert one.take([0]).identity != two.take([0]).identity


def test_a_split_shares_no_transcript_and_keeps_every_speaker(digits):
    rest, held_out = digits.split(0.2, 0)
    assert not {*rest.texts} & {*held_out.texts}
    assert {*held_out.speakers} == {*digits.speakers}
    assert abs(len(held_out) / len(digits) - 0.2) < 0.03


def test_a_split_has_no_speaker_on_both_sides_where_groups_are_asked_for(tmp_path):
    speakers = [str(i // 5) for i in range(100)]
    columns = [CLIP] * 100, [f"text {i}" for i in range(100)], speakers
    corpus = read(columns, given={"group_column": "auto"})
    rest, held_out = corpus.split(0.1, seed=1)
    assert len(held_out) == 10 and not {*rest.groups} & {*held_out.groups}
    assert read(corpus.columns).groups == []

    clips(tmp_path, "a.wav", "train/84/84-1-0.flac", "LJ/wavs/LJ1.wav")
    (tmp_path / "train/84/84-1.trans.txt").write_text("84-1-0 ONE\n")
    (tmp_path / "LJ/metadata.csv").write_text("LJ1|One.|one\n")
    for header, name in (("speaker", "auto"), ("client_id", "auto"), ("village", "village")):
        (tmp_path / "a.csv").write_text(f"path,text,{header}\na.wav,one,ann\n")
        assert read(tmp_path / "a.csv", given={"group_column": name}).groups == ["ann"]
    (tmp_path / "a.csv").write_text("path,text,speaker,group\na.wav,one,ann,west\n")
    assert read(tmp_path / "a.csv", given={"group_column": "auto"}).groups == ["west"]
    assert read(tmp_path / "a.csv").speakers == ["ann"]
    assert read(tmp_path / "train", given={"group_column": "auto"}).groups == ["84"]
    assert read(tmp_path / "LJ", given={"group_column": "auto"}).groups == []
    assert read(tmp_path / "LJ", given={"group_column": 1}).groups == ["LJ1"]
    with pytest.raises(CallError, match="group_column has no effect"):
        read(tmp_path / "train", given={"group_column": "chapter"})


@pytest.mark.parametrize("clips_a_speaker", [1, 3, 12])
def test_speakers_with_few_clips_are_one_stratum(clips_a_speaker):
    count = 600
    texts = [str(index) for index in range(count)]
    speakers = [str(index // clips_a_speaker) for index in range(count)]
    speakers[:200] = ["frequent"] * 200
    whole = read(([CLIP] * count, texts, speakers))
    _, held_out = whole.split(0.1, 0)
    assert len(held_out) == pytest.approx(60, abs=10)
    assert held_out.speakers.count("frequent") == 20


def test_transcripts_that_are_equal_after_normalization_are_not_split():
    words = [f"it's number {index}" for index in range(100)]
    others = [f"\u201cIt\u2019s  NUMBER {index}\u2026\u201d" for index in range(100)]
    whole = read(([CLIP] * 200, words + others, ["x"] * 100 + ["y"] * 100))
    rest, held_out = whole.split(0.2, 0)
    assert len(held_out) == 40 and rest.overlap(held_out) == 0
    numbers = [
        {int(place.split()[1]) % 100 for place in corpus.places} for corpus in (rest, held_out)
    ]
    assert not numbers[0] & numbers[1]
    assert whole.take(range(50)).overlap(whole.take(range(100, 200))) == 50


@pytest.mark.parametrize(
    "text, kept, dropped",
    [
        ("Hello,  World!", "hello, world!", "hello world"),
        ("rock’n’roll 'til “dawn”", "rock’n’roll 'til “dawn”", "rock'n'roll til dawn"),
        ("a well-known 5+ of $3.50", "a well-known 5+ of $3.50", "a well known 5+ of $3 50"),
        ("E\u0301te\u0301 \ufb01n\u00a0", "été fin", "été fin"),
        ("İ ǅ", "i̇ ǆ", "i̇ ǆ"),
        ("a\tb\x00c\u00add\ufeff\ud800", "a b cd", "a b cd"),
        ("नमस्ते क्‍ष", "नमस्ते क्‍ष", "नमस्ते क्‍ष"),
        ("... !?", "... !?", ""),
    ],
)
def test_transcripts_are_normalized(text, kept, dropped):
    kept = unicodedata.normalize("NFKC", kept)
    assert normalize_transcript(text, lower_case=True, punctuation="keep") == kept
    assert normalize_transcript(text, lower_case=True, punctuation="drop") == unicodedata.normalize(
        "NFKC", dropped
    )


def test_case_is_kept_without_lower_case():
    assert normalize_transcript("TWO One", lower_case=False, punctuation="drop") == "TWO One"


@settings(max_examples=60)
@given(st.text(), st.booleans(), st.sampled_from(["keep", "drop"]))
def test_normalization_is_idempotent(text, lower_case, punctuation):
    options = {"lower_case": lower_case, "punctuation": punctuation}
    once = normalize_transcript(text, **options)
    assert normalize_transcript(once, **options) == once
    assert once == " ".join(once.split()) and "\n" not in once
    once.encode()


def ljspeech(folder, *columns):
    rows = [*zip((f"c{number}" for number in range(len(columns[0]))), *columns, strict=True)]
    clips(folder, *(f"wavs/{name}.wav" for name, *_ in rows))
    (folder / "metadata.csv").write_text("".join("|".join(row) + "\n" for row in rows))
    return folder


TEXTS = ["one two", "three", "four", "five six", "seven", "eight"]


@pytest.mark.parametrize(
    "last, found",
    [
        (["0.82", "0.46", "1", "2.5", "1.75", ""], "numbers"),
        (["ann", "bob", "ann", "ann", "bob", "bob"], "2 values, such as 'ann', for 6 texts"),
        (["ann"] * 6, "'ann' in every row"),
        (["https://a.org/1", "https://a.org/2"] * 3, "URLs"),
    ],
)
def test_ljspeechs_last_column_must_look_like_transcripts(tmp_path, last, found):
    folder = ljspeech(tmp_path, TEXTS, last)
    with pytest.raises(DataError, match=rf"metadata.csv: column 3 has {found}; .*--text-column 2 "):
        read(folder)
    rows = (folder / "metadata.csv").read_text()
    (folder / "metadata.csv").write_text(f"id|text|last\n{rows}")
    with pytest.raises(DataError, match=rf"metadata.csv: column 3 has {found}"):
        read(folder)
    for options in ({"given": {"text_column": 2}}, {"fallback": {"text_column": "2"}}):
        assert read(folder, **options).texts == TEXTS
    assert read(folder, given={"text_column": "3"}).texts == [text for text in last if text]


def test_ljspeechs_columns_are_positions(tmp_path):
    digits = ["1 2", "3", "4", "5 6", "7", "8"]
    assert read(ljspeech(tmp_path, digits, TEXTS)).texts == TEXTS
    with pytest.raises(DataError, match="column 2 has numbers.*: --text-column 2."):
        read(ljspeech(tmp_path, digits))
    folder = ljspeech(tmp_path, [f"c{n}.wav" for n in range(6)], TEXTS, digits)
    with pytest.raises(DataError, match="metadata.csv:1: 4 fields; .*--path-column NAME --text-co"):
        read(folder)
    corpus = read(folder, given={"path_column": 2, "text_column": 3})
    assert (corpus.texts, corpus.clips[5]) == (TEXTS, f"{folder}/wavs/c5.wav")
    with pytest.raises(DataError, match="metadata.csv:1: 4 fields, .*expected at least 5"):
        read(folder, given={"text_column": 5})
    with pytest.raises(CallError, match="no header in LJSpeech's .* text_column is a position"):
        read(folder, given={"text_column": "sentence"})


def test_columns_of_a_manifest_are_named(tmp_path):
    clips(tmp_path, "a.wav")
    path = tmp_path / "a.csv"
    path.write_text("file;Transcript;speaker\na.wav;1;ann\n")
    corpus = read(path, given={"path_column": "file", "text_column": "transcript"})
    assert corpus.columns == ([str(tmp_path / "a.wav")], ["1"], ["ann"])
    with pytest.raises(DataError, match="no column named path or text .*--path-column NAME"):
        read(path)
    path.write_text("a.wav,1\n")
    corpus = read(path, given={"path_column": 1, "text_column": 2})
    assert corpus.columns == ([str(tmp_path / "a.wav")], ["1"], [""])


def test_clips_of_equal_names_and_sizes_differ_by_their_content(tmp_path):
    for folder, content in (("one", b"first"), ("two", b"other")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.wav").write_bytes(content)
    one, two = (read(([str(tmp_path / name / "a.wav")], ["text"])) for name in ("one", "two"))
    assert one.identity == two.identity
    assert one.file_digests != two.file_digests
    old = {"examples": 1, "sha256": corpora.fingerprint(*one.identity)}  # as version 0.1 wrote it
    assert corpora._describe(one)[0] == {
        **old,
        "files_sha256": corpora.fingerprint(one.file_digests),
    }
