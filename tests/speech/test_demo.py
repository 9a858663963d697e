"""The spoken demo corpus: seeded, plausible as speech, with other voices in the test set."""

import importlib.util
import re

import numpy as np
import pytest

from lstm_zoo.errors import CallError
from lstm_zoo.speech import demo
from lstm_zoo.speech.audio import read_audio
from lstm_zoo.speech.corpus import read


@pytest.fixture(scope="module")
def generated():
    return demo.generate(150, seed=3)


def test_the_corpus_is_reproducible_by_seed(generated):
    clips, texts, speakers = generated
    again = demo.generate(40, seed=3)
    assert (texts[:40], speakers[:40]) == again[1:]
    for (samples, rate), (same, _) in zip(clips, again[0], strict=False):
        assert rate == 22_050 and samples.dtype == np.int16
        np.testing.assert_array_equal(samples, same)
    assert demo.generate(3, seed=4)[1] != texts[:3]


def test_the_sentences_are_digits_and_commands_in_turn(generated):
    texts = generated[1]
    digits = "|".join(demo.DIGITS)
    for text in texts[::2]:
        assert re.fullmatch(rf"({digits})( ({digits})){{0,{demo.MAX_DIGITS - 1}}}", text)
    for text in texts[1::2]:
        assert re.fullmatch(r"[a-z]+( [a-z]+)+", text) and not re.fullmatch(digits, text)
    assert len(set(texts)) > 0.8 * len(texts)


def test_training_and_test_data_share_no_voice_and_no_sentence(generated):
    _, texts, speakers = demo.generate(60, seed=3, part="test")
    assert not set(texts) & set(generated[1])
    assert not set(demo.voices("training")) & set(demo.voices("test"))
    assert set(speakers) <= set(demo.voices("test")) and len(set(speakers)) > 10
    assert set(generated[2]) <= set(demo.voices("training")) and len(set(generated[2])) > 40


def test_clips_have_the_duration_level_and_spectrum_of_speech(generated):
    for (samples, rate), text in zip(*generated[:2], strict=True):
        clip = samples / 2**15
        assert 0.1 < len(clip) / rate / len(text.split()) < 1.2  # seconds a word
        assert 0.02 < np.sqrt(np.mean(clip**2)) < 0.4 and np.abs(clip).max() <= 1
        spectrum = np.abs(np.fft.rfft(clip)) ** 2
        assert spectrum[: len(clip) * 4_000 // rate].sum() > 0.6 * spectrum.sum()
        # The end is not cut off: it is quieter than the clip.
        assert np.abs(clip[-rate // 50 :]).mean() < np.abs(clip).mean()


def test_longer_strings_take_longer(generated):
    seconds = [len(samples) / rate for samples, rate in generated[0][::2]]
    words = [len(text.split()) for text in generated[1][::2]]
    assert np.corrcoef(seconds, words)[0, 1] > 0.8


def test_the_engine_has_every_voice():
    import espeakng_loader

    variants = [name for names in demo.VARIANTS.values() for name in names]
    folder = espeakng_loader.get_data_path() + "/voices/!v/"
    for name in variants:  # the engine ignores an unknown variant
        open(folder + name).close()
    for accent in demo.ACCENTS:
        request = {"text": "one", "voice": accent, "rate": 150, "pitch": 50, "range": 50}
        ((samples, _),) = demo._synthesize([request])
        assert len(samples) > 5_000


def test_given_texts_are_synthesized_by_seed_with_pauses_at_commas():
    texts = ["one two three", "one, two, three", "four"] * 2
    clips, speakers = demo.speak(texts, seed=5)
    again, same_speakers = demo.speak(texts, seed=5)
    assert speakers == same_speakers and len(set(speakers)) > 3
    assert set(speakers) <= set(demo.voices("training"))
    for (samples, rate), (same, _) in zip(clips, again, strict=True):
        assert rate == 22_050 and np.abs(samples).max() > 1_000
        np.testing.assert_array_equal(samples, same)
    assert set(demo.speak(texts, seed=5, part="test")[1]) <= set(demo.voices("test"))
    # In the same voice, a comma makes the clip longer.
    plain, paused = (
        demo._synthesize(
            [{"text": text, "voice": "en-us+m1", "rate": 150, "pitch": 50, "range": 50}]
        )
        for text in texts[:2]
    )
    assert len(paused[0][0]) > 1.1 * len(plain[0][0])
    with pytest.raises(ValueError, match="part is one of training, test"):
        demo.speak(texts, part="dev")


def test_the_corpus_reader_accepts_it(generated):
    corpus = read(generated)
    assert len(corpus) == 150 and not corpus.skipped
    samples = read_audio(corpus.clips[0], 8_000)
    assert abs(len(samples) / 8_000 - len(corpus.clips[0][0]) / 22_050) < 0.001


def test_without_the_engine_the_error_names_the_extra(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "espeakng_loader" else find(name)
    )
    with pytest.raises(CallError, match=r"pip install 'lstm_zoo\[demo\]'"):
        demo.generate(1)


def test_an_error_of_the_engine_is_reported(monkeypatch):
    monkeypatch.setattr(demo, "ACCENTS", ("xx-none",))
    with pytest.raises(CallError, match="eSpeak NG has no voice named xx-none"):
        demo.generate(1)


def test_invalid_arguments_are_rejected():
    with pytest.raises(ValueError, match="at least 1 example"):
        demo.generate(0)
    with pytest.raises(ValueError, match="part is one of training, test"):
        demo.generate(1, part="dev")
    with pytest.raises(ValueError):
        demo.generate(1, seed=-1)
