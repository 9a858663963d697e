"""A recognizer on ONNX Runtime: the twin of `lstm_zoo.speech.pipeline`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lstm_zoo.runs.exports import MODEL
from lstm_zoo.runtime import pipeline
from lstm_zoo.runtime.numerics import softmax
from lstm_zoo.speech import numpy_decoding
from lstm_zoo.speech.feature_settings import FeatureSettings, output_lengths
from lstm_zoo.speech.labels import ALPHABET, Characters, read_characters
from lstm_zoo.speech.numpy_features import Features
from lstm_zoo.speech.predictor import DecodedBatch, Predictor
from lstm_zoo.text.numpy_tokenizers import PieceTokenizer

_SPACES = re.compile("[\t\n\f\r ]+")  # as the graph's regular expressions know them


class Pipeline(Predictor, pipeline.Pipeline):
    """A recognizer that was exported as ONNX, as `lstm_zoo.load` returns it.

    Attributes:
        run: the export's directory.
        tokenizer: from labels to texts.
        features: extracts features from audio.
        config: the `config.json` of the run.
    """

    def __init__(self, directory: Path, config: Mapping[str, Any]):
        super().__init__(directory, config)
        if config["settings"]["tokens"] == "characters":
            self.tokenizer = Characters(read_characters(directory / ALPHABET))
        else:
            self.tokenizer = PieceTokenizer.load(directory)
        settings = FeatureSettings(**config["learned"]["features"])
        self.features = Features.load(directory, settings)
        self.check_counts(
            vocabulary_size=len(self.tokenizer.vocabulary), num_features=settings.num_features
        )
        self._session = pipeline.open_session(directory / MODEL)

    def _decode(
        self, audio: np.ndarray, num_samples: np.ndarray, beam_width: int, n_best: int
    ) -> DecodedBatch:
        rows = [
            self.features.normalize(self.features.extract(samples[:count]))
            for samples, count in zip(audio, num_samples, strict=True)
        ]
        lengths = np.array([*map(len, rows)], np.int32)
        features = np.zeros((len(rows), lengths.max(), rows[0].shape[1]), np.float32)
        for padded, row in zip(features, rows, strict=True):
            padded[: len(row)] = row
        (logits,) = self._session.run(None, {"features": features, "lengths": lengths})
        lengths = output_lengths(lengths, self.config["network"]["subsampling"])
        decoded = numpy_decoding.decode(logits, lengths, beam_width, n_best)
        frames = numpy_decoding.start_frames(
            logits, lengths, decoded.labels[:, :1], decoded.frames[:, :1]
        )[:, 0]
        # The padding of the two may differ.
        labels = decoded.labels[:, 0, : frames.shape[1]]
        frames = frames[:, : labels.shape[1]]
        posteriors = softmax(logits)
        return DecodedBatch(
            [[self._text(labels) for labels in row] for row in decoded.labels],
            decoded.scores,
            labels,
            frames,
            posteriors[np.arange(len(labels))[:, np.newaxis], frames, labels],
            posteriors,
        )

    def _text(self, labels: np.ndarray) -> bytes:
        """Return the text of labels `(labels,)`, with white space collapsed and stripped."""
        text = self.tokenizer.detokenize(labels[labels != 0].tolist())
        return _SPACES.sub(" ", text).strip("\t\n\v\f\r ").encode()
