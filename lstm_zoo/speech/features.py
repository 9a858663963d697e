"""Log-mel and MFCC features: librosa's, and the same in the graph.

A clip is padded with zeros by half a window on both sides (librosa's `center`, `pad_mode=
"constant"`), cut into periodic Hann windows that are as long as the FFT, and each window's power is
summed by librosa's filter bank (Slaney's mel scale and norm). Log-mel is `ln(power + 1e-6)`; there
is no `top_db`, which looks at the whole clip. An empty clip has one frame, of silence.
"""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from lstm_zoo.errors import CallError
from lstm_zoo.files import atomic_write
from lstm_zoo.speech import FEATURE_KINDS, NORMALIZATIONS

LOG_FLOOR = 1e-6  # added to the power, so that silence has a logarithm
VARIANCE_FLOOR = 1e-3  # added to the variance, so that an empty band of the spectrum stays small
DELTA_WIDTH = 9  # frames that a delta looks at
FILE = "features.npz"


@dataclass(frozen=True)
class FeatureSettings:
    """What features are, as a run's `config.json` keeps it (`dataclasses.asdict`).

    Attributes:
        kind: "log_mel", or "mfcc": cepstral coefficients with their first and second deltas.
        sample_rate: of the audio, in Hz.
        num_mels: filters of the mel filter bank.
        num_mfcc: cepstral coefficients ("mfcc" only), at most `num_mels`.
        window: length of a window in milliseconds.
        hop: milliseconds from one window's start to the next one's.
        normalization: "utterance" for a mean of 0 and a variance of 1 of each feature over each
            clip, "global" for means and deviations of the training part, "none".

    Raises:
        CallError: if a value can't be, or the window is too short for so many filters.

    Example:

    >>> settings = FeatureSettings(sample_rate=8_000)
    >>> settings.n_fft, settings.hop_length, settings.num_frames(8_000)
    (200, 80, 101)
    """

    kind: str = "log_mel"
    sample_rate: int = 16_000
    num_mels: int = 40
    num_mfcc: int = 13
    window: float = 25.0
    hop: float = 10.0
    normalization: str = "utterance"

    def __post_init__(self):
        for name, known in (("kind", FEATURE_KINDS), ("normalization", NORMALIZATIONS)):
            if getattr(self, name) not in known:
                raise CallError(
                    f"{name} is one of {', '.join(known)}. Received: {getattr(self, name)!r}"
                )
        if not 1 <= self.num_mfcc <= self.num_mels:
            raise CallError(
                "num_mfcc is at least 1 and at most num_mels. "
                f"Received: {self.num_mfcc} of {self.num_mels}"
            )
        if self.hop_length < 1 or self.n_fft < 2:
            raise CallError(
                "window and hop are milliseconds, of a sample or more. "
                f"Received: {self.window} and {self.hop} at {self.sample_rate} Hz"
            )

    @property
    def n_fft(self) -> int:
        """Samples of a window, and points of its Fourier transform: an even number.

        So a window has a middle, and TensorFlow cuts windows several times as fast at 22.05 kHz.
        """
        return 2 * round(self.sample_rate * self.window / 2_000)

    @property
    def hop_length(self) -> int:
        """Samples from one window to the next."""
        return round(self.sample_rate * self.hop / 1_000)

    @property
    def num_features(self) -> int:
        """The width of a frame."""
        return self.num_mels if self.kind == "log_mel" else 3 * self.num_mfcc

    def num_frames(self, num_samples: Any) -> Any:
        """Return the frames of a clip, at least 1; an int, array or tensor of samples alike."""
        return 1 + num_samples // self.hop_length


