"""The training task: examples, batches, loss and metrics."""

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
from lstm_zoo.printing import log, shorten
from lstm_zoo.recurrent import layer_names
from lstm_zoo.sentiment import SETTINGS, VARIANTS, calibration, corpus, demo
from lstm_zoo.sentiment.calibration import Calibration
from lstm_zoo.sentiment.corpus import Corpus
from lstm_zoo.sentiment.labelling import LABELLINGS, MultiLabel, SingleLabel, check_classes
from lstm_zoo.sentiment.model import build_sentiment, class_log_ratios
from lstm_zoo.sentiment.ngrams import MAX_TEXTS, fit_ngrams
from lstm_zoo.sentiment.predictor import UNKNOWN_REASON
from lstm_zoo.sentiment.vectors import read_vectors, vector_words
from lstm_zoo.settings import network_sizes
from lstm_zoo.text import encoding, tokenizers

DEMO_EXAMPLES = 5_000
DEMO_TEST_SHARE = 0.2


@dataclass(frozen=True)
class Examples(families.Examples):
    """A tokenized corpus: ids, targets (see `Corpus.targets`) and loss weights.

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
        calibration: what turns logits into answers; None for one that is not fitted.

    Attributes:
        labelling: what depends on whether a text has one label or several.
    """

    # Those of an instance are its labelling's alone.
    directions = {"calibrated_loss": "min", **SingleLabel.directions, **MultiLabel.directions}
    monitor = "calibrated_loss"
    summary_metrics = SingleLabel.summary_metrics
    fitted_metrics = ("ece", "reliability")
    time_step = "tokens"
    unknown_reason = UNKNOWN_REASON

    def __init__(
        self,
        settings: Mapping[str, Any],
        classes: list[str],
        tokenizer: tf.Module,
        calibration: Calibration | None = None,
    ):
        self.settings = settings
        self.classes = classes
        self.tokenizer = tokenizer
        kind = LABELLINGS[settings["multi_label"]]
        self.labelling = kind(classes, calibration or Calibration())
        self.directions = {"calibrated_loss": "min", **kind.directions}
        self.monitor = kind.monitor if settings["monitor"] == "accuracy" else settings["monitor"]
        self.summary_metrics = kind.summary_metrics
        # What was made last: the terms of a network's sum, and the n-grams of examples.
        self._terms: tuple[keras.Model, keras.Model] | None = None
        self._fitted: tuple[Examples | None, Sequence[np.ndarray]] | None = None

    @staticmethod
    def read(
        data: Any, settings: Mapping[str, Any], strict: bool = False, cache: Path | None = None
    ) -> Corpus:
        """Read a corpus with `lstm_zoo.sentiment.corpus.read`, the columns of the settings."""
        return corpus.read(data, strict, settings, cache=cache, multi_label=settings["multi_label"])

    @staticmethod
    def read_demo(settings: Mapping[str, Any]) -> tuple[Corpus, Corpus]:
        """Return the demo corpus: training data and a test set."""
        texts, labels, _ = demo.generate(DEMO_EXAMPLES, settings["seed"])
        data = corpus.read((texts, labels), multi_label=settings["multi_label"])
        return data.split(DEMO_TEST_SHARE, settings["seed"])

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
            CallError: if the file `vectors` does not exist.
            DataError: if there is only one class, too little text for SentencePiece, or the file
                `vectors` is malformed.
        """
        classes = training.classes
        if len(classes) < 2:
            found = f"Only one class, {classes[0]!r}," if classes else "No class"
            raise DataError(
                f"{found} in {len(training)} examples "
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
        if path := settings["vectors"]:  # its words take the places that the texts' have left
            own = len(tokenizer.words)
            tokenizer = tokenizer.extended(vector_words(path), settings["vocabulary_size"])
            log(f"{len(tokenizer.words) - own:,} words of {path} are added to the texts' {own:,}")
        return cls(settings, classes, tokenizer)

    @classmethod
    def load(cls, run: Path, config: Mapping[str, Any]) -> "Task":
        """Load a task from a run directory, its `config.json` and its calibration."""
        settings = config["settings"]
        tokenizer = tokenizers.TOKENIZERS[settings["tokens"]].load(run, settings["fold_case"])
        classes = config["learned"]["classes"]
        check_classes(classes)
        return cls(settings, classes, tokenizer, calibration.read(run))

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
        # The rows are hashes of token ids; scores that are fitted are of n-grams counted once.
        sizes = self.network_arguments()
        kind = f"n-grams of {sizes['ngrams']}", f"fitted {sizes['fitted_ngrams']}"
        hashes = families.Names("tokens and settings of n-grams", [*tokens.names, *kind])
        return {
            "embedding/embeddings": {0: tokens},
            "class_ratios/embeddings": {0: tokens, 1: classes},
            "ngrams/table": {None: hashes, 1: classes},
            "ngrams/bias": {None: hashes, 0: classes},
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
        given = {name: self.settings[name] for name in ("variant", *VARIANTS["base"])}
        sizes = network_sizes(SETTINGS, VARIANTS, **given)
        counts = {name: count for name, (count, _) in self.counts.items()}
        fitted = self.settings["fitted_ngrams"] and sizes["ngrams"] > 0
        return {**counts, **sizes, "fitted_ngrams": fitted}

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
        model = build_sentiment(vectors=vectors, ratios=ratios, **arguments)
        self.refit(model, [examples])
        return model, arguments

    @property
    def refitted(self) -> tuple[str, ...]:
        """The paths of the weights of fitted n-grams."""
        return ("ngrams/table", "ngrams/bias") if self._is_mixed else ()

    def refit(self, model: keras.Model, parts: Sequence[Examples]) -> bool:
        """Fit the n-grams on several parts of the data together; see `fit_ngrams`.

        Returns:
            Whether there are n-grams, and no more texts than they are fitted on.
        """
        count = sum(map(len, parts))
        if not self._is_mixed or len(parts) > 1 and count > MAX_TEXTS:
            return False
        if self._fitted is None or self._fitted[0] is not parts[0] or len(parts) > 1:
            log(f"Fitting the n-grams of {count:,} texts")
            layer = model.get_layer("ngrams")
            weights = fit_ngrams(
                parts[0].ids if len(parts) == 1 else [ids for part in parts for ids in part.ids],
                np.concatenate([part.targets for part in parts]),
                layer.num_classes,
                layer.length,
                layer.buckets,
                weights=np.concatenate([part.weights for part in parts]),
                seed=self.settings["seed"],
            )
            self._fitted = parts[0] if len(parts) == 1 else None, weights
        model.get_layer("ngrams").set_weights(self._fitted[1])
        return True

    def encode(
        self, labelled: Corpus, *, training: bool = False, cache: Path | None = None
    ) -> Examples:
        """Tokenize a corpus.

        Args:
            labelled: the corpus.
            training: ignored: there is no augmentation.
            cache: the folder of prepared examples, for many texts; None for memory alone.

        Returns:
            The ids, targets and loss weights, in the order of the corpus.

        Raises:
            DataError: on a label that is not one of the classes.
        """
        targets = labelled.targets(self.classes)
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
            int32 ids `(batch, time)`, right-padded with 0; targets, as `Corpus.targets` returns
            them; and float32 weights `(batch,)`.
        """
        longest = max(len(examples.ids[index]) for index in indices)
        chosen = indices[rows]
        ids = batching.pad([examples.ids[index] for index in chosen], longest=longest)
        return ids, examples.targets[chosen], examples.weights[chosen]

    def loss(self) -> keras.losses.Loss:
        """Return the loss on (targets, logits)."""
        return self.labelling.loss()

    def results(self, model: keras.Model, examples: Examples, indices: np.ndarray) -> list:
        """Return the logits of some examples, `(classes,)` each; with n-grams `(2, classes)`.

        With n-grams, they are those of the network and of the n-grams.
        """
        mixed = self._is_mixed
        model = self._components(model) if mixed else model
        shape = (len(indices), *[2] * mixed, len(self.classes))
        logits = np.zeros(shape, dtype=np.float32)
        for rows in batching.sorted_batches(examples.lengths[indices], 128):
            found = model.predict_on_batch(
                batching.pad([examples.ids[index] for index in indices[rows]])
            )
            logits[rows] = np.stack(found, axis=1) if mixed else found
        return logits.tolist()

    def scores(self, examples: Examples, results: Sequence[list]) -> dict[str, Any]:
        """Compute the metrics of an epoch.

        Args:
            examples: the validation examples.
            results: what `results` returns.

        Returns:
            `loss`, the unweighted mean cross-entropy in nats; `calibrated_loss`, that of
            probabilities with a fitted temperature, which chooses the best epoch (Berta et al.
            2025): it is less noisy than the accuracy, and a network that is too sure of itself is
            none the worse for it; and the metrics of `lstm_zoo.sentiment.metrics`. With n-grams,
            all are of the sum with fitted weights.
        """
        logits, _ = self._combine(np.array(results, dtype=np.float32), examples.targets)
        temperature = calibration.fit_temperature(logits, examples.targets)
        losses = {
            name: float(-calibration.log_likelihoods(scaled, examples.targets).mean())
            for name, scaled in (("loss", logits), ("calibrated_loss", logits / temperature))
        }
        return {**losses, **self.labelling.scores(logits, examples.targets)}

    def calibrate(self, model: keras.Model, examples: Examples) -> dict[str, Any]:
        """Fit the temperature, of several labels the threshold, and the weights of n-grams.

        See `lstm_zoo.sentiment.calibration`.

        Args:
            model: the trained network; with n-grams, its weights of the sum are set.
            examples: the validation examples.

        Returns:
            `temperature`, and with `multi_label` `threshold`.
        """
        results = np.array(self.results(model, examples, np.arange(len(examples))))
        logits, weights = self._combine(results, examples.targets)
        fitted = self.labelling.fit(logits, examples.targets)
        if weights is not None:
            model.get_layer("weighted_sum").set_weights([weights])
            log(
                "weights of the network's logits and of the n-grams': {:.2f}, {:.2f}".format(
                    *weights
                )
            )
        values = ", ".join(f"{name} {value:.2f}" for name, value in fitted.items())
        log(f"fitted on the validation data, for the probabilities: {values}")
        return fitted

    @property
    def _is_mixed(self) -> bool:
        """Whether the logits are a sum of those of the network and of n-grams."""
        return self.network_arguments()["fitted_ngrams"]

    def _components(self, model: keras.Model) -> keras.Model:
        """Return the network that ends with the terms of the sum, made once for all epochs."""
        if self._terms is None or self._terms[0] is not model:
            terms = [model.get_layer(name).output for name in ("logits", "ngrams")]
            self._terms = model, keras.Model(model.input, terms)
        return self._terms[1]

    def _combine(
        self, results: np.ndarray, targets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return logits, and the weights of the sum that they are; None if they are no sum."""
        if not self._is_mixed:
            return results, None
        weights = calibration.fit_weights(results[:, 0], results[:, 1], targets)
        return weights[0] * results[:, 0] + weights[1] * results[:, 1], weights

    def format_row(self, labelled: Corpus, index: int) -> str:
        """Format a row of a corpus for the log: its text and its label."""
        text = shorten(labelled.texts[index], 80)
        return f'text "{text}"  label {labelled.labels[index]}'

    def baseline_score(self, examples: Examples) -> float:
        """Return the monitored score of answers that ignore the text."""
        if self.monitor == "calibrated_loss":
            return self.labelling.baseline_loss(examples.targets)
        return self.labelling.baseline_score(examples.targets)

    def score_prediction(self, prediction: Mapping[str, Any]) -> float:
        """Return how good a row is; see `labelling.SingleLabel.score_prediction`."""
        return self.labelling.score_prediction(prediction)

    def format_samples(self, predictions: Sequence[Mapping[str, Any]]) -> list[str]:
        """Format rows of `predictions`, as `Pipeline.evaluate` returns them, a line each."""
        width = max(map(len, self.classes))
        return [
            f"  true {row['label']:{width}}  predicted {row['predicted']:{width}} "
            f"({row['probability']:.2f})  {shorten(row['text'], 80)}"
            for row in predictions
        ]
