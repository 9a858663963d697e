"""A classifier on ONNX Runtime: the twin of `lstm_zoo.sentiment.pipeline`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lstm_zoo.data import batching
from lstm_zoo.runs.exports import MODEL
from lstm_zoo.runtime import pipeline
from lstm_zoo.sentiment import calibration
from lstm_zoo.sentiment.labelling import LABELLINGS, check_classes
from lstm_zoo.sentiment.predictor import Predictor
from lstm_zoo.text import numpy_tokenizers
from lstm_zoo.text.vocabulary import UNKNOWN


class Pipeline(Predictor, pipeline.Pipeline):
    """A classifier that was exported as ONNX, as `lstm_zoo.load` returns it.

    Attributes:
        run: the export's directory.
        tokenizer: from texts to ids.
        classes: the class names, in the order of the logits.
        config: the `config.json` of the run.
    """

    def __init__(self, directory: Path, config: Mapping[str, Any]):
        super().__init__(directory, config)
        settings, classes = config["settings"], config["learned"]["classes"]
        check_classes(classes)
        kind = numpy_tokenizers.TOKENIZERS[settings["tokens"]]
        normalizer = numpy_tokenizers.Normalizer.load(directory, settings["fold_case"])
        self.tokenizer = kind.load(directory, normalizer)
        self.labelling = LABELLINGS[settings["multi_label"]](classes, calibration.read(directory))
        self.check_counts(vocabulary_size=len(self.tokenizer.vocabulary), num_classes=len(classes))
        self._session = pipeline.open_session(directory / MODEL)

    def _compute(self, texts: list[bytes]) -> np.ndarray:
        ids = batching.pad([*map(self._ids, texts)])
        (logits,) = self._session.run(None, {"ids": ids})
        return self.labelling.numpy_probabilities(logits)

    def _unknown_share(self, texts: Sequence[str]) -> float:
        ids = [*map(self._ids, texts)]
        unknown = sum(row.count(UNKNOWN) for row in ids)
        return unknown / max(1, sum(map(len, ids)))

    def _ids(self, text: str | bytes) -> list[int]:
        return self.tokenizer.tokenize(text)[: self.config["settings"]["max_length"]]
