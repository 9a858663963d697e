"""A synthetic demo corpus: film reviews whose sentiment depends on word order.

The sentences are generated from the small grammar below, not taken from any data set. They show
within seconds what a recurrent network gains over a bag of words; a score on them does not carry
over to real reviews.
"""

import re

import numpy as np

# In every construction but "plain" and "denial", the label decides only the order of the words: the
# same words are sampled for both labels. Any bag of words is equally likely under both, and no
# bag-of-words classifier can beat chance. In "denial" the bags differ, but not for a linear
# classifier: "not" negates good and bad adjectives alike.
#
# Slots that depend on the label:
#   {win} {lose}    an adjective of the label's polarity, and one of the opposite polarity; they
#                   swap when the label changes;
#   {adj1} {adj2}   an adjective of a polarity sampled independently of the label, and one of the
#                   opposite polarity;
#   {not1} {not2}   "not" is at the first if {adj1} must be negated to give the label, at the second
#                   otherwise;
#   {only1} {only2} "only" is at the first if {adj1} has the polarity of the label ("not only dull
#                   but long"), at the second otherwise ("not dull but only long").
# All adjectives and adverbs begin with a consonant, since "a" may precede them.
CONSTRUCTIONS = {
    "plain": [
        "{opening} the {part} {be}{hedge} {adverb} {win}",
        "the {part} {be} {perhaps} {win}{hedge} and the {part} {be} {perhaps} {win}",
        "{opening} this {be} a {perhaps} {win} {film} whose {part} {be} {perhaps} {win}",
        "{who} found the {part} {perhaps} {win} and the {part}{hedge} {perhaps} {win}",
        "{who} had {maybe_not} {done}, and the {part} {be}{hedge} {perhaps} {win}",
        "from the {win} {part} to the {win} {part}, {whole} {be} {perhaps} {win}",
    ],
    "denial": ["{opening} {claim1}"],
    "negation": [
        "{who} had {not2} {done}, and {claim1}",
        "{claim1}; {who} had {not2} {done}",
    ],
    "negation_scope": ["{claim1}, and {claim2}", "{claim1}; {claim2}"],
    "correction": [
        "the {part} {be} not{hedge} {perhaps} {lose} but {perhaps} {win}",
        "the {part} {be}{hedge} {perhaps} {win}, not {perhaps} {lose}",
        "the {part} {be} {perhaps} {win} rather than {perhaps} {lose}",
        "far from being {perhaps} {lose}, the {part} {be}{hedge} {perhaps} {win}",
        "the {part} {be} never{hedge} {perhaps} {lose} and always {perhaps} {win}",
        "the {part} {be} always {perhaps} {win} and never{hedge} {perhaps} {lose}",
    ],
    "not_only_but": [
        "the {part} {be} not{hedge} {only1} {perhaps} {adj1} but {only2} {quality}",
        "this {be} not{hedge} {only1} a {perhaps} {adj1} {film} but {only2} a {quality} one",
        "{who} had expected something {lose} and {lose}, "
        "but the {film} {be} not only {perhaps} {win} but also {win}",
        "the {film} {be} not only {perhaps} {win} but also {win}, "
        "though {who} had expected something {lose} and {lose}",
    ],
    "expectation": [
        "{who} had expected a {perhaps} {lose} {film} and got{hedge} a {perhaps} {win} one",
        "{who} got{hedge} a {perhaps} {win} {film} after expecting a {perhaps} {lose} one",
        "what looked {perhaps} {lose} in the trailer turned out{hedge} {perhaps} {win}",
        "the {part} turned out{hedge} {perhaps} {win} after a {perhaps} {lose} trailer",
    ],
    "contrast": [
        "the {part} {be} {perhaps} {lose}, but {whole} {be}{hedge} {perhaps} {win}",
        "the {part} may be {perhaps} {lose}, yet {whole} {be}{hedge} {perhaps} {win}",
        "{whole} {be}{hedge} {perhaps} {win}, and that the {part} {be} {lose} hardly matters",
        "apart from the {perhaps} {lose} {part}, {whole} {be}{hedge} {perhaps} {win}",
        "{whole} {be}{hedge} {perhaps} {win}, apart from the {perhaps} {lose} {part}",
    ],
    "concession": [
        "{although} the {part} {be} {perhaps} {lose}, {whole} {be}{hedge} {perhaps} {win}",
        "{whole} {be}{hedge} {perhaps} {win}, {although} the {part} {be} {perhaps} {lose}",
        "despite the {perhaps} {lose} {part}, {whole} {be}{hedge} {perhaps} {win}",
        "{whole} {be}{hedge} {perhaps} {win} despite the {perhaps} {lose} {part}",
    ],
    "comparison": [
        "the first {film} was {perhaps} {lose}, but this one is{hedge} {perhaps} {win}",
        "this {film} is{hedge} {perhaps} {win}, while the one before it was {perhaps} {lose}",
        "unlike the {perhaps} {lose} original, this {film} is{hedge} {perhaps} {win}",
        "next to this {perhaps} {win} {film}, the first one looks{hedge} {perhaps} {lose}",
    ],
    "attribution": [
        "{others} called the {part} {perhaps} {lose}, but I found it{hedge} {perhaps} {win}",
        "I found the {part}{hedge} {perhaps} {win}, though {others} called it {perhaps} {lose}",
        "where {others} saw a {perhaps} {lose} {film}, I saw{hedge} a {perhaps} {win} one",
    ],
}

