"""Reading audio: files and arrays of any rate and channel count, and WAV bytes in the graph."""

import errno
import io
import os
import struct

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.errors import CallError, DataError, FileReadError
from lstm_zoo.speech import audio
from lstm_zoo.speech.audio import read_audio
from lstm_zoo.speech.wav import check_waveforms
from lstm_zoo.speech.wav import parse_wav as parse_wav_at

RATE = 8_000


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def parse_wav(wav):
    return parse_wav_at(wav, RATE)


def noise(samples=1_001, channels=1, seed=0):
    return np.random.default_rng(seed).uniform(-0.9, 0.9, (samples, channels))


def encoded(samples, rate=RATE, **options):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, **{"format": "WAV", "subtype": "PCM_16", **options})
    return file.getvalue()


def chunk(name, data, length=None):
    size = len(data) if length is None else length
    return name + struct.pack("<I", size) + data + b"\0" * (len(data) % 2)


def wav_of(*chunks):
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def format_chunk(tag=1, channels=1, rate=RATE, bits=16):
    frame = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits))


def parse_one(data):
    samples, num_samples, error = parse_wav(tf.constant([data]))
    return samples[0, : num_samples[0]].numpy(), error[0].numpy().decode()


# Files and arrays


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_files_of_any_rate_and_channel_count_become_mono_at_the_requested_rate(tmp_path, suffix):
    time = np.arange(48_000) / 48_000
    left, right = (np.sin(2 * np.pi * hertz * time) for hertz in (440, 880))
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, 0.4 * np.stack([left, right], 1), 48_000)
    samples = read_audio(path, 16_000)
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert abs(len(samples) - 16_000) <= 200
    spectrum = np.abs(np.fft.rfft(samples)) / len(samples)  # half the amplitude, 0.2
    for hertz in (440, 880):
        at = round(hertz * len(samples) / 16_000)
        assert 0.08 < spectrum[at - 2 : at + 3].max() < 0.12


def test_a_clip_at_the_requested_rate_is_not_changed():
    samples = noise()[:, 0].astype(np.float32)
    np.testing.assert_array_equal(read_audio((samples, RATE), RATE), samples)


@pytest.mark.parametrize(
    "dtype, values, expected",
    [
        (np.int16, [-32_768, 0, 16_384], [-1, 0, 0.5]),
        (np.uint8, [0, 128, 192], [-1, 0, 0.5]),
        (np.int32, [-(2**31), 0, 2**30], [-1, 0, 0.5]),
        (np.float64, [-1, 0, 0.5], [-1, 0, 0.5]),
    ],
)
def test_integers_are_scaled_to_1(dtype, values, expected):
    assert read_audio((np.array(values, dtype), RATE), RATE).tolist() == expected


def test_a_pair_can_hold_lists():
    assert read_audio(([0.5, -0.25], RATE), RATE).tolist() == [0.5, -0.25]
    assert read_audio([[[0.5, 0.0]] * 3, float(RATE)], RATE).tolist() == [0.25] * 3


def test_an_mp3_without_an_index_is_read_to_its_end(tmp_path):
    signals = np.zeros(80_000), noise(40_000)[:, 0], np.sin(np.arange(80_000) / 10)
    options = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "VARIABLE"}
    data = encoded(np.concatenate(signals), 16_000, **options, compression_level=0.3)
    # Without its first frame, the index, libsndfile estimates a length that is far too long.
    (tmp_path / "a.mp3").write_bytes(data[data.index(b"\xff\xf3", 2) :])
    assert abs(len(read_audio(tmp_path / "a.mp3", 16_000)) - 200_000) < 5_000


def test_resampling_one_sample_gives_one():
    assert read_audio((np.array([0.5]), 48_000), 8_000).shape == (1,)


