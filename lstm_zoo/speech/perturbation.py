"""Augmentation of training audio: speed perturbation and noise."""

import numpy as np

from lstm_zoo.speech.audio import resample

NOISE_COLORS = (0.0, 2.0)  # exponent of the power spectrum's decay: white to brown noise


def perturb_speed(samples: np.ndarray, factor: float) -> np.ndarray:
    """Change the speed of a clip, and with it the pitch (Ko et al. 2015).

    Args:
        samples: float samples `(samples,)`, at least one.
        factor: the relative speed, such as 0.9 or 1.1.

    Returns:
        float32 samples, about `len(samples) / factor`.

    Example:

    >>> perturb_speed(np.zeros(8_000), 1.25).shape
    (6400,)
    """
    return resample(samples, factor, 1.0)


def add_noise(
    samples: np.ndarray, signal_to_noise: float, generator: int | np.random.Generator
) -> np.ndarray:
    """Add Gaussian noise of a random color between white and brown.

    Args:
        samples: float samples `(samples,)`.
        signal_to_noise: the signal-to-noise ratio in dB.
        generator: a seed or a generator.

    Returns:
        float32 samples `(samples,)`; a silent clip stays silent.

    Example:

    >>> clip = np.sin(np.arange(8_000))
    >>> noise = add_noise(clip, 20, generator=1) - clip
    >>> round(float(np.mean(clip**2) / np.mean(noise**2)))
    100
    """
    generator = np.random.default_rng(generator)
    frequencies = np.fft.rfftfreq(len(samples))
    frequencies[0] = 1 / len(samples)
    spectrum = np.fft.rfft(generator.standard_normal(len(samples)))
    noise = np.fft.irfft(
        spectrum * frequencies ** (-generator.uniform(*NOISE_COLORS) / 2), n=len(samples)
    )
    power = np.mean(np.square(samples, dtype=np.float64))
    noise_power = power / 10 ** (signal_to_noise / 10)
    noise *= np.sqrt(noise_power / max(np.mean(noise**2), 1e-30))
    return (samples + noise).astype(np.float32)
