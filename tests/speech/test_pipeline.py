"""The speech pipeline: any batch, any file, the command line, and exports in other processes."""

import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from click.testing import CliRunner

import lstm_zoo
from lstm_zoo import recurrent
from lstm_zoo.cli import cli
from lstm_zoo.errors import CallError
from lstm_zoo.export import saved_model
from lstm_zoo.speech import ctc, predictor
from lstm_zoo.speech.audio import read_audio
from lstm_zoo.speech.corpus import read
from tests.conftest import READY_RUNS, exported_once, run_cli, serve_elsewhere

RUN = READY_RUNS / "speech"

SERVE = """
import base64, json, sys
import tensorflow as tf
serve = tf.saved_model.load(sys.argv[1]).signatures
answers = []
for batch in json.load(sys.stdin):
    rows = [base64.b64decode(row) for row in batch]
    outputs = serve["serving_default"](wav=tf.constant(rows, tf.string, shape=[len(rows)]))
    answers.append({
        key: [v.decode() if isinstance(v, bytes) else str(v) for v in value.numpy().tolist()]
        for key, value in outputs.items()
    })
unneeded = {"tensorflow_text", "soundfile", "soxr", "librosa", "lstm_zoo"}
assert not unneeded & set(sys.modules)
json.dump(answers, sys.stdout)
"""


def wav_bytes(samples, rate=8_000, **options):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", **{"subtype": "PCM_16", **options})
    return file.getvalue()


def assert_same(answers, expected):
    """Compare transcripts; where two hypotheses have nearly equal scores, either is right."""
    for one, other in zip(answers, expected, strict=True):
        assert one.text == other.text or abs(one.score - other.score) < 1e-4
        assert one.score == pytest.approx(other.score, abs=1e-3)


@pytest.fixture(scope="module")
def clips(spoken_data):
    return read(spoken_data).clips


@pytest.mark.parametrize("beam_width", [1, 4])
def test_a_transcript_does_not_depend_on_its_batch(spoken_recognizer, clips, beam_width):
    chosen = clips[:24]
    alone = [spoken_recognizer.predict([clip], beam_width=beam_width)[0] for clip in chosen]
    assert sum(answer.text != "" for answer in alone) > 20
    for size in (3, 24):
        together = spoken_recognizer.predict(chosen, batch_size=size, beam_width=beam_width)
        assert_same(together, alone)
    mixed = spoken_recognizer.predict([*chosen[::-1]], batch_size=5, beam_width=beam_width)
    assert_same(mixed[::-1], alone)


def test_a_transcript_has_a_score_tokens_with_times_and_n_best(spoken_recognizer, clips):
    (answer,) = spoken_recognizer.predict([clips[0]], n_best=4)
    assert len(answer.n_best) == 4 and answer.n_best[0] == (answer.text, answer.score)
    scores = [score for _, score in answer.n_best]
    assert scores == sorted(scores, reverse=True) and scores[0] < 0
    assert np.exp(scores).sum() <= 1
    assert "".join(token for token, _ in answer.tokens).split() == answer.text.split()
    times = [second for _, second in answer.tokens]
    samples = read_audio(clips[0], 8_000)
    assert times == sorted(times) and times[0] >= 0 and times[-1] <= len(samples) / 8_000
    # The score is summed over the alignments: the negative of the loss.
    logits, lengths = spoken_recognizer._recognize(samples[np.newaxis], np.array([len(samples)]))
    labels = spoken_recognizer.tokenizer.tokenize([answer.text])
    num_labels = tf.cast(labels.row_lengths(), tf.int32)
    loss = ctc.negative_log_likelihood(logits, lengths, labels.to_tensor(), num_labels)
    assert answer.score == pytest.approx(-float(loss[0]), abs=1e-3)


