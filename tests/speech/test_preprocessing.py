"""Cached features: their keys, augmentation, and clips that can't be read."""

import os
from dataclasses import replace

import numpy as np

from lstm_zoo.speech.features import Features, FeatureSettings
from lstm_zoo.speech.preprocessing import NOISE_RANGE, augment, cache_key, cached_features

SETTINGS = {"speed": 0.1, "noise": None, "seed": 0}
FEATURES = FeatureSettings()
SILENCE = np.zeros(4, np.float32), 8_000


def key(clips=(SILENCE,), version=1, features=FEATURES, **settings):
    return cache_key(clips, version, features, {**SETTINGS, **settings})


def tone(seconds=0.5, rate=8_000):
    return np.sin(np.arange(int(seconds * rate)) / 3).astype(np.float32), rate


def test_keys_are_those_of_existing_caches():
    assert key(version=0) == "6d8de16fab836896"
    assert key(version=1) == "fe7b9b432fab0a49"


def test_a_key_changes_with_the_clips_the_features_and_the_augmentation(tmp_path):
    samples, rate = SILENCE
    path = tmp_path / "a.wav"
    path.write_bytes(b"audio")
    others = [
        key([(samples + 1, rate)]),
        key([(samples, 16_000)]),
        key([(samples.astype(np.float64), rate)]),
        key([(samples[:, np.newaxis], rate)]),
        key([SILENCE, SILENCE]),
        key([]),
        key([str(path)]),
        key(version=0),
        key(version=2),
        key(features=replace(FEATURES, hop=5.0)),
        key(features=replace(FEATURES, kind="mfcc")),
        key(speed=0.2),
        key(noise=10),
        key(seed=1),
    ]
    assert len({key(), *others}) == 1 + len(others)


def test_a_key_ignores_normalization_and_for_the_original_clips_the_augmentation():
    for normalization in ("global", "none"):
        assert key(features=replace(FEATURES, normalization=normalization)) == key()
    assert key(version=0, speed=0.3, noise=5, seed=9) == key(version=0)


def test_the_key_of_a_file_changes_with_its_size_and_its_time(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"audio")
    os.utime(path, ns=(0, 10**9))
    first = key([str(path)])
    path.write_bytes(b"audi0")
    os.utime(path, ns=(0, 10**9))
    assert key([str(path)]) == first
    os.utime(path, ns=(0, 2 * 10**9))
    second = key([str(path)])
    path.write_bytes(b"more audio")
    os.utime(path, ns=(0, 10**9))
    assert len({first, second, key([str(path)])}) == 3


def test_features_are_computed_once_and_errors_are_kept(tmp_path):
    path = tmp_path / "text.wav"
    path.write_text("no audio")
    features = Features(replace(FEATURES, sample_rate=8_000))
    arguments = [tone(), str(path)], 0, features, SETTINGS, tmp_path / "cache"
    arrays, errors = cached_features(*arguments)
    assert [array.shape for array in arrays] == [(51, 40), (0, 40)]
    assert list(errors) == [1] and "text.wav: not audio" in errors[1]
    features.extract = None  # not called again
    again, same_errors = cached_features(*arguments)
    np.testing.assert_array_equal(again[0], arrays[0])
    assert same_errors == errors


def test_copies_depend_on_the_seed_the_version_and_the_index(tmp_path):
    features = Features(replace(FEATURES, sample_rate=8_000))
    clips = [tone(), tone()]

    def lengths(version, seed=0):
        settings = {**SETTINGS, "speed": 0.3, "seed": seed}
        return [len(a) for a in cached_features(clips, version, features, settings, tmp_path)[0]]

    assert lengths(0) == [51, 51]
    first = lengths(1)
    assert first[0] != first[1]
    assert first not in (lengths(2), lengths(1, seed=1))


def test_augmentation_stays_in_the_ranges_of_the_settings():
    samples, _ = tone(1.0)
    generator = np.random.default_rng(0)
    lengths = [len(augment(samples, SETTINGS, generator)) for _ in range(40)]
    assert min(lengths) >= 8_000 / 1.1 - 1 and max(lengths) <= 8_000 / 0.9 + 1
    assert max(lengths) - min(lengths) > 1_000
    settings = {**SETTINGS, "speed": 0.0, "noise": 10}
    ratios = []
    for _ in range(40):
        noise = augment(samples, settings, generator) - samples
        ratios.append(10 * np.log10(np.mean(samples**2) / np.mean(noise**2)))
    assert min(ratios) >= 10 - 0.01 and max(ratios) <= 10 + NOISE_RANGE + 0.01
    assert max(ratios) - min(ratios) > 10
    unchanged = augment(samples, {**SETTINGS, "speed": 0.0}, generator)
    assert unchanged is samples
