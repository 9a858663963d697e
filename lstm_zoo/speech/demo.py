"""A demo corpus made by the package: synthetic digit strings and short commands.

No person speaks in it and no data set is used. eSpeak NG says the sentences of the small grammar
below in many voices, to show in minutes how a recognizer is trained; a score on them says nothing
about people's speech. eSpeak NG is licensed under the GPL and comes with the extra `demo` only.
"""

import hashlib
import importlib.util
import itertools
import json
import re
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lstm_zoo.errors import CallError
from lstm_zoo.speech import espeak

ACCENTS = (
    "en-us",
    "en-us-nyc",
    "en-029",
    "en",  # British
    "en-gb-scotland",
    "en-gb-x-rp",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
)
VARIANTS = {  # eSpeak NG's speakers; those of the report part are never heard in training
    "training": ("m1", "m2", "m3", "m4", "m6", "m7", "f1", "f2", "f3", "f4"),
    "test": ("m5", "m8", "f5"),
}
RATES = (130, 210)  # words a minute
PITCHES = (30, 70)  # of 0 to 100, around the voice's own
RANGES = (30, 70)  # of the pitch within a sentence, likewise
MAX_DIGITS = 7
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEST_SHARE = 5  # one sentence in so many belongs to the report part, whoever says it

_COMMANDS = (
    "turn {on} the {room} {device}",
    "turn {on} the {device} in the {room}",
    "{open} the {room} {opening}",
    "{open} the {opening} of the {room} at {hour}",
    "set the {room} {level} to {number}",
    "set the {level} to {number} at {hour}",
    "wake me up at {hour} on {day}",
    "set a timer for {number} {unit}",
    "remind me to {errand} on {day}",
    "remind me to {errand} in {number} {unit}",
    "call {name}",
    "call {name} at {hour} on {day}",
    "tell {name} to {errand}",
    "play song number {number} in the {room}",
)
_SLOTS = {
    "on": ("on", "off"),
    "open": ("open", "close", "lock"),
    "room": ("kitchen", "bedroom", "office", "garage", "hall", "cellar", "living room"),
    "device": ("light", "lamp", "fan", "heater", "radio", "camera", "television"),
    "opening": ("door", "window", "curtains", "blinds"),
    "level": ("temperature", "volume", "brightness"),
    "number": (*DIGITS[2:], "ten", "twelve", "fifteen", "twenty", "thirty", "forty"),
    "hour": ("six", "seven", "eight", "nine", "noon", "midnight"),
    "day": ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    "unit": ("seconds", "minutes", "hours"),
    "errand": ("buy milk", "water the plants", "feed the cat", "pay the bill", "fetch the parcel"),
    "name": ("anna", "peter", "maria", "david", "susan", "george", "my sister", "the doctor"),
}


def voices(part: str) -> list[str]:
    """Return the voices of a part, "training" or "test"; no speaker is in both."""
    return [f"{accent}+{variant}" for accent in ACCENTS for variant in VARIANTS[part]]


def generate(
    examples: int = 1_000, seed: int = 0, part: str = "training"
) -> tuple[list[tuple[np.ndarray, int]], list[str], list[str]]:
    """Generate a synthetic corpus of spoken digit strings and short commands.

    Half of the sentences are strings of one to seven digits, half are commands. No voice and no
    sentence of one part is in the other.

    Args:
        examples: how many utterances to generate, at least 1.
        seed: the same seed gives the same corpus, on the same version of eSpeak NG. Must not be
            negative.
        part: "training" or "test".

    Returns:
        Three lists of the same length, as `lstm_zoo.speech.corpus.read` takes them: the clips, each
        a pair (int16 samples, 22050); the transcripts, in lower case without punctuation; the
        voices.

    Raises:
        CallError: if `espeakng-loader` is not installed, or eSpeak NG does not run here.
        ValueError: if no example, a negative seed or an unknown part is asked for.

    Example:

    >>> clips, texts, speakers = generate(100, seed=1)
    >>> clips[0][1], len(set(speakers)) > 30
    (22050, True)
    """
    if examples < 1:
        raise ValueError(f"A corpus takes at least 1 example. Received: {examples}")
    generator = _generator(seed, part)
    sentences = itertools.islice(_sentences(generator, part), examples)
    requests = [_request(text, generator, part) for text in sentences]
    return _speak(requests), [row["text"] for row in requests], [row["voice"] for row in requests]


