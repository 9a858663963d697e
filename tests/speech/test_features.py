"""Features: equal to librosa's on real clips, and independent of padding."""

import dataclasses
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import librosa
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.errors import CallError
from lstm_zoo.speech import features
from lstm_zoo.speech.audio import read_audio
from lstm_zoo.speech.features import Features, FeatureSettings

CORPORA = (
    "digits/LibriSpeech/dev/*/*/*.flac",
    "mboshi/clips/*.ogg",
    "ljspeech_sample/wavs/*.wav",
)


def padded(clips, extra=0, fill=0.0):
    batch = np.full((len(clips), max(map(len, clips)) + extra), fill, np.float32)
    for row, clip in zip(batch, clips, strict=True):
        row[: len(clip)] = clip
    return tf.constant(batch), tf.constant([*map(len, clips)])


def noise(samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


@pytest.mark.parametrize("kind", ["log_mel", "mfcc"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050])
@pytest.mark.parametrize("pattern", CORPORA)
def test_the_graph_agrees_with_librosa_on_real_clips(shared_data, pattern, rate, kind):
    paths = sorted(shared_data.glob(pattern))
    clips = [read_audio(path, rate) for path in paths[:: len(paths) // 5]]
    features = Features(FeatureSettings(kind=kind, sample_rate=rate))
    batch, num_frames = features.extract_batch(*padded(clips, extra=99))
    normalised = features.normalize_batch(batch, num_frames)
    for row, length, clip, normal in zip(batch, num_frames, clips, normalised, strict=True):
        expected = features.extract(clip)
        assert expected.shape == (length, features.settings.num_features)
        np.testing.assert_allclose(row[:length], expected, atol=2e-4)
        np.testing.assert_allclose(normal[:length], features.normalize(expected), atol=2e-3)
        assert not np.any(row[length:]) and not np.any(normal[length:])


@pytest.mark.parametrize("rate, n_fft, hop", [(8_000, 200, 80), (22_050, 552, 220)])
def test_features_are_those_of_librosa(rate, n_fft, hop):
    clip = noise(12_345)
    settings = FeatureSettings(sample_rate=rate)
    assert (settings.n_fft, settings.hop_length) == (n_fft, hop)
    power = librosa.feature.melspectrogram(
        y=clip, sr=rate, n_fft=n_fft, win_length=n_fft, hop_length=hop, n_mels=40
    )
    log_mel = np.log(power + 1e-6)
    np.testing.assert_allclose(Features(settings).extract(clip), log_mel.T, atol=1e-5)
    cepstra = librosa.feature.mfcc(S=log_mel, n_mfcc=13)
    deltas = [librosa.feature.delta(cepstra, order=order, mode="nearest") for order in (1, 2)]
    mfcc = Features(dataclasses.replace(settings, kind="mfcc")).extract(clip)
    np.testing.assert_allclose(mfcc, np.concatenate([cepstra, *deltas]).T, atol=1e-4)


FEATURES = {
    kind: Features(FeatureSettings(kind=kind, sample_rate=rate, num_mels=20))
    for kind, rate in (("log_mel", 8_000), ("mfcc", 11_025))
}
EXTRACT = {
    kind: tf.function(
        lambda audio, lengths, features=features: features.extract_batch(audio, lengths),
        input_signature=[tf.TensorSpec([None, None]), tf.TensorSpec([None], tf.int32)],
    )
    for kind, features in FEATURES.items()
}


@settings(max_examples=40)
@given(
    st.sampled_from([*FEATURES]),
    st.lists(st.integers(1, 3_000), min_size=1, max_size=4),
    st.integers(0, 700),
    st.sampled_from([0.0, 1.0, np.nan]),
)
def test_features_do_not_depend_on_padding_and_on_other_rows(kind, lengths, extra, fill):
    clips = [noise(length, seed) for seed, length in enumerate(lengths)]
    features = FEATURES[kind]
    batch, num_frames = EXTRACT[kind](*padded(clips, extra, fill))
    normalised = features.normalize_batch(batch, num_frames)
    for row, normal, frames, clip in zip(batch, normalised, num_frames, clips, strict=True):
        alone, frames_alone = EXTRACT[kind](*padded([clip]))
        assert frames == frames_alone[0] == len(features.extract(clip))
        np.testing.assert_allclose(row[:frames], alone[0], atol=1e-5)
        alone = features.normalize_batch(alone, frames_alone)[0]
        np.testing.assert_allclose(normal[:frames], alone, atol=1e-4)
        assert not np.any(row[frames:]) and not np.any(normal[frames:])


@pytest.mark.parametrize("kind", FEATURES)
def test_empty_batches_and_empty_clips(kind):
    features = FEATURES[kind]
    width = features.settings.num_features
    batch, num_frames = EXTRACT[kind](tf.zeros([0, 0]), tf.zeros([0], tf.int32))
    assert batch.shape == (0, 1, width) and num_frames.shape == (0,)
    assert features.normalize_batch(batch, num_frames).shape == (0, 1, width)
    batch, num_frames = EXTRACT[kind](tf.zeros([2, 0]), tf.zeros([2], tf.int32))
    assert num_frames.numpy().tolist() == [1, 1]
    np.testing.assert_allclose(batch[1], features.extract(np.zeros(0)), atol=1e-4)
    assert not np.any(features.normalize_batch(batch, num_frames))


@pytest.mark.filterwarnings("ignore:n_fft=")  # librosa's, of a clip shorter than a window
@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050])
def test_num_frames_is_the_number_of_frames_of_librosa(rate):
    settings = FeatureSettings(sample_rate=rate)
    for samples in (1, 79, 80, 219, 220, 221, 4_000, 5_001):
        clip = np.zeros(samples)
        stft = librosa.stft(clip, n_fft=settings.n_fft, hop_length=settings.hop_length)
        frames = stft.shape[1]
        assert settings.num_frames(samples) == frames
        assert settings.num_frames(tf.constant([samples])).numpy() == [frames]
    assert settings.num_frames(np.array([0, 1])).tolist() == [1, 1]


def test_utterance_normalization():
    features = Features(FeatureSettings())
    normal = features.normalize(features.extract(noise(16_000)))
    np.testing.assert_allclose(normal.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(normal.std(axis=0), 1, atol=5e-3)
    silence = features.normalize(features.extract(np.zeros(16_000)))
    assert silence.dtype == np.float32 and not silence.any()


def test_global_statistics_are_learned_saved_and_loaded(tmp_path):
    settings = FeatureSettings(kind="mfcc", sample_rate=8_000, normalization="global")
    features = Features(settings)
    clips = [features.extract(noise(4_000, seed) * seed) for seed in (1, 2, 3)]
    features.learn(clips)
    frames = np.concatenate([features.normalize(clip) for clip in clips])
    np.testing.assert_allclose(frames.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(frames.std(axis=0), 1, atol=0.06)  # lower because of the floor
    features.save(tmp_path)
    config = json.loads(json.dumps(dataclasses.asdict(settings)))
    loaded = Features.load(tmp_path, FeatureSettings(**config))
    np.testing.assert_array_equal(loaded.normalize(clips[0]), features.normalize(clips[0]))
    batch, num_frames = loaded.extract_batch(*padded([noise(4_000, 1)]))
    np.testing.assert_allclose(
        loaded.normalize_batch(batch, num_frames)[0], features.normalize(clips[0]), atol=1e-3
    )


def test_without_normalization_features_are_unchanged():
    features = Features(FeatureSettings(normalization="none"))
    clip = features.extract(noise(2_000))
    np.testing.assert_array_equal(features.normalize(clip), clip)
    batch = tf.constant(clip[np.newaxis])
    np.testing.assert_array_equal(features.normalize_batch(batch, tf.constant([13])), batch)


@pytest.mark.slow
def test_a_loaded_run_computes_features_in_the_graph_without_librosa(tmp_path):
    features = Features(FeatureSettings(sample_rate=8_000))
    features.save(tmp_path)
    expected = features.extract(noise(1_000)).sum()
    code = f"""
import sys
sys.modules["librosa"] = sys.modules["soundfile"] = sys.modules["soxr"] = None
import numpy as np, tensorflow as tf
from lstm_zoo.speech.features import Features, FeatureSettings
features = Features.load({str(tmp_path)!r}, FeatureSettings(sample_rate=8_000))
clip = np.random.default_rng(0).normal(0, 0.1, 1_000).astype(np.float32)
print(features.extract_batch(clip[None], tf.constant([1_000]))[0].numpy().sum())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert float(done.stdout) == pytest.approx(expected, rel=1e-4), done.stderr


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"kind": "plp"}, "kind is one of log_mel, mfcc. Received: 'plp'"),
        ({"normalization": "batch"}, "normalization is one of utterance, global, none"),
        ({"num_mfcc": 41}, "Received: 41 of 40"),
        ({"num_mels": 0}, "Received: 13 of 0"),
        ({"hop": 0.01}, "window and hop are milliseconds"),
        ({"window": 0}, "window and hop are milliseconds"),
    ],
)
def test_invalid_settings(wrong, message):
    with pytest.raises(CallError, match=message):
        FeatureSettings(**wrong)


def test_too_many_filters_for_the_window():
    with pytest.raises(CallError, match="filters are empty for a window of 40 samples"):
        Features(FeatureSettings(sample_rate=8_000, window=5))


def test_a_folder_is_found_for_numbas_cache_where_no_usual_one_can_be_written(monkeypatch):
    import numba

    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    features._import_librosa.__wrapped__()
    assert numba.config.CACHE_DIR == ""
    monkeypatch.setattr(features, "_is_writable", lambda folder: False)
    features._import_librosa.__wrapped__()
    assert list(Path(numba.config.CACHE_DIR).iterdir()) == []
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/mine")
    monkeypatch.setattr(numba.config, "CACHE_DIR", "/mine")
    features._import_librosa.__wrapped__()
    assert numba.config.CACHE_DIR == "/mine"


@pytest.mark.slow
def test_a_read_only_installation_without_a_home_extracts_features():
    root = Path(importlib.util.find_spec("librosa").origin).parents[1]
    mount = f"mount --bind '{root}' '{root}' && mount -o remount,ro,bind '{root}' && exec \"$@\""
    script = (
        "import numpy; from lstm_zoo.speech.features import Features, FeatureSettings; "
        "print(Features(FeatureSettings()).extract(numpy.zeros(1600)).shape)"
    )
    isolated = ["unshare", "-m", "bash", "-c", mount, "-"]
    if shutil.which("unshare") is None or subprocess.run([*isolated, "true"]).returncode:
        pytest.skip("mounting is not allowed here")
    environment = {"HOME": "/proc", "XDG_CACHE_HOME": "/proc/x", "NUMBA_CACHE_DIR": None}
    environment = {k: v for k, v in {**os.environ, **environment}.items() if v is not None}
    done = subprocess.run(
        [*isolated, sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert done.stdout == "(11, 40)\n", done.stderr