def test_errors_name_files_that_are_not_audio(tmp_path):
    flac, ogg = encoded(noise(20_000), format="FLAC"), io.BytesIO()
    soundfile.write(ogg, noise(), RATE, format="OGG")
    contents = {
        "empty.wav": (b"", "an empty file"),
        "text.wav": (b"call me back\n" * 99, "not audio, or damaged"),
        "header.wav": (encoded(noise(0)), "no samples"),
        "nan.wav": (encoded([0.0, np.nan], subtype="FLOAT"), "not numbers"),
        "infinite.wav": (encoded([0.0, np.inf], subtype="FLOAT"), "infinite"),
        "truncated.flac": (flac[: len(flac) // 2], "damaged|truncated"),
        "truncated.ogg": (ogg.getvalue()[:100], "damaged"),
    }
    for name, (content, message) in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=f"{name}: .*({message})"):
            read_audio(str(tmp_path / name), RATE)
    with pytest.raises(DataError, match=r"none.wav: no such file"):
        read_audio(tmp_path / "none.wav", RATE)
    with pytest.raises(DataError, match="a folder, not a file"):
        read_audio(tmp_path, RATE)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_samples_of_any_float_type_must_be_finite(dtype):
    good = noise()[:, 0].astype(dtype)
    np.testing.assert_allclose(read_audio((good, RATE), RATE), good, atol=1e-6)
    for bad in (np.inf, -np.inf, np.nan):
        with pytest.raises(DataError, match="not numbers|infinite"):
            read_audio((np.append(good, np.array(bad, dtype)), RATE), RATE)


def test_sources_that_are_neither_a_path_nor_a_pair_are_rejected():
    sources = [
        3,
        np.zeros(100),
        (np.zeros((2, 2, 2)), RATE),
        (["a"], RATE),
        ([[1.0], [1, 2]], RATE),
    ]
    sources += [(np.zeros(2), rate) for rate in ("", None, float("inf"), float("nan"))]
    sources += [([0, 16_384], RATE), (np.zeros(2, bool), RATE), (np.zeros(2),)]
    for source in sources:
        with pytest.raises(CallError, match="Audio is a path, the bytes"):
            read_audio(source, RATE)
    for rate in (0, -1, 10**9):
        with pytest.raises(DataError, match=f"a sample rate of {rate} Hz; expected 1000 to"):
            read_audio((np.zeros(10), rate), RATE)


def test_channels_are_the_axis_that_can_only_be_channels():
    """As torchaudio and librosa return them: a (1, n) array was one sample of n channels."""
    stereo = noise(3_000, 2).astype(np.float32)
    expected = stereo.mean(axis=1)
    for samples in (stereo, stereo.T, tf.constant(stereo.T), stereo.tolist()):
        np.testing.assert_allclose(read_audio((samples, RATE), RATE), expected, atol=1e-7)
    mono = stereo[:, 0]
    for samples in (mono, mono[:, None], mono[None]):
        np.testing.assert_array_equal(read_audio((samples, RATE), RATE), mono)
    assert read_audio((noise(5_000, 100), RATE), RATE).shape == (5_000,)
    assert read_audio((noise(1, 1), RATE), RATE).shape == (1,)
    for shape in [(1, 800), (2, 2), (2, 1_024), (1_025, 1_025), (9_000, 2_000)]:
        with pytest.raises(CallError, match=r"more samples than channels; samples.T transposes"):
            read_audio((np.zeros(shape), RATE), RATE)
    for shape in [(0,), (0, 2), (2, 0)]:
        with pytest.raises(DataError, match="no samples"):
            read_audio((np.zeros(shape), RATE), RATE)


@pytest.mark.parametrize("file_format", ["WAV", "FLAC", "OGG"])
def test_bytes_of_a_file_are_audio_and_bytes_of_a_path_a_path(tmp_path, file_format):
    data = encoded(noise(9_000), format=file_format, subtype=None)
    path = tmp_path / "clip"
    path.write_bytes(data)
    expected = read_audio(path, RATE)
    for source in (data, bytearray(data), memoryview(data), str(path), str(path).encode()):
        np.testing.assert_array_equal(read_audio(source, RATE), expected)
    assert audio.read_rate(data) == RATE


def test_an_error_never_holds_a_long_input():
    garbage = np.random.default_rng(0).bytes(50_000)
    for source in (garbage, b"a" * 50_000, "a" * 50_000, b"RIFF" + garbage, b""):
        with pytest.raises(DataError) as caught:
            read_audio(source, RATE)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "source, hint",
    [
        ((RATE, np.zeros(9_000)), "Received: int and ndarray; the samples come first"),
        (io.BytesIO(b"RIFF"), "give the bytes of a file"),
        ((np.zeros((2, 3, 4)), RATE), r"of shape \(2, 3, 4\)"),
        ((np.zeros(9, complex), RATE), "dtype complex128"),
        ((np.zeros(9, int), RATE), "dtype int64"),
        ({"array": np.zeros(9), "sampling_rate": RATE}, "Received: dict"),
    ],
)
def test_what_is_no_clip_is_named(source, hint):
    for read in (read_audio, lambda source, _: audio.read_rate(source)):
        with pytest.raises(CallError, match=hint):
            read(source, RATE)