def speak(
    texts: Sequence[str], seed: int = 0, part: str = "training"
) -> tuple[list[tuple[np.ndarray, int]], list[str]]:
    """Say texts, each in a voice, at a rate and a pitch that are drawn for it.

    Args:
        texts: what to say, in English; a comma is a short pause.
        seed: the same seed gives the same clips, on the same version of eSpeak NG. Must not be
            negative.
        part: whose voices: "training" or "test".

    Returns:
        Two lists as long as `texts`: the clips, each a pair (int16 samples, 22050); the voices.

    Raises:
        CallError: if `espeakng-loader` is not installed, or eSpeak NG does not run here.
        ValueError: if a negative seed or an unknown part is asked for.

    Example:

    >>> clips, speakers = speak(["one, two", "three"], seed=1)
    >>> clips[1][1], len(speakers)
    (22050, 2)
    """
    generator = _generator(seed, part)
    requests = [_request(text, generator, part) for text in texts]
    return _speak(requests), [row["voice"] for row in requests]


def _generator(seed: int, part: str) -> np.random.Generator:
    """Make a generator that the other part does not share."""
    if part not in VARIANTS:
        raise ValueError(f"part is one of {', '.join(VARIANTS)}. Received: {part!r}")
    return np.random.default_rng([seed, [*VARIANTS].index(part)])


def _request(text: str, generator: np.random.Generator, part: str) -> dict:
    """Draw how a text is said."""
    rate, pitch, width = (
        int(generator.integers(low, high + 1)) for low, high in (RATES, PITCHES, RANGES)
    )
    speakers = voices(part)
    voice = speakers[generator.integers(len(speakers))]
    return {"text": text, "voice": voice, "rate": rate, "pitch": pitch, "range": width}


def _sentences(generator: np.random.Generator, part: str) -> Iterator[str]:
    """Draw sentences of a part without end, digits and commands in turn."""

    def fill(slot: re.Match) -> str:
        return str(generator.choice(_SLOTS[slot[1]]))

    for digits in itertools.cycle((True, False)):
        while True:
            if digits:
                text = " ".join(generator.choice(DIGITS, generator.integers(1, MAX_DIGITS + 1)))
            else:
                text = re.sub(r"{(\w+)}", fill, str(generator.choice(_COMMANDS)))
            # By its own hash, so that the parts agree on it whatever their seeds.
            in_test = hashlib.sha256(text.encode()).digest()[0] % TEST_SHARE == 0
            if in_test == (part == "test"):
                break
        yield text


def _speak(requests: list[dict]) -> list[tuple[np.ndarray, int]]:
    if importlib.util.find_spec("espeakng_loader") is None:
        raise CallError(
            "The demo corpus is spoken by eSpeak NG, which is not installed: "
            "pip install 'lstm_zoo[demo]', or give data."
        )
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run(
        [sys.executable, str(Path(espeak.__file__))], input=lines.encode(), capture_output=True
    )
    if done.returncode:
        reason = (done.stderr.decode(errors="replace").strip() or "no message").splitlines()[-1]
        raise CallError(f"eSpeak NG does not run here ({reason}); give data instead.")
    spoken, start = [], 0
    for _ in requests:
        (count,) = struct.unpack_from("<I", done.stdout, start)
        samples = np.frombuffer(done.stdout, "<i2", count, start + 4)
        spoken.append((samples, espeak.SAMPLE_RATE))
        start += 4 + 2 * count
    return spoken
