"""What is known of languages: names, and which of two a text is in."""

import pytest

from lstm_zoo.translation import languages

ENGLISH = ["The cat is in the house and the dog is not."] * 10
GERMAN = ["Die Katze ist in dem Haus und der Hund ist nicht da."] * 10
RUSSIAN = ["Кошка сидит дома."] * 3
JAPANESE = ["猫は家にいます。"] * 3
CHINESE = ["猫在家里。"] * 3


def test_a_language_is_named_by_its_code_in_english_and_in_itself():
    assert languages.names("de") == ("de", "German", "Deutsch")
    assert languages.names("en-GB") == ("en-GB", "en", "English")
    assert languages.names("mdw") == ("mdw",)
    assert languages.names(None) == ()


@pytest.mark.parametrize(
    "sources, targets, source, target, swapped",
    [
        (ENGLISH, GERMAN, "de", "en", True),
        (ENGLISH, GERMAN, "en", "de", False),
        (ENGLISH, GERMAN, "de_AT", "en_GB", True),
        (ENGLISH, GERMAN, "de", "mdw", False),
        (ENGLISH, GERMAN, None, "en", False),
        (ENGLISH, GERMAN, "fr", "en", False),  # wrong, but not swapped
        (ENGLISH, ENGLISH, "de", "en", False),
        (ENGLISH[:1], GERMAN[:1], "de", "en", False),  # too few words to be certain
        (RUSSIAN, ENGLISH, "en", "ru", True),
        (RUSSIAN, ENGLISH, "ru", "en", False),
        (JAPANESE, ENGLISH, "en", "ja", True),
        (JAPANESE, CHINESE, "zh", "ja", False),  # both have Chinese characters
        (["..."], ["1"], "en", "ru", False),
        ([], [], "en", "ru", False),
    ],
)
def test_only_a_certain_swap_is_one(sources, targets, source, target, swapped):
    assert languages.is_swapped(sources, targets, source, target) == swapped


def test_no_split_of_multi30k_is_swapped(shared_data):
    texts = {
        code: (shared_data / f"multi30k/val.{code}").read_text("utf-8").splitlines()[:200]
        for code in ("de", "en", "fr")
    }
    for source, sources in texts.items():
        for target, targets in texts.items():
            assert not languages.is_swapped(sources, targets, source, target)
            assert languages.is_swapped(sources, targets, target, source) == (source != target)
