"""Text in, translations out."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from lstm_zoo import pipeline
from lstm_zoo.data import batching
from lstm_zoo.errors import CallError
from lstm_zoo.text.tokenizers import PieceTokenizer, as_bytes
from lstm_zoo.translation import corpus, decoding, metrics, plots
from lstm_zoo.translation.model import build_translation
from lstm_zoo.translation.task import Task

AHEAD = 2_048  # texts sorted by length together, so that a batch holds little padding
SERVED_BEST = 5  # translations of the signature `n_best`, where the beam is so wide
# Words of a source, up to which each row of BLEU by length counts; the last is open.
LENGTHS = (5, 10, 15, 20, 30)


class Translation(NamedTuple):
    """An answer.

    text: the translation, "" of a text without one character to translate.
    score: the natural logarithm of its probability over its number of pieces (to the power of the
        run's length_penalty): higher is better, 0 at the most.
    n_best: the most probable translations with their scores, the best first, as many as were asked
        for or found.
    """

    text: str
    score: float
    n_best: list[tuple[str, float]]

    def __str__(self) -> str:
        return self.text


class Tokenizers(NamedTuple):
    """The pieces of both languages; one and the same where they are joint."""

    source: PieceTokenizer
    target: PieceTokenizer


class Pipeline(pipeline.Pipeline):
    """A trained translator.

    `lstm_zoo.train` and `lstm_zoo.load` return one.

    Attributes:
        run: the run's directory.
        model: the `keras.Model`, from the ids of both sides to logits.
        tokenizer: from texts to ids and back: `source` and `target`.
        config: the run's `config.json`.
    """

    build = staticmethod(build_translation)
    prediction_columns = ("source", "reference", "translation")

    def __init__(
        self,
        task: Task,
        model: keras.Model,
        config: Mapping[str, Any],
        run: Path,
        beam_width: int | None = None,
    ):
        super().__init__(task, model, config, run, beam_width)
        self.tokenizer = Tokenizers(task.source, task.target)
        make = functools.partial(
            decoding.translator,
            model,
            task.target,
            length_penalty=config["settings"]["length_penalty"],
        )
        self._translator = functools.cache(make)

    @property
    def card(self) -> dict[str, Any]:
        """What a card tells of the answers: the languages, from and to."""
        return {"languages": self.config["learned"]["languages"], "beam_width": self.beam_width}

    # Never compiled by XLA: stock TF Serving does not run what must be.
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")], jit_compile=False)
    def translate(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Translate raw texts, in the graph: what an export serves.

        Args:
            text: string tensor `(batch,)`, any bytes.

        Returns:
            `translation` string `(batch,)` and `score` float32 `(batch,)`.
        """
        found = self._translator(self.beam_width)(self.source_ids(text))
        return {"translation": found.texts[:, 0], "score": found.scores[:, 0]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")], jit_compile=False)
    def translate_n_best(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Translate raw texts in several ways, in the graph.

        Args:
            text: string tensor `(batch,)`, any bytes.

        Returns:
            `translations` string `(batch, n)` and `scores` float32 `(batch, n)`, the best first; n
            is `SERVED_BEST`, `beam_width` at most. Where fewer were found, "" and -inf.
        """
        translate = self._translator(self.beam_width, min(SERVED_BEST, self.beam_width))
        found = translate(self.source_ids(text))
        return {"translations": found.texts, "scores": found.scores}

    @property
    def signatures(self) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        """The served functions by name."""
        return {"serving_default": self.translate, "n_best": self.translate_n_best}

    @property
    def probes(self) -> dict[str, list[dict[str, tf.Tensor]]]:
        """Inputs for each signature on which an export must answer as this pipeline does."""
        texts = ["", "a", "A dog runs.", b"\xff\x00", "\U0001f600", "\u05e9\u05dc", "b " * 500]
        batches = [{"text": tf.constant(batch, tf.string)} for batch in ([], [""], texts)]
        return {"serving_default": batches, "n_best": batches}

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
            texts: the texts; an empty list gives an empty list.
            batch_size: texts computed at once; it does not change the answers.
            beam_width: translations kept while decoding, 1 for greedy; None for the pipeline's.
            n_best: how many translations to give for each text, `beam_width` at most.

        Returns:
            A `Translation` for each text, in their order. A text of more than the run's
            `max_length` pieces is cut.

        Raises:
            CallError: if `texts` is one string rather than a sequence of them, or `n_best` is more
                than `beam_width`.

        Example:

        >>> lstm_zoo.load("runs/multi30k").predict(["ein hund rennt"])  # doctest: +SKIP
        """
        if isinstance(texts, (str, bytes)):
            raise CallError("predict takes a list of texts, such as [text]. Received: one text")
        width = self.beam_width if beam_width is None else beam_width
        if not 1 <= n_best <= width:
            raise CallError(f"n_best is at least 1, and at most beam_width ({width}): {n_best}")
        translate = self._translator(width, n_best)
        answers: list[Any] = [None] * len(texts)
        for start in range(0, len(texts), AHEAD):
            ids = self.source_ids(tf.constant(as_bytes(texts[start : start + AHEAD])))
            lengths = np.count_nonzero(ids, axis=1)
            for rows in batching.sorted_batches(lengths, batch_size):
                found = translate(tf.gather(ids, rows)[:, : lengths[rows].max()])
                for row, *answer in zip(
                    rows, found.texts.numpy(), found.scores.numpy(), strict=True
                ):
                    answers[start + row] = _translation(*answer)
        return answers

    def evaluate(
        self,
        data: Any,
        *,
        strict: bool = False,
        batch_size: int = 64,
        beam_width: int | None = None,
    ) -> dict[str, Any]:
        """Judge the translator on translated sentences.

        Args:
            data: a path or columns (sources, targets), as `lstm_zoo.translation.corpus.read` takes
                it; its languages are the run's.
            strict: whether a pair that can't be used is an error, not skipped.
            batch_size: texts computed at once; it does not change the result.
            beam_width: as `predict` takes it.

        Returns:
            `bleu` and `chrf`, from 0 to 100, cased and detokenized, with sacrebleu's `signature`;
            `perplexity` of a piece of the references (those past `max_length` cut);
            `by_length`, a row (`words` of the source up to, None for the rest, `examples`, `bleu`)
            for each span of lengths; `examples` and `skipped`, counted; and `predictions`, a row
            (source, reference, translation) for each example.

        Raises:
            CallError: if there is no such data.
            DataError: if it is malformed, or none of it can be used.

        Example:

        >>> lstm_zoo.load("runs/multi30k").evaluate("multi30k/val")["bleu"]  # doctest: +SKIP
        """
        part = corpus.read(data, *self.config["learned"]["languages"], strict)
        answers = self.predict(part.sources, batch_size, beam_width=beam_width)
        hypotheses = [answer.text for answer in answers]
        loss = self._task.cross_entropy(self.model, self._task.encode(part, training=False))
        return {
            **metrics.bleu_and_chrf(part.targets, hypotheses),
            "perplexity": float(np.exp(loss)),
            "by_length": _by_length(part, hypotheses),
            "examples": len(part),
            "skipped": len(part.skipped),
            "predictions": [*zip(part.sources, part.targets, hypotheses, strict=True)],
        }

    @staticmethod
    def report(scores: Mapping[str, Any]) -> str:
        """Lay out what `evaluate` returns for a person."""
        lines = [
            f"BLEU {scores['bleu']:.2f}  chrF {scores['chrf']:.2f}  "
            f"perplexity {scores['perplexity']:.2f}  "
            f"({scores['examples']:,} examples, {scores['skipped']:,} skipped)",
            *(f"{name}: {signature}" for name, signature in scores["signature"].items()),
            "words of the source  examples   BLEU",
        ]
        for row in scores["by_length"]:
            span = f"to {row['words']}" if row["words"] else f"over {LENGTHS[-1]}"
            lines.append(f"{span:>19}  {row['examples']:8,}  {row['bleu']:5.2f}")
        return "\n".join(lines)

    def draw(self, data: Any, scores: Mapping[str, Any]) -> None:
        """Draw BLEU by the source's length into the run."""
        plots.draw_bleu_by_length(scores["by_length"], self.run / "bleu_by_length.png")

    def source_ids(self, texts: tf.Tensor) -> tf.Tensor:
        """Turn texts into what the network reads, in the graph or outside.

        Args:
            texts: string tensor `(batch,)`, any bytes.

        Returns:
            int32 ids `(batch, time)`, each row with its end, padded with 0.
        """
        max_length = self.config["settings"]["max_length"]
        return decoding.source_ids(self.tokenizer.source, texts, max_length)


def _translation(texts: np.ndarray, scores: np.ndarray) -> Translation:
    n_best = [
        (text.decode(), float(score))
        for text, score in zip(texts, scores, strict=True)
        if np.isfinite(score)
    ]
    return Translation(*n_best[0], n_best)


def _by_length(part: corpus.Corpus, hypotheses: Sequence[str]) -> list[dict[str, Any]]:
    words = np.array([len(text.split()) for text in part.sources])
    spans = np.searchsorted(LENGTHS, words)
    rows = []
    for span, most in enumerate((*LENGTHS, None)):
        chosen = np.flatnonzero(spans == span)
        if len(chosen):
            bleu = metrics.bleu_and_chrf(
                [part.targets[i] for i in chosen], [hypotheses[i] for i in chosen]
            )["bleu"]
            rows.append({"words": most, "examples": len(chosen), "bleu": bleu})
    return rows
