"""Log-mel and MFCC features, computed by librosa or in the graph.

A clip is padded with zeros by half a window on both sides (librosa's `center=True`,
`pad_mode="constant"`). The power spectrum of periodic Hann windows, as long as the FFT, is
summed by librosa's mel filter bank (Slaney's mel scale and norm). Log-mel features are
`ln(power + 1e-6)`, without `top_db`, which depends on the whole clip. An empty clip has one frame
of silence.
"""

import atexit
import functools
import importlib
import importlib.util
import os
import tempfile
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import tensorflow as tf

from lstm_zoo.errors import CallError
from lstm_zoo.files import atomic_write
from lstm_zoo.speech import numpy_features
from lstm_zoo.speech.feature_settings import (
    DELTA_WIDTH,
    FILE,
    LOG_FLOOR,
    VARIANCE_FLOOR,
    FeatureSettings,
    dct_matrix,
    delta_weights,
)


class Features(numpy_features.Features):
    """Feature extraction by librosa, and the same in the graph by TensorFlow.

    Before normalization the two agree within 1e-3. The filter bank is librosa's and is saved with
    the run: graphs and loaded runs do not need librosa.

    Args:
        settings: the settings of the features.
        filter_bank: float32 `(num_mels, 1 + n_fft // 2)`; None for librosa's.
        mean: the mean of each feature, for "global" normalization; None before `learn`.
        deviation: the standard deviation of each feature; None before `learn`.

    Raises:
        CallError: if the window is too short for that many filters.

    Example:

    >>> features = Features(FeatureSettings(sample_rate=8_000))
    >>> features.extract(np.zeros(8_000, np.float32)).shape
    (101, 40)
    >>> batch, num_frames = features.extract_batch(tf.zeros([2, 8_000]), tf.constant([8_000, 799]))
    >>> batch.shape, num_frames.numpy()
    (TensorShape([2, 101, 40]), array([101,  10], dtype=int32))
    """

    def __init__(
        self,
        settings: FeatureSettings,
        filter_bank: np.ndarray | None = None,
        mean: np.ndarray | None = None,
        deviation: np.ndarray | None = None,
    ):
        filter_bank = _mel_filters(settings) if filter_bank is None else filter_bank
        super().__init__(settings, filter_bank, mean, deviation)

    def extract(self, samples: np.ndarray) -> np.ndarray:
        """Compute the features of a clip by librosa, without normalization.

        Args:
            samples: mono float samples `(samples,)` at the settings' rate.

        Returns:
            float32 features `(frames, num_features)`.
        """
        librosa = _import_librosa()
        settings = self.settings
        samples = np.asarray(samples, np.float32)
        # As center=True, which warns for each clip shorter than a window.
        spectrum = librosa.stft(
            np.pad(samples, settings.n_fft // 2),
            n_fft=settings.n_fft,
            hop_length=settings.hop_length,
            center=False,
        )  # (bins, frames)
        power = spectrum.real**2 + spectrum.imag**2
        features = np.log(self.filter_bank @ power + np.float32(LOG_FLOOR))  # (mels, frames)
        if settings.kind == "mfcc":
            cepstra = librosa.feature.mfcc(S=features, n_mfcc=settings.num_mfcc)
            deltas = [
                librosa.feature.delta(cepstra, width=DELTA_WIDTH, order=order, mode="nearest")
                for order in (1, 2)
            ]
            features = np.concatenate([cepstra, *deltas])
        return np.ascontiguousarray(features.T, dtype=np.float32)

    def extract_batch(
        self, audio: tf.Tensor, num_samples: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Compute the features of a batch of clips in the graph, without normalization.

        Args:
            audio: mono float32 samples `(batch, samples)` at the settings' rate.
            num_samples: int32 `(batch,)`, the valid samples of each clip; the others are ignored.

        Returns:
            float32 features `(batch, frames, num_features)`, at least one frame, 0 in the padding;
            and int32 `(batch,)`, the valid frames of each clip.
        """
        settings = self.settings
        audio = tf.where(tf.sequence_mask(num_samples, tf.shape(audio)[1]), audio, 0.0)
        half = settings.n_fft // 2
        audio = tf.pad(audio, [[0, 0], [half, half]])
        spectrum = tf.signal.stft(
            audio, settings.n_fft, settings.hop_length, settings.n_fft
        )  # (batch, frames, bins)
        power = tf.math.real(spectrum) ** 2 + tf.math.imag(spectrum) ** 2
        mels = tf.linalg.matmul(power, self.filter_bank, transpose_b=True)
        features = tf.math.log(mels + LOG_FLOOR)  # (batch, frames, mels)
        num_frames = settings.num_frames(num_samples)
        if settings.kind == "mfcc":
            cepstra = tf.linalg.matmul(features, dct_matrix(settings.num_mels, settings.num_mfcc))
            features = tf.concat([cepstra, *_deltas(cepstra, num_frames)], axis=-1)
        valid = tf.sequence_mask(num_frames, tf.shape(features)[1])[:, :, tf.newaxis]
        return tf.where(valid, features, 0.0), num_frames

    def learn(self, clips: list[np.ndarray]) -> None:
        """Compute the means and standard deviations for "global" normalization.

        Args:
            clips: features of training clips, as returned by `extract`.
        """
        frames = sum(map(len, clips))
        # In float64, and clip by clip to save memory.
        self.mean = sum(clip.sum(axis=0, dtype=np.float64) for clip in clips) / frames
        squares = sum(((clip - self.mean) ** 2).sum(axis=0) for clip in clips)
        self.deviation = np.sqrt(squares / frames + VARIANCE_FLOOR).astype(np.float32)
        self.mean = self.mean.astype(np.float32)

    def normalize_batch(self, features: tf.Tensor, num_frames: tf.Tensor) -> tf.Tensor:
        """Normalize a batch of features in the graph.

        Args:
            features: float32 `(batch, frames, num_features)`.
            num_frames: int32 `(batch,)`, the valid frames of each clip; the others are ignored.

        Returns:
            float32 `(batch, frames, num_features)`, 0 in the padding.
        """
        if self.settings.normalization == "none":
            return features
        valid = tf.sequence_mask(num_frames, tf.shape(features)[1])[:, :, tf.newaxis]
        if self.settings.normalization == "global":
            return tf.where(valid, (features - self.mean) / self.deviation, 0.0)
        count = tf.cast(num_frames, tf.float32)[:, tf.newaxis, tf.newaxis]
        mean = tf.reduce_sum(tf.where(valid, features, 0.0), axis=1, keepdims=True) / count
        centered = tf.where(valid, features - mean, 0.0)
        variance = tf.reduce_sum(centered**2, axis=1, keepdims=True) / count
        return centered / tf.sqrt(variance + VARIANCE_FLOOR)

    def save(self, directory: str | os.PathLike) -> None:
        """Write `features.npz`: the filter bank, and the global statistics if there are any."""
        arrays = {"filter_bank": self.filter_bank, "mean": self.mean, "deviation": self.deviation}
        with atomic_write(Path(directory) / FILE) as path:
            np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


@functools.cache
def _import_librosa() -> ModuleType:
    """Import librosa, also where neither its folder nor the user's home can be written.

    numba, which compiles some of its functions, then finds no folder for its cache, and fails.
    """
    folder = Path(importlib.util.find_spec("librosa").origin).parent / "core" / "__pycache__"
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "numba"
    if "NUMBA_CACHE_DIR" not in os.environ and not (_is_writable(folder) or _is_writable(home)):
        import numba

        # Not a fixed name: others could leave code there, which numba would run.
        temporary = tempfile.TemporaryDirectory(prefix="numba-")
        atexit.register(temporary.cleanup)
        numba.config.CACHE_DIR = temporary.name
    return importlib.import_module("librosa")


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _mel_filters(settings: FeatureSettings) -> np.ndarray:
    librosa = _import_librosa()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # for empty filters, which are an error below
        filters = librosa.filters.mel(
            sr=settings.sample_rate, n_fft=settings.n_fft, n_mels=settings.num_mels
        )
    empty = int((filters.max(axis=1) == 0).sum())
    if empty:
        raise CallError(
            f"{empty} of {settings.num_mels} mel filters are empty for a window of "
            f"{settings.n_fft} samples; use fewer filters or a longer window."
        )
    return filters


def _deltas(cepstra: tf.Tensor, num_frames: tf.Tensor) -> list[tf.Tensor]:
    """Return first and second deltas, with a clip's first and last valid frames as padding."""
    offsets, *all_weights = delta_weights()
    times = tf.range(tf.shape(cepstra)[1])[tf.newaxis]  # (1, frames)
    last = num_frames[:, tf.newaxis] - 1
    neighbours = [
        tf.gather(cepstra, tf.minimum(tf.maximum(times + offset, 0), last), batch_dims=1)
        for offset in offsets
    ]
    return [
        tf.add_n([weight * frames for weight, frames in zip(weights, neighbours, strict=True)])
        for weights in all_weights
    ]
