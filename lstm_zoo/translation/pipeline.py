"""The translation pipeline: from texts to translations."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from lstm_zoo import pipeline
from lstm_zoo.data import batching, columns
from lstm_zoo.text.tokenizers import as_bytes
from lstm_zoo.translation import corpus, decoding, metrics, plots
from lstm_zoo.translation.model import build_translation

AHEAD = 2_048  # texts sorted by length at once, to keep padding low
SERVED_BEST = 5  # maximum translations of the signature `n_best`; at most the beam width
# Upper bounds, in words of the source, of the length ranges that BLEU is reported for.
LENGTHS = (5, 10, 15, 20, 30)


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


class Pipeline(pipeline.Pipeline):
    """A trained translator.

    `lstm_zoo.train` and `lstm_zoo.load` return one.

    Attributes:
        run: the run's directory.
        model: the `keras.Model`, from source and target ids to logits.
        tokenizer: the tokenizers, `source` and `target`.
        config: the run's `config.json`.
    """

    build = staticmethod(build_translation)

    @functools.cached_property
    def _translator(self) -> Callable[..., Callable[[tf.Tensor], decoding.Translated]]:
        """From a beam width and the number of translations to the function that translates."""
        make = functools.partial(
            decoding.translator,
            self.model,
            self.tokenizer.target,
            length_penalty=self.config["settings"]["length_penalty"],
        )
        return functools.cache(make)

    @property
    def card(self) -> dict[str, Any]:
        """The card's entries of this family: the languages and the beam width."""
        return {"languages": self.config["learned"]["languages"], "beam_width": self.beam_width}

    # Not compiled by XLA: TF Serving's release does not run functions that must be.
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")], jit_compile=False)
    def translate(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Translate raw texts: the default signature of a SavedModel export.

        Args:
            text: string tensor `(batch,)`, any bytes.

        Returns:
            `translation` string `(batch,)` and `score` float32 `(batch,)`.
        """
        found = self._translator(self.beam_width)(self.source_ids(text))
        return {"translation": found.texts[:, 0], "score": found.scores[:, 0]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")], jit_compile=False)
    def translate_n_best(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the best translations of raw texts: the signature `n_best` of an export.

        Args:
            text: string tensor `(batch,)`, any bytes.

        Returns:
            `translations` string `(batch, n)` and `scores` float32 `(batch, n)`, best first. n is
            `SERVED_BEST` or `beam_width`, the smaller. Where fewer were found, "" and -inf.
        """
        translate = self._translator(self.beam_width, min(SERVED_BEST, self.beam_width))
        found = translate(self.source_ids(text))
        return {"translations": found.texts, "scores": found.scores}

    @property
    def signatures(self) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        """The functions of a SavedModel export by signature name."""
        return {"serving_default": self.translate, "n_best": self.translate_n_best}

    @property
    def probes(self) -> dict[str, list[dict[str, tf.Tensor]]]:
        """Inputs of each signature to compare an export's outputs with the pipeline's on."""
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
            lengths: `words`, the maximum number of words of the source or None, `examples` and
            `bleu`; the numbers of `examples` and `skipped` pairs; and `predictions`, a dict for
            each row of the data, skipped ones included, as `lstm_zoo.pipeline.prediction_rows`
            returns them, with `source`, `reference`, `hypothesis` and `score`.

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
        answers = self.predict(pairs.sources, batch_size, beam_width=beam_width)
        hypotheses = [answer.text for answer in answers]
        examples = self._task.encode(pairs, training=False)
        indices = np.arange(len(examples))
        sums, counts = self._task.cross_entropies(self.model, examples, indices)
        loss = sums.sum() / counts.sum()
        tokenizer = self._task.bleu_tokenizer(pairs.targets)
        return {
            **metrics.bleu_and_chrf(pairs.targets, hypotheses, tokenizer),
            "decoder": self.decoder(beam_width),
            "perplexity": float(np.exp(loss)),
            "by_length": _bleu_by_length(pairs, hypotheses, tokenizer),
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
            words = f"to {row['words']}" if row["words"] else f"over {LENGTHS[-1]}"
            lines.append(f"{words:>19}  {row['examples']:8,}  {row['bleu']:5.2f}")
        return "\n".join(lines)

    def draw(self, data: Any, scores: Mapping[str, Any], directory: Path) -> None:
        """Plot BLEU by source length to `bleu_by_length.png`."""
        path = directory / "bleu_by_length.png"
        plots.draw_bleu_by_length(scores["by_length"], scores["decoder"], path)

    def source_ids(self, texts: tf.Tensor) -> tf.Tensor:
        """Tokenize source texts, eagerly or in a graph.

        Args:
            texts: string tensor `(batch,)`, any bytes.

        Returns:
            int32 ids `(batch, time)`, each row ending with the end token, padded with 0.
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


def _bleu_by_length(
    pairs: corpus.Corpus, hypotheses: Sequence[str], tokenizer: str
) -> list[dict[str, Any]]:
    words = np.array([len(text.split()) for text in pairs.sources])
    ranges = np.searchsorted(LENGTHS, words)
    rows = []
    for number, maximum in enumerate((*LENGTHS, None)):
        chosen = np.flatnonzero(ranges == number)
        if len(chosen):
            references = [pairs.targets[i] for i in chosen]
            found = [hypotheses[i] for i in chosen]
            bleu = metrics.bleu_and_chrf(references, found, tokenizer)["bleu"]
            rows.append({"words": maximum, "examples": len(chosen), "bleu": bleu})
    return rows
