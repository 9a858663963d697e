"""Scripts that are written without spaces between words."""

import unicodedata
from collections.abc import Iterable

# The first and last code points of Unicode's blocks.
RANGES = {
    "chinese": [(0x2E80, 0x2FDF), (0x3100, 0x312F), (0x31A0, 0x31BF), (0x3400, 0x4DBF),
                (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF)],
    "kana": [(0x3040, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F)],
    "others": [(0x0E00, 0x0EFF), (0x0F00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF),
               (0x1950, 0x19FF), (0x1A20, 0x1AAF), (0xA000, 0xA4CF), (0xA9E0, 0xA9FF),
               (0xAA60, 0xAADF)],  # Thai, Lao, Tibetan, Burmese, Khmer, Tai, Yi
}  # fmt: skip
KANA_SHARE = 0.1  # of Japanese at least; Chinese quotes a character at most


def script_without_spaces(texts: Iterable[str]) -> str | None:
    """Return which script without spaces most letters of some texts are of.

    Args:
        texts: the texts.

    Returns:
        "chinese"; "japanese", where kana stand between the Chinese characters; "other", such as
        Thai, Lao, Tibetan, Burmese or Khmer; None for scripts with spaces.

    Example:

    >>> [script_without_spaces([text]) for text in ("今天很好", "今日はいい", "วันนี้ดี", "a good day")]
    ['chinese', 'japanese', 'other', None]
    """
    counts = dict.fromkeys(("chinese", "kana", "others", None), 0)
    for text in texts:
        for character in text:
            if unicodedata.category(character)[0] in "LM":  # letters and their marks
                counts[_script(character)] += 1
    chinese, kana, others, spaced = counts.values()
    if chinese + kana + others <= spaced:
        return None
    if others > chinese + kana:
        return "other"
    return "japanese" if kana > KANA_SHARE * (chinese + kana) else "chinese"


def _script(character: str) -> str | None:
    code = ord(character)
    for script, ranges in RANGES.items():
        if any(first <= code <= last for first, last in ranges):
            return script
    return None
