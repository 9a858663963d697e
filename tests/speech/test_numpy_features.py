"""Features in NumPy: as librosa's and the graph's."""

import numpy as np
import pytest
import tensorflow as tf

from lstm_zoo.errors import DataError
from lstm_zoo.speech import features, numpy_features
from lstm_zoo.speech.audio import read_audio
from lstm_zoo.speech.feature_settings import FeatureSettings
from tests.conftest import READY_RUNS

KINDS = [
    {"kind": "log_mel"},
    {"kind": "mfcc", "normalization": "global"},
    {"kind": "log_mel", "sample_rate": 22_050, "normalization": "none", "hop": 12.5},
]


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_features_are_those_of_librosa_and_of_the_graph(tmp_path, options):
    settings = FeatureSettings(**{"sample_rate": 8_000, **options})
    known = features.Features(settings)
    speech = read_audio(READY_RUNS / "spoken.wav", settings.sample_rate)
    if settings.normalization == "global":
        known.learn([known.extract(speech)])
    known.save(tmp_path)
    found = numpy_features.Features.load(tmp_path, settings)
    noise = np.random.default_rng(0).normal(0, 0.1, 5 * settings.sample_rate)
    for samples in (speech, noise, speech[:1], speech[:150], np.zeros(801), 1e-5 * noise):
        samples = samples.astype(np.float32)
        extracted = found.extract(samples)
        np.testing.assert_allclose(extracted, known.extract(samples), atol=1e-3)
        batch, lengths = known.extract_batch(samples[np.newaxis], tf.constant([len(samples)]))
        np.testing.assert_allclose(extracted, batch[0], atol=1e-3)
        normalized = known.normalize_batch(batch, lengths)[0]
        np.testing.assert_allclose(found.normalize(extracted), normalized, atol=2e-3)
        assert found.extract(samples).dtype == np.float32


def test_spectra_in_blocks_are_the_same(monkeypatch):
    settings = FeatureSettings(sample_rate=8_000)
    known = numpy_features.Features(settings, features.Features(settings).filter_bank)
    noise = np.random.default_rng(0).normal(0, 0.1, 8_000)
    expected = known.extract(noise)
    monkeypatch.setattr(numpy_features, "BLOCK", 7)
    np.testing.assert_allclose(known.extract(noise), expected, atol=1e-5)


def test_a_plot_of_mfcc_has_log_mel_features():
    settings = FeatureSettings(kind="mfcc", sample_rate=8_000, normalization="global")
    bank = features.Features(settings).filter_bank
    samples = np.zeros(800, np.float32)
    log_mels = numpy_features.Features(settings, bank).log_mel().extract(samples)
    np.testing.assert_allclose(log_mels, np.full((11, 40), np.log(1e-6)), rtol=1e-5)


def test_a_file_of_other_settings_is_an_error(tmp_path):
    features.Features(FeatureSettings(sample_rate=8_000)).save(tmp_path)
    with pytest.raises(DataError, match=r"features\.npz: expected an array filter_bank of float32"):
        numpy_features.Features.load(tmp_path, FeatureSettings(sample_rate=16_000))
