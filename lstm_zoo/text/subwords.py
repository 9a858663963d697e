"""Subword regularization (Kudo 2018): other segmentations of the same words, for training."""

import bisect
import functools
import itertools

import numpy as np
import sentencepiece

from lstm_zoo.text.tokenizers import PieceTokenizer

SEGMENTATIONS = 16  # of a word, the most probable ones
KEPT_WORDS = 100_000  # whose segmentations are kept in memory
WORD_START = "\u2581"  # the space before a word, as SentencePiece writes it


class SubwordSampler:
    """Draws segmentations of words, with their probability to the power of alpha.

    A word's segmentation does not depend on its neighbours in a unigram model, so each word of a
    text is drawn by itself, from the most probable 16.

    Args:
        tokenizer: the tokenizer that the ids are from.
        alpha: the exponent; the lower it is, the more often a word is split into smaller pieces.

    Example:

    >>> tokenizer = PieceTokenizer.learn(["a good film", "a bad film"] * 9, vocabulary_size=280)
    >>> ids = np.array([*tokenizer.tokenize(["a good film"])[0]], dtype=np.int32)
    >>> sample = SubwordSampler(tokenizer, alpha=0.1)
    >>> drawn = sample(ids, np.random.default_rng(0))
    >>> tokenizer.detokenize([drawn]).numpy().tolist()
    [b'a good film']
    """

    def __init__(self, tokenizer: PieceTokenizer, alpha: float):
        self.alpha = alpha
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model)
        self._scores = np.array(
            [self._processor.get_score(id) for id in range(self._processor.vocab_size())]
        )
        self._starts = np.array([piece.startswith(WORD_START) for piece in tokenizer.vocabulary])
        self._kept = functools.lru_cache(KEPT_WORDS)(self._segmentations)

    def __call__(self, ids: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Draw a segmentation of a text.

        Args:
            ids: the text's ids, int32 `(time,)`, in the most probable segmentation.
            generator: the source of randomness.

        Returns:
            Ids of the same text, int32 `(other time,)`.
        """
        # As bytes, which are split, looked up and joined far sooner than arrays.
        text = ids.tobytes()
        starts = ids.itemsize * np.flatnonzero(self._starts[ids])
        bounds = [0, *starts.tolist(), len(text)]
        numbers = generator.random(len(bounds) - 1).tolist()
        drawn = []
        for (start, end), number in zip(itertools.pairwise(bounds), numbers, strict=True):
            segmentations, cumulated = self._kept(text[start:end])
            drawn.append(segmentations[bisect.bisect_right(cumulated, number)])
        return np.frombuffer(b"".join(drawn), dtype=np.int32)

    def _segmentations(self, word: bytes) -> tuple[list[bytes], list[float]]:
        """Return the segmentations of a word, and the cumulated probabilities of all but the last.

        Both the word and its segmentations are the bytes of int32 ids. A word that is not in its
        most probable segmentation has this one only: the text was cut there.
        """
        ids = np.frombuffer(word, dtype=np.int32)
        text = self._processor.decode(ids.tolist())
        found = self._processor.nbest_encode(text, nbest_size=SEGMENTATIONS) if text else []
        segmentations = [np.array(other, dtype=np.int32) for other in found]
        if not segmentations or not np.array_equal(segmentations[0], ids):
            segmentations = [ids]
        scores = np.array([self.alpha * self._scores[other].sum() for other in segmentations])
        odds = np.exp(scores - scores.max())
        cumulated = np.cumsum(odds / odds.sum())[:-1]
        return [other.tobytes() for other in segmentations], cumulated.tolist()
