"""What training must know of the family: examples, loss, metrics."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from lstm_zoo import families
from lstm_zoo.data import batching
from lstm_zoo.errors import DataError
from lstm_zoo.sentiment import corpus, demo, metrics
from lstm_zoo.sentiment.corpus import Corpus
from lstm_zoo.sentiment.model import build_sentiment, class_log_ratios, resolve_sizes
from lstm_zoo.sentiment.vectors import read_vectors
from lstm_zoo.text import tokenizers
from lstm_zoo.training.progress import log

DEMO_EXAMPLES = 5_000
DEMO_TEST_SHARE = 0.2


@dataclass(frozen=True)
class Examples(families.Examples):
    """A corpus as the network sees it: ids and the classes' indices."""

    ids: list[np.ndarray]
    targets: np.ndarray
    weights: np.ndarray  # what each example counts in the loss
    skipped: tuple = ()  # a text of which nothing can be made is empty, not skipped

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        """The number of tokens of each example."""
        return np.array([len(ids) for ids in self.ids])


class Task(families.Task):
    """The classes and the tokenizer, learned from the training part, and what follows from them.

    Args:
        settings: a value for every name of `lstm_zoo.sentiment.SETTINGS`.
        classes: the class names, in the order of the logits.
        tokenizer: one of `lstm_zoo.text.tokenizers`.
    """

    monitor, mode = "accuracy", "max"
    summary_metrics = ("accuracy", "macro_f1")

    def __init__(self, settings: Mapping[str, Any], classes: list[str], tokenizer: tf.Module):
        self.settings = settings
        self.classes = classes
        self.tokenizer = tokenizer

    @staticmethod
    def read(data: Any, settings: Mapping[str, Any], strict: bool = False) -> Corpus:
        """Read a corpus, as `lstm_zoo.sentiment.corpus.read` does; settings are not used."""
        return corpus.read(data, strict)

    @staticmethod
    def read_demo(settings: Mapping[str, Any]) -> tuple[Corpus, Corpus]:
        """Return the demo corpus: training data and a test set."""
        texts, labels, _ = demo.generate(DEMO_EXAMPLES, settings["seed"])
        return corpus.read((texts, labels)).split(DEMO_TEST_SHARE, settings["seed"])

    @classmethod
    def learn(cls, training: Corpus, settings: Mapping[str, Any], seed: int) -> "Task":
        """Learn the classes and the vocabulary of the training part.

        Args:
            training: the training part, and nothing of the others.
            settings: a value for every name of `lstm_zoo.sentiment.SETTINGS`.
            seed: of what is random in learning pieces.

        Returns:
            The task.

        Raises:
            DataError: if there is one class only, or too little text for pieces.
        """
        if len(training.classes) < 2:
            raise DataError(
                f"Only one class, {training.classes[0]!r}, in {len(training)} examples "
                f"(the first: {training.places[0]}); a classifier needs two at least."
            )
        kind = settings["tokens"]
        options = {
            "words": {"min_count": settings["min_count"]},
            "pieces": {"seed": seed, "instead": "tokens=words"},
        }[kind]
        tokenizer = tokenizers.TOKENIZERS[kind].learn(
            training.texts,
            vocabulary_size=settings["vocabulary_size"],
            fold_case=settings["fold_case"],
            **options,
        )
        return cls(settings, training.classes, tokenizer)

    @classmethod
    def load(cls, run: Path, config: Mapping[str, Any]) -> "Task":
        """Read what `save` and `learned` left in a run."""
        settings = config["settings"]
        tokenizer = tokenizers.TOKENIZERS[settings["tokens"]].load(run, settings["fold_case"])
        return cls(settings, config["learned"]["classes"], tokenizer)

    def save(self, run: Path) -> None:
        """Write the tokenizer's file."""
        self.tokenizer.save(run)

    @property
    def learned(self) -> dict[str, Any]:
        """What `config.json` keeps of what was learned."""
        return {"classes": self.classes}

    def network_arguments(self) -> dict[str, Any]:
        """Return the arguments of `build_sentiment` that rebuild this network."""
        sizes = {name: self.settings[name] for name in resolve_sizes()}
        given = {name: value for name, value in sizes.items() if value is not None}
        return {
            "vocabulary_size": self.tokenizer.vocabulary_size,
            "num_classes": len(self.classes),
            **resolve_sizes(self.settings["variant"], **given),
        }

    def build(self, examples: Examples, seed: int) -> tuple[keras.Model, dict[str, Any]]:
        """Build the network to train.

        Args:
            examples: the training part, for `class_ratios`.
            seed: of the vectors of words that `vectors` lacks.

        Returns:
            The network, and the arguments with which `build_sentiment` rebuilds it.

        Raises:
            CallError: on a bad size, or if there is no file of vectors.
            DataError: if the file of vectors is malformed.
        """
        arguments = self.network_arguments()
        vectors = ratios = None
        if self.settings["vectors"]:
            words = self.tokenizer.vocabulary
            vectors, found = read_vectors(self.settings["vectors"], words, seed)
            log(
                f"{self.settings['vectors']} has {found:,} of the vocabulary's {len(words):,} words"
            )
            arguments["embedding_size"] = vectors.shape[1]
        if arguments["class_ratios"]:
            ratios = class_log_ratios(
                examples.ids,
                examples.targets,
                arguments["vocabulary_size"],
                arguments["num_classes"],
            )
        return build_sentiment(vectors=vectors, ratios=ratios, **arguments), arguments

    def encode(
        self, labelled: Corpus, *, training: bool = False, cache: Path | None = None
    ) -> Examples:
        """Turn a corpus into examples.

        Args:
            labelled: the corpus.
            training: of no account: what is trained on is not varied.
            cache: of no account: tokens are made faster than read.

        Returns:
            Its ids, class indices and weights, in its order.

        Raises:
            DataError: on a label that is not one of the classes.
        """
        targets = labelled.class_indices(self.classes)
        ids = tokenizers.encode(self.tokenizer, labelled.texts, self.settings["max_length"])
        weights = np.ones(len(ids), dtype=np.float32)
        if self.settings["class_weights"]:
            counts = np.bincount(targets, minlength=len(self.classes))
            weights = (len(ids) / (len(self.classes) * counts[targets])).astype(np.float32)
        return Examples(ids, targets, weights)

    def batch(
        self, examples: Examples, indices: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, ...]:
        """Return a training batch.

        Args:
            examples: the examples to take it from.
            indices: which, `(batch,)`.
            generator: of no account: nothing in a batch is random.

        Returns:
            int32 ids `(batch, time)`, padded on the right; class indices and weights `(batch,)`.
        """
        ids = batching.pad([examples.ids[index] for index in indices])  # (batch, time)
        return ids, examples.targets[indices], examples.weights[indices]

    def loss(self) -> keras.losses.Loss:
        """Return the loss on (targets, logits)."""
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def evaluate(self, model: keras.Model, examples: Examples) -> dict[str, Any]:
        """Judge a network while it is trained.

        Args:
            model: the network, compiled.
            examples: what to judge it on.

        Returns:
            `loss`, the mean cross-entropy in nats, and what `metrics.classification` returns.
        """
        logits = np.zeros((len(examples.ids), len(self.classes)), dtype=np.float32)
        for indices in batching.sorted_batches(examples.lengths, 128):
            ids = batching.pad([examples.ids[index] for index in indices])
            logits[indices] = model.predict_on_batch(ids)
        log_probabilities = tf.nn.log_softmax(logits).numpy()
        loss = -log_probabilities[np.arange(len(logits)), examples.targets].mean()
        scores = metrics.classification(examples.targets, logits.argmax(axis=1), self.classes)
        return {"loss": float(loss), **scores}

    def format_samples(self, predictions: Sequence[tuple[str, str, str, float]]) -> list[str]:
        """Return a line to show for each of some rows of `SentimentPipeline.evaluate`."""
        width = max(map(len, self.classes))
        return [
            f"  true {label:{width}}  predicted {predicted:{width}} ({probability:.2f})  "
            f"{textwrap.shorten(text, 80, placeholder=' …')}"
            for text, label, predicted, probability in predictions
        ]