# Words come between "not" and its adjective: no bigram shows which adjective is negated.
_CLAIMS = [
    "the {part} {be} {not#}{hedge} {perhaps} {adj#}",
    "this {be} {not#}{hedge} a {perhaps} {adj#} {film}",
    "{judge} would {not#}{hedge} call the {part} {perhaps} {adj#}",
    "the {part} could {not#}{hedge} be called {perhaps} {adj#}",
]


def _phrases(text: str) -> list[str]:
    return [phrase.strip() for phrase in text.split("/")]


_GRAMMAR = CONSTRUCTIONS | {
    "good": _phrases(
        "moving / gripping / charming / clever / convincing / witty / funny / touching / "
        "thoughtful / great / good / delightful / rewarding / captivating / satisfying / "
        "likeable / fascinating / lively / graceful / memorable / fresh / beautiful / "
        "compelling / brilliant"
    ),
    "bad": _phrases(
        "dull / boring / weak / tedious / clumsy / terrible / flat / lifeless / bland / "
        "forgettable / tiresome / shallow / sloppy / lazy / dreary / poor / grating / hollow / "
        "messy / wooden / predictable / muddled / pointless / bad"
    ),
    "polarity": ["good", "bad"],
    "claim1": [claim.replace("#", "1") for claim in _CLAIMS],
    "claim2": [claim.replace("#", "2") for claim in _CLAIMS],
    "adverb": _phrases("really / truly / genuinely / particularly / remarkably / very"),
    "perhaps": ["", "{adverb}"],
    "maybe_not": ["", "not"],
    "only": ["only", "just", "merely"],
    "be": ["is", "was"],
    "although": ["although", "though", "even though", "while"],
    "film": _phrases(
        "film / movie / picture / production / feature / sequel / remake / comedy / drama / "
        "thriller"
    ),
    "whole": ["the {film}", "the whole {film}", "the {film} as a whole", "the finished {film}"],
    "part": _phrases(
        "story / plot / script / dialogue / acting / ending / direction / opening / finale / cast /"
        "narration / romance / first act / second half / last scene / lead performance / chase /"
        "screenplay / storytelling / middle section / wedding scene / central friendship / villain"
    ),
    "quality": _phrases(
        "long / short / dark / quiet / loud / simple / sad / strange / serious / solemn / "
        "sentimental"
    ),
    "who": _phrases(
        "I / we / my sister / my brother / my friends / my parents / the two of us / our neighbours"
    ),
    "judge": ["I", "we", "my friends", "most people"],
    "others": _phrases("my sister / the critics / most reviewers / a friend of mine / my parents"),
    "done": _phrases(
        "read the book / seen the trailer / met the director / planned to go / brought the children"
        "/ heard of the director / watched the earlier films / looked up the reviews / paid for the"
        " tickets / been to that cinema before / sat in the front row / slept before the show"
    ),
    "opening": _phrases("/ / all in all, / in short, / overall, / in the end, / in a word,"),
    "hedge": ["", "", ", {remark},"],
    "remark": _phrases(
        "to be honest / in my view / for me at least / to my mind / as far as I can tell / on a"
        " second viewing / I have to say / all things considered / if you ask me / in truth"
    ),
}


