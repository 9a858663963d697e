"""The training task: examples, batches, loss and metrics."""

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
from lstm_zoo.data.arrays import Arrays
from lstm_zoo.errors import DataError
from lstm_zoo.recurrent import layer_names
from lstm_zoo.sentiment import corpus, demo, metrics
from lstm_zoo.sentiment.corpus import Corpus
from lstm_zoo.sentiment.model import build_sentiment, class_log_ratios, resolve_sizes
from lstm_zoo.sentiment.vectors import read_vectors
from lstm_zoo.text import encoding, tokenizers
from lstm_zoo.training.progress import log

DEMO_EXAMPLES = 5_000
DEMO_TEST_SHARE = 0.2


@dataclass(frozen=True)
class Examples(families.Examples):
    """A tokenized corpus: ids, class indices and loss weights.

    Attributes:
        cut: how many texts were longer than `max_length`.
        unknown: the share of unknown tokens.
    """

    ids: Arrays
    targets: np.ndarray
    weights: np.ndarray  # of each example in the loss
    skipped: tuple = ()  # a text without tokens is an example, not skipped
    cut: int = 0
    unknown: float = 0.0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        """The number of tokens of each example, int32 `(examples,)`."""
        return self.ids.lengths


class Task(families.Task):
    """The classes and the tokenizer, learned from the training data, and how to train with them.

    Args:
        settings: a value for every name of `lstm_zoo.sentiment.SETTINGS`.
        classes: the class names, in the order of the logits.
        tokenizer: one of `lstm_zoo.text.tokenizers`.
    """

    directions = {"accuracy": "max", "macro_f1": "max"}
    monitor = "accuracy"
    summary_metrics = ("accuracy", "macro_f1")
    time_step = "tokens"
    unknown_reason = (
        "words that are rare in the training data (min_count, vocabulary_size), or not in them; "
        "tokens=pieces has no unknown tokens, and languages written without spaces need it"
    )

    def __init__(self, settings: Mapping[str, Any], classes: list[str], tokenizer: tf.Module):
        self.settings = settings
        self.classes = classes
        self.tokenizer = tokenizer

    @staticmethod
    def read(
        data: Any, settings: Mapping[str, Any], strict: bool = False, cache: Path | None = None
    ) -> Corpus:
        """Read a corpus with `lstm_zoo.sentiment.corpus.read`, the columns of the settings."""
        return corpus.read(data, strict, settings, cache=cache)

    @staticmethod
    def read_demo(settings: Mapping[str, Any]) -> tuple[Corpus, Corpus]:
        """Return the demo corpus: training data and a test set."""
        texts, labels, _ = demo.generate(DEMO_EXAMPLES, settings["seed"])
        return corpus.read((texts, labels)).split(DEMO_TEST_SHARE, settings["seed"])

    @classmethod
    def learn(
        cls,
        training: Corpus,
        settings: Mapping[str, Any],
        seed: int,
        tokenizer: tf.Module | None = None,
    ) -> "Task":
        """Learn the classes and the vocabulary from the training data.

        Args:
            training: the training data only.
            settings: a value for every name of `lstm_zoo.sentiment.SETTINGS`.
            seed: the seed of SentencePiece's sampling.
            tokenizer: one to keep; None to learn one.

        Returns:
            The task.

        Raises:
            DataError: if there is only one class, or too little text for SentencePiece.
        """
        classes = training.classes
        if len(classes) < 2:
            raise DataError(
                f"Only one class, {classes[0]!r}, in {len(training)} examples "
                f"(the first: {training.places[0]}); a classifier needs at least two."
            )
        if tokenizer is not None:
            return cls(settings, classes, tokenizer)
        kind = settings["tokens"]
        options = {
            "words": {"min_count": settings["min_count"]},
            "pieces": {
                "seed": seed,
                "instead": "tokens=words",
                "sample": settings["vocabulary_sample"],
            },
        }[kind]
        tokenizer = encoding.learn(
            tokenizers.TOKENIZERS[kind],
            training.texts,
            vocabulary_size=settings["vocabulary_size"],
            fold_case=settings["fold_case"],
            **options,
        )
        return cls(settings, classes, tokenizer)

    @classmethod
    def load(cls, run: Path, config: Mapping[str, Any]) -> "Task":
        """Load a task from a run directory and its `config.json`."""
        settings = config["settings"]
        tokenizer = tokenizers.TOKENIZERS[settings["tokens"]].load(run, settings["fold_case"])
        classes = config["learned"]["classes"]
        if not all(isinstance(name, str) for name in classes):
            raise DataError(f"{run / 'config.json'}: the classes are not texts.")
        return cls(settings, classes, tokenizer)

    def save(self, run: Path) -> None:
        """Write the tokenizer's file."""
        self.tokenizer.save(run)

    @property
    def learned(self) -> dict[str, Any]:
        """The entry `learned` of `config.json`: the classes."""
        return {"classes": self.classes}

    @property
    def counts(self) -> dict[str, tuple[int, str]]:
        """The numbers of token ids and of classes."""
        return {
            "vocabulary_size": (self.tokenizer.vocabulary_size, self.tokenizer.FILE),
            "num_classes": (len(self.classes), "config.json"),
        }

    @property
    def named_axes(self) -> dict[str, dict[int | None, families.Names]]:
        """The rows of tokens, and the entries of classes."""
        tokens = families.Names("tokens", self.tokenizer.vocabulary)
        classes = families.Names("classes", self.classes)
        return {
            "embedding/embeddings": {0: tokens},
            "class_ratios/embeddings": {0: tokens, 1: classes},
            # Its rows are hashes of token ids.
            "ngrams/table": {None: tokens, 1: classes},
            "logits/kernel": {1: classes},
            "logits/bias": {0: classes},
        }

    @property
    def layers(self) -> list[tuple[str, ...]]:
        """The logits, the recurrent layers and the embeddings."""
        sizes = self.network_arguments()
        recurrent = layer_names(sizes["cell"], sizes["units"])
        return [("logits", "ngrams"), *((name,) for name in reversed(recurrent)), ("embedding",)]

    def network_arguments(self) -> dict[str, Any]:
        """Return the arguments of `build_sentiment` that rebuild this network."""
        sizes = {name: self.settings[name] for name in resolve_sizes()}
        given = {name: value for name, value in sizes.items() if value is not None}
        return {
            **{name: count for name, (count, _) in self.counts.items()},
            **resolve_sizes(self.settings["variant"], **given),
        }

    def build(self, examples: Examples, seed: int) -> tuple[keras.Model, dict[str, Any]]:
        """Build the network to train.

        Args:
            examples: the training examples, for `class_ratios`.
            seed: the seed of the vectors of words that the file `vectors` lacks.

        Returns:
            The network, and the arguments with which `build_sentiment` rebuilds it.

        Raises:
            CallError: on a bad size, or if the file `vectors` does not exist.
            DataError: if the file `vectors` is malformed.
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
        """Tokenize a corpus.

        Args:
            labelled: the corpus.
            training: ignored: there is no augmentation.
            cache: the folder of prepared examples, for many texts; None for memory alone.

        Returns:
            The ids, class indices and loss weights, in the order of the corpus.

        Raises:
            DataError: on a label that is not one of the classes.
        """
        targets = labelled.class_indices(self.classes)
        max_length = self.settings["max_length"]
        ids = encoding.encode(self.tokenizer, labelled.texts, max_length + 1, cache)
        cut = int(np.count_nonzero(ids.lengths > max_length))
        ids = ids.cut(max_length)
        weights = np.ones(len(ids), dtype=np.float32)
        if self.settings["class_weights"]:
            counts = np.bincount(targets, minlength=len(self.classes))
            weights = (len(ids) / (len(self.classes) * counts[targets])).astype(np.float32)
        unknown = encoding.unknown_share(ids)
        return Examples(ids, targets, weights, cut=cut, unknown=unknown)

    def batch(
        self,
        examples: Examples,
        indices: np.ndarray,
        generator: np.random.Generator,
        rows: np.ndarray | slice = slice(None),
    ) -> tuple[np.ndarray, ...]:
        """Return a training batch, or some rows of it.

        Args:
            examples: the training examples.
            indices: the indices of the batch's examples, `(batch,)`.
            generator: ignored: nothing in a batch is random.
            rows: the rows to return, padded like all.

        Returns:
            int32 ids `(batch, time)`, right-padded with 0; class indices and float32 weights
            `(batch,)`.
        """
        longest = max(len(examples.ids[index]) for index in indices)
        chosen = indices[rows]
        ids = batching.pad([examples.ids[index] for index in chosen], longest=longest)
        return ids, examples.targets[chosen], examples.weights[chosen]

    def loss(self) -> keras.losses.Loss:
        """Return the loss on (targets, logits)."""
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float32")

    def results(
        self, model: keras.Model, examples: Examples, indices: np.ndarray
    ) -> list[list[float]]:
        """Return the logits of some examples, `(classes,)` each."""
        logits = np.zeros((len(indices), len(self.classes)), dtype=np.float32)
        for rows in batching.sorted_batches(examples.lengths[indices], 128):
            ids = batching.pad([examples.ids[index] for index in indices[rows]])
            logits[rows] = model.predict_on_batch(ids)
        return logits.tolist()

    def scores(self, examples: Examples, results: Sequence[list[float]]) -> dict[str, Any]:
        """Compute the metrics of an epoch.

        Args:
            examples: the validation examples.
            results: the logits of each.

        Returns:
            `loss`, the unweighted mean cross-entropy in nats, and the result of
            `metrics.classification`.
        """
        logits = np.array(results, dtype=np.float32)
        log_probabilities = tf.nn.log_softmax(logits).numpy()
        loss = -log_probabilities[np.arange(len(logits)), examples.targets].mean()
        scores = metrics.classification(examples.targets, logits.argmax(axis=1), self.classes)
        return {"loss": float(loss), **scores}

    def format_row(self, labelled: Corpus, index: int) -> str:
        """Format a row of a corpus for the log: its text and its label."""
        text = textwrap.shorten(labelled.texts[index], 80, placeholder=" …")
        return f'text "{text}"  label {labelled.labels[index]}'

    def baseline_score(self, examples: Examples) -> float:
        """Return the share of the largest class."""
        return float(np.bincount(examples.targets).max() / len(examples))

    def score_prediction(self, prediction: Mapping[str, Any]) -> float:
        """Return the probability of a row's class; negated if it is not the true one."""
        sign = 1 if prediction["predicted"] == prediction["label"] else -1
        return sign * prediction["probability"]

    def format_samples(self, predictions: Sequence[Mapping[str, Any]]) -> list[str]:
        """Format rows of `predictions`, as `Pipeline.evaluate` returns them, a line each."""
        width = max(map(len, self.classes))
        return [
            f"  true {row['label']:{width}}  predicted {row['predicted']:{width}} "
            f"({row['probability']:.2f})  {textwrap.shorten(row['text'], 80, placeholder=' …')}"
            for row in predictions
        ]
