"""What is known of languages: their names, scripts and most frequent words."""

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

SAMPLE = 2_000  # texts of a column that are looked at
MIN_WORDS = 20  # function words of a language, to be certain of it
# Shares of all letters or words.
MIN_SCRIPT, MAX_OTHER_SCRIPT = 0.9, 0.1
MIN_FUNCTION_WORDS = 0.1
CERTAIN = 5  # times as many function words as of the other language


class Language(NamedTuple):
    """A language.

    Attributes:
        names: in English and in the language.
        words: its most frequent function words; empty where the script decides.
        scripts: its scripts, as they begin the names of their characters in Unicode.
    """

    names: tuple[str, ...]
    words: str = ""
    scripts: tuple[str, ...] = ("LATIN",)


LANGUAGES = {
    "ar": Language(("Arabic", "العربية"), scripts=("ARABIC",)),
    "bg": Language(
        ("Bulgarian", "български"),
        "на и да се за от не са по като през това който което че съм беше ще",
        ("CYRILLIC",),
    ),
    "cs": Language(
        ("Czech", "čeština"),
        "a v se na je že o s z do to i za ale jako by pro jsem jsou byl jeho které který není",
    ),
    "da": Language(
        ("Danish", "dansk"),
        "og i at er det en på til af med for ikke den der jeg han hun et har som var ud også",
    ),
    "de": Language(
        ("German", "Deutsch"),
        "der die das und ist nicht ein eine einen einem ich er sie es wir ihr zu mit von auf für "
        "den dem des im sich auch an mein hat bin sind was wie aus",
    ),
    "el": Language(("Greek", "ελληνικά"), scripts=("GREEK",)),
    "en": Language(
        ("English",),
        "the a an of to and is in that it i you he she we they was are this with for my your his "
        "her not have has be at on do what",
    ),
    "es": Language(
        ("Spanish", "español"),
        "el la los las de y que en un una es no se lo por con para su al del más como pero mi le "
        "está yo ella qué muy",
    ),
    "et": Language(
        ("Estonian", "eesti"), "ja on ei et see ta oli ma kui oma ka mis aga seda kes või siis nii"
    ),
    "fi": Language(
        ("Finnish", "suomi"),
        "ja on ei se että hän oli olen mutta en minä sinä tämä mitä niin kun joka myös tai ovat",
    ),
    "fr": Language(
        ("French", "français"),
        "le la les de des du et un une est que qui dans il elle je tu nous vous ne pas pour ce se "
        "au aux en mon sur avec son sa ont sont",
    ),
    "he": Language(("Hebrew", "עברית"), scripts=("HEBREW",)),
    "hi": Language(("Hindi", "हिन्दी"), scripts=("DEVANAGARI",)),
    "hr": Language(
        ("Croatian", "hrvatski"),
        "i je u se na da za su od sam ne što s bi kao nije ali koji iz ili ima on ona smo",
    ),
    "hu": Language(
        ("Hungarian", "magyar"),
        "a az és hogy nem is egy van ez meg de csak már mint volt ha azt vagy én ő ezt el kell",
    ),
    "hy": Language(("Armenian", "հայերեն"), scripts=("ARMENIAN",)),
    "id": Language(
        ("Indonesian", "Bahasa Indonesia"),
        "yang dan di itu dengan untuk tidak ini dari dalam akan pada saya ke dia ada kami anda",
    ),
    "it": Language(
        ("Italian", "italiano"),
        "il lo la gli i di e che è un una per non in con del della sono si mi ha al da le più come "
        "ma questo io",
    ),
    "ja": Language(("Japanese", "日本語"), scripts=("CJK", "HIRAGANA", "KATAKANA")),
    "ka": Language(("Georgian", "ქართული"), scripts=("GEORGIAN",)),
    "ko": Language(("Korean", "한국어"), scripts=("HANGUL", "CJK")),
    "lt": Language(
        ("Lithuanian", "lietuvių"),
        "ir yra kad į iš su tai jis ne bet buvo kaip aš ar jo per už ji tik nuo man taip",
    ),
    "lv": Language(
        ("Latvian", "latviešu"),
        "un ir ka no ar uz par es viņš tas bet kā nav to bija vai man kas viņa pie lai",
    ),
    "nl": Language(
        ("Dutch", "Nederlands"),
        "de het een en van ik te dat is die niet op aan met voor zijn er maar om hij zij ze wat "
        "mijn heeft naar bij ook dit je",
    ),
    "no": Language(
        ("Norwegian", "norsk"),
        "og i er det en på til av med for ikke den jeg han hun et har som var ut også meg deg",
    ),
    "pl": Language(
        ("Polish", "polski"),
        "i w na z nie się do to że jest o jak po ale co ma od za jego są był ja czy już tak",
    ),
    "pt": Language(
        ("Portuguese", "português"),
        "o a os as de e que um uma do da em no na não é com para se por mais eu ele ela como mas "
        "ao dos seu muito está",
    ),
    "ro": Language(
        ("Romanian", "română"),
        "și în de la nu o a cu pe un este că să se din mai am pentru ce ca eu el care sunt fi era",
    ),
    "ru": Language(
        ("Russian", "русский"),
        "и в не на я что он с это как по но она к у мы из за то все был так его вы мне меня есть",
        ("CYRILLIC",),
    ),
    "sk": Language(
        ("Slovak", "slovenčina"),
        "a v sa na je že o s z do to i za ale ako by pre som sú bol jeho ktoré ktorý nie",
    ),
    "sl": Language(
        ("Slovenian", "slovenščina"),
        "in je v se na da za so ki ne bi pa z s sem kot ni tudi po ali ob iz lahko",
    ),
    "sv": Language(
        ("Swedish", "svenska"),
        "och i att det är en på som för av med jag inte den till har han hon ett var om du kan sig",
    ),
    "th": Language(("Thai", "ไทย"), scripts=("THAI",)),
    "tr": Language(
        ("Turkish", "Türkçe"),
        "bir ve bu da de için ne o çok ben ile var mı mi gibi daha ama değil sen kadar olarak",
    ),
    "uk": Language(
        ("Ukrainian", "українська"),
        "і в не на я що він з це як по але вона до у ми та за то був його ви мені мене є",
        ("CYRILLIC",),
    ),
    "vi": Language(
        ("Vietnamese", "Tiếng Việt"),
        "là và của có không một những được cho tôi trong với người này đã anh các để ở",
    ),
    "zh": Language(("Chinese", "中文"), scripts=("CJK",)),
}


