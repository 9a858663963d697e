"""The registry of families, and the contract that each of them keeps.

A family is a package. Shared modules know it by its name, and work through what is declared here
alone. Its modules, imported where they are used:

- the package itself, which imports no TensorFlow: what `Description` lists;
- `task`, with a class `Task`: what training needs;
- `pipeline`, with a class `Pipeline`: a trained run that answers;
- `onnx` and `litert`, where it exports those formats: what `OnnxExport` and `LiteRTExport` list.

Whatever else it needs (`corpus`, `model`, `demo`, …) is its own. `docs/adding_a_family.md` walks
through one.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from lstm_zoo.errors import CallError
from lstm_zoo.settings import TRAINING, Setting

if TYPE_CHECKING:  # --help must not wait for TensorFlow
    import keras
    import numpy as np
    import tensorflow as tf


class Description(Protocol):
    """What a family's package declares, for the command line and for training.

    Attributes:
        DATA_HELP: the layouts of data that it reads, a line each, indented by two.
        INPUT_HELP: what one input of `predict` is, such as "a text".
        DECODES: whether answers are searched for, so that there is a beam width.
        VARIANTS: rows of sizes by name; a setting that stands at None takes its value from here.
        SETTINGS: its settings, `variant` among them. One of the name of a setting of
            `lstm_zoo.settings.TRAINING` replaces it.
    """

    DATA_HELP: str
    INPUT_HELP: str
    DECODES: bool
    VARIANTS: Mapping[str, Mapping[str, Any]]
    SETTINGS: Mapping[str, Setting]


class Corpus(Protocol):
    """Rows of raw data, as a family's readers return them.

    Attributes:
        places: where each row comes from, such as `train.tsv:7`.
        skipped: a (place, reason) for each row that can't be used.
    """

    places: list[str]
    skipped: list[tuple[str, str]]

    def __len__(self) -> int: ...

    @property
    def columns(self) -> tuple[Sequence[Any], ...]:
        """The rows as columns, in the form in which the family takes data in memory."""

    @property
    def identity(self) -> tuple[Sequence[str], ...]:
        """Columns of strings that tell this corpus from another, for its fingerprint."""

    def take(self, indices: Sequence[int] | np.ndarray) -> Corpus:
        """Return the rows of these indices; what was skipped stays behind."""

    def split(self, fraction: float, seed: int) -> tuple[Corpus, Corpus]:
        """Cut a share off, by seed, so that the two parts share no content.

        Raises:
            ValueError: if a part would be empty.
        """

    def overlap(self, held_out: Corpus) -> int:
        """Count the held-out rows whose content stands among these rows too."""


class Examples(Protocol):
    """A corpus as a network sees it.

    Attributes:
        skipped: a (place, reason) for each row of the corpus that is no example.
    """

    skipped: Sequence[tuple[str, str]]

    def __len__(self) -> int: ...

    @property
    def lengths(self) -> np.ndarray:
        """The time steps of each example, `(examples,)` integers: what batches are made by."""


class Task(Protocol):
    """What training needs of a family; a family's `Task` inherits from this one.

    Attributes:
        monitor: the metric of `evaluate` that chooses the best epoch.
        mode: "max" or "min": which way the metric is better.
        summary_metrics: the metrics that are printed at the end of a training.
        baseline_score: the score of a network that has learned nothing yet, where it is known:
            patience does not begin before a better one.
    """

    monitor: ClassVar[str]
    mode: ClassVar[str]
    summary_metrics: ClassVar[tuple[str, ...]]
    baseline_score: ClassVar[float | None] = None

    @staticmethod
    @abstractmethod
    def read(data: Any, settings: Mapping[str, Any], strict: bool = False) -> Corpus:
        """Read a corpus from a path, or from columns in memory.

        Args:
            data: what the user gave.
            settings: a value for every setting.
            strict: whether a row that can't be used is an error, not skipped.

        Raises:
            CallError: if there is no such data.
            DataError: if it is malformed or holds nothing to use.
        """

    @staticmethod
    @abstractmethod
    def read_demo(settings: Mapping[str, Any]) -> tuple[Corpus, Corpus]:
        """Return the demo corpus: training data and a test set."""

    @staticmethod
    def cache_directory(settings: Mapping[str, Any]) -> str | None:
        """Return where prepared examples are kept; None for the folder `cache` beside the run."""
        return None

    @classmethod
    @abstractmethod
    def learn(cls, training: Corpus, settings: Mapping[str, Any], seed: int) -> Task:
        """Learn what precedes the network (a vocabulary, classes, statistics).

        Args:
            training: the training data, and no other.
            settings: a value for every setting.
            seed: of what is random in it.
        """

    @classmethod
    @abstractmethod
    def load(cls, run: Path, config: Mapping[str, Any]) -> Task:
        """Read what `save` and `learned` left in a run."""

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write the files of what was learned."""

    @property
    @abstractmethod
    def learned(self) -> dict[str, Any]:
        """What `config.json` keeps of what was learned."""

    @abstractmethod
    def build(self, examples: Examples, seed: int) -> tuple[keras.Model, dict[str, Any]]:
        """Build the network to train.

        Args:
            examples: the training examples.
            seed: of initial values that are not Keras's.

        Returns:
            The network, and the arguments with which the pipeline's `build` rebuilds it.
        """

    @abstractmethod
    def encode(self, corpus: Corpus, *, training: bool, cache: Path) -> Examples:
        """Turn a corpus into examples.

        Args:
            corpus: the corpus.
            training: whether it is trained on: then rows that can't be learned are left out.
            cache: the folder of prepared examples.
        """

    @abstractmethod
    def batch(
        self, examples: Examples, indices: np.ndarray, generator: np.random.Generator
    ) -> tuple[Any, ...]:
        """Return a training batch as `keras.Model.fit` takes it: inputs, targets, and weights.

        Args:
            examples: the examples to take it from.
            indices: which, `(batch,)`.
            generator: of what is random in a batch.
        """

    @abstractmethod
    def loss(self) -> keras.losses.Loss:
        """Return the loss on (targets, logits)."""

    @abstractmethod
    def evaluate(self, model: keras.Model, examples: Examples) -> dict[str, Any]:
        """Evaluate a network while it is trained.

        Returns:
            `loss`, `monitor` and other metrics as floats; and, of a family that decodes,
            `predictions`, a row for each example.
        """

    @abstractmethod
    def format_samples(self, predictions: Sequence[Sequence[Any]]) -> list[str]:
        """Lay out some rows of predictions, of `evaluate` here or of the pipeline's, as lines."""