def test_a_clip_that_would_fill_the_memory_is_an_error(tmp_path, monkeypatch):
    """Silence compresses a thousandfold, and a header may declare anything."""
    monkeypatch.setattr(audio, "MAX_SAMPLES", 100_000)
    monkeypatch.setattr(audio, "BLOCK", 30_000)
    silence, fits = np.zeros(200_000), noise(95_000, 2)
    for file_format in ("FLAC", "OGG", "MP3", "WAV"):
        with pytest.raises(DataError, match=r"longer than 100,000 samples \(0 minutes at 8000"):
            read_audio(encoded(silence, format=file_format, subtype=None), RATE)
    data = encoded(fits, format="FLAC")  # several blocks
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    np.testing.assert_array_equal(read_audio(data, RATE), expected.mean(axis=1))
    # Resampling multiplies the samples.
    for clip in (encoded(noise(9_000), rate=1_000), (noise(9_000), 1_000)):
        with pytest.raises(DataError, match="longer than"):
            read_audio(clip, 16_000)
    # A header of FLAC that declares more than there is; its number of samples has 36 bits.
    data = bytearray(encoded(noise(9_000), format="FLAC"))
    data[22:26] = b"\xff" * 4
    with pytest.raises(DataError, match="longer than|damaged"):
        read_audio(bytes(data), RATE)
    data = bytearray(encoded(noise(90)))
    data[40:44] = b"\xff\xff\xff\x7f"
    assert len(read_audio(bytes(data), RATE)) == 90


