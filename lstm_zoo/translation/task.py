"""The translation task: tokenizers, examples, batches, loss and metrics for training."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from lstm_zoo import families
from lstm_zoo.data import batching
from lstm_zoo.data.arrays import Arrays, take
from lstm_zoo.errors import DataError
from lstm_zoo.printing import shorten
from lstm_zoo.recurrent import layer_names, state_names
from lstm_zoo.settings import network_sizes
from lstm_zoo.text import encoding
from lstm_zoo.text.subwords import SubwordSampler
from lstm_zoo.text.tokenizers import END, START, PieceTokenizer
from lstm_zoo.translation import SETTINGS, VARIANTS, corpus, decoding, demo, languages, metrics
from lstm_zoo.translation.corpus import Corpus
from lstm_zoo.translation.loss import SmoothedCrossEntropy
from lstm_zoo.translation.model import build_translation
from lstm_zoo.translation.predictor import EVALUATION_BATCH, SIDES, Tokenizers

DEMO_EXAMPLES = 12_000
DEMO_TEST_SHARE = 0.05
DEMO_LANGUAGES = ("en", "de")


@dataclass(frozen=True)
class Examples(families.Examples):
    """An encoded corpus.

    Attributes:
        sources: the ids of each source, int32 `(time,)`, without the end token.
        targets: the ids of each target, int32 `(time,)`, without the start and end tokens.
        texts: (sources, targets) as texts.
        skipped: a (place, reason) for each skipped pair.
        cut: how many pairs are longer than `max_length` on one side at least.
    """

    sources: Arrays
    targets: Arrays
    texts: tuple[Sequence[str], Sequence[str]]
    skipped: list[tuple[str, str]]
    cut: int = 0

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def lengths(self) -> np.ndarray:
        """The number of ids of each example, source and target together, with an end token each."""
        return self.sources.lengths + self.targets.lengths + 2


class Task(families.Task):
    """What training needs of the family, with the tokenizers of both languages.

    Args:
        settings: a value for every name of `lstm_zoo.translation.SETTINGS`.
        source: the source's tokenizer.
        target: the target's tokenizer.
    """

    directions = {"perplexity": "min", "bleu_greedy": "max", "chrf_greedy": "max"}
    monitor = "bleu_greedy"
    summary_metrics = ("bleu", "chrf")
    time_step = "pieces (source and target)"

    def __init__(self, settings: Mapping[str, Any], source: PieceTokenizer, target: PieceTokenizer):
        self.settings = settings
        self.source = source
        self.target = target
        self._translate: tuple[keras.Model, Callable[..., decoding.Translated]] | None = None

    @property
    def tokenizer(self) -> Tokenizers:
        """The tokenizers of both languages."""
        return Tokenizers(self.source, self.target)

    @functools.cached_property
    def _samplers(self) -> list[SubwordSampler]:
        """Those of both sides; none without subword regularization."""
        alpha = self.settings["subword_alpha"]
        return [] if alpha is None else [SubwordSampler(side, alpha) for side in self.tokenizer]

    @staticmethod
    def read(
        data: Any, settings: Mapping[str, Any], strict: bool = False, cache: Path | None = None
    ) -> Corpus:
        """Read a corpus with `lstm_zoo.translation.corpus.read`, as the settings say."""
        sides = settings["source"], settings["target"]
        return corpus.read(data, *sides, strict, settings, cache=cache)

    @staticmethod
    def read_demo(settings: Mapping[str, Any]) -> tuple[Corpus, Corpus]:
        """Return the demo corpus: training data and a test set."""
        pair = [settings[side] or code for side, code in zip(SIDES, DEMO_LANGUAGES, strict=True)]
        whole = corpus.read(demo.generate(DEMO_EXAMPLES, settings["seed"], *pair))
        return whole.split(DEMO_TEST_SHARE, settings["seed"])

    @classmethod
    def learn(
        cls,
        training: Corpus,
        settings: Mapping[str, Any],
        seed: int,
        tokenizer: Tokenizers | None = None,
    ) -> "Task":
        """Train the tokenizers.

        Args:
            training: the training data, without validation and test data.
            settings: a value for every name of `lstm_zoo.translation.SETTINGS`.
            seed: the random seed of SentencePiece.
            tokenizer: those of both languages, to keep; None to train them.

        Returns:
            The task.

        Raises:
            DataError: if there is too little text to learn pieces from.
        """
        if tokenizer is not None:
            return cls(settings, *tokenizer)

        def learn_pieces(texts: Sequence[str]) -> PieceTokenizer:
            size, sample = settings["vocabulary_size"], settings["vocabulary_sample"]
            return encoding.learn(
                PieceTokenizer,
                texts,
                vocabulary_size=size,
                fold_case=False,
                seed=seed,
                sample=sample,
            )

        if settings["vocabulary"] == "joint":
            joint = learn_pieces(training.sources + training.targets)
            return cls(settings, joint, joint)
        with ThreadPoolExecutor() as pool:  # each learns in a process of its own
            return cls(settings, *pool.map(learn_pieces, (training.sources, training.targets)))

    @classmethod
    def load(cls, run: Path, config: Mapping[str, Any]) -> "Task":
        """Load the tokenizers that `save` wrote."""
        languages.check_pair(config["learned"]["languages"])
        tokenizers = [PieceTokenizer.load(run / side, fold_case=False) for side in SIDES]
        return cls(config["settings"], *tokenizers)

    def save(self, run: Path) -> None:
        """Write the tokenizers: `source/pieces.model` and `target/pieces.model`."""
        for side in SIDES:
            (run / side).mkdir()
            getattr(self, side).save(run / side)

    @property
    def learned(self) -> dict[str, Any]:
        """The entries of `config.json`: the codes of both languages, None where not given."""
        return {"languages": [self.settings[side] for side in SIDES]}

    @property
    def counts(self) -> dict[str, tuple[int, str]]:
        """The numbers of source and target ids."""
        return {
            f"{side}_vocabulary_size": (
                getattr(self, side).vocabulary_size,
                f"{side}/{PieceTokenizer.FILE}",
            )
            for side in SIDES
        }

    @property
    def named_axes(self) -> dict[str, dict[int | None, families.Names]]:
        """The rows of source and target pieces."""
        source, target = (
            families.Names(f"{side} pieces", tokenizer.vocabulary)
            for side, tokenizer in zip(SIDES, self.tokenizer, strict=True)
        )
        return {
            "source_embedding/embeddings": {0: source},
            "decoder/embedding/embeddings": {0: target},
            "decoder/logits/kernel": {1: target},
            "decoder/bias": {0: target},
        }

    @property
    def layers(self) -> list[tuple[str, ...]]:
        """The logits, the decoder's layers, the encoder's and the source embedding."""
        sizes = self.network_arguments()
        top = tuple(
            f"decoder/{name}" for name in ("logits", "bias", "readout", "output_projection")
        )
        bottom = ("decoder/embedding", "decoder/input_projection")
        if sizes["tied"]:  # the target embedding is the matrix of the logits
            top, bottom = (*top, bottom[0]), bottom[1:]
        decoder = [
            (
                f"decoder/{name}",
                *(f"decoder/bridge_{number}_{s}" for s in state_names(sizes["cell"])),
            )
            for number, name in enumerate(layer_names(sizes["cell"], sizes["decoder_units"]), 1)
        ]
        encoder = [(name,) for name in layer_names(sizes["cell"], sizes["encoder_units"])]
        decoder[0] += bottom
        return [top, *reversed(decoder), *reversed(encoder), ("source_embedding",)]

    def network_arguments(self) -> dict[str, Any]:
        """Return the arguments of `build_translation` that rebuild this network."""
        given = {name: self.settings[name] for name in ("variant", *VARIANTS["base"])}
        return {
            **{name: count for name, (count, _) in self.counts.items()},
            **network_sizes(SETTINGS, VARIANTS, **given),
        }

    def build(self, examples: Examples, seed: int) -> tuple[keras.Model, dict[str, Any]]:
        """Build the network, and return it with the arguments that rebuild it."""
        arguments = self.network_arguments()
        return build_translation(**arguments), arguments

    def encode(self, corpus: Corpus, *, training: bool, cache: Path | None = None) -> Examples:
        """Tokenize a corpus.

        Args:
            corpus: the corpus.
            training: whether to skip pairs that are too long or have unbalanced lengths, by
                `max_length` and `max_ratio`.
            cache: the folder of prepared examples, for many texts; None for memory alone.

        Returns:
            The examples, in the order of the corpus.

        Raises:
            DataError: if no pair is left; the message names the first skipped one.
        """
        longest, ratio = self.settings["max_length"], self.settings["max_ratio"]
        limit = longest + 1  # enough to recognize pairs that are too long
        sources = encoding.encode(self.source, corpus.sources, limit, cache)
        targets = encoding.encode(self.target, corpus.targets, limit, cache)
        counts = np.stack([sources.lengths, targets.lengths])
        too_long = counts.max(axis=0) > longest
        unbalanced = counts.max(axis=0) > ratio * np.maximum(1, counts.min(axis=0))
        unusable = (too_long | unbalanced) & training
        skipped = [
            (
                corpus.places[index],
                f"more than {longest} pieces (max_length)"
                if too_long[index]
                else f"{counts[0, index]} pieces to {counts[1, index]} (max_ratio {ratio:g})",
            )
            for index in np.flatnonzero(unusable)
        ]
        kept = np.flatnonzero(~unusable)
        if not len(kept):
            place, reason = skipped[0]
            raise DataError(f"No pair can be used; the first, {place}: {reason}")
        return Examples(
            sources.take(kept).cut(longest),
            targets.take(kept).cut(longest),
            (take(corpus.sources, kept), take(corpus.targets, kept)),
            skipped,
            int(np.count_nonzero(too_long[kept])),
        )

    def batch(
        self,
        examples: Examples,
        indices: np.ndarray,
        generator: np.random.Generator | None = None,
        rows: np.ndarray | slice = slice(None),
    ) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
        """Return a training batch, or some rows of it.

        Args:
            examples: the examples to choose from.
            indices: the indices of the batch's examples, integers `(batch,)`.
            generator: draws the segmentations of words, where `subword_alpha` is set; None: the
                most probable ones.
            rows: the rows to return, padded like all.

        Returns:
            Inputs: source ids `(batch, source time)` and target ids from the start token on
            `(batch, target time)`. Targets: target ids up to the end token, of the same shape. All
            int32, padded with 0.
        """
        sides = [
            [side[index] for index in indices] for side in (examples.sources, examples.targets)
        ]
        if generator is not None and self._samplers:
            sides = [
                [self._sampled(sampler, ids, generator) for ids in side]
                for sampler, side in zip(self._samplers, sides, strict=True)
            ]
        longest = [max(map(len, side)) for side in sides]
        rows = np.arange(len(indices))[rows]
        sources, targets = ([side[row] for row in rows] for side in sides)
        return (
            batching.pad(sources, last=END, longest=longest[0]),
            batching.pad(targets, first=START, longest=longest[1]),
        ), batching.pad(targets, last=END, longest=longest[1])

    def _sampled(
        self, sampler: SubwordSampler, ids: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        drawn = sampler(ids, generator)
        return drawn if len(drawn) <= self.settings["max_length"] else ids

    def loss(self) -> keras.losses.Loss:
        """Return the loss on (targets, logits)."""
        return SmoothedCrossEntropy(self.settings["label_smoothing"])

    def loss_terms(self, targets: tf.Tensor) -> tf.Tensor:
        """Return the number of target ids that are not padding."""
        return tf.math.count_nonzero(targets, dtype=tf.float32)

    def results(
        self, model: keras.Model, examples: Examples, indices: np.ndarray
    ) -> list[tuple[float, int, str]]:
        """Return the summed cross-entropy, its number of pieces and the greedy translation."""
        found = [""] * len(indices)
        translate = self._translator(model)
        for rows in batching.sorted_batches(examples.lengths[indices], EVALUATION_BATCH):
            (sources, _), _ = self.batch(examples, indices[rows])
            texts = translate(tf.constant(sources)).texts[:, 0].numpy()
            for row, text in zip(rows, texts, strict=True):
                found[row] = text.decode()
        sums, counts = self.cross_entropies(model, examples, indices)
        return [*zip(sums.tolist(), counts.tolist(), found, strict=True)]

    def cross_entropies(
        self, model: keras.Model, examples: Examples, indices: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the summed cross-entropy of target pieces in nats, and their number, end included.

        Args:
            model: the network.
            examples: the examples.
            indices: the indices of those to compute, `(examples,)`.

        Returns:
            float64 and int64 `(examples,)`.
        """
        sums, counts = np.zeros(len(indices)), np.zeros(len(indices), np.int64)
        for rows in batching.sorted_batches(examples.lengths[indices], EVALUATION_BATCH):
            inputs, targets = self.batch(examples, indices[rows])
            losses = SmoothedCrossEntropy().per_token(targets, model.predict_on_batch([*inputs]))
            sums[rows] = tf.reduce_sum(losses, axis=1)
            counts[rows] = np.count_nonzero(targets, axis=1)
        return sums, counts

    def scores(
        self, examples: Examples, results: Sequence[tuple[float, int, str]]
    ) -> dict[str, Any]:
        """Compute the metrics of an epoch, from greedy decoding.

        Args:
            examples: the examples.
            results: the summed cross-entropy, its number of pieces and the translation of each.

        Returns:
            `loss`, the cross-entropy per piece in nats, end tokens included, without label
            smoothing; `perplexity`, its exponential; `bleu_greedy` and `chrf_greedy`; and
            `predictions`, a dict with `source`, `reference` and `hypothesis` for each example.
        """
        sums, counts, hypotheses = zip(*results, strict=True)
        sources, references = examples.texts
        scores = metrics.bleu_and_chrf(references, hypotheses, self.bleu_tokenizer(references))
        loss = math.fsum(sums) / sum(counts)
        return {
            "loss": loss,
            "perplexity": float(np.exp(loss)),
            "bleu_greedy": scores["bleu"],
            "chrf_greedy": scores["chrf"],
            "predictions": [
                {"source": source, "reference": reference, "hypothesis": hypothesis}
                for source, reference, hypothesis in zip(
                    sources, references, hypotheses, strict=True
                )
            ],
        }

    def bleu_tokenizer(self, references: Sequence[str]) -> str:
        """Return sacrebleu's tokenizer for BLEU with these references; see `metrics`."""
        return metrics.bleu_tokenizer(self.settings["target"], references)

    def baseline_score(self, examples: Examples) -> float:
        """Return the BLEU of the references in another order: of fluent but unrelated answers.

        BLEU is hardly ever 0: by chance, or smoothed, it is a little more.
        """
        references = [*examples.texts[1]]
        half = len(references) // 2
        unrelated = references[half:] + references[:half]
        tokenizer = self.bleu_tokenizer(references)
        return metrics.bleu_and_chrf(references, unrelated, tokenizer)["bleu"]

    def score_prediction(self, prediction: Mapping[str, Any]) -> float:
        """Return the chrF of a row of `predictions`."""
        return metrics.sentence_chrf(prediction["reference"], prediction["hypothesis"])

    def format_row(self, corpus: Corpus, index: int) -> str:
        """Format a row of a corpus for the log: each text after its language."""
        texts = (corpus.sources[index], corpus.targets[index])
        return "  ".join(
            f"{self.settings[side] or side}: {shorten(text, 80)}"
            for side, text in zip(SIDES, texts, strict=True)
        )

    def format_samples(self, predictions: Sequence[Mapping[str, Any]]) -> list[str]:
        """Format rows of `predictions` as lines, three for each row, cut to 90 characters."""
        return [
            f"  {name:10}  {shorten(row[name], 90)}"
            for row in predictions
            for name in ("source", "reference", "hypothesis")
        ]

    def _translator(self, model: keras.Model) -> Callable[[tf.Tensor], decoding.Translated]:
        """Return the greedy decoder of a network, traced once for all epochs."""
        if self._translate is None or self._translate[0] is not model:
            penalty = self.settings["length_penalty"]
            translate = decoding.translator(model, self.target, 1, length_penalty=penalty)
            self._translate = model, translate
        return self._translate[1]