class Pipeline(Protocol):
    """A trained run that answers; `lstm_zoo.pipeline.Pipeline` is the base of every family's.

    Attributes:
        run: the run's directory.
        model: the network.
        config: the run's `config.json`.
        tokenizer: from texts to ids and back.
        beam_width: the hypotheses kept while decoding; None of a family that does not decode.
        prediction_columns: the names of the fields of a row of predictions.
    """

    run: Path
    model: keras.Model
    config: Mapping[str, Any]
    tokenizer: Any
    beam_width: int | None
    prediction_columns: ClassVar[tuple[str, ...]]

    @classmethod
    @abstractmethod
    def load(
        cls, run: Path, config: Mapping[str, Any], *, use_cudnn: bool | str = "auto"
    ) -> Pipeline:
        """Rebuild the network of a run, and read its weights."""

    @abstractmethod
    def rebuilt(self, *, use_cudnn: bool | str) -> Pipeline:
        """Return this pipeline on a network rebuilt with another `use_cudnn`."""

    @abstractmethod
    def with_beam_width(self, beam_width: int) -> Pipeline:
        """Return this pipeline with another beam width.

        Raises:
            CallError: of a family that does not decode.
        """

    @property
    @abstractmethod
    def card(self) -> dict[str, Any]:
        """What a card says of the answers, such as the classes or the languages."""

    @property
    @abstractmethod
    def signatures(self) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        """The served functions by name, from raw inputs to answers; the batch comes first."""

    @property
    @abstractmethod
    def probes(self) -> dict[str, list[dict[str, tf.Tensor]]]:
        """Inputs for each signature on which an export must answer as this pipeline does."""

    @abstractmethod
    def predict(self, inputs: Sequence[Any], **options: Any) -> list[NamedTuple]:
        """Answer each input; `str(answer)` is a line for a person."""

    @staticmethod
    def error_of(answer: NamedTuple) -> str:
        """Return why an input could not be used, given its answer; "" where it could."""
        return ""

    @abstractmethod
    def evaluate(self, data: Any, *, strict: bool = False, **options: Any) -> dict[str, Any]:
        """Evaluate on data with references.

        Returns:
            The metrics, `examples` and `skipped` counted, and `predictions`, a row an example.
        """

    @staticmethod
    @abstractmethod
    def report(scores: Mapping[str, Any]) -> str:
        """Lay out what `evaluate` returned for a person."""

    @abstractmethod
    def draw(self, data: Any, scores: Mapping[str, Any]) -> None:
        """Draw plots of some data, and of what `evaluate` returned for it, into the run."""

    @abstractmethod
    def export(self, directory: str | os.PathLike, **options: Any) -> Path:
        """Write the pipeline for other programs, checked before it is called done."""

    @abstractmethod
    def save_files(self, directory: Path) -> None:
        """Write the files that a run holds of its tokenizers and features."""


