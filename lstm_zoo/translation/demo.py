"""A generated demo corpus: phrases of two locales from the Unicode CLDR, without a download.

Babel formats dates, durations, prices, measures, numbers, countries, languages and lists in both
locales. Scores on this corpus do not transfer to other texts.
"""

import datetime
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from lstm_zoo.errors import CallError

DATE_FORMATS = ("short", "medium", "long", "full")
UNITS = (
    "length-kilometer",
    "length-meter",
    "length-centimeter",
    "mass-kilogram",
    "mass-gram",
    "volume-liter",
    "duration-hour",
    "duration-minute",
    "duration-second",
    "speed-kilometer-per-hour",
    "temperature-celsius",
    "digital-megabyte",
    "area-square-meter",
    "energy-kilowatt-hour",
)
SECONDS = (1, 60, 3_600, 86_400, 604_800, 2_629_800, 31_557_600)  # from a second to a year
FIRST_DAY = datetime.datetime(1950, 1, 1)
DAYS = 36_500


def generate(
    examples: int = 1_000, seed: int = 0, source: str = "en", target: str = "de"
) -> tuple[list[str], list[str]]:
    """Generate phrases and their translations.

    Args:
        examples: the number of pairs, at least 1.
        seed: the random seed; the corpus also depends on Babel's version.
        source: a locale of Babel, such as `en` or `pt_BR`.
        target: the locale of the translations.

    Returns:
        (sources, targets), lists of equal length, as `lstm_zoo.translation.corpus.read` accepts.

    Raises:
        CallError: if Babel is not installed, or a locale is unknown.
        ValueError: if `examples` is below 1 or `seed` negative.

    Example:

    >>> sources, targets = generate(3, seed=1)
    >>> len(sources), len(targets)
    (3, 3)
    """
    if examples < 1:
        raise ValueError(f"examples must be at least 1. Received: {examples}")
    locales = [_locale(code) for code in (source, target)]
    generator = np.random.default_rng(seed)
    kinds = (
        _date,
        _date,  # twice as frequent
        _datetime,
        _duration,
        _relative_time,
        _measure,
        _price,
        _number,
        _country,
        _language,
    )
    pairs = []
    for _ in range(examples):
        phrase = kinds[generator.integers(len(kinds))](generator, locales)
        if generator.random() < 0.25:
            phrase = _list(phrase, generator, locales)
        pairs.append([phrase(locale) for locale in locales])
    sources, targets = zip(*pairs, strict=True)
    return [*sources], [*targets]


Phrase = Callable[[Any], str]  # formats one phrase in a locale


def _locale(code: str) -> Any:
    if importlib.util.find_spec("babel") is None:
        raise CallError(
            "The demo corpus needs Babel, which is not installed: "
            "pip install 'lstm_zoo[demo]', or give data."
        )
    import babel

    try:
        return babel.Locale.parse(code.replace("-", "_"))
    except (ValueError, babel.UnknownLocaleError) as error:
        raise CallError(f"Babel, which generates the demo corpus: {error}") from error


def _random_time(generator: np.random.Generator) -> datetime.datetime:
    minutes = int(generator.integers(DAYS * 24 * 60))
    return FIRST_DAY + datetime.timedelta(minutes=minutes)


def _date(generator: np.random.Generator, locales: list) -> Phrase:
    from babel.dates import format_date

    date = _random_time(generator).date()
    format = str(generator.choice(DATE_FORMATS))
    return lambda locale: format_date(date, format, locale)


def _datetime(generator: np.random.Generator, locales: list) -> Phrase:
    from babel.dates import format_datetime

    time = _random_time(generator)
    format = str(generator.choice(("short", "medium")))
    return lambda locale: format_datetime(time, format, locale=locale)


def _random_timedelta(generator: np.random.Generator) -> datetime.timedelta:
    unit = SECONDS[generator.integers(len(SECONDS))]
    return datetime.timedelta(seconds=int(unit * generator.integers(1, 30)))


def _duration(generator: np.random.Generator, locales: list) -> Phrase:
    from babel.dates import format_timedelta

    duration = _random_timedelta(generator)
    return lambda locale: format_timedelta(duration, threshold=1.5, locale=locale)


def _relative_time(generator: np.random.Generator, locales: list) -> Phrase:
    from babel.dates import format_timedelta

    delta = _random_timedelta(generator) * int(generator.choice((-1, 1)))
    return lambda locale: format_timedelta(delta, threshold=1.5, add_direction=True, locale=locale)


def _random_amount(generator: np.random.Generator) -> float:
    size = 10.0 ** generator.integers(1, 6)
    return round(float(generator.random() * size), int(generator.integers(0, 3)))


def _number(generator: np.random.Generator, locales: list) -> Phrase:
    from babel.numbers import format_decimal, format_percent

    amount = _random_amount(generator)
    if generator.random() < 0.5:
        return lambda locale: format_decimal(amount, locale=locale)
    return lambda locale: format_percent(amount / 100, locale=locale)


def _measure(generator: np.random.Generator, locales: list) -> Phrase:
    from babel.units import format_unit

    amount, unit = _random_amount(generator), str(generator.choice(UNITS))
    return lambda locale: format_unit(amount, unit, "long", locale=locale)


def _price(generator: np.random.Generator, locales: list) -> Phrase:
    from babel.numbers import format_currency

    amount, currency = (
        _random_amount(generator),
        _random_shared_code(generator, locales, "currencies"),
    )
    return lambda locale: format_currency(
        amount, currency, locale=locale, format_type="name", currency_digits=False
    )


def _country(generator: np.random.Generator, locales: list) -> Phrase:
    code = _random_shared_code(generator, locales, "territories")
    return lambda locale: locale.territories[code]


def _language(generator: np.random.Generator, locales: list) -> Phrase:
    code = _random_shared_code(generator, locales, "languages")
    return lambda locale: locale.languages[code]


def _random_shared_code(generator: np.random.Generator, locales: list, table: str) -> str:
    """Draw a code that both locales have a name for, from a table of Babel."""
    first, second = (getattr(locale, table) for locale in locales)
    codes = sorted(code for code in first if code in second)
    return str(codes[generator.integers(len(codes))])


def _list(phrase: Phrase, generator: np.random.Generator, locales: list) -> Phrase:
    """Join a phrase with names of countries and languages."""
    from babel.lists import format_list

    kinds = (_country, _language)
    others = [
        kinds[generator.integers(2)](generator, locales)
        for _ in range(int(generator.integers(1, 3)))
    ]
    return lambda locale: format_list([item(locale) for item in (phrase, *others)], locale=locale)
