"""What training must know of the family: examples, loss, metrics."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from lstm_zoo import families
from lstm_zoo.data import batching
from lstm_zoo.data.cache import prepare
from lstm_zoo.errors import DataError
from lstm_zoo.speech import corpus, ctc, decoding, demo, metrics
from lstm_zoo.speech.alphabet import CharacterTokenizer
from lstm_zoo.speech.audio import as_pair, read_audio, read_rate
from lstm_zoo.speech.corpus import Corpus, normalize_transcript
from lstm_zoo.speech.features import Features, FeatureSettings
from lstm_zoo.speech.model import build_speech, output_lengths, resolve_sizes
from lstm_zoo.speech.perturbation import add_noise, perturb_speed
from lstm_zoo.text import tokenizers

DEMO_EXAMPLES = 1_500
DEMO_TEST_EXAMPLES = 200
MAX_RATE = 16_000  # Hz: speech above it costs more than it tells
RATE_CLIPS = 200  # clips that decide the sample rate
STATISTICS_CLIPS = 500  # clips that global normalisation is learned from
NOISE_RANGE = 20  # dB from the least ratio of signal to noise to the largest
EVALUATED_FRAMES = 100_000  # judged at once, so that long clips fit into memory
MAX_LABELS = 2**31 - 1  # no transcript is cut
CACHE_FORMAT = 1  # raised when the same settings come to give other features


@dataclass(frozen=True)
class Examples(families.Examples):
    """A corpus as the network sees it.

    Attributes:
        versions: for each version of the clips (the first is as recorded) the features of every
            example, `(frames, num_features)`, not yet normalised.
        labels: the label ids of every example.
        texts: the normalised transcripts.
        feasible: whether each example's transcript fits into its frames, `(versions, examples)`.
        skipped: a (place, reason) for each row left out.
    """

    versions: list[list[np.ndarray]]
    labels: list[np.ndarray]
    texts: list[str]
    feasible: np.ndarray
    skipped: list[tuple[str, str]]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> np.ndarray:
        """The number of frames of each example."""
        return np.array([len(features) for features in self.versions[0]])


class Task(families.Task):
    """The labels and the features, learned from the training part, and what follows from them.

    Args:
        settings: a value for every name of `lstm_zoo.speech.SETTINGS`.
        tokenizer: a `CharacterTokenizer` or a `lstm_zoo.text.tokenizers.PieceTokenizer`.
        features: from audio to frames.
    """

    monitor, mode = "wer", "min"
    baseline_score = 1.0  # of empty transcripts, which CTC gives at first
    summary_metrics = ("wer", "cer")

    def __init__(self, settings: Mapping[str, Any], tokenizer: tf.Module, features: Features):
        self.settings = settings
        self.tokenizer = tokenizer
        self.features = features
        self._subsampling = self.network_arguments()["subsampling"]

    @staticmethod
    def read(data: Any, settings: Mapping[str, Any], strict: bool = False) -> Corpus:
        """Read a corpus, as `lstm_zoo.speech.corpus.read` does; settings are not used."""
        return corpus.read(data, strict)

    @staticmethod
    def read_demo(settings: Mapping[str, Any]) -> tuple[Corpus, Corpus]:
        """Return the demo corpus: training data and a test set."""
        sizes = {"training": DEMO_EXAMPLES, "test": DEMO_TEST_EXAMPLES}
        training, test = (
            corpus.read(demo.generate(size, settings["seed"], part)) for part, size in sizes.items()
        )
        return training, test

    @staticmethod
    def cache_directory(settings: Mapping[str, Any]) -> str | None:
        """Return the setting `cache`."""
        return settings["cache"]

    @classmethod
    def learn(cls, training: Corpus, settings: Mapping[str, Any], seed: int) -> "Task":
        """Learn the sample rate, the labels and the features' statistics of the training part.

        Args:
            training: the training part, and nothing of the others.
            settings: a value for every name of `lstm_zoo.speech.SETTINGS`.
            seed: of what is random in learning pieces, and which clips give the statistics.

        Returns:
            The task.

        Raises:
            CallError: if a setting can't be.
            DataError: if no clip can be read, no transcript has a character, or there is too little
                text for pieces.
        """
        rate = settings["sample_rate"] or _usual_rate(training.clips)
        features = Features(_feature_settings(settings, rate))
        if settings["normalization"] == "global":
            chosen = np.random.default_rng(seed).permutation(len(training))[:STATISTICS_CLIPS]
            features.learn(_readable_features(features, [training.clips[i] for i in chosen]))
        texts = [_normalize(text, settings) for text in training.texts]
        if not any(texts):
            raise DataError(
                f"No character is left of any transcript (the first: {training.places[0]})."
            )
        if settings["tokens"] == "characters":
            tokenizer = CharacterTokenizer.learn(texts)
        else:
            size = settings["vocabulary_size"]
            tokenizer = tokenizers.PieceTokenizer.learn(
                texts, size, fold_case=False, seed=seed, instead="tokens=characters"
            )
        return cls(settings, tokenizer, features)

    @classmethod
    def load(cls, run: Path, config: Mapping[str, Any]) -> "Task":
        """Read what `save` and `learned` left in a run."""
        settings = config["settings"]
        if settings["tokens"] == "characters":
            tokenizer = CharacterTokenizer.load(run)
        else:
            tokenizer = tokenizers.PieceTokenizer.load(run, fold_case=False)
        features = Features.load(run, FeatureSettings(**config["learned"]["features"]))
        return cls(settings, tokenizer, features)

    def save(self, run: Path) -> None:
        """Write the files of the labels and of the features."""
        self.tokenizer.save(run)
        self.features.save(run)

    @property
    def learned(self) -> dict[str, Any]:
        """What `config.json` keeps of what was learned."""
        return {"features": asdict(self.features.settings)}

    def normalize(self, text: str) -> str:
        """Bring a transcript to the form that is learned and compared."""
        return _normalize(text, self.settings)

    def network_arguments(self) -> dict[str, Any]:
        """Return the arguments of `build_speech` that rebuild this network."""
        sizes = {name: self.settings[name] for name in resolve_sizes()}
        given = {name: value for name, value in sizes.items() if value is not None}
        return {
            "vocabulary_size": self.tokenizer.vocabulary_size,
            "num_features": self.features.settings.num_features,
            "mask_fill": "mean" if self.settings["normalization"] == "none" else "zero",
            **resolve_sizes(self.settings["variant"], **given),
        }

    def build(self, examples: Examples, seed: int) -> tuple[keras.Model, dict[str, Any]]:
        """Build the network to train, and give the arguments that rebuild it."""
        arguments = self.network_arguments()
        return build_speech(**arguments), arguments

    def encode(self, part: Corpus, *, training: bool, cache: Path) -> Examples:
        """Turn a corpus into examples.

        Args:
            part: the corpus.
            training: whether it is trained on: then varied copies of its clips are made, and what
                CTC can't learn, a transcript too long for its frames, is left out.
            cache: the folder in which features are kept.

        Returns:
            Its features and labels, in its order.

        Raises:
            DataError: if no example is left, naming the first row left out.
        """
        texts = [self.normalize(text) for text in part.texts]
        labels = tokenizers.encode(self.tokenizer, texts, MAX_LABELS)
        varied = training and (self.settings["speed"] or self.settings["noise"] is not None)
        numbers = range(1 + self.settings["copies"]) if varied else range(1)
        made = [self._prepare(part.clips, number, cache) for number in numbers]
        errors = made[0][1]
        versions = [version for version, _ in made]
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
        for index, place in enumerate(part.places):
            reason = errors.get(index)
            if not reason and not texts[index]:
                reason = "no text is left of the transcript once it is normalised"
            if not reason and training and not feasible[0, index]:
                reason = (
                    f"{len(labels[index])} labels for {self._output_length(versions[0][index])} "
                    "frames of the network: too little audio for its transcript"
                )
            if reason:
                skipped.append((place, reason))
            else:
                kept.append(index)
        if not kept:
            place, reason = skipped[0]
            raise DataError(f"No clip can be used; the first, {place}: {reason}")
        return Examples(
            [[rows[index] for index in kept] for rows in versions],
            [labels[index] for index in kept],
            [texts[index] for index in kept],
            feasible[:, kept],
            skipped,
        )

    def batch(
        self, examples: Examples, indices: np.ndarray, generator: np.random.Generator
    ) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
        """Return a training batch.

        Args:
            examples: the examples to take it from.
            indices: which, `(batch,)`.
            generator: chooses the version of each clip.

        Returns:
            float32 features `(batch, frames, num_features)` and int32 lengths `(batch,)`; and the
            targets, as `ctc.pack_targets` makes them.
        """
        chosen = generator.integers(len(examples.versions), size=len(indices))
        # A copy played so fast that its transcript does not fit is not used.
        chosen = np.where(examples.feasible[chosen, indices], chosen, 0)
        rows = [examples.versions[v][i] for v, i in zip(chosen, indices, strict=True)]
        features, lengths = self._pad(rows)
        labels = [examples.labels[index] for index in indices]
        return (features, lengths), ctc.pack_targets(labels, self._output_lengths(lengths))

    def loss(self) -> keras.losses.Loss:
        """Return the loss on (targets, logits)."""
        return ctc.CTCLoss()

    def evaluate(self, model: keras.Model, examples: Examples) -> dict[str, Any]:
        """Judge a network while it is trained, decoding greedily.

        Args:
            model: the network, compiled.
            examples: what to judge it on.

        Returns:
            `loss`, the mean negative log-likelihood in nats of what CTC can spell; `wer` and `cer`;
            `predictions`, a row (reference, transcript) for each example.
        """
        losses = np.full(len(examples), np.nan)
        transcripts = [""] * len(examples)
        for indices in batching.sorted_batches(examples.lengths, 32, EVALUATED_FRAMES):
            features, lengths = self._pad([examples.versions[0][index] for index in indices])
            logits = tf.constant(model.predict_on_batch([features, lengths]))
            num_frames = tf.constant(self._output_lengths(lengths))
            targets = ctc.pack_targets([examples.labels[i] for i in indices], num_frames.numpy())
            losses[indices] = ctc.negative_log_likelihood(
                logits, num_frames, targets[:, 2:], targets[:, 0]
            )
            texts = decoding.texts(self.tokenizer, decoding.greedy_labels(logits, num_frames))[
                :, 0
            ].numpy()
            for index, text in zip(indices, texts, strict=True):
                transcripts[index] = text.decode()
        finite = losses[np.isfinite(losses)]
        return {
            "loss": float(finite.mean()) if len(finite) else float("nan"),
            **metrics.error_rates(examples.texts, transcripts),
            "predictions": [*zip(examples.texts, transcripts, strict=True)],
        }

    def format_samples(self, predictions: Sequence[Sequence[str]]) -> list[str]:
        """Return lines to show for some rows of `evaluate`, or of the pipeline's."""
        return [
            line
            for *_, reference, transcript in predictions
            for line in (f"  said   {reference}", f"  heard  {transcript}")
        ]

    def _prepare(
        self, clips: Sequence[Any], version: int, folder: Path
    ) -> tuple[list[np.ndarray], dict[int, str]]:
        """Compute the features of one version of clips, or find them in the cache."""
        names = ("speed", "noise", "seed")
        varied = {name: self.settings[name] for name in names} if version else {}
        # Features are kept as they are before normalisation.
        described = asdict(replace(self.features.settings, normalization="none"))
        key = hashlib.sha256(
            json.dumps([CACHE_FORMAT, described, version, varied]).encode()
            + b"".join(map(_identity, clips))
        )
        rate = self.features.settings.sample_rate

        def extract(index: int) -> np.ndarray:
            samples = read_audio(clips[index], rate)
            if version:
                generator = np.random.default_rng((self.settings["seed"], version, index))
                samples = self._vary(samples, generator)
            return self.features.extract(samples)

        title = "features" + (f", copy {version}" if version else "")
        return prepare(folder / key.hexdigest()[:16], extract, len(clips), title)

    def _vary(self, samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        speed, noise = self.settings["speed"], self.settings["noise"]
        if speed:
            samples = perturb_speed(samples, generator.uniform(1 - speed, 1 + speed))
        if noise is not None:
            ratio = generator.uniform(noise, noise + NOISE_RANGE)
            samples = add_noise(samples, ratio, generator)
        return samples

    def _pad(self, rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Normalise features and pad them with 0 to float32 `(batch, frames, num_features)`."""
        lengths = np.array([len(row) for row in rows], np.int32)
        shape = (len(rows), lengths.max(), self.features.settings.num_features)
        features = np.zeros(shape, np.float32)
        for place, row in zip(features, rows, strict=True):
            place[: len(row)] = self.features.normalize(row)
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


def _usual_rate(clips: Sequence[Any]) -> int:
    """Return the sample rate of most clips, `MAX_RATE` at the most."""
    # From all over the corpus, which may have been put together of several.
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
    def attempt(clip: Any) -> np.ndarray | None:
        try:
            return features.extract(read_audio(clip, features.settings.sample_rate))
        except DataError:
            return None  # told when it is to be an example

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [clip for clip in pool.map(attempt, clips) if clip is not None]
    if not found:
        raise DataError("No clip can be read for the statistics of global normalisation.")
    return found


def _identity(clip: Any) -> bytes:
    """Return what changes when a clip does; a file counts by its path, size and time."""
    if isinstance(clip, str):
        status = os.stat(clip)
        text = f"{os.path.realpath(clip)}:{status.st_size}:{status.st_mtime_ns}"
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
    samples, rate = as_pair(clip)
    digest = hashlib.sha256(f"{rate}:{samples.dtype}:{samples.shape}".encode())
    digest.update(np.ascontiguousarray(samples))
    return digest.digest()
