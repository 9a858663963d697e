"""What training must know of the family: examples, loss, metrics."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from lstm_zoo import batching, metrics, splits, tokenizers
from lstm_zoo.errors import DataError
from lstm_zoo.tokenizers import END, START, PieceTokenizer
from lstm_zoo.translation import beam, corpus, demo
from lstm_zoo.translation.corpus import Corpus
from lstm_zoo.translation.loss import SmoothedCrossEntropy
from lstm_zoo.translation.model import build_translation, encoder, resolve_sizes

DEMO_EXAMPLES = 12_000
DEMO_REPORT_SHARE = 0.05
DEMO_LANGUAGES = ("en", "de")
EVALUATED = 128  # pairs judged at once
SIDES = ("source", "target")


@dataclass(frozen=True)
class Examples:
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


class Translated(NamedTuple):
    """Texts, string `(batch, n)`, and their scores, float32 `(batch, n)`, the best first."""

    texts: tf.Tensor
    scores: tf.Tensor


def read(data: Any, settings: Mapping[str, Any], strict: bool = False) -> Corpus:
    """Read a corpus of the settings' languages, as `lstm_zoo.translation.corpus.read` does."""
    return corpus.read(data, settings["source"], settings["target"], strict)


def read_demo(settings: Mapping[str, Any]) -> tuple[Corpus, Corpus]:
    """Return the demo corpus: the part to train on, and the part to report on."""
    languages = [settings[side] or code for side, code in zip(SIDES, DEMO_LANGUAGES, strict=True)]
    whole = corpus.read(demo.generate(DEMO_EXAMPLES, settings["seed"], *languages))
    return split(whole, DEMO_REPORT_SHARE, settings["seed"])


def split(whole: Corpus, fraction: float, seed: int) -> tuple[Corpus, Corpus]:
    """Cut a corpus in two, so that no sentence of either language stands in both parts."""
    together = splits.joined(*whole.columns)
    rest, cut_off = splits.split(together, [""] * len(whole), fraction, seed)
    return whole.take(rest), whole.take(cut_off)


def overlap(training: Corpus, held_out: Corpus) -> int:
    """Count the held-out examples whose source is in the training part too."""
    return splits.overlap(training.sources, held_out.sources)


class Task:
    """The pieces of both languages, learned from the training part, and what follows from them.

    Args:
        settings: a value for every name of `lstm_zoo.translation.SETTINGS`.
        source: the source's tokenizer.
        target: the target's.
    """

    monitor, mode = "bleu", "max"  # what chooses the best epoch, and which way it is better
    headline = ("bleu", "chrf")  # what is shown at the end

    def __init__(self, settings: Mapping[str, Any], source: PieceTokenizer, target: PieceTokenizer):
        self.settings = settings
        self.source = source
        self.target = target

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
        translate = self.translator(model, 1)
        for indices in batching.sorted_batches(examples.lengths, EVALUATED):
            (sources, _), _ = self.batch(examples, indices)
            texts = translate(tf.constant(sources)).texts[:, 0].numpy()
            for index, text in zip(indices, texts, strict=True):
                hypotheses[index] = text.decode()
        sources, references = examples.texts
        scores = metrics.translation(references, hypotheses)
        loss = self.cross_entropy(model, examples)
        return {
            "loss": loss,
            "perplexity": float(np.exp(loss)),
            **{name: scores[name] for name in ("bleu", "chrf")},
            "predictions": [*zip(sources, references, hypotheses, strict=True)],
        }

    def source_ids(self, texts: tf.Tensor) -> tf.Tensor:
        """Turn texts `(batch,)` into what the network reads, in the graph.

        Returns:
            int32 ids `(batch, time)`, each row with its end, padded with 0.
        """
        ids = self.source.tokenize(texts)[:, : self.settings["max_length"]]
        ends = tf.fill([ids.nrows(), 1], END)
        return tf.concat([ids, ends], axis=1).to_tensor(tokenizers.PADDING)

    def cross_entropy(self, model: keras.Model, examples: Examples) -> float:
        """Return the mean negative log probability of the targets' pieces and ends, in nats."""
        total, count = 0.0, 0
        for indices in batching.sorted_batches(examples.lengths, EVALUATED):
            inputs, targets = self.batch(examples, indices)
            losses = SmoothedCrossEntropy().of_each(targets, model.predict_on_batch([*inputs]))
            total += float(tf.reduce_sum(losses))
            count += np.count_nonzero(targets)
        return total / count

    def translator(
        self, model: keras.Model, width: int, n_best: int = 1
    ) -> Callable[[tf.Tensor], Translated]:
        """Make the function from source ids to translations, in the graph.

        Args:
            model: the network.
            width: translations kept while decoding; 1: greedy.
            n_best: how many are returned.

        Returns:
            A `tf.function` from `source_ids` to texts and scores. A row without a piece before
            its end has "" and 0 first, and -inf after it.
        """
        encode, decoder = encoder(model), model.get_layer("decoder")
        penalty = self.settings["length_penalty"]

        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)], jit_compile=False)
        def translate(ids: tf.Tensor) -> Translated:
            summary = encode(ids)

            def step(last: tf.Tensor, states: Any) -> tuple[tf.Tensor, Any]:
                logits, new = decoder.step(last, states[0], states[1])
                return logits, (states[0], new)

            lengths = tf.math.count_nonzero(ids, axis=1, dtype=tf.int32)
            found = beam.search(
                step,
                (summary, decoder.initial_states(summary)),
                limits=2 * lengths + 10,  # a translation is hardly ever longer
                width=width,
                n_best=n_best,
                length_penalty=penalty,
            )
            empty = (lengths <= 1)[:, tf.newaxis]
            certain = tf.one_hot(0, n_best, on_value=0.0, off_value=-float("inf"))
            return Translated(
                tf.where(empty, "", self.spell(found.ids)), tf.where(empty, certain, found.scores)
            )

        return translate

    def spell(self, ids: tf.Tensor) -> tf.Tensor:
        """Turn ids into texts, in the graph: `(batch, n, time)`, padded with 0, to `(batch, n)`."""
        shape = tf.shape(ids)
        flat = tf.reshape(ids, [shape[0] * shape[1], shape[2]])
        texts = self.target.detokenize(tf.RaggedTensor.from_tensor(flat, padding=0))
        return tf.reshape(texts, shape[:2])

    def samples(self, predictions: Sequence[Sequence[str]]) -> list[str]:
        """Return lines to show for some rows of `evaluate`, or of the pipeline's."""
        return [
            f"  {name}  {textwrap.shorten(text, 90, placeholder=' …')}"
            for row in predictions
            for name, text in zip(("from", "want", "have"), row, strict=True)
        ]
