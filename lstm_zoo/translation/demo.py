"""A demo corpus made by the package: CLDR's phrases in two languages.

Dates, durations, amounts of money, measures, countries, languages and lists, as Babel spells them
from the Unicode Common Locale Data Repository: real language, in two locales of the user's choice,
without a download. A score on them says nothing about other texts.
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
SECONDS = (1, 60, 3_600, 86_400, 604_800, 2_629_800, 31_557_600)  # a second to a year
FIRST_DAY = datetime.datetime(1950, 1, 1)
DAYS = 36_500


def generate(
    examples: int = 1_000, seed: int = 0, source: str = "en", target: str = "de"
) -> tuple[list[str], list[str]]:
    """Generate phrases and their translations.

    Args:
        examples: how many pairs to generate, at least 1.
        seed: the same seed gives the same corpus, on the same version of Babel.
        source: a locale that Babel knows, such as `en` or `pt_BR`.
        target: another.

    Returns:
        Two lists of the same length, as `lstm_zoo.translation.corpus.read` takes them.

    Raises:
        CallError: if Babel is not installed, or does not know a locale.
        ValueError: if no example or a negative seed is asked for.

    Example:

    >>> sources, targets = generate(3, seed=1)
    >>> len(sources), len(targets)
    (3, 3)
    """
    if examples < 1:
        raise ValueError(f"A corpus takes at least 1 example. Received: {examples}")
    locales = [_locale(code) for code in (source, target)]
    generator = np.random.default_rng(seed)
    kinds = (_day, _day, _moment, _span, _relative, _measure, _price, _number, _country, _tongue)
    pairs = []
    for _ in range(examples):
        phrase = kinds[generator.integers(len(kinds))](generator, locales)
        if generator.random() < 0.25:
            phrase = _listed(phrase, generator, locales)
        pairs.append([phrase(locale) for locale in locales])
    sources, targets = zip(*pairs, strict=True)
    return [*sources], [*targets]


Phrase = Callable[[Any], str]  # from a locale


def _locale(code: str) -> Any:
    if importlib.util.find_spec("babel") is None:
        raise CallError(
            "The demo corpus is made of Babel's phrases, which is not installed: "
            "pip install 'lstm_zoo[demo]', or give data."
        )
    import babel

    try:
        return babel.Locale.parse(code.replace("-", "_"))
    except (ValueError, babel.UnknownLocaleError) as error:
        raise CallError(f"Babel, of which the demo corpus is made: {error}") from error


def _moment_in(generator: np.random.Generator) -> datetime.datetime:
    minutes = int(generator.integers(DAYS * 24 * 60))
    return FIRST_DAY + datetime.timedelta(minutes=minutes)


def _day(generator: np.random.Generator, locales: list) -> Phrase:
    from babel.dates import format_date

    day = _moment_in(generator).date()
    format = str(generator.choice(DATE_FORMATS))
    return lambda locale: format_date(day, format, locale)


def _moment(generator: np.random.Generator, locales: list) -> Phrase:
    from babel.dates import format_datetime

    moment = _moment_in(generator)
    format = str(generator.choice(("short", "medium")))
    return lambda locale: format_datetime(moment, format, locale=locale)


def _seconds(generator: np.random.Generator) -> datetime.timedelta:
    unit = SECONDS[generator.integers(len(SECONDS))]
    return datetime.timedelta(seconds=int(unit * generator.integers(1, 30)))


def _span(generator: np.random.Generator, locales: list) -> Phrase:
    from babel.dates import format_timedelta

    span = _seconds(generator)
    return lambda locale: format_timedelta(span, threshold=1.5, locale=locale)


def _relative(generator: np.random.Generator, locales: list) -> Phrase:
    from babel.dates import format_timedelta

    span = _seconds(generator) * int(generator.choice((-1, 1)))
    return lambda locale: format_timedelta(span, threshold=1.5, add_direction=True, locale=locale)


def _amount(generator: np.random.Generator) -> float:
    size = 10.0 ** generator.integers(1, 6)
    return round(float(generator.random() * size), int(generator.integers(0, 3)))


def _number(generator: np.random.Generator, locales: list) -> Phrase:
    from babel.numbers import format_decimal, format_percent

    amount = _amount(generator)
    if generator.random() < 0.5:
        return lambda locale: format_decimal(amount, locale=locale)
    return lambda locale: format_percent(amount / 100, locale=locale)


def _measure(generator: np.random.Generator, locales: list) -> Phrase:
    from babel.units import format_unit

    amount, unit = _amount(generator), str(generator.choice(UNITS))
    return lambda locale: format_unit(amount, unit, "long", locale=locale)


def _price(generator: np.random.Generator, locales: list) -> Phrase:
    from babel.numbers import format_currency

    amount, currency = _amount(generator), _shared(generator, locales, "currencies")
    return lambda locale: format_currency(
        amount, currency, locale=locale, format_type="name", currency_digits=False
    )


def _country(generator: np.random.Generator, locales: list) -> Phrase:
    code = _shared(generator, locales, "territories")
    return lambda locale: locale.territories[code]


def _tongue(generator: np.random.Generator, locales: list) -> Phrase:
    code = _shared(generator, locales, "languages")
    return lambda locale: locale.languages[code]


def _shared(generator: np.random.Generator, locales: list, table: str) -> str:
    """Draw a code that both locales have a name for."""
    first, second = (getattr(locale, table) for locale in locales)
    codes = sorted(code for code in first if code in second)
    return str(codes[generator.integers(len(codes))])


def _listed(phrase: Phrase, generator: np.random.Generator, locales: list) -> Phrase:
    from babel.lists import format_list

    kinds = (_country, _tongue)
    others = [
        kinds[generator.integers(2)](generator, locales)
        for _ in range(int(generator.integers(1, 3)))
    ]
    return lambda locale: format_list([part(locale) for part in (phrase, *others)], locale=locale)
