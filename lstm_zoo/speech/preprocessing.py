"""Features of a corpus, with augmentation, computed once and cached on disk."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from lstm_zoo.data.arrays import Arrays
from lstm_zoo.data.prepared import prepare
from lstm_zoo.errors import DataError
from lstm_zoo.speech.audio import read_audio
from lstm_zoo.speech.features import Features, FeatureSettings
from lstm_zoo.speech.perturbation import add_noise, perturb_speed

CACHE_FORMAT = 1  # raised when equal settings give other features than before
NOISE_RANGE = 20  # dB from the minimum to the maximum signal-to-noise ratio


def cached_features(
    clips: Sequence[Any],
    version: int,
    features: Features,
    settings: Mapping[str, Any],
    directory: Path,
) -> tuple[Arrays, dict[int, str]]:
    """Return the features of one version of some clips, from the cache if they are there.

    Args:
        clips: paths, bytes or pairs (samples, sample_rate), as `lstm_zoo.speech.audio.as_clip`
            returns them.
        version: 0 for the clips as they are; 1, 2, … for copies, augmented by `augment`.
        features: the feature extraction.
        settings: a value for each of `speed`, `noise` and `seed`.
        directory: the cache directory.

    Returns:
        float32 features `(frames, num_features)` of each clip, without normalization, empty for a
        clip that can't be read; and the errors of those clips by index.
    """
    rate = features.settings.sample_rate

    def extract(index: int) -> np.ndarray | DataError:
        try:
            samples = read_audio(clips[index], rate)
            if version:
                generator = np.random.default_rng((settings["seed"], version, index))
                samples = augment(samples, settings, generator)
            return features.extract(samples)
        except DataError as error:
            return error

    key = cache_key(clips, version, features.settings, settings)
    title = "features" + (f", copy {version}" if version else "")
    return prepare(directory / key, lambda indices: [*map(extract, indices)], len(clips), title)


def cache_key(
    clips: Sequence[Any],
    version: int,
    feature_settings: FeatureSettings,
    settings: Mapping[str, Any],
) -> str:
    """Return a name in the cache that changes with the features.

    Args:
        clips: as for `cached_features`; files are identified by path, size and modification time.
        version: as for `cached_features`; the `settings` are ignored for 0.
        feature_settings: the settings of the features; the normalization is ignored.
        settings: as for `cached_features`.

    Returns:
        16 hexadecimal digits.
    """
    names = ("speed", "noise", "seed")
    augmentation = {name: settings[name] for name in names} if version else {}
    described = asdict(replace(feature_settings, normalization="none"))
    key = hashlib.sha256(
        json.dumps([CACHE_FORMAT, described, version, augmentation]).encode()
        + b"".join(map(_clip_digest, clips))
    )
    return key.hexdigest()[:16]


def augment(
    samples: np.ndarray, settings: Mapping[str, Any], generator: np.random.Generator
) -> np.ndarray:
    """Change the speed of a clip and add noise, both at random.

    Args:
        samples: float samples `(samples,)`.
        settings: `speed`, the maximum relative change of speed, 0 for none; `noise`, the minimum
            signal-to-noise ratio in dB, None for no noise.
        generator: the random generator.

    Returns:
        float32 samples.

    Example:

    >>> samples = augment(np.zeros(8_000), {"speed": 0.1, "noise": None}, np.random.default_rng(0))
    >>> 7_200 < len(samples) < 8_900
    True
    """
    speed, noise = settings["speed"], settings["noise"]
    if speed:
        samples = perturb_speed(samples, generator.uniform(1 - speed, 1 + speed))
    if noise is not None:
        ratio = generator.uniform(noise, noise + NOISE_RANGE)
        samples = add_noise(samples, ratio, generator)
    return samples


def _clip_digest(clip: Any) -> bytes:
    if isinstance(clip, str):
        status = os.stat(clip)
        text = f"{os.path.realpath(clip)}:{status.st_size}:{status.st_mtime_ns}"
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
    if isinstance(clip, bytes):
        return hashlib.sha256(clip).digest()
    samples, rate = clip
    digest = hashlib.sha256(f"{rate}:{samples.dtype}:{samples.shape}".encode())
    digest.update(np.ascontiguousarray(samples))
    return digest.digest()
