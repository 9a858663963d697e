"""The eSpeak NG program: its parameters and the format of its output."""

import json
import struct
import subprocess
import sys

import numpy as np

from lstm_zoo.speech import espeak

REQUEST = {"text": "one two", "voice": "en-us+m1", "rate": 150, "pitch": 50, "range": 50}


def synthesize(*requests):
    """Run the program; return the samples of each request."""
    lines = "".join(json.dumps({**REQUEST, **request}) + "\n" for request in requests)
    output = subprocess.run(
        [sys.executable, espeak.__file__], input=lines.encode(), capture_output=True, check=True
    ).stdout
    clips = []
    while output:
        (count,) = struct.unpack_from("<I", output)
        clips.append(np.frombuffer(output, "<i2", count, 4))
        output = output[4 + 2 * count :]
    assert len(clips) == len(requests)
    return clips


def fundamental_frequency(samples):
    """Return the median of the frames' strongest periodicity between 60 and 300 Hz."""
    shortest, longest = espeak.SAMPLE_RATE // 300, espeak.SAMPLE_RATE // 60
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(float), 4 * longest)[::500]
    frames = frames[frames.std(axis=1) > 0.5 * samples.std()]
    spectra = np.abs(np.fft.rfft(frames, 8 * longest)) ** 2
    correlations = np.fft.irfft(spectra)[:, shortest:longest]
    return espeak.SAMPLE_RATE / np.median(shortest + correlations.argmax(axis=1))


def test_rate_pitch_and_range_reach_the_engine():
    plain, fast, high, flat = synthesize({}, {"rate": 210}, {"pitch": 90}, {"range": 0})
    assert len(fast) < 0.85 * len(plain)
    assert fundamental_frequency(high) > 1.2 * fundamental_frequency(plain)
    assert not np.array_equal(flat, plain)


def test_a_text_without_words_and_no_request_have_no_samples():
    assert synthesize() == []
    empty, clip = synthesize({"text": ""}, {})
    assert len(empty) < 0.1 * len(clip)


def test_characters_beyond_ascii_are_spoken():
    accented, plain = synthesize({"text": "caf\u00e9"}, {"text": "caf"})
    assert len(accented) > 1.1 * len(plain)