class Sampler:
    """A sampler of sentences, which samples the choices of each symbol without replacement.

    All choices of a symbol are used once before any is used again: all adjectives of a polarity
    are equally frequent. Each symbol has its own random generator, since the label decides whether
    "good" or "bad" is sampled first and must not change the words.

    Args:
        seed: the seed of the random generators. Must not be negative.
    """

    def __init__(self, seed: int):
        self._generators = {
            symbol: np.random.default_rng([seed, number]) for number, symbol in enumerate(_GRAMMAR)
        }
        self._remaining: dict[str, list[int]] = {symbol: [] for symbol in _GRAMMAR}
        self._recent: dict[str, list[int]] = {symbol: [] for symbol in _GRAMMAR}

    def _sample(self, symbol: str) -> str:
        remaining, recent = self._remaining[symbol], self._recent[symbol]
        if not remaining:
            # Recent choices come last, since no sentence may repeat an adjective.
            order = self._generators[symbol].permutation(len(_GRAMMAR[symbol])).tolist()
            remaining += sorted(order, key=lambda choice: choice not in recent)
        recent[:] = [*recent[-3:], remaining.pop()]
        return _GRAMMAR[symbol][recent[-1]]

    def sentence(self, construction: str, positive: bool) -> str:
        """Return the next sentence of a construction with the given label."""
        win, lose = ("good", "bad") if positive else ("bad", "good")
        first = self._sample("polarity")
        negated = "2" if first == win else "1"  # which of the two claims has the "not"
        symbol_of = {"win": win, "lose": lose, "adj1": first}
        symbol_of["adj2"] = "bad" if first == "good" else "good"
        fixed = {"not1": "", "not2": "", "only1": "", "only2": ""}
        fixed["not" + negated] = "not"
        fixed["only1" if negated == "2" else "only2"] = self._sample("only")
        fixed["be"] = self._sample("be")  # the same tense throughout

        def expand(slot: re.Match) -> str:
            symbol = slot[1]
            text = fixed[symbol] if symbol in fixed else self._sample(symbol_of.get(symbol, symbol))
            return re.sub(r"{(\w+)}", expand, text)

        text = " ".join(re.sub(r"(\w+)", expand, construction).split())
        text = re.sub(r" (?=[,;])", "", text)  # a hedge has its own commas
        text = re.sub(r",(?=[,;]|$)", "", text)
        return text[0].upper() + text[1:] + "."


def generate(examples: int = 4_000, seed: int = 0) -> tuple[list[str], list[str], list[str]]:
    """Generate a synthetic corpus of short film reviews whose sentiment depends on word order.

    Args:
        examples: the number of reviews, at least 1. The labels are balanced, overall and within
            each construction; an odd number gives one more negative review.
        seed: the same seed gives the same corpus. Must not be negative.

    Returns:
        Three lists of one length: the texts; their labels, `"neg"` or `"pos"`; and the names of
        their constructions, keys of `CONSTRUCTIONS`. A linear bag-of-words classifier does well on
        `"plain"` reviews and can only guess on all others.

    Raises:
        ValueError: if `examples` is below 1 or the seed is negative.

    Example:

    >>> texts, labels, constructions = generate(1_000, seed=1)
    >>> labels.count("neg"), labels.count("pos")
    (500, 500)
    >>> sorted(set(constructions))[:3]
    ['attribution', 'comparison', 'concession']
    """
    if examples < 1:
        raise ValueError(f"A corpus takes at least 1 example. Received: {examples}")
    sampler, generator = Sampler(seed), np.random.default_rng(seed)
    # Plain reviews are four in fourteen; the other constructions share the rest equally.
    schedule = ["plain"] * 3 + list(CONSTRUCTIONS)
    schedule = [schedule[position] for position in generator.permutation(len(schedule))]
    rows = []
    for row in range(examples):
        construction, positive = schedule[row // 2 % len(schedule)], row % 2 == 1
        label = "pos" if positive else "neg"
        rows.append((sampler.sentence(construction, positive), label, construction))
    rows = [rows[row] for row in generator.permutation(examples)]
    texts, labels, constructions = (list(column) for column in zip(*rows, strict=True))
    return texts, labels, constructions
