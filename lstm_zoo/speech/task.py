"""The training task: examples, batches, loss and metrics."""

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from lstm_zoo import families
from lstm_zoo.data import batching
from lstm_zoo.data.arrays import Arrays
from lstm_zoo.errors import DataError
from lstm_zoo.printing import shorten
from lstm_zoo.recurrent import layer_names
from lstm_zoo.settings import network_sizes
from lstm_zoo.speech import SETTINGS, VARIANTS, ctc, decoding, demo, metrics
from lstm_zoo.speech import corpus as corpora
from lstm_zoo.speech.alphabet import CharacterTokenizer
from lstm_zoo.speech.audio import read_audio, read_rate
from lstm_zoo.speech.corpus import Corpus, normalize_transcript
from lstm_zoo.speech.feature_settings import output_lengths
from lstm_zoo.speech.features import Features, FeatureSettings
from lstm_zoo.speech.labels import BLANK_TOKEN
from lstm_zoo.speech.model import build_speech
from lstm_zoo.speech.predictor import UNKNOWN_REASON, unit_of
from lstm_zoo.speech.preprocessing import cached_features
from lstm_zoo.text import encoding, tokenizers

DEMO_EXAMPLES = 1_500
DEMO_TEST_EXAMPLES = 200
MAX_RATE = 16_000  # Hz; higher rates cost more and hardly help
RATE_CLIPS = 200  # clips from which the sample rate is chosen
STATISTICS_CLIPS = 500  # clips from which the global statistics are computed
EVALUATION_FRAMES = 100_000  # maximum frames of a batch, so that long clips fit into memory
MAX_LABELS = 2**31 - 1  # transcripts are not cut


@dataclass(frozen=True)
class Examples(families.Examples):
    """An encoded corpus.

    Attributes:
        versions: for each version of the clips (the first is the original, the others are augmented
            copies) the features of each example, `(frames, num_features)`, without normalization.
        labels: the label ids of each example, int32 `(labels,)`.
        texts: the normalized transcripts.
        feasible: whether each transcript fits into its frames, boolean `(versions, examples)`.
        skipped: a (place, reason) for each skipped row.
        unknown: the share of the transcripts' characters that are not in the alphabet.
    """

    versions: list[Arrays]
    labels: Arrays
    texts: list[str]
    feasible: np.ndarray
    skipped: list[tuple[str, str]]
    unknown: float = 0.0

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> np.ndarray:
        """The number of frames of each example, int32 `(examples,)`."""
        return self.versions[0].lengths