def test_an_error_of_the_disk_is_not_taken_for_a_damaged_file(tmp_path, monkeypatch):
    path = tmp_path / "clip.wav"
    path.write_bytes(encoded(noise(900)))
    decode, calls = audio._decode_once, []

    def fail(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise DataError("damaged")
        return decode(*arguments)

    monkeypatch.setattr(audio, "_decode_once", fail)
    assert len(read_audio(path, RATE)) == 900  # it passed
    calls.clear()

    def broken(*arguments):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(audio, "open", broken, raising=False)
    with pytest.raises(FileReadError, match=r"clip.wav: Input/output error"):
        read_audio(path, RATE)


# WAV bytes in the graph


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("header", ["WAV", "WAVEX"])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_sample_format_is_decoded_as_by_libsndfile(subtype, header, channels):
    data = encoded(noise(channels=channels), subtype=subtype, format=header)
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    samples, error = parse_one(data)
    assert error == ""
    np.testing.assert_allclose(samples, expected.mean(axis=1), atol=1e-7)


def test_chunks_before_the_samples_are_skipped_and_padded_to_even_offsets():
    data = struct.pack("<3h", 0, 16_384, -32_768)
    junk = chunk(b"LIST", b"odd"), chunk(b"JUNK", b""), chunk(b"fact", b"\x03\0\0\0")
    wav = wav_of(junk[0], format_chunk(), *junk, chunk(b"data", data), chunk(b"LIST", b"after"))
    samples, error = parse_one(wav)
    assert (samples.tolist(), error) == ([0, 0.5, -1], "")


@pytest.mark.parametrize("length", [0, 7, 2**31 - 1, 2**31, 2**32 - 1])
def test_samples_with_a_length_past_the_end_extend_to_the_end(length):
    data = struct.pack("<3h", 0, 16_384, -32_768)
    samples, error = parse_one(wav_of(format_chunk(), chunk(b"data", data, length)))
    assert (samples.tolist(), error) == ([0, 0.5, -1], "")


ODD = chunk(b"data", bytes(range(125, 132)))  # seven samples of 8 bits
LAYOUTS = {
    "odd data before a chunk": wav_of(format_chunk(bits=8), ODD, chunk(b"LIST", b"a")),
    "an odd chunk before": wav_of(chunk(b"LIST", b"abc"), format_chunk(bits=8), ODD),
    "odd chunks without padding": wav_of(
        chunk(b"LIST", b"abc")[:-1], format_chunk(bits=8), chunk(b"note", b"a")[:-1], ODD
    ),
}


@pytest.mark.parametrize("wav", LAYOUTS.values(), ids=LAYOUTS)
def test_chunks_of_odd_length(wav):
    samples, error = parse_one(wav)
    assert ((samples * 128).tolist(), error) == ([-3, -2, -1, 0, 1, 2, 3], "")


def test_an_empty_data_chunk_before_another_chunk_has_no_samples(tmp_path):
    wav = wav_of(format_chunk(), chunk(b"data", b""), chunk(b"LIST", b"INFOISFT\4\0\0\0made"))
    assert parse_one(wav)[1] == "no samples"
    (tmp_path / "a.wav").write_bytes(wav)
    with pytest.raises(DataError, match="no samples"):
        read_audio(tmp_path / "a.wav", RATE)


def test_an_incomplete_sample_at_the_end_is_dropped():
    wav = wav_of(format_chunk(channels=2), chunk(b"data", struct.pack("<5h", 2, 4, 6, 8, 1)))
    assert (parse_one(wav)[0] * 2**15).tolist() == [3, 7]


GOOD = encoded(noise(50))
BAD = {
    b"": "an empty file",
    b"RIFF": "not a WAV file",
    b"a text that is called .wav": "not a WAV file",
    GOOD[:12]: "no format chunk",
    GOOD[:30]: "no format chunk",
    GOOD[:44]: "no samples",
    GOOD[:45]: "no samples",
    wav_of(format_chunk()): "no samples",
    wav_of(chunk(b"data", b"\0" * 8)): "no format chunk",
    wav_of(chunk(b"data", b"\0" * 8), format_chunk()): "no format chunk",
    wav_of(*[chunk(b"JUNK", b"")] * 300, format_chunk()): "no format chunk",
    wav_of(format_chunk(tag=0x55), chunk(b"data", b"\0" * 8)): "of format 85 with 16 bits",
    wav_of(format_chunk(bits=12), chunk(b"data", b"\0" * 8)): "of format 1 with 12 bits",
    wav_of(format_chunk(channels=0), chunk(b"data", b"\0" * 8)): "0 channels",
    encoded(noise(9), rate=44_100): "a sample rate of 44100 Hz; expected 8000 Hz",
    encoded(noise(9), rate=2**31 - 1): "a sample rate of 2147483647 Hz; expected 8000 Hz",
    encoded([0.0, np.nan], subtype="FLOAT"): "samples that are not numbers",
    encoded([0.0, 1e300], subtype="DOUBLE"): "infinite or beyond",
    encoded([0.1], format="FLAC"): "not a WAV file",
}


def test_a_bad_row_has_an_error_and_does_not_change_the_others():
    rows = [GOOD, *BAD, GOOD]
    samples, num_samples, errors = (tensor.numpy() for tensor in parse_wav(tf.constant(rows)))
    for error, message in zip(errors[1:-1], BAD.values(), strict=True):
        assert message in error.decode()
    assert not samples[1:-1].any() and not num_samples[1:-1].any()
    for row in (0, -1):
        np.testing.assert_array_equal(samples[row, :50], parse_one(GOOD)[0])
        assert (num_samples[row], errors[row]) == (50, b"")


def test_empty_batches_and_batches_of_bad_rows():
    samples, num_samples, error = parse_wav(tf.constant([], tf.string))
    assert samples.shape == (0, 1) and num_samples.shape == error.shape == (0,)
    samples, num_samples, error = parse_wav(tf.constant(["", "x"]))
    assert samples.numpy().tolist() == [[0], [0]] and num_samples.numpy().tolist() == [0, 0]


@settings(max_examples=60)
@given(st.data())
def test_damaged_files_give_samples_or_an_error_but_never_fail(data):
    wav = bytearray(encoded(noise(40, channels=2), subtype="PCM_24", format="WAVEX"))
    for _ in range(data.draw(st.integers(1, 8))):
        wav[data.draw(st.integers(0, len(wav) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(wav)))
    samples, num_samples, error = parse_wav(tf.constant([bytes(wav[:cut]), GOOD]))
    assert np.isfinite(samples).all()
    assert (num_samples[0].numpy() > 0) == (error[0].numpy() == b"")
    assert (num_samples[1].numpy(), error[1].numpy()) == (50, b"")


@settings(max_examples=40)
@given(
    st.sampled_from([(1, 8, "u1"), (1, 16, "<i2"), (1, 32, "<i4"), (3, 32, "<f4"), (3, 64, "<f8")]),
    st.integers(1, 6),
    st.integers(1, 30),
    st.lists(st.binary(max_size=9), max_size=3),
)
def test_files_with_other_chunks_in_any_order(sample_format, channels, frames, junk):
    tag, bits, dtype = sample_format
    values = np.random.default_rng(frames).uniform(-1, 1, (frames, channels))
    scale, offset = (1, 0) if tag == 3 else (2.0 ** (bits - 1) - 1, 128 if bits == 8 else 0)
    stored = (values * scale + offset).astype(dtype)
    wav = wav_of(
        *[chunk(b"JUNK", data) for data in junk],
        format_chunk(tag, channels, RATE, bits),
        *[chunk(b"LIST", data) for data in junk],
        chunk(b"data", stored.tobytes()),
    )
    samples, error = parse_one(wav)
    assert error == ""
    np.testing.assert_allclose(samples, values.mean(axis=1), atol=0.02 if bits == 8 else 1e-4)


def test_real_clips_are_the_same_from_bytes_and_from_a_file(shared_data):
    paths = sorted((shared_data / "ljspeech_sample/wavs").glob("*.wav"))[:3]
    wav = tf.constant([path.read_bytes() for path in paths])
    samples, num_samples, error = parse_wav_at(wav, 22_050)
    assert set(error.numpy()) == {b""}
    for path, row, length in zip(paths, samples.numpy(), num_samples, strict=True):
        np.testing.assert_array_equal(row[:length], read_audio(path, 22_050))
        assert not row[length:].any()


# Arrays in the graph


def test_waveforms_are_checked_row_by_row():
    nan, inf = np.nan, np.inf
    rows = tf.constant([[1.0, nan, inf], [1, nan, 0], [1, 2, 3], [1, 2, 3], [1, 2, 3], [1, 2, 1e9]])
    clean, num_samples, error = check_waveforms(rows, tf.constant([1, 3, 0, -1, 4, 3]))
    assert clean.numpy().tolist() == [[1, 0, 0], *[[0, 0, 0]] * 5]
    assert num_samples.numpy().tolist() == [1, 0, 0, 0, 0, 0]
    messages = ["", "not numbers", "no samples", "no samples", "more than", "beyond"]
    for text, message in zip(error.numpy(), messages, strict=True):
        assert (message in text.decode()) if message else text == b""
    empty, num_samples, error = check_waveforms(tf.zeros([2, 0]), tf.constant([0, 0]))
    assert empty.shape == (2, 1) and error.numpy().tolist() == [b"no samples"] * 2