class Features(tf.Module):
    """Features of one kind, in Python by librosa and in the graph by TensorFlow.

    The two agree within 1e-3 before they are normalised. The filter bank is librosa's, and travels
    with the run: neither a graph nor a run that is loaded asks librosa again.

    Args:
        settings: what the features are.
        filter_bank: float32 `(num_mels, 1 + n_fft // 2)`; None for librosa's.
        mean: of each feature, for "global" normalisation; None until it is learned.
        deviation: the standard deviation of each feature, likewise.

    Raises:
        CallError: if the window is too short for so many filters.

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
        super().__init__()
        self.settings = settings
        self.filter_bank = _mel_filters(settings) if filter_bank is None else filter_bank
        self.mean = mean
        self.deviation = deviation

    def extract(self, samples: np.ndarray) -> np.ndarray:
        """Compute the features of a clip by librosa, not yet normalised.

        Args:
            samples: mono float samples `(samples,)` at the settings' rate.

        Returns:
            float32 features `(frames, num_features)`.
        """
        import librosa

        settings = self.settings
        samples = np.asarray(samples, np.float32)
        # What `center` does; librosa's own would warn of each clip shorter than a window.
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
        """Compute the features of a batch of clips in the graph, not yet normalised.

        Args:
            audio: mono float32 samples `(batch, samples)` at the settings' rate.
            num_samples: int32 `(batch,)`, the samples of each clip; what stands past them does not
                change a feature.

        Returns:
            float32 features `(batch, frames, num_features)`, 0 past a clip's own frames and at
            least one frame wide, and int32 `(batch,)`, the frames of each clip.
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
            cepstra = tf.linalg.matmul(features, _cosines(settings.num_mels, settings.num_mfcc))
            features = tf.concat([cepstra, *_deltas(cepstra, num_frames)], axis=-1)
        inside = tf.sequence_mask(num_frames, tf.shape(features)[1])[:, :, tf.newaxis]
        return tf.where(inside, features, 0.0), num_frames

    def learn(self, clips: list[np.ndarray]) -> None:
        """Learn the means and deviations of "global" normalisation.

        Args:
            clips: the features of the training part, as `extract` returns them.
        """
        frames = sum(map(len, clips))
        # In float64 and clip by clip: a corpus of features need not stand twice in memory.
        self.mean = sum(clip.sum(axis=0, dtype=np.float64) for clip in clips) / frames
        squares = sum(((clip - self.mean) ** 2).sum(axis=0) for clip in clips)
        self.deviation = np.sqrt(squares / frames + VARIANCE_FLOOR).astype(np.float32)
        self.mean = self.mean.astype(np.float32)

    def normalize(self, features: np.ndarray) -> np.ndarray:
        """Normalise a clip's features `(frames, num_features)`, as the settings say."""
        if self.settings.normalization == "none":
            return features
        if self.settings.normalization == "global":
            return (features - self.mean) / self.deviation
        variance = features.var(axis=0, dtype=np.float64) + VARIANCE_FLOOR
        mean = features.mean(axis=0, dtype=np.float64)
        return ((features - mean) / np.sqrt(variance)).astype(np.float32)

    def normalize_batch(self, features: tf.Tensor, num_frames: tf.Tensor) -> tf.Tensor:
        """Normalise a batch of features in the graph.

        Args:
            features: float32 `(batch, frames, num_features)`.
            num_frames: int32 `(batch,)`, the frames of each clip; the others do not count.

        Returns:
            float32 `(batch, frames, num_features)`, 0 past a clip's own frames.
        """
        if self.settings.normalization == "none":
            return features
        inside = tf.sequence_mask(num_frames, tf.shape(features)[1])[:, :, tf.newaxis]
        if self.settings.normalization == "global":
            return tf.where(inside, (features - self.mean) / self.deviation, 0.0)
        count = tf.cast(num_frames, tf.float32)[:, tf.newaxis, tf.newaxis]
        mean = tf.reduce_sum(tf.where(inside, features, 0.0), axis=1, keepdims=True) / count
        centred = tf.where(inside, features - mean, 0.0)
        variance = tf.reduce_sum(centred**2, axis=1, keepdims=True) / count
        return centred / tf.sqrt(variance + VARIANCE_FLOOR)

    def save(self, directory: str | os.PathLike) -> None:
        """Write `features.npz`: the filter bank, and the statistics where there are some."""
        arrays = {"filter_bank": self.filter_bank, "mean": self.mean, "deviation": self.deviation}
        with atomic_write(Path(directory) / FILE) as path:
            np.savez(path, **{name: array for name, array in arrays.items() if array is not None})

    @classmethod
    def load(cls, directory: str | os.PathLike, settings: FeatureSettings) -> "Features":
        """Read what `save` wrote."""
        with np.load(Path(directory) / FILE, allow_pickle=False) as arrays:
            return cls(settings, **arrays)


def _mel_filters(settings: FeatureSettings) -> np.ndarray:
    import librosa

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of empty filters: an error below
        filters = librosa.filters.mel(
            sr=settings.sample_rate, n_fft=settings.n_fft, n_mels=settings.num_mels
        )
    empty = int((filters.max(axis=1) == 0).sum())
    if empty:
        raise CallError(
            f"{empty} of {settings.num_mels} mel filters are empty for a window of "
            f"{settings.n_fft} samples; take fewer filters or a longer window."
        )
    return filters


def _cosines(num_mels: int, num_mfcc: int) -> np.ndarray:
    """The orthonormal discrete cosine transform of type 2, float32 `(num_mels, num_mfcc)`."""
    angles = np.pi * np.outer(np.arange(num_mels) + 0.5, np.arange(num_mfcc)) / num_mels
    basis = np.sqrt(2 / num_mels) * np.cos(angles)
    basis[:, 0] /= np.sqrt(2)
    return np.float32(basis)


def _deltas(cepstra: tf.Tensor, num_frames: tf.Tensor) -> list[tf.Tensor]:
    """First and second derivatives in time; a clip's first and last frames stand beyond its ends.

    Each is the derivative of the polynomial (of degree 1 and 2) nearest to `DELTA_WIDTH` frames, as
    Savitzky and Golay (1964) smooth: librosa's definition.
    """
    half = DELTA_WIDTH // 2
    offsets = np.arange(-half, half + 1)
    slopes = offsets / (offsets**2).sum()
    # The rows of the pseudoinverse give the polynomial's coefficients; 2 derives the square.
    curvatures = 2 * np.linalg.pinv(np.vander(offsets, 3))[0]
    times = tf.range(tf.shape(cepstra)[1])[tf.newaxis]  # (1, frames)
    last = num_frames[:, tf.newaxis] - 1
    neighbours = [
        tf.gather(cepstra, tf.minimum(tf.maximum(times + offset, 0), last), batch_dims=1)
        for offset in offsets
    ]
    return [
        tf.add_n([weight * frames for weight, frames in zip(weights, neighbours, strict=True)])
        for weights in (slopes, curvatures)
    ]
