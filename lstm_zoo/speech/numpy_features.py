"""Features without TensorFlow and librosa, which `lstm_zoo.speech.features` adds."""

from __future__ import annotations

import dataclasses
import functools
import os
from pathlib import Path

import numpy as np

from lstm_zoo.runs.reading import read_arrays
from lstm_zoo.speech.feature_settings import (
    FILE,
    LOG_FLOOR,
    VARIANCE_FLOOR,
    FeatureSettings,
    array_shapes,
    dct_matrix,
    delta_weights,
)

BLOCK = 4_096  # frames of which spectra are computed at once, to bound memory


class Features:
    """Feature extraction from samples, with the filter bank that a run stores.

    Args:
        settings: the settings of the features.
        filter_bank: float32 `(num_mels, 1 + n_fft // 2)`.
        mean: the mean of each feature, for "global" normalization.
        deviation: the standard deviation of each feature, likewise.
    """

    def __init__(
        self,
        settings: FeatureSettings,
        filter_bank: np.ndarray,
        mean: np.ndarray | None = None,
        deviation: np.ndarray | None = None,
    ):
        self.settings = settings
        self.filter_bank = filter_bank
        self.mean = mean
        self.deviation = deviation

    @classmethod
    def load(cls, directory: str | os.PathLike, settings: FeatureSettings) -> Features:
        """Load the features that a run or an export stores.

        Raises:
            DataError: if the file is damaged, or of other settings.
        """
        return cls(settings, **read_arrays(Path(directory) / FILE, array_shapes(settings)))

    def log_mel(self) -> Features:
        """Return the extraction of log-mel features, for plots of any features."""
        settings = dataclasses.replace(self.settings, kind="log_mel", normalization="none")
        return Features(settings, self.filter_bank)

    def extract(self, samples: np.ndarray) -> np.ndarray:
        """Compute the features of a clip, without normalization.

        Args:
            samples: mono float32 samples `(samples,)` at the settings' rate.

        Returns:
            float32 features `(frames, num_features)`.

        Example:

        >>> filters = np.ones((40, 101), np.float32)
        >>> Features(FeatureSettings(sample_rate=8_000), filters).extract(np.zeros(799)).shape
        (10, 40)
        """
        settings = self.settings
        padded = np.pad(np.asarray(samples, np.float32), settings.n_fft // 2)
        frames = np.lib.stride_tricks.sliding_window_view(padded, settings.n_fft)
        frames = frames[:: settings.hop_length]  # (frames, n_fft), a view
        features = np.empty((len(frames), settings.num_mels), np.float32)
        for start in range(0, len(frames), BLOCK):
            spectrum = np.fft.rfft(frames[start : start + BLOCK] * self._window)
            power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32, copy=False)
            mels = power @ self.filter_bank.T
            features[start : start + BLOCK] = np.log(mels + np.float32(LOG_FLOOR))
        if settings.kind == "log_mel":
            return features
        cepstra = features @ dct_matrix(settings.num_mels, settings.num_mfcc)
        return np.concatenate([cepstra, *_deltas(cepstra)], axis=1)

    def normalize(self, features: np.ndarray) -> np.ndarray:
        """Normalize a clip's features `(frames, num_features)`."""
        if self.settings.normalization == "none":
            return features
        if self.settings.normalization == "global":
            return (features - self.mean) / self.deviation
        mean = features.mean(axis=0, dtype=np.float64)
        variance = features.var(axis=0, dtype=np.float64) + VARIANCE_FLOOR
        return ((features - mean) / np.sqrt(variance)).astype(np.float32)

    @functools.cached_property
    def _window(self) -> np.ndarray:
        """The periodic Hann window, float32 `(n_fft,)`."""
        times = np.arange(self.settings.n_fft) / self.settings.n_fft
        return (0.5 - 0.5 * np.cos(2 * np.pi * times)).astype(np.float32)


def _deltas(cepstra: np.ndarray) -> list[np.ndarray]:
    """Return first and second deltas `(frames, num_mfcc)`; the first and last frames are padding.

    See `lstm_zoo.speech.feature_settings.delta_weights`.
    """
    offsets, *all_weights = delta_weights()
    times = np.arange(len(cepstra))
    neighbours = [cepstra[np.clip(times + offset, 0, len(cepstra) - 1)] for offset in offsets]
    return [
        sum(np.float32(weight) * frames for weight, frames in zip(weights, neighbours, strict=True))
        for weights in all_weights
    ]
