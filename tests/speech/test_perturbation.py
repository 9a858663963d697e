"""Augmentation of audio: speed and pitch, the power of noise, and seeds."""

import numpy as np
import pytest

from lstm_zoo.speech.perturbation import add_noise, perturb_speed


def noise(num_samples: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(num_samples).astype(np.float32)


def test_speed_changes_length_and_pitch():
    tone = np.sin(2 * np.pi * 1_000 * np.arange(8_000) / 8_000)
    faster = perturb_speed(tone, 1.25)
    assert faster.dtype == np.float32 and abs(len(faster) - 6_400) <= 1
    peak = np.abs(np.fft.rfft(faster)).argmax() * 8_000 / len(faster)
    assert peak == pytest.approx(1_250, abs=2)
    assert abs(len(perturb_speed(tone, 0.9)) - 8_889) <= 1
    assert len(perturb_speed(tone[:1], 1.1)) == 1


def test_noise_has_the_requested_power_and_a_seed():
    clip = noise(8_000)
    noisy = add_noise(clip, 10, 3)
    added = (noisy - clip).astype(np.float64)
    ratio = 10 * np.log10(np.mean(clip.astype(np.float64) ** 2) / np.mean(added**2))
    assert noisy.dtype == np.float32 and ratio == pytest.approx(10, abs=0.01)
    np.testing.assert_array_equal(noisy, add_noise(clip, 10, 3))
    assert np.any(noisy != add_noise(clip, 10, 4))
    assert not add_noise(np.zeros(100, np.float32), 10, 0).any()
    assert add_noise(clip[:1], 10, 0).shape == (1,)
