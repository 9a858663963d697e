"""A translator on ONNX Runtime: the twin of `lstm_zoo.translation.pipeline`."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lstm_zoo.data import batching
from lstm_zoo.runs.exports import MODEL
from lstm_zoo.runtime import pipeline
from lstm_zoo.runtime.numerics import log_softmax
from lstm_zoo.text.numpy_tokenizers import Normalizer, PieceTokenizer
from lstm_zoo.text.vocabulary import END, START
from lstm_zoo.translation import corpus, languages, numpy_beam
from lstm_zoo.translation.predictor import (
    EVALUATION_BATCH,
    SIDES,
    Predictor,
    Tokenizers,
    output_limits,
)


class Pipeline(Predictor, pipeline.Pipeline):
    """A translator that was exported as ONNX, as `lstm_zoo.load` returns it.

    Attributes:
        run: the export's directory.
        tokenizer: the tokenizers, `source` and `target`.
        config: the `config.json` of the run.
    """

    def __init__(self, directory: Path, config: Mapping[str, Any]):
        super().__init__(directory, config)
        languages.check_pair(config["learned"]["languages"])
        normalizer = Normalizer.load(directory, fold_case=False)
        self.tokenizer = Tokenizers(
            *(PieceTokenizer.load(directory / side, normalizer) for side in SIDES)
        )
        self.check_counts(
            source_vocabulary_size=len(self.tokenizer.source.vocabulary),
            target_vocabulary_size=len(self.tokenizer.target.vocabulary),
        )
        self._encoder, self._decoder = (
            pipeline.open_session(directory / f"{name}.onnx") for name in ("encoder", "decoder")
        )
        # The whole network is opened when `evaluate` needs it, whatever the working directory is.
        self._directory = directory.absolute()
        # The decoder's states, as the encoder returns them and as a step takes them.
        self._states = [output.name for output in self._encoder.get_outputs()]

    @functools.cached_property
    def _model(self) -> Any:
        """The whole network, which only `evaluate` needs."""
        return pipeline.open_session(self._directory / MODEL)

    def _source_ids(self, texts: Sequence[str | bytes]) -> np.ndarray:
        return batching.pad([self._ids(self.tokenizer.source, text) for text in texts], last=END)

    def _ids(self, tokenizer: PieceTokenizer, text: str | bytes) -> list[int]:
        return tokenizer.tokenize(text)[: self.config["settings"]["max_length"]]

    def _translate(
        self, ids: np.ndarray, width: int, n_best: int
    ) -> tuple[Sequence[Sequence[bytes]], np.ndarray]:
        lengths = np.count_nonzero(ids, axis=1)
        summary, *states = self._encoder.run(None, {"source": ids})

        def step(last: np.ndarray, states: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
            feeds = dict(zip(self._states, states, strict=True))
            logits, *new = self._decoder.run(None, {"ids": last, **feeds})
            return logits, [states[0], *new]

        found, scores = numpy_beam.search(
            step,
            [summary, *states],
            output_limits(lengths),
            width=width,
            n_best=n_best,
            length_penalty=self.config["settings"]["length_penalty"],
        )
        texts = [[self.tokenizer.target.detokenize(ids).encode() for ids in row] for row in found]
        for row in np.flatnonzero(lengths <= 1):  # the end token alone
            texts[row] = [b""] * n_best
            scores[row] = [0.0] + [-np.inf] * (n_best - 1)
        return texts, scores

    def _cross_entropies(self, pairs: corpus.Corpus) -> tuple[np.ndarray, np.ndarray]:
        sources, targets = (
            [np.array(self._ids(tokenizer, text), np.int32) for text in texts]
            for tokenizer, texts in zip(self.tokenizer, (pairs.sources, pairs.targets), strict=True)
        )
        counts = np.array([len(ids) + 1 for ids in targets])
        sums = np.zeros(len(targets))
        lengths = counts + [len(ids) + 1 for ids in sources]
        for rows in batching.sorted_batches(lengths, EVALUATION_BATCH):
            inputs = {
                "source": batching.pad([sources[row] for row in rows], last=END),
                "target": batching.pad([targets[row] for row in rows], first=START),
            }
            expected = batching.pad([targets[row] for row in rows], last=END)
            (logits,) = self._model.run(None, inputs)
            chosen = np.take_along_axis(log_softmax(logits), expected[..., np.newaxis], -1)[..., 0]
            sums[rows] = -np.where(expected, chosen, 0).sum(axis=1, dtype=float)
        return sums, counts
