"""Changes to the audio of training clips that leave the transcript true: speed and noise."""

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
