"""The script of texts without spaces."""

import pytest

from lstm_zoo.text.scripts import script_without_spaces


@pytest.mark.parametrize(
    "texts, script",
    [
        ([], None),
        (["12 345, 67"], None),
        (["a good day", "我"], None),
        (["我买了 iPhone。", "他在北京工作了三年"], "chinese"),
        (["ㄅㄆㄇ"], "chinese"),
        (["東京へ行く", "日本"], "japanese"),
        (["他说の是日语的字，我们都认识它"], "chinese"),  # a single kana
        (["ก็ดี", "ភាសា", "བོད", "ꆈꌠ"], "other"),
        (["Привет мир", "שלום", "שָׁלוֹם"], None),
    ],
)
def test_the_script_is_that_of_most_letters(texts, script):
    assert script_without_spaces(texts) == script