class Task(families.Task):
    """The tokenizer and the features, learned from the training data, and how to train with them.

    Args:
        settings: a value for every name of `lstm_zoo.speech.SETTINGS`.
        tokenizer: a `CharacterTokenizer` or a `lstm_zoo.text.tokenizers.PieceTokenizer`.
        features: the feature extraction.

    Attributes:
        unit: what errors are counted in, "words" or "characters".
    """

    directions = {"wer_greedy": "min", "cer_greedy": "min"}
    monitor = "wer_greedy"
    summary_metrics = ("wer", "cer")
    time_step = "frames"
    unknown_reason = UNKNOWN_REASON

    def __init__(self, settings: Mapping[str, Any], tokenizer: tf.Module, features: Features):
        self.settings = settings
        self.tokenizer = tokenizer
        self.features = features
        self.unit = unit_of(tokenizer.vocabulary)
        if self.unit == "characters":
            self.monitor = "cer_greedy"
        self._subsampling = self.network_arguments()["subsampling"]

    @staticmethod
    def read(
        data: Any, settings: Mapping[str, Any], strict: bool = False, cache: Path | None = None
    ) -> Corpus:
        """Read a corpus with `lstm_zoo.speech.corpus.read`, the columns of the settings."""
        return corpora.read(data, strict, settings)

    @staticmethod
    def read_demo(settings: Mapping[str, Any]) -> tuple[Corpus, Corpus]:
        """Return the demo corpus: training data and a test set."""
        sizes = {"training": DEMO_EXAMPLES, "test": DEMO_TEST_EXAMPLES}
        training, test = (
            corpora.read(demo.generate(size, settings["seed"], part))
            for part, size in sizes.items()
        )
        return training, test

    @staticmethod
    def cache_directory(settings: Mapping[str, Any]) -> str | None:
        """Return the setting `cache`."""
        return settings["cache"]

    @classmethod
    def learn(
        cls,
        training: Corpus,
        settings: Mapping[str, Any],
        seed: int,
        tokenizer: tf.Module | None = None,
    ) -> "Task":
        """Learn the sample rate, the tokenizer and the features' statistics.

        Args:
            training: the training data only.
            settings: a value for every name of `lstm_zoo.speech.SETTINGS`.
            seed: the seed of SentencePiece's sampling and of the choice of clips for the
                statistics.
            tokenizer: one to keep; None to learn one.

        Returns:
            The task.

        Raises:
            CallError: on an invalid setting.
            DataError: if no clip can be read, all transcripts are empty, or there is too little
                text for SentencePiece.
        """
        rate = settings["sample_rate"] or _most_frequent_rate(training.clips)
        features = Features(_feature_settings(settings, rate))
        if settings["normalization"] == "global":
            chosen = np.random.default_rng(seed).permutation(len(training))[:STATISTICS_CLIPS]
            features.learn(_readable_features(features, [training.clips[i] for i in chosen]))
        texts = [_normalize(text, settings) for text in training.texts]
        if not any(texts):
            raise DataError(
                f"All normalized transcripts are empty (the first: {training.places[0]})."
            )
        if tokenizer is None and settings["tokens"] == "characters":
            tokenizer = CharacterTokenizer.learn(texts)
        elif tokenizer is None:
            size = settings["vocabulary_size"]
            tokenizer = tokenizers.PieceTokenizer.learn(
                texts,
                size,
                fold_case=False,
                seed=seed,
                instead="tokens=characters",
                sample=settings["vocabulary_sample"],
            )
        return cls(settings, tokenizer, features)

    @classmethod
    def load(cls, run: Path, config: Mapping[str, Any]) -> "Task":
        """Load a task from a run directory and its `config.json`."""
        settings = config["settings"]
        if settings["tokens"] == "characters":
            tokenizer = CharacterTokenizer.load(run)
        else:
            tokenizer = tokenizers.PieceTokenizer.load(run, fold_case=False)
        features = Features.load(run, FeatureSettings(**config["learned"]["features"]))
        return cls(settings, tokenizer, features)

    def save(self, run: Path) -> None:
        """Write the files of the tokenizer and of the features."""
        self.tokenizer.save(run)
        self.features.save(run)

    @property
    def learned(self) -> dict[str, Any]:
        """The entry `learned` of `config.json`: the settings of the features."""
        return {"features": asdict(self.features.settings)}

    def normalize(self, text: str) -> str:
        """Normalize a transcript for training and scoring."""
        return _normalize(text, self.settings)

    @property
    def counts(self) -> dict[str, tuple[int, str]]:
        """The numbers of label ids and of features."""
        return {
            "vocabulary_size": (self.tokenizer.vocabulary_size, self.tokenizer.FILE),
            "num_features": (self.features.settings.num_features, "config.json"),
        }

    @property
    def input_settings(self) -> dict[str, Any]:
        """The settings of the features."""
        values = asdict(self.features.settings)
        return {"features": values.pop("kind"), **values}

    @property
    def named_axes(self) -> dict[str, dict[int | None, families.Names]]:
        """The entries of labels."""
        # Of pieces too, the first id is the blank.
        labels = families.Names("labels", [BLANK_TOKEN, *self.tokenizer.vocabulary[1:]])
        return {"logits/kernel": {1: labels}, "logits/bias": {0: labels}}

    @property
    def layers(self) -> list[tuple[str, ...]]:
        """The logits, the recurrent layers and the convolution, if there is one."""
        sizes = self.network_arguments()
        names = ["conv", *layer_names(sizes["cell"], sizes["units"]), "logits"]
        if sizes["subsampling"] == 1 or sizes["subsampling_kind"] != "conv":
            names.remove("conv")
        return [(name,) for name in reversed(names)]

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Return the share of normalized transcripts' characters that are not in the alphabet."""
        if self.settings["tokens"] != "characters":
            return 0.0  # pieces have bytes
        return corpora.unknown_share(texts, self.tokenizer.vocabulary)

    def network_arguments(self) -> dict[str, Any]:
        """Return the arguments of `build_speech` that rebuild this network."""
        given = {name: self.settings[name] for name in ("variant", *VARIANTS["base"])}
        return {
            **{name: count for name, (count, _) in self.counts.items()},
            "mask_fill": "mean" if self.settings["normalization"] == "none" else "zero",
            **network_sizes(SETTINGS, VARIANTS, **given),
        }

    def build(self, examples: Examples, seed: int) -> tuple[keras.Model, dict[str, Any]]:
        """Build the network, and return it with the arguments that rebuild it."""
        arguments = self.network_arguments()
        return build_speech(**arguments), arguments

    def encode(self, corpus: Corpus, *, training: bool, cache: Path) -> Examples:
        """Extract the features and tokenize the transcripts of a corpus.

        Args:
            corpus: the corpus.
            training: whether to add augmented copies of the clips, and to skip transcripts that are
                too long for their frames, for which the CTC loss is infinite.
            cache: the directory of cached features.

        Returns:
            The examples, in the order of the corpus.

        Raises:
            DataError: if no example is left; the message names the first skipped row.
        """
        texts = [self.normalize(text) for text in corpus.texts]
        labels = encoding.encode(self.tokenizer, texts, MAX_LABELS)
        augmented = training and (self.settings["speed"] or self.settings["noise"] is not None)
        copies = self.settings["copies"] if augmented else 0
        results = [
            cached_features(corpus.clips, version, self.features, self.settings, cache)
            for version in range(1 + copies)
        ]
        errors = results[0][1]
        versions = [rows for rows, _ in results]
        feasible = np.array(
            [
                [
                    ctc.feasible(self._output_length(row), ids)
                    for row, ids in zip(rows, labels, strict=True)
                ]
                for rows in versions
            ]
        ).reshape(len(versions), len(labels))
        kept, skipped = [], []
        for index, place in enumerate(corpus.places):
            reason = errors.get(index)
            if not reason and not texts[index]:
                reason = "no text is left of the transcript after normalization"
            if not reason and training and not feasible[0, index]:
                reason = (
                    f"{len(labels[index])} labels for {self._output_length(versions[0][index])} "
                    "frames of the network: too little audio for its transcript (subsampling)"
                )
            if reason:
                skipped.append((place, reason))
            else:
                kept.append(index)
        if not kept:
            place, reason = skipped[0]
            raise DataError(f"No clip can be used; the first, {place}: {reason}")
        return Examples(
            [rows.take(kept) for rows in versions],
            labels.take(kept),
            [texts[index] for index in kept],
            feasible[:, kept],
            skipped,
            self.unknown_share(texts),
        )

    def batch(
        self,
        examples: Examples,
        indices: np.ndarray,
        generator: np.random.Generator,
        rows: np.ndarray | slice = slice(None),
    ) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
        """Return a training batch, or some rows of it.

        Args:
            examples: the training examples.
            indices: the indices of the batch's examples, `(batch,)`.
            generator: draws the version of each clip of the batch.
            rows: the rows to return, padded like all.

        Returns:
            Inputs: float32 features `(batch, frames, num_features)` and int32 lengths `(batch,)`.
            Targets: those of `ctc.pack_targets`.
        """
        chosen = generator.integers(len(examples.versions), size=len(indices))
        # A faster copy can be too short for its transcript.
        chosen = np.where(examples.feasible[chosen, indices], chosen, 0)
        versions = [examples.versions[v][i] for v, i in zip(chosen, indices, strict=True)]
        labels = [examples.labels[index] for index in indices]
        # Arrays of prepared examples are read where they are used: here, for their lengths alone.
        longest, most = max(map(len, versions)), max(map(len, labels))
        rows = np.arange(len(indices))[rows]
        features, lengths = self._pad([versions[row] for row in rows], longest)
        labels = [labels[row] for row in rows]
        return (features, lengths), ctc.pack_targets(labels, self._output_lengths(lengths), most)

    def loss(self) -> keras.losses.Loss:
        """Return the loss on (targets, logits)."""
        return ctc.CTCLoss()

    def results(
        self, model: keras.Model, examples: Examples, indices: np.ndarray
    ) -> list[tuple[float, str]]:
        """Return the CTC loss and the greedily decoded text of some examples."""
        found: list[tuple[float, str]] = [(math.nan, "")] * len(indices)
        lengths_of_rows = examples.lengths[indices]
        for rows in batching.sorted_batches(lengths_of_rows, 32, EVALUATION_FRAMES):
            chosen = indices[rows]
            features, lengths = self._pad([examples.versions[0][index] for index in chosen])
            logits = tf.constant(model.predict_on_batch([features, lengths]))
            num_frames = tf.constant(self._output_lengths(lengths))
            targets = ctc.pack_targets([examples.labels[i] for i in chosen], num_frames.numpy())
            losses = ctc.negative_log_likelihood(
                logits, num_frames, targets[:, 2:], targets[:, 0]
            ).numpy()
            texts = decoding.texts(self.tokenizer, decoding.greedy_labels(logits, num_frames))
            for row, loss, text in zip(rows, losses, texts[:, 0].numpy(), strict=True):
                found[row] = float(loss), text.decode()
        return found

    def scores(self, examples: Examples, results: Sequence[tuple[float, str]]) -> dict[str, Any]:
        """Compute the metrics of an epoch, from greedy decoding.

        Args:
            examples: the validation examples.
            results: the loss and the text of each.

        Returns:
            `loss`, the mean CTC loss in nats over the examples where it is finite; `wer_greedy` and
            `cer_greedy`; `predictions`, a dict with `reference` and `hypothesis` for each example.
        """
        losses, hypotheses = zip(*results, strict=True)
        finite = np.array(losses)[np.isfinite(losses)]
        rates = metrics.error_rates(examples.texts, hypotheses)
        return {
            "loss": float(finite.mean()) if len(finite) else float("nan"),
            **{f"{name}_greedy": rate for name, rate in rates.items()},
            "predictions": [
                {"reference": reference, "hypothesis": hypothesis}
                for reference, hypothesis in zip(examples.texts, hypotheses, strict=True)
            ],
        }

    def format_row(self, corpus: Corpus, index: int) -> str:
        """Format a row of a corpus for the log: its clip and its transcript."""
        clip = corpus.clips[index]
        name = clip if isinstance(clip, str) else "in memory"
        return f'clip {name}  "{shorten(corpus.texts[index], 80)}"'

    def baseline_score(self, examples: Examples) -> float:
        """Return the error rate of empty transcripts, which CTC predicts at first."""
        return 1.0

    def score_prediction(self, prediction: Mapping[str, Any]) -> float:
        """Return the negated error rate of a row of `predictions`, of words or as `monitor`."""
        return metrics.score_prediction(prediction, self.unit)

    def format_samples(self, predictions: Sequence[Mapping[str, Any]]) -> list[str]:
        """Format rows of `predictions` as lines, two for each row."""
        names = ("reference", "hypothesis")
        return [f"  {name:10}  {row[name]}" for row in predictions for name in names]

    def _pad(self, rows: Sequence[np.ndarray], longest: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Normalize features and pad them with 0 to float32 `(batch, frames, num_features)`."""
        lengths = np.array([len(row) for row in rows], np.int32)
        frames = max([longest, *lengths])
        shape = (len(rows), frames, self.features.settings.num_features)
        features = np.zeros(shape, np.float32)
        for padded, row in zip(features, rows, strict=True):
            padded[: len(row)] = self.features.normalize(row)
        return features, lengths

    def _output_lengths(self, lengths: Any) -> Any:
        return output_lengths(lengths, self._subsampling)

    def _output_length(self, features: np.ndarray) -> int:
        return self._output_lengths(len(features))


def _normalize(text: str, settings: Mapping[str, Any]) -> str:
    return normalize_transcript(
        text, lower_case=settings["lower_case"], punctuation=settings["punctuation"]
    )


def _feature_settings(settings: Mapping[str, Any], sample_rate: int) -> FeatureSettings:
    names = ("num_mels", "num_mfcc", "window", "hop", "normalization")
    values = {name: settings[name] for name in names}
    return FeatureSettings(kind=settings["features"], sample_rate=sample_rate, **values)


def _most_frequent_rate(clips: Sequence[Any]) -> int:
    """Return the most frequent sample rate of the clips, at most `MAX_RATE`."""
    # From the whole corpus, which may consist of several.
    rates, first_error = Counter(), None
    for clip in clips[:: batching.count(len(clips), RATE_CLIPS)]:
        try:
            rates[read_rate(clip)] += 1
        except DataError as error:
            first_error = first_error or error
    if not rates:
        raise DataError(f"No clip can be read; the first: {first_error}")
    return min(rates.most_common(1)[0][0], MAX_RATE)


def _readable_features(features: Features, clips: Sequence[Any]) -> list[np.ndarray]:
    def extract(clip: Any) -> np.ndarray | None:
        try:
            return features.extract(read_audio(clip, features.settings.sample_rate))
        except DataError:
            return None  # `encode` reports it

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        readable = [rows for rows in pool.map(extract, clips) if rows is not None]
    if not readable:
        raise DataError("No clip can be read for the statistics of global normalization.")
    return readable
