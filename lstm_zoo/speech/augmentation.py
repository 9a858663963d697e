"""Changes to training clips that leave the transcript true: speed, noise, and SpecAugment's masks.

Each takes a seed or a generator of its own, so that a training can be run again.
"""

import numpy as np

from lstm_zoo.speech.audio import resample

NOISE_COLOURS = (0.0, 2.0)  # fall of the noise's power with the frequency: from white to brown


def perturb_speed(samples: np.ndarray, factor: float) -> np.ndarray:
    """Play a clip faster or slower, pitch and all (Ko et al. 2015).

    Args:
        samples: float samples `(samples,)`, at least one.
        factor: the speed, such as 0.9 or 1.1; above 1 is faster, and shorter.

    Returns:
        float32 samples, about `len(samples) / factor` of them.
    """
    return resample(samples, factor, 1.0)


def add_noise(
    samples: np.ndarray, signal_to_noise: float, generator: int | np.random.Generator
) -> np.ndarray:
    """Add Gaussian noise of a colour between white and brown, drawn for each clip.

    Args:
        samples: float samples `(samples,)`.
        signal_to_noise: the ratio of the clip's power to the noise's, in dB.
        generator: a seed or a generator.

    Returns:
        float32 samples `(samples,)`; a silent clip stays silent.
    """
    generator = np.random.default_rng(generator)
    frequencies = np.fft.rfftfreq(len(samples))
    frequencies[0] = 1 / len(samples)
    spectrum = np.fft.rfft(generator.standard_normal(len(samples)))
    noise = np.fft.irfft(
        spectrum * frequencies ** (-generator.uniform(*NOISE_COLOURS) / 2), n=len(samples)
    )
    power = np.mean(np.square(samples, dtype=np.float64))
    wanted = power / 10 ** (signal_to_noise / 10)
    noise *= np.sqrt(wanted / max(np.mean(noise**2), 1e-30))
    return (samples + noise).astype(np.float32)


def mask_features(
    features: np.ndarray,
    generator: int | np.random.Generator,
    *,
    time_masks: int = 2,
    time_width: int = 25,
    time_share: float = 0.2,
    frequency_masks: int = 2,
    frequency_width: int = 8,
) -> np.ndarray:
    """Mask bands of time and of frequency, without the warp (SpecAugment, Park et al. 2019).

    Args:
        features: normalised features `(frames, num_features)`, whose mean, 0, fills the masks.
        generator: a seed or a generator.
        time_masks: how many masks of frames.
        time_width: the most frames of each.
        time_share: and the most frames of each as a share of the clip's, so that a short clip
            keeps its words.
        frequency_masks: how many masks of features.
        frequency_width: the most features of each.

    Returns:
        A masked copy `(frames, num_features)`.
    """
    generator = np.random.default_rng(generator)
    masked = features.copy()
    time_width = min(time_width, int(time_share * len(masked)))
    frequency_width = min(frequency_width, masked.shape[1])
    # Masking the rows of the transposed view masks features.
    for rows, count, widest in (
        (masked, time_masks, time_width),
        (masked.T, frequency_masks, frequency_width),
    ):
        for _ in range(count):
            width = generator.integers(widest + 1)
            start = generator.integers(len(rows) - width + 1)
            rows[start : start + width] = 0
    return masked