@pytest.mark.slow
def test_bad_clips_have_an_error_and_do_not_change_the_others(spoken_recognizer, clips, tmp_path):
    good = spoken_recognizer.predict([clips[0]])[0]
    speech, rate = soundfile.read(clips[0])
    flac, wav = Path(clips[0]).read_bytes(), wav_bytes(speech, rate)
    paths = {}
    for name, content in {
        "empty.wav": b"",
        "header.wav": wav_bytes(np.zeros(0)),
        "text.wav": b"this is a text",
        "cut.flac": flac[:1_000],
        "stream.flac": flac[:8] + b"\xff" * 34 + flac[42:],  # its STREAMINFO
        "channels.wav": wav[:22] + b"\xff\xff" + wav[24:],
        "width.wav": wav[:34] + b"\0\0" + wav[36:],
        "rate.wav": wav[:24] + b"\xff" * 4 + wav[28:],
        "chunk.wav": wav[:16] + b"\xff" * 4 + wav[20:],  # the length of the format chunk
    }.items():
        paths[name] = tmp_path / name
        paths[name].write_bytes(content)
    missing = [tmp_path / "none.wav", tmp_path, tmp_path / ("long" * 2_000), tmp_path / "nul\0"]
    bad = [*map(str, [*paths.values(), *missing]), (np.full(800, np.nan), 8_000)]
    stereo = np.repeat(np.stack([speech, speech], axis=1), 6, axis=0)  # at 48 kHz
    usable = [(np.zeros(8_000), 8_000), (np.ones(1), 8_000), (stereo, 48_000)]
    usable += [(np.tile(speech, 300 * rate // len(speech)), rate)]  # five minutes
    answers = spoken_recognizer.predict([clips[0], *bad, *usable, clips[0]], beam_width=1)
    for path, answer in zip(bad, answers[1:], strict=False):
        assert answer.error and answer.text == "" and answer.score is None
        # A path is shown whole, unless it is absurdly long.
        assert not isinstance(path, str) or path[-100:] in answer.error
    for answer in answers[1 + len(bad) :]:
        assert not answer.error and np.isfinite(answer.score)
    assert len(answers[-2].text) > 50 * len(good.text)
    greedy = spoken_recognizer.predict([clips[0]], beam_width=1)
    assert_same([answers[0], answers[-1]], greedy * 2)


def test_long_clips_have_small_batches_and_a_short_lookahead(spoken_recognizer, clips, monkeypatch):
    expected = spoken_recognizer.predict(clips[:80])
    for name, value in (("BATCH_SECONDS", 6), ("LOOKAHEAD_SECONDS", 30), ("READ_BATCH", 4)):
        monkeypatch.setattr(predictor, name, value)
    read_at_once, computed_at_once = [], []
    recognize, read_ahead = spoken_recognizer._recognize, spoken_recognizer._read_ahead

    def recognize_and_count(audio, num_samples):
        computed_at_once.append(audio.shape)
        return recognize(audio, num_samples)

    def read_ahead_and_count(paths):
        for group in read_ahead(paths):
            read_at_once.append(sum(map(len, group)) / 8_000)
            yield group

    monkeypatch.setattr(spoken_recognizer, "_recognize", recognize_and_count)
    monkeypatch.setattr(spoken_recognizer, "_read_ahead", read_ahead_and_count)
    assert_same(spoken_recognizer.predict(clips[:80]), expected)
    assert all(rows == 1 or rows * width <= 6 * 8_000 for rows, width in computed_at_once)
    assert len(read_at_once) > 2 and max(read_at_once) < 50


def test_every_wav_format_gives_the_same_transcript(spoken_recognizer, clips, tmp_path):
    speech, rate = soundfile.read(clips[1])
    (expected,) = spoken_recognizer.predict([clips[1]])
    kinds = [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAVEX", "PCM_16")]
    rows = []
    for name, kind in kinds:
        file = io.BytesIO()
        soundfile.write(file, speech, rate, format=name, subtype=kind)
        rows.append(file.getvalue())
    answers = spoken_recognizer.transcribe_wav(tf.constant(rows))
    assert {text.decode() for text in answers["transcript"].numpy()} == {expected.text}
    np.testing.assert_allclose(answers["score"], expected.score, atol=0.05)
    # Quantization to eight bits adds noise, so the transcript may differ.
    answers = spoken_recognizer.transcribe_wav(
        tf.constant([wav_bytes(speech, rate, subtype="PCM_U8")])
    )
    assert answers["error"].numpy().tolist() == [b""]


def test_no_clips_one_path_and_a_bad_n_best(spoken_recognizer, clips):
    assert spoken_recognizer.predict([]) == []
    with pytest.raises(CallError, match="a list of clips"):
        spoken_recognizer.predict(clips[0])
    with pytest.raises(CallError, match="n_best is at least 1"):
        spoken_recognizer.predict(clips[:1], n_best=9)


def test_evaluation_counts_rows_and_scores_as_jiwer(spoken_recognizer, clips, tmp_path, capsys):
    import jiwer

    rows = [f"{clip}\tzero one\n" for clip in clips[:5]]
    manifest = tmp_path / "dev.tsv"
    manifest.write_text("path\ttext\n" + "".join(rows) + f"{clips[0]}\t.\nnone.wav\tone\n")
    scores = spoken_recognizer.evaluate(manifest)
    assert (scores["examples"], scores["skipped"]) == (5, 2)
    *used, unreadable, missing = scores["predictions"]
    transcripts = [row["hypothesis"] for row in used]
    assert unreadable["skipped"] == "no text is left of the transcript"
    assert (missing["row"], missing["hypothesis"]) == (6, None)
    assert missing["skipped"] == "no such clip: none.wav"
    assert scores["wer"] == jiwer.wer(["zero one"] * 5, transcripts)
    assert "Warning: 2 of the evaluation data's 7 rows (29%) are skipped" in capsys.readouterr().err
    spoken_recognizer.evaluate((clips[:1], ["четыре"]))
    message = "100% of the evaluation data's tokens are unknown: characters that no transcript"
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_recognizer_of_real_digits_is_evaluated_on_others(recognizer, shared_data):
    scores = recognizer.evaluate(shared_data / "digits/LibriSpeech/dev")
    assert scores["examples"] == 200 and scores["wer"] < 0.9


@pytest.mark.slow
def test_the_command_line_transcribes_and_evaluates(clips, spoken_data, tmp_path):
    def invoke(*arguments):
        return CliRunner().invoke(cli, ["speech", *map(str, arguments)])

    result = invoke("predict", RUN, clips[0], clips[1], "--json", "--n-best", 2)
    answers = json.loads(result.stdout)["predictions"]
    assert result.exit_code == 0 and len(answers) == 2
    assert set(answers[0]) == {"text", "score", "tokens", "words", "n_best", "error", "path"}
    assert [answer["path"] for answer in answers] == [str(clips[0]), str(clips[1])]
    assert len(answers[0]["n_best"]) == 2
    result = invoke("predict", RUN, clips[0], tmp_path / "none.wav", clips[1])
    assert result.exit_code == 1
    assert [line.split("\t") for line in result.stdout.splitlines()] == [
        [str(clips[0]), answers[0]["text"]],
        [str(tmp_path / "none.wav"), ""],
        [str(clips[1]), answers[1]["text"]],
    ]
    assert "none.wav: no such file" in result.stderr
    result = invoke("evaluate", RUN, "--data", spoken_data, "--json", "--beam-width", 1)
    scores = json.loads(result.stdout)
    assert set(scores) == {"wer", "cer", "decoder", "examples", "skipped", "errors", "by_length"}
    assert scores["decoder"] == "greedy"
    assert "WER 0." in invoke("evaluate", RUN, "--data", spoken_data).stdout


@pytest.mark.slow
def test_a_file_name_that_is_not_utf_8_is_read_and_reported(clips, tmp_path):
    existing, missing = (
        os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xe9" + end) for end in (b"", b"x")
    )
    shutil.copy(clips[0], existing)
    for options in ((), ("--json",)):
        done = run_cli("speech", "predict", RUN, existing, missing, *options)
        assert done.returncode == 1 and done.stderr.endswith(b"\\udcff\\udce9x: no such file.\n")
        assert b"Traceback" not in done.stderr
    good, bad = json.loads(done.stdout)["predictions"]
    assert good["text"] and not good["error"] and bad["error"] == f"{missing}: no such file."


@pytest.mark.slow
def test_a_run_has_its_files_and_fast_layers(recognizer_run):
    names = {path.name for path in recognizer_run.iterdir()}
    assert {"alphabet.txt", "features.npz", "curves.png", "posteriors.png"} <= names
    metrics = json.loads((recognizer_run / "metrics.json").read_text())
    assert metrics["validation"]["wer"] < 1
    assert (recognizer_run.parent / "cache").is_dir()
    pipeline = lstm_zoo.load(recognizer_run)
    assert {row.path for row in recurrent.explain(pipeline.model)} <= {"cuDNN", "fused"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return exported_once(tmp_path_factory, "speech")


@pytest.mark.slow
def test_the_signatures_of_an_export(exported):
    outputs = {"transcript": "string[?]", "score": "float32[?]", "error": "string[?]"}
    assert saved_model.read_signatures(exported) == {
        "serving_default": {"inputs": {"wav": "string[?]"}, "outputs": outputs},
        "waveform": {
            "inputs": {"audio": "float32[?, ?]", "num_samples": "int32[?]"},
            "outputs": outputs,
        },
    }


def assert_a_moved_export_gives_the_same_transcripts(pipeline, clips, tmp_path):
    exported = pipeline.export(tmp_path / "exports")
    good = [wav_bytes(*soundfile.read(clip)) for clip in clips]
    hostile = [b"", b"RIFF", good[0][:44], good[0][:30], b"\x00" * 100]
    hostile += [wav_bytes(np.zeros(8_000)), wav_bytes(np.zeros(16_000), 16_000), good[0]]
    nan = wav_bytes(np.full(800, np.nan, np.float32), subtype="FLOAT")
    batches = [[], [b""], [*hostile, nan]] + [good[i : i + 20] for i in range(0, 200, 20)]
    answers = serve_elsewhere(SERVE, exported, tmp_path, batches)
    assert answers[0] == {"transcript": [], "score": [], "error": []}
    assert answers[1]["score"] == ["-inf"] and answers[1]["transcript"] == [""]
    errors = answers[2]["error"]
    assert [error == "" for error in errors] == [False] * 5 + [True, False, True, False]
    assert errors[6] == "a sample rate of 16000 Hz; expected 8000 Hz"
    expected = pipeline.predict(clips)
    assert answers[2]["transcript"][7] == expected[0].text
    transcripts = [text for answer in answers[3:] for text in answer["transcript"]]
    scores = [float(score) for answer in answers[3:] for score in answer["score"]]
    assert len(transcripts) == 200
    for text, score, answer in zip(transcripts, scores, expected, strict=True):
        assert text == answer.text or abs(score - answer.score) < 1e-4
        assert score == pytest.approx(answer.score, abs=1e-2)


@pytest.mark.slow
def test_a_moved_export_gives_the_transcripts_of_the_pipeline(spoken_recognizer, clips, tmp_path):
    assert_a_moved_export_gives_the_same_transcripts(spoken_recognizer, clips, tmp_path)


@pytest.mark.slow
def test_a_moved_export_gives_the_transcripts_of_real_clips(recognizer, shared_data, tmp_path):
    clips = read(shared_data / "digits/LibriSpeech/dev").clips
    assert_a_moved_export_gives_the_same_transcripts(recognizer, clips, tmp_path)


@pytest.mark.slow
def test_the_waveform_signature_gives_the_transcripts_of_the_pipeline(
    spoken_recognizer, exported, clips
):
    serve = tf.saved_model.load(str(exported)).signatures["waveform"]
    rows = [read_audio(clip, 8_000) for clip in clips[:6]]
    audio = np.full((6, max(map(len, rows)) + 99), np.nan, np.float32)  # padding is ignored
    for row, samples in zip(audio, rows, strict=True):
        row[: len(samples)] = samples
    answers = serve(audio=tf.constant(audio), num_samples=tf.constant([*map(len, rows)]))
    expected = [answer.text for answer in spoken_recognizer.predict(clips[:6])]
    assert [text.decode() for text in answers["transcript"].numpy()] == expected


@pytest.mark.slow
def test_the_beam_width_of_an_export_is_fixed(spoken_recognizer, clips, tmp_path):
    exported = spoken_recognizer.export(tmp_path, beam_width=1)
    serve = tf.saved_model.load(str(exported)).signatures["serving_default"]
    rows = [wav_bytes(*soundfile.read(clip)) for clip in clips[:20]]
    answers = [text.decode() for text in serve(wav=tf.constant(rows))["transcript"].numpy()]
    assert answers == [a.text for a in spoken_recognizer.predict(clips[:20], beam_width=1)]
    assert spoken_recognizer.beam_width == 8
    with pytest.raises(AttributeError):  # the signatures are traced with it
        spoken_recognizer.beam_width = 1


def test_clips_are_taken_by_what_they_are(spoken_recognizer):
    wav = (READY_RUNS / "spoken.wav").read_bytes()
    samples, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
    given = [
        (samples, rate),
        (samples[np.newaxis], rate),
        (np.stack([samples, samples]), rate),
        wav,
        str(READY_RUNS / "spoken.wav").encode(),
    ]
    garbage = b"\0garbage" * 5_000
    first, *others, failed = spoken_recognizer.predict([*given, garbage])
    assert first.text and [answer.text for answer in others] == [first.text] * len(others)
    assert failed.error.startswith("the given audio: not audio") and len(failed.error) < 200
    scores = spoken_recognizer.evaluate(([*given, garbage], [first.text] * (len(given) + 1)))
    assert scores["wer"] == 0 and (scores["examples"], scores["skipped"]) == (len(given), 1)
    assert len(str(scores)) < 9_000