def names(code: str | None) -> tuple[str, ...]:
    """Return the names of a language that a table's header may have, the code first.

    Example:

    >>> names("pt_BR")
    ('pt_BR', 'pt', 'Portuguese', 'português')
    """
    if code is None:
        return ()
    base = _base(code)
    language = LANGUAGES.get(base)
    return tuple(dict.fromkeys((code, base, *(language.names if language else ()))))


def check_pair(codes: Any) -> None:
    """Check that a run's languages are two codes, None where one was not given.

    Raises:
        ValueError: if they are not.

    Example:

    >>> check_pair(["de", None])
    >>> check_pair("de")
    Traceback (most recent call last):
    ValueError: languages are two codes. Found: 'de'
    """
    if (
        not isinstance(codes, list)
        or len(codes) != 2
        or not all(isinstance(code, (str, type(None))) for code in codes)
    ):
        raise ValueError(f"languages are two codes. Found: {codes!r}")


def full_names() -> set[str]:
    """Return all names of languages that are known, without codes, folded to lower case."""
    known = itertools.chain.from_iterable(language.names for language in LANGUAGES.values())
    return {name.casefold() for name in known}


def is_swapped(
    sources: Sequence[str], targets: Sequence[str], source: str | None, target: str | None
) -> bool:
    """Return whether the sources are certainly in the target language, and the other way round.

    The scripts decide, or many words that are frequent in one language and not in the other.

    Args:
        sources: the sources.
        targets: the targets.
        source: the code of the language that the sources should be in.
        target: the code of the other.

    Returns:
        True if it is certain; False if it is not, or a language is unknown.

    Example:

    >>> is_swapped(["Привет, мир!"], ["Hello, world!"], "en", "ru")
    True
    """
    first, second = (LANGUAGES.get(_base(code or "")) for code in (source, target))
    if first is None or second is None or first is second:
        return False
    return _is_rather(sources, second, first) and _is_rather(targets, first, second)


def _is_rather(texts: Sequence[str], language: Language, other: Language) -> bool:
    """Return whether texts are certainly in one language and not in another."""
    sample = " ".join(texts[:: max(1, len(texts) // SAMPLE)]).lower()
    scripts = Counter(
        unicodedata.name(character, "").split(" ")[0] for character in sample if character.isalpha()
    )
    shares = [
        sum(scripts[script] for script in each.scripts) / max(1, scripts.total())
        for each in (language, other)
    ]
    if shares[0] >= MIN_SCRIPT and shares[1] <= MAX_OTHER_SCRIPT:
        return True
    words = re.findall(r"\w+", sample)
    ours, others = ({*each.words.split()} for each in (language, other))
    count, count_other = (
        sum(word in known for word in words) for known in (ours - others, others - ours)
    )
    return count >= max(MIN_WORDS, CERTAIN * count_other) and count >= MIN_FUNCTION_WORDS * len(
        words
    )


def _base(code: str) -> str:
    """Return a language's code without the region: `pt` of `pt_BR`."""
    return re.split("[-_]", code)[0].lower()
