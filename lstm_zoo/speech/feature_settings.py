"""The settings and constants of features, and what follows from them. It imports no TensorFlow."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lstm_zoo.errors import CallError
from lstm_zoo.speech import FEATURE_KINDS, NORMALIZATIONS

LOG_FLOOR = 1e-6  # added to the power, since log(0) is infinite
VARIANCE_FLOOR = 1e-3  # added to the variance, so that constant features are not amplified
DELTA_WIDTH = 9  # frames from which a delta is computed
FILE = "features.npz"


@dataclass(frozen=True)
class FeatureSettings:
    """The settings of the features, saved in a run's `config.json` by `dataclasses.asdict`.

    Attributes:
        kind: "log_mel", or "mfcc" for cepstral coefficients with first and second deltas.
        sample_rate: the sample rate in Hz.
        num_mels: the number of filters of the mel filter bank.
        num_mfcc: the number of cepstral coefficients ("mfcc" only), at most `num_mels`.
        window: the window length in milliseconds.
        hop: the hop length in milliseconds.
        normalization: "utterance" for mean 0 and variance 1 of each feature over each clip,
            "global" for the means and standard deviations of the training data, or "none".

    Raises:
        CallError: on an invalid value.

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
                "window and hop are milliseconds, at least one sample long. "
                f"Received: {self.window} and {self.hop} at {self.sample_rate} Hz"
            )

    @property
    def n_fft(self) -> int:
        """The window and FFT length in samples.

        It is even, so that a window has a middle; at 22.05 kHz this also makes TensorFlow's framing
        several times as fast.
        """
        return 2 * round(self.sample_rate * self.window / 2_000)

    @property
    def hop_length(self) -> int:
        """The hop length in samples."""
        return round(self.sample_rate * self.hop / 1_000)

    @property
    def num_features(self) -> int:
        """The number of features of a frame."""
        return self.num_mels if self.kind == "log_mel" else 3 * self.num_mfcc

    def num_frames(self, num_samples: Any) -> Any:
        """Return the number of frames of a clip, at least 1, for an int, array or tensor."""
        return 1 + num_samples // self.hop_length


def array_shapes(settings: FeatureSettings) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays in `features.npz`, by name.

    Example:

    >>> array_shapes(FeatureSettings(sample_rate=8_000, normalization="none"))
    {'filter_bank': (40, 101)}
    """
    shapes: dict[str, tuple[int, ...]] = {
        "filter_bank": (settings.num_mels, 1 + settings.n_fft // 2)
    }
    if settings.normalization == "global":
        shapes |= {name: (settings.num_features,) for name in ("mean", "deviation")}
    return shapes


def dct_matrix(num_mels: int, num_mfcc: int) -> np.ndarray:
    """Return the orthonormal DCT-II matrix, float32 `(num_mels, num_mfcc)`.

    Example:

    >>> matrix = dct_matrix(40, 13)
    >>> bool(np.allclose(matrix.T @ matrix, np.eye(13), atol=1e-6))
    True
    """
    angles = np.pi * np.outer(np.arange(num_mels) + 0.5, np.arange(num_mfcc)) / num_mels
    basis = np.sqrt(2 / num_mels) * np.cos(angles)
    basis[:, 0] /= np.sqrt(2)
    return np.float32(basis)


def delta_weights() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the offsets of the frames that a delta is computed from, and their weights.

    As in librosa, deltas are the derivatives of polynomials of degree 1 and 2 that are fitted to
    `DELTA_WIDTH` frames (Savitzky and Golay 1964).

    Returns:
        The offsets, and the weights of first and of second deltas, each `(DELTA_WIDTH,)`.

    Example:

    >>> offsets, slopes, _ = delta_weights()
    >>> offsets.tolist(), round(float(slopes @ (3 * offsets)), 6)
    ([-4, -3, -2, -1, 0, 1, 2, 3, 4], 3.0)
    """
    half = DELTA_WIDTH // 2
    offsets = np.arange(-half, half + 1)
    slopes = offsets / (offsets**2).sum()
    # The rows of the pseudoinverse give the coefficients of the fit; x**2 has the derivative 2.
    curvatures = 2 * np.linalg.pinv(np.vander(offsets, 3))[0]
    return offsets, slopes, curvatures


def output_lengths(lengths: Any, subsampling: int) -> Any:
    """Return the number of valid frames of the logits.

    Args:
        lengths: the number of valid frames of the features: an int, array or tensor.
        subsampling: the number of frames merged into one; the last group may be smaller.

    Returns:
        The same type as `lengths`.

    Example:

    >>> output_lengths(np.array([1, 3, 4]), 3)
    array([1, 1, 2])
    """
    return (lengths + (subsampling - 1)) // subsampling
