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
from lstm_zoo.text import tokenizers
from lstm_zoo.text.tokenizers import END, START, PieceTokenizer
from lstm_zoo.translation import corpus, decoding, demo, metrics
from lstm_zoo.translation.corpus import Corpus
from lstm_zoo.translation.loss import SmoothedCrossEntropy
from lstm_zoo.translation.model import build_translation, resolve_sizes

DEMO_EXAMPLES = 12_000
DEMO_TEST_SHARE = 0.05
DEMO_LANGUAGES = ("en", "de")
EVALUATED = 128  # pairs judged at once
SIDES = ("source", "target")


@dataclass(frozen=True)
class Examples(families.Examples):
    """A corpus as the network sees it.

    Attributes:
        sources: the ids of every source, its end among them.
        targets: the ids of every target, its start and its end among them.
        texts: the sources and the targets as they are.
        skipped: a (place, reason) for each row left out.
    """

    sources: list[np.ndarray]
    targets: list[np.ndarray]
    texts: tuple[list[str], list[str]]
    skipped: list[tuple[str, str]]

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def lengths(self) -> np.ndarray:
        """The number of ids of each example, both sides together."""
        return np.array(
            [len(a) + len(b) - 1 for a, b in zip(self.sources, self.targets, strict=True)]
        )


