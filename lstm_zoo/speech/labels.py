"""The labels of a recognizer: the blank, and the file of an alphabet. It imports no TensorFlow."""

from collections.abc import Sequence
from pathlib import Path

from lstm_zoo.errors import DataError
from lstm_zoo.files import reading

BLANK = 0
BLANK_TOKEN = "<blank>"
ALPHABET = "alphabet.txt"


def check_characters(characters: Sequence[str]) -> None:
    r"""Check that characters are an alphabet.

    Raises:
        DataError: if there are none, or a duplicate or a line feed among them.

    Example:

    >>> check_characters("abca")
    Traceback (most recent call last):
    lstm_zoo.errors.DataError: An alphabet needs characters, without duplicates. Received: abca
    """
    if not characters or len(set(characters)) < len(characters):
        raise DataError(f"An alphabet needs characters, without duplicates. Received: {characters}")
    if "\n" in characters:
        raise DataError("An alphabet can't have a line feed; normalize the transcripts first.")


def read_characters(path: Path) -> tuple[str, ...]:
    """Read an `alphabet.txt`: a character a line, by id from 1.

    Raises:
        DataError: if it is damaged.

    Example:

    >>> read_characters(Path("runs/digits/alphabet.txt"))[:3]
    (' ', 'a', 'b')
    """
    with reading(path):
        # Not splitlines(): it splits at more characters than the line feed.
        characters = tuple(path.read_bytes().decode().split("\n")[:-1])
    try:
        check_characters(characters)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return characters


class Characters:
    """An alphabet that joins labels to texts, as `lstm_zoo.speech.alphabet.CharacterTokenizer`.

    Args:
        characters: the alphabet.

    Example:

    >>> Characters("ab").detokenize([2, 1])
    'ba'
    """

    def __init__(self, characters: Sequence[str]):
        self.vocabulary = [BLANK_TOKEN, *characters]

    def detokenize(self, ids: Sequence[int]) -> str:
        """Return the text of some labels, without blanks."""
        return "".join(self.vocabulary[label] for label in ids)
