"""Characters to CTC's labels and back, both in the graph.

CTC's blank is the id 0, so these ids are not those of `lstm_zoo.text.tokenizers`. SentencePiece's
pieces (`PieceTokenizer` there) serve as labels too: their id 0, padding, is in no text.
"""

import os
from collections.abc import Iterable
from pathlib import Path

import tensorflow as tf

from lstm_zoo.errors import DataError
from lstm_zoo.files import atomic_write

BLANK = 0
BLANK_TOKEN = "<blank>"
UNKNOWN = -1  # of a character that is not in the alphabet; such ids are left out
FILE = "alphabet.txt"


class CharacterTokenizer(tf.Module):
    """An alphabet: one id for each character (Unicode code point), from 1 on.

    Args:
        characters: the characters, each once; none is a line end.

    Raises:
        DataError: if there is no character, or one of them is there twice or ends a line.

    Example:

    >>> tokenizer = CharacterTokenizer.learn(["one", "two"])
    >>> tokenizer.vocabulary
    ['<blank>', 'e', 'n', 'o', 't', 'w']
    >>> tokenizer.detokenize(tf.constant([[3, 2, 1], [4, 5, 0]])).numpy().tolist()
    [b'one', b'tw']
    """

    def __init__(self, characters: Iterable[str]):
        super().__init__()
        self.characters = tuple(characters)
        if not self.characters or len(set(self.characters)) < len(self.characters):
            raise DataError(f"An alphabet has characters, each once. Received: {self.characters}")
        if "\n" in self.characters:
            raise DataError("An alphabet has no line end; normalise the transcripts first.")
        ids = tf.range(1, len(self.characters) + 1)
        self._id_of_character = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant(self.characters), ids),
            default_value=UNKNOWN,
        )

    @classmethod
    def learn(cls, texts: Iterable[str]) -> "CharacterTokenizer":
        """Learn the alphabet of the training part's normalised transcripts, sorted."""
        return cls(sorted(set().union(*texts)))

    @property
    def vocabulary_size(self) -> int:
        """The number of ids, the blank included."""
        return 1 + len(self.characters)

    @property
    def vocabulary(self) -> list[str]:
        """Every character in the order of the ids, the blank first."""
        return [BLANK_TOKEN, *self.characters]

    def outside(self, text: str) -> list[str]:
        """Return the characters of a normalised text that are not in the alphabet, sorted."""
        return sorted(set(text) - set(self.characters))

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Turn normalised texts into labels; characters outside the alphabet are left out.

        Args:
            texts: string tensor `(batch,)`.

        Returns:
            Ragged int32 ids `(batch, None)`.
        """
        characters = tf.strings.unicode_split(texts, "UTF-8")
        ids = tf.ragged.map_flat_values(self._id_of_character.lookup, characters)
        return tf.ragged.boolean_mask(ids, ids != UNKNOWN)

    def detokenize(self, ids: tf.Tensor | tf.RaggedTensor) -> tf.Tensor:
        """Turn labels into text; the blank, and so padding, is nothing.

        Args:
            ids: integer tensor `(..., time)`, or ragged `(batch, None)`.

        Returns:
            String tensor `(...,)`.
        """
        characters = tf.constant(["", *self.characters])
        return tf.strings.reduce_join(tf.gather(characters, ids), axis=-1)

    def save(self, directory: str | os.PathLike) -> None:
        """Write `alphabet.txt`, a character a line in the order of the ids from 1 on."""
        with atomic_write(Path(directory) / FILE) as path:
            path.write_bytes("".join(f"{character}\n" for character in self.characters).encode())

    @classmethod
    def load(cls, directory: str | os.PathLike) -> "CharacterTokenizer":
        """Read what `save` wrote."""
        # Not splitlines(): a character may be one of those that it takes for line ends.
        return cls((Path(directory) / FILE).read_bytes().decode().split("\n")[:-1])