class Task(families.Task):
    """The pieces of both languages, learned from the training part, and what follows from them.

    Args:
        settings: a value for every name of `lstm_zoo.translation.SETTINGS`.
        source: the source's tokenizer.
        target: the target's.
    """

    monitor, mode = "bleu", "max"
    summary_metrics = ("bleu", "chrf")

    def __init__(self, settings: Mapping[str, Any], source: PieceTokenizer, target: PieceTokenizer):
        self.settings = settings
        self.source = source
        self.target = target

    @staticmethod
    def read(data: Any, settings: Mapping[str, Any], strict: bool = False) -> Corpus:
        """Read a corpus of the settings' languages, as `lstm_zoo.translation.corpus.read` does."""
        return corpus.read(data, settings["source"], settings["target"], strict)

    @staticmethod
    def read_demo(settings: Mapping[str, Any]) -> tuple[Corpus, Corpus]:
        """Return the demo corpus: training data and a test set."""
        languages = [
            settings[side] or code for side, code in zip(SIDES, DEMO_LANGUAGES, strict=True)
        ]
        whole = corpus.read(demo.generate(DEMO_EXAMPLES, settings["seed"], *languages))
        return whole.split(DEMO_TEST_SHARE, settings["seed"])

    @classmethod
    def learn(cls, training: Corpus, settings: Mapping[str, Any], seed: int) -> "Task":
        """Learn the pieces of the training part.

        Args:
            training: the training part, and nothing of the others.
            settings: a value for every name of `lstm_zoo.translation.SETTINGS`.
            seed: of what is random in learning pieces.

        Returns:
            The task.

        Raises:
            DataError: if there is too little text for pieces.
        """
        size = settings["vocabulary_size"]

        def pieces(*texts: str) -> PieceTokenizer:
            return PieceTokenizer.learn(texts, size, fold_case=False, seed=seed)

        if settings["vocabulary"] == "joint":
            both = pieces(*training.sources, *training.targets)
            return cls(settings, both, both)
        return cls(settings, pieces(*training.sources), pieces(*training.targets))

    @classmethod
    def load(cls, run: Path, config: Mapping[str, Any]) -> "Task":
        """Read what `save` left in a run."""
        tokenizers = [PieceTokenizer.load(run / side, fold_case=False) for side in SIDES]
        return cls(config["settings"], *tokenizers)

    def save(self, run: Path) -> None:
        """Write the pieces: `source/pieces.model`, `target/pieces.model`."""
        for side in SIDES:
            (run / side).mkdir()
            getattr(self, side).save(run / side)

    @property
    def learned(self) -> dict[str, Any]:
        """What `config.json` keeps of what was learned: the languages, where they were named."""
        return {"languages": [self.settings[side] for side in SIDES]}

    def network_arguments(self) -> dict[str, Any]:
        """Return the arguments of `build_translation` that rebuild this network."""
        sizes = {name: self.settings[name] for name in resolve_sizes()}
        given = {name: value for name, value in sizes.items() if value is not None}
        return {
            "source_vocabulary_size": self.source.vocabulary_size,
            "target_vocabulary_size": self.target.vocabulary_size,
            **resolve_sizes(self.settings["variant"], **given),
        }

    def build(self, examples: Examples, seed: int) -> tuple[keras.Model, dict[str, Any]]:
        """Build the network to train, and give the arguments that rebuild it."""
        arguments = self.network_arguments()
        return build_translation(**arguments), arguments

    def encode(self, part: Corpus, *, training: bool, cache: Path | None = None) -> Examples:
        """Turn a corpus into examples.

        Args:
            part: the corpus.
            training: whether it is trained on: then pairs that are too long, or of which one side
                is many times as long as the other, are left out.
            cache: of no account: pieces are made faster than read.

        Returns:
            Its ids, in its order.

        Raises:
            DataError: if no pair is left, naming the first one left out.
        """
        longest, ratio = self.settings["max_length"], self.settings["max_ratio"]
        limit = 2 * longest  # enough to tell that it is too long
        sources = tokenizers.encode(self.source, part.sources, limit)
        targets = tokenizers.encode(self.target, part.targets, limit)
        kept, skipped = [], []
        for index, place in enumerate(part.places):
            counts = len(sources[index]), len(targets[index])
            if training and max(counts) > longest:
                skipped.append((place, f"more than {longest} pieces (max_length)"))
            elif training and max(counts) > ratio * max(1, min(counts)):
                skipped.append((place, f"{counts[0]} pieces to {counts[1]} (max_ratio {ratio:g})"))
            else:
                kept.append(index)
        if not kept:
            place, reason = skipped[0]
            raise DataError(f"No pair can be used; the first, {place}: {reason}")
        return Examples(
            [np.append(sources[index][:longest], END).astype(np.int32) for index in kept],
            [np.concatenate([[START], targets[i][:longest], [END]]).astype(np.int32) for i in kept],
            ([part.sources[index] for index in kept], [part.targets[index] for index in kept]),
            skipped,
        )

    def batch(
        self,
        examples: Examples,
        indices: np.ndarray,
        generator: np.random.Generator | None = None,
    ) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
        """Return a training batch.

        Args:
            examples: the examples to take it from.
            indices: which, `(batch,)`.
            generator: of no account: nothing in a batch is random.

        Returns:
            The source's ids `(batch, source time)` and the target's `(batch, time)` from the start
            on; and the target's up to the end `(batch, time)`. All int32, padded with 0.
        """
        targets = [examples.targets[index] for index in indices]
        return (
            batching.pad([examples.sources[index] for index in indices]),
            batching.pad([row[:-1] for row in targets]),
        ), batching.pad([row[1:] for row in targets])

    def loss(self) -> keras.losses.Loss:
        """Return the loss on (targets, logits)."""
        return SmoothedCrossEntropy(self.settings["label_smoothing"])

    def evaluate(self, model: keras.Model, examples: Examples) -> dict[str, Any]:
        """Judge a network while it is trained, translating greedily.

        Args:
            model: the network, compiled.
            examples: what to judge it on.

        Returns:
            `loss`, the mean negative log probability of a piece in nats, without smoothing;
            `perplexity`, its exponential; `bleu` and `chrf`; and `predictions`, a row (source,
            reference, translation) for each example.
        """
        hypotheses = [""] * len(examples)
        translate = decoding.translator(
            model, self.target, 1, length_penalty=self.settings["length_penalty"]
        )
        for indices in batching.sorted_batches(examples.lengths, EVALUATED):
            (sources, _), _ = self.batch(examples, indices)
            texts = translate(tf.constant(sources)).texts[:, 0].numpy()
            for index, text in zip(indices, texts, strict=True):
                hypotheses[index] = text.decode()
        sources, references = examples.texts
        scores = metrics.bleu_and_chrf(references, hypotheses)
        loss = self.cross_entropy(model, examples)
        return {
            "loss": loss,
            "perplexity": float(np.exp(loss)),
            **{name: scores[name] for name in ("bleu", "chrf")},
            "predictions": [*zip(sources, references, hypotheses, strict=True)],
        }

    def cross_entropy(self, model: keras.Model, examples: Examples) -> float:
        """Return the mean negative log probability of the targets' pieces and ends, in nats."""
        total, count = 0.0, 0
        for indices in batching.sorted_batches(examples.lengths, EVALUATED):
            inputs, targets = self.batch(examples, indices)
            losses = SmoothedCrossEntropy().of_each(targets, model.predict_on_batch([*inputs]))
            total += float(tf.reduce_sum(losses))
            count += np.count_nonzero(targets)
        return total / count

    def format_samples(self, predictions: Sequence[Sequence[str]]) -> list[str]:
        """Return lines to show for some rows of `evaluate`, or of the pipeline's."""
        return [
            f"  {name}  {textwrap.shorten(text, 90, placeholder=' …')}"
            for row in predictions
            for name, text in zip(("from", "want", "have"), row, strict=True)
        ]
