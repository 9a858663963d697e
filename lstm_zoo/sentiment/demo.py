"""A demo corpus made by the package: synthetic film reviews whose label hangs on word order.

The sentences are not written by people and not taken from any data set. They come from the small
grammar below, to show in seconds what a recurrent network gains over a bag of words; a score on
them says nothing about real reviews.
"""

import re

import numpy as np

# In every construction but "plain" and "denial", the label decides only the order of the words. The
# same words are drawn for either label, then arranged, so that any bag of words is as likely under
# one label as under the other and no classifier that sees only the bag can beat chance. In "denial"
# the words do tell, but not to a linear classifier: "not" turns good and bad adjectives alike.
#
# Slots that follow the label:
#   {win} {lose}    an adjective of the label's polarity, and one of the opposite polarity, which
#                   trade places where the label changes;
#   {adj1} {adj2}   adjectives of a polarity drawn without regard to the label, and of the opposite;
#   {not1} {not2}   "not" stands at the first if {adj1} must be turned round to give the label, at
#                   the second otherwise;
#   {only1} {only2} "only" stands at the first if {adj1} gives the label as it is ("not only dull
#                   but long"), at the second otherwise ("not dull but only long").
# All adjectives and adverbs begin with a consonant: "a" suits each of them.
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

# Words and phrases between "not" and its adjective, so that no pair of neighbouring words tells
# what is denied.
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
    """Samples sentences of the grammar, dealing the choices of each symbol from a shuffled deck.

    A deck is dealt to its end before it is shuffled again, so that all adjectives of a polarity
    are used equally often. Each deck has a generator of its own: which of "good" and "bad" is
    dealt from first depends on the label and must not change the words.
    """

    def __init__(self, seed: int):
        self._generators = {
            symbol: np.random.default_rng([seed, number]) for number, symbol in enumerate(_GRAMMAR)
        }
        self._decks: dict[str, list[int]] = {symbol: [] for symbol in _GRAMMAR}
        self._recent: dict[str, list[int]] = {symbol: [] for symbol in _GRAMMAR}

    def _deal(self, symbol: str) -> str:
        deck, recent = self._decks[symbol], self._recent[symbol]
        if not deck:
            # The last few go to the bottom: no sentence shall use an adjective twice.
            order = self._generators[symbol].permutation(len(_GRAMMAR[symbol])).tolist()
            deck += sorted(order, key=lambda choice: choice not in recent)
        recent[:] = [*recent[-3:], deck.pop()]
        return _GRAMMAR[symbol][recent[-1]]

    def sentence(self, construction: str, positive: bool) -> str:
        """Return the next sentence of a construction, with the label asked for."""
        win, lose = ("good", "bad") if positive else ("bad", "good")
        first = self._deal("polarity")
        denied = "2" if first == win else "1"  # which of the two claims takes the "not"
        deck_of = {"win": win, "lose": lose, "adj1": first}
        deck_of["adj2"] = "bad" if first == "good" else "good"
        fixed = {"not1": "", "not2": "", "only1": "", "only2": ""}
        fixed["not" + denied] = "not"
        fixed["only1" if denied == "2" else "only2"] = self._deal("only")
        fixed["be"] = self._deal("be")  # one tense throughout

        def expand(slot: re.Match) -> str:
            symbol = slot[1]
            text = fixed[symbol] if symbol in fixed else self._deal(deck_of.get(symbol, symbol))
            return re.sub(r"{(\w+)}", expand, text)

        text = " ".join(re.sub(r"(\w+)", expand, construction).split())
        text = re.sub(r" (?=[,;])", "", text)  # a hedge brings its own commas
        text = re.sub(r",(?=[,;]|$)", "", text)
        return text[0].upper() + text[1:] + "."


def generate(examples: int = 4_000, seed: int = 0) -> tuple[list[str], list[str], list[str]]:
    """Generate a synthetic corpus of short film reviews whose sentiment hangs on word order.

    Args:
        examples: how many reviews to generate, at least 1. An even number gives as many negative as
            positive ones, overall and within each construction; an odd number one negative more.
        seed: the same seed gives the same corpus. Must not be negative.

    Returns:
        Three lists of the same length: the texts, their labels, `"neg"` or `"pos"`, and the names
        of the constructions they were made by, keys of `CONSTRUCTIONS`. On `"plain"` reviews a
        linear classifier of bags of words does well; on all others it can only guess.

    Raises:
        ValueError: if no example or a negative seed is asked for.

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
    turns = ["plain"] * 3 + list(CONSTRUCTIONS)
    turns = [turns[turn] for turn in generator.permutation(len(turns))]
    rows = []
    for row in range(examples):
        construction, positive = turns[row // 2 % len(turns)], row % 2 == 1
        label = "pos" if positive else "neg"
        rows.append((sampler.sentence(construction, positive), label, construction))
    rows = [rows[row] for row in generator.permutation(examples)]
    texts, labels, constructions = (list(column) for column in zip(*rows, strict=True))
    return texts, labels, constructions
