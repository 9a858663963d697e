"""Answers of a trained translator, by TensorFlow or ONNX Runtime: translations of raw texts."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_zoo import families, pipeline
from lstm_zoo.data import batching, columns, ranges
from lstm_zoo.translation import corpus, metrics

# Texts sorted by length at once, to keep padding low; in `evaluate` between two steps of the
# progress bar.
AHEAD = 2_048
EVALUATION_BATCH = 128  # pairs


class Tokenizers(NamedTuple):
    """The tokenizers of both languages; the same object if a vocabulary is joint."""

    source: Any
    target: Any


SIDES = Tokenizers._fields


class Translation(NamedTuple):
    """A translation with its score.

    text: the translation; "" for an empty text.
    score: the log probability (natural logarithm) divided by the number of pieces, the end token
        included, to the power of `length_penalty`; at most 0, higher is better.
    n_best: the best translations with their scores, best first; at most as many as requested.
    """

    text: str
    score: float
    n_best: list[tuple[str, float]]

    def __str__(self) -> str:
        return self.text


class Predictor(pipeline.Predictor):
    """Translations of raw texts: what answers are made of, and how they are evaluated.

    `lstm_zoo.translation.pipeline.Pipeline` and `lstm_zoo.translation.runtime.Pipeline` translate.
    """

    shown_columns = ("source", "reference", "hypothesis")
    answer_names = ("hypothesis", "score")  # as `evaluate` names them

    @property
    def card(self) -> dict[str, Any]:
        """The card's entries of this family: the languages and the beam width."""
        return {"languages": self.config["learned"]["languages"], "beam_width": self.beam_width}

    @staticmethod
    def answer_fields(answer: Translation) -> list[Any]:
        """Return the values of `answer_names` of a prediction."""
        return [answer.text, answer.score]

    def predict(
        self,
        texts: Sequence[str | bytes],
        batch_size: int = 64,
        *,
        beam_width: int | None = None,
        n_best: int = 1,
    ) -> list[Translation]:
        """Translate texts.

        Args:
            texts: the texts, str or UTF-8 bytes, such as a list or a column of a pandas DataFrame;
                may be empty.
            batch_size: the number of texts decoded at once; the result does not depend on it.
            beam_width: hypotheses kept while decoding; 1 is greedy; None uses the pipeline's.
            n_best: the number of translations of each text, at most `beam_width`.

        Returns:
            A `Translation` for each text, in order. Texts are cut to the run's `max_length` pieces.

        Raises:
            CallError: if `texts` is one text, a table or a mapping rather than a sequence of
                texts, or `n_best` is not between 1 and `beam_width`.
            DataError: if one of them is no text; the message has its index.

        Example:

        >>> (answer,) = lstm_zoo.load("runs/multi30k").predict(["5 hours"], n_best=2)
        >>> len(answer.n_best), answer.n_best[0] == (answer.text, answer.score)
        (2, True)
        """
        texts = columns.check_texts(
            texts, 'predict takes a list of texts, such as [text] or frame["text"]'
        )
        width = self.checked_beam_width(beam_width, n_best)
        answers: list[Any] = [None] * len(texts)
        for start in range(0, len(texts), AHEAD):
            ids = self._source_ids(texts[start : start + AHEAD])
            lengths = np.count_nonzero(ids, axis=1)
            for rows in batching.sorted_batches(lengths, batch_size):
                found = self._translate(ids[rows, : lengths[rows].max()], width, n_best)
                for row, *answer in zip(rows, *found, strict=True):
                    answers[start + row] = _translation(*answer)
        return answers

    def evaluate(
        self,
        data: Any,
        *,
        strict: bool = False,
        batch_size: int = 64,
        beam_width: int | None = None,
        source_column: str | int | None = None,
        target_column: str | int | None = None,
    ) -> dict[str, Any]:
        """Evaluate on sentence pairs.

        Args:
            data: a path or columns (sources, targets), as `lstm_zoo.translation.corpus.read`
                accepts; in the run's languages.
            strict: whether a pair that can't be used is an error; otherwise it is skipped.
            batch_size: the number of texts decoded at once; the result does not depend on it.
            beam_width: as for `predict`.
            source_column: the sources' column in a table: its name, or its position (from 1) in a
                file without a header; None for the run's, or else the language's.
            target_column: the targets' column, likewise.

        Returns:
            `bleu` and `chrf`, from 0 to 100, cased and detokenized, and sacrebleu's `signature` of
            each; `decoder`, "greedy" or "beam" with its width; `perplexity` per piece of the
            references, which are cut to `max_length` pieces; `by_length`, a row for each range of
            lengths: `words`, the maximum number of words of the source or None, `examples`, `bleu`
            and its 95% `interval` or None; the numbers of `examples` and `skipped` pairs; and
            `predictions`, a dict for each row of the data, skipped ones included, as
            `lstm_zoo.pipeline.prediction_rows` returns them, with `source`, `reference`,
            `hypothesis` and `score`.

        Raises:
            CallError: if the data does not exist.
            DataError: if it is malformed or has no usable pair.

        Example:

        >>> translator = lstm_zoo.load("runs/multi30k")
        >>> scores = translator.evaluate((["5 hours", "a day"], ["5 heures", "un jour"]))
        >>> scores["examples"], scores["by_length"][0]["words"], len(scores["predictions"])
        (2, 5, 2)
        """
        settings = self.config["settings"]
        given = {"source_column": source_column, "target_column": target_column}
        languages = self.config["learned"]["languages"]
        pairs = corpus.read(data, *languages, strict, given, fallback=settings)
        answers = []
        for texts in pipeline.chunks(pairs.sources, AHEAD):
            answers += self.predict(texts, batch_size, beam_width=beam_width)
        hypotheses = [answer.text for answer in answers]
        sums, counts = self._cross_entropies(pairs)
        loss = sums.sum() / counts.sum()
        tokenizer = metrics.bleu_tokenizer(settings["target"], pairs.targets)
        return {
            **metrics.bleu_and_chrf(pairs.targets, hypotheses, tokenizer),
            "decoder": self.decoder(beam_width),
            "perplexity": float(np.exp(loss)),
            "by_length": metrics.bleu_by_length(
                pairs.sources, pairs.targets, hypotheses, tokenizer
            ),
            "examples": len(pairs),
            "skipped": len(pairs.skipped),
            "predictions": pipeline.prediction_rows(
                pairs,
                [
                    {
                        "source": source,
                        "reference": reference,
                        "hypothesis": answer.text,
                        "score": answer.score,
                    }
                    for source, reference, answer in zip(
                        pairs.sources, pairs.targets, answers, strict=True
                    )
                ],
            ),
        }

    @staticmethod
    def report(scores: Mapping[str, Any]) -> str:
        """Format what `evaluate` returned as readable text."""
        lines = [
            f"BLEU {scores['bleu']:.2f}  chrF {scores['chrf']:.2f}  "
            f"perplexity {scores['perplexity']:.2f}  "
            f"({scores['decoder']}; {scores['examples']:,} examples, "
            f"{scores['skipped']:,} skipped)",
            *(f"{name}: {signature}" for name, signature in scores["signature"].items()),
            "words of the source  examples   BLEU",
        ]
        for row in scores["by_length"]:
            words = f"to {row['words']}" if row["words"] else f"over {metrics.LENGTHS[-1]}"
            lines.append(f"{words:>19}  {row['examples']:8,}  {row['bleu']:5.2f}")
        return "\n".join(lines)

    @staticmethod
    def tables(scores: Mapping[str, Any]) -> list[families.Table]:
        """Return the tables of BLEU by length and of the signatures of the metrics."""
        signatures = [*scores["signature"].items()]
        return [
            ranges.table("BLEU by length of the source", "bleu", scores["by_length"]),
            families.Table("Signatures of sacrebleu", ("metric", "signature"), signatures),
        ]

    def draw(
        self, data: Any, scores: Mapping[str, Any], title: str, directory: Path, **columns: Any
    ) -> dict[str, str]:
        """Plot BLEU by source length as `bleu_by_length.png`."""
        from lstm_zoo.runs import plots

        name, axis = "bleu_by_length.png", f"BLEU ({scores['decoder']})"
        plots.draw_by_length(scores["by_length"], "bleu", axis, title, directory / name)
        return {
            name: f"BLEU by the number of words of the source. {ranges.INTERVALS} "
            "Without attention, long sentences fail first."
        }

    def score_prediction(self, prediction: Mapping[str, Any]) -> float:
        """Return how good a row of `evaluate`'s predictions is: its chrF."""
        return metrics.sentence_chrf(prediction["reference"], prediction["hypothesis"])

    @abstractmethod
    def _source_ids(self, texts: Sequence[str | bytes]) -> np.ndarray:
        """Return int32 ids `(batch, time)`, each row ending with the end token, padded with 0."""

    @abstractmethod
    def _translate(
        self, ids: np.ndarray, width: int, n_best: int
    ) -> tuple[Sequence[Sequence[bytes]], np.ndarray]:
        """Return the best translations of a batch, and float32 scores, `(batch, n_best)` each.

        A score of -inf is that of no translation.
        """

    @abstractmethod
    def _cross_entropies(self, pairs: corpus.Corpus) -> tuple[np.ndarray, np.ndarray]:
        """Return the summed cross-entropy of each target's pieces in nats, and their number."""


def output_limits(lengths: Any) -> Any:
    """Return the maximum number of pieces of translations; longer ones are very rare.

    Args:
        lengths: the numbers of pieces of the sources, the end token included: an array or tensor.

    Example:

    >>> output_limits(np.array([1, 4]))
    array([12, 18])
    """
    return 2 * lengths + 10


def _translation(texts: Sequence[bytes], scores: np.ndarray) -> Translation:
    n_best = [
        (text.decode(), float(score))
        for text, score in zip(texts, scores, strict=True)
        if np.isfinite(score)
    ]
    return Translation(*n_best[0], n_best)
