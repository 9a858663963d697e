"""Character tokenizer for CTC, in the graph.

The id 0 is CTC's blank. `lstm_zoo.text.tokenizers.PieceTokenizer` can replace it: its id 0 is
padding, which no text contains.
"""

import os
from collections.abc import Iterable
from pathlib import Path

import tensorflow as tf

from lstm_zoo.files import atomic_write
from lstm_zoo.speech.labels import ALPHABET, BLANK_TOKEN, check_characters, read_characters

UNKNOWN = -1  # id of an out-of-vocabulary character, which `tokenize` drops


class CharacterTokenizer(tf.Module):
    """Map each character (Unicode code point) to an id, from 1 on.

    Args:
        characters: the alphabet, without duplicates and without line feeds.

    Raises:
        DataError: if the alphabet is empty, or has a duplicate or a line feed.

    Example:

    >>> tokenizer = CharacterTokenizer.learn(["one", "two"])
    >>> tokenizer.vocabulary
    ['<blank>', 'e', 'n', 'o', 't', 'w']
    >>> tokenizer.detokenize(tf.constant([[3, 2, 1], [4, 5, 0]])).numpy().tolist()
    [b'one', b'tw']
    """

    FILE = ALPHABET

    def __init__(self, characters: Iterable[str]):
        super().__init__()
        self.characters = tuple(characters)
        check_characters(self.characters)
        ids = tf.range(1, len(self.characters) + 1)
        self._id_of_character = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant(self.characters), ids),
            default_value=UNKNOWN,
        )

    @classmethod
    def learn(cls, texts: Iterable[str]) -> "CharacterTokenizer":
        """Build the sorted alphabet of the training data's normalized transcripts."""
        return cls(sorted(set().union(*texts)))

    @property
    def vocabulary_size(self) -> int:
        """The number of ids, the blank included."""
        return 1 + len(self.characters)

    @property
    def vocabulary(self) -> list[str]:
        """The characters in the order of the ids, the blank first."""
        return [BLANK_TOKEN, *self.characters]

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Convert normalized texts to labels; out-of-vocabulary characters are dropped.

        Args:
            texts: string tensor `(batch,)`.

        Returns:
            Ragged int32 ids `(batch, None)`.
        """
        characters = tf.strings.unicode_split(texts, "UTF-8")
        ids = tf.ragged.map_flat_values(self._id_of_character.lookup, characters)
        return tf.ragged.boolean_mask(ids, ids != UNKNOWN)

    def detokenize(self, ids: tf.Tensor | tf.RaggedTensor) -> tf.Tensor:
        """Convert labels to text; the blank, which is also the padding, is dropped.

        Args:
            ids: integer tensor `(..., time)`, or ragged `(batch, None)`.

        Returns:
            String tensor `(...,)`.
        """
        characters = tf.constant(["", *self.characters])
        return tf.strings.reduce_join(tf.gather(characters, ids), axis=-1)

    def save(self, directory: str | os.PathLike) -> None:
        """Write `alphabet.txt`, one character per line in the order of the ids."""
        with atomic_write(Path(directory) / self.FILE) as path:
            path.write_bytes("".join(f"{character}\n" for character in self.characters).encode())

    @classmethod
    def load(cls, directory: str | os.PathLike) -> "CharacterTokenizer":
        """Load the alphabet that `save` wrote."""
        return cls(read_characters(Path(directory) / cls.FILE))