class OnnxExport(Protocol):
    """What a family's module `onnx` declares; `lstm_zoo.export.onnx_graph` has the pieces."""

    @staticmethod
    def parts(model: keras.Model, network: Mapping[str, Any]) -> dict[str, Any]:
        """Compose a `lstm_zoo.export.onnx_graph.Part` for each file, by its name; one is `model`.

        Args:
            model: the network.
            network: the arguments that built it.
        """

    @staticmethod
    def metadata(pipeline: Pipeline) -> dict[str, Any]:
        """Return what a caller needs to prepare inputs, for the files' metadata."""


class LiteRTExport(Protocol):
    """What a family's module `litert` declares."""

    @staticmethod
    def signatures(pipeline: Pipeline, batch_size: int) -> dict[str, Any]:
        """Return a `lstm_zoo.export.litert.Signature` for each function to convert, by name."""

    @staticmethod
    def probes(pipeline: Pipeline, batch_size: int) -> dict[str, list[dict[str, np.ndarray]]]:
        """Return inputs for each signature on which LiteRT must answer as the network does."""


class Family(NamedTuple):
    """An entry of the registry: a line for `--help`, and the package that holds the modules."""

    title: str
    package: str


FAMILIES = {
    "sentiment": Family("classify texts: labels from raw text", "lstm_zoo.sentiment"),
    "speech": Family("transcribe speech: text from audio", "lstm_zoo.speech"),
    "translation": Family(
        "translate texts, without attention: sentence to sentence", "lstm_zoo.translation"
    ),
}


def register(name: str, title: str, package: str) -> None:
    """Add a family of another package: `train`, `load` and the command line then know it.

    Args:
        name: the family's name, as on the command line.
        title: a line for `--help`.
        package: the importable name of the package that holds its modules.

    Raises:
        CallError: if the name is taken by another package.

    Example:

    >>> register("sentiment", "classify texts: labels from raw text", "lstm_zoo.sentiment")
    """
    known = FAMILIES.setdefault(name, Family(title, package))
    if known.package != package:
        raise CallError(f"The family {name!r} is {known.package}'s. Received: {package}")


def module(family: str, name: str | None = None) -> ModuleType:
    """Import a family's package, or one of its modules.

    Args:
        family: a name in `FAMILIES`.
        name: such as "task"; None for the package, which imports no TensorFlow.

    Returns:
        The module.

    Raises:
        CallError: on an unknown family, or if it has no such module.

    Example:

    >>> module("speech").INPUT_HELP
    'the path of a clip'
    """
    if family not in FAMILIES:
        raise CallError(f"family is one of {', '.join(FAMILIES)}. Received: {family!r}")
    package = importlib.import_module(FAMILIES[family].package)
    if name is None:
        return package
    full_name = f"{package.__name__}.{name}"
    if importlib.util.find_spec(full_name) is None:
        raise CallError(f"The family {family} has no {name}.")
    return importlib.import_module(full_name)


def settings(family: str) -> dict[str, Setting]:
    """Return all settings of a family: those of every training, and its own.

    Example:

    >>> settings("translation")["epochs"].default
    20
    """
    return {**TRAINING, **module(family).SETTINGS}


def task(family: str) -> type[Task]:
    """Import a family's `Task`."""
    return module(family, "task").Task


def pipeline(family: str) -> type[Pipeline]:
    """Import a family's `Pipeline`."""
    return module(family, "pipeline").Pipeline
