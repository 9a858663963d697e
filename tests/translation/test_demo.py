"""The demo corpus: any two locales, reproducible by seed."""

import pytest

from lstm_zoo.errors import CallError
from lstm_zoo.translation import demo


def test_the_corpus_is_reproducible_by_seed():
    assert demo.generate(200, 1) == demo.generate(200, 1)
    assert demo.generate(200, 1) != demo.generate(200, 2)
    sources, targets = demo.generate(400, 3)
    assert len(sources) == len(targets) == 400
    assert all(text.strip() for text in (*sources, *targets))
    assert len(set(sources)) > 300
    different = sum(a != b for a, b in zip(sources, targets, strict=True))
    assert different > 300


@pytest.mark.parametrize("languages", [("ja", "ar"), ("pt-BR", "ru"), ("fi", "zh_Hant")])
def test_any_pair_of_locales(languages):
    sources, targets = demo.generate(300, 0, *languages)
    assert all(text.strip() for text in (*sources, *targets))


def test_source_and_target_are_the_same_phrase():
    sources, targets = demo.generate(300, 5, "en", "en")
    assert sources == targets


def test_bad_calls():
    for locale in ("xx", "not a locale"):
        with pytest.raises(CallError, match="Babel"):
            demo.generate(1, 0, "en", locale)
    with pytest.raises(ValueError, match="examples must be at least 1"):
        demo.generate(0)
