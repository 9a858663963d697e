"""The registry of families, and the interface that each family implements.

A family is a package. Shared modules import it by its name in `FAMILIES`, and use only what is
declared here:

- the package itself, which imports no TensorFlow: see `Description`;
- its module `task` with a class `Task`, for training;
- its module `pipeline` with a class `Pipeline`, for inference, evaluation and export;
- its modules `onnx` and `litert`, if it exports those formats: see `OnnxExport` and `LiteRTExport`;
- its module `runtime` with a class `Pipeline`, if it exports ONNX: a `Predictor` on ONNX Runtime,
  which imports no TensorFlow.

Its other modules (`corpus`, `model`, `demo`, …) are its own. `docs/adding_a_family.md` is a
tutorial.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from lstm_zoo import import_tensorflow
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.settings import TRAINING, Setting

if TYPE_CHECKING:  # --help must not import TensorFlow
    import keras
    import numpy as np
    import tensorflow as tf


class AnswerFormat(NamedTuple):
    """A format of predictions.

    Attributes:
        help: a line of help.
        is_of_one: whether it takes one prediction alone.
    """

    help: str
    is_of_one: bool = False


class Description(Protocol):
    """What a family's package declares, for the command line and for training.

    Attributes:
        DATA_HELP: the data formats that it reads, one per line, indented by two spaces.
        INPUT_HELP: what one input of `predict` is, such as "a text".
        DECODES: whether it decodes with beam search, and has a setting `beam_width`; its
            pipeline's `predict` and `evaluate` then take `beam_width`, and `predict` `n_best`.
        CLASSIFIES: whether its predictions are classes with probabilities; its pipeline's `predict`
            and `evaluate` then take `min_probability`, below which a prediction has no label.
        COLUMNS: the settings that name columns of a table, the first of them that of the inputs of
            `predict`; its pipeline's `evaluate` takes them too, None for the run's.
        ANSWER_FORMATS: the formats besides text and JSON in which `predict` prints, by name.
        TOKENIZER: the settings of the tokenizer, which a kept one (`keep_vocabulary`) has already.
        VARIANTS: sizes of the network by name; a setting that is None takes its value from here.
        SETTINGS: its settings, `variant` among them. They replace settings of the same name in
            `lstm_zoo.settings.TRAINING`.
    """

    DATA_HELP: str
    INPUT_HELP: str
    DECODES: bool
    CLASSIFIES: bool
    COLUMNS: Sequence[str]
    ANSWER_FORMATS: Mapping[str, AnswerFormat]
    TOKENIZER: Sequence[str]
    VARIANTS: Mapping[str, Mapping[str, Any]]
    SETTINGS: Mapping[str, Setting]

    @staticmethod
    def input_names(settings: Mapping[str, Any]) -> Sequence[str]:
        """Return the usual names that the inputs of `predict` have in a table's header.

        Args:
            settings: a run's settings.
        """

    @staticmethod
    def check_data(
        data: str | os.PathLike, settings: Mapping[str, Any], given: Mapping[str, Any]
    ) -> None:
        """Check that a path holds data of the family, as far as that is quick; no TensorFlow.

        Args:
            data: the path, for `Task.read` or the pipeline's `evaluate`.
            settings: the settings of a new run, or those of the run to evaluate.
            given: the `COLUMNS` that were given to `evaluate`; in a training, the settings.

        Raises:
            CallError: if the path does not exist.
            DataError: if the data is malformed or has no such column.
        """


class Corpus(Protocol):
    """Rows of raw data, as a family's readers return them.

    Attributes:
        places: the file and line of each row, such as `train.tsv:7`.
        skipped: (place, reason) of each row that can't be used.
        skipped_rows: the number of each of those rows in the data, from 0.
        groups: the group of each row, such as its speaker, which `split` keeps on one side; "" for
            a row without one. Empty if there are none.
    """

    places: Sequence[str]
    skipped: Sequence[tuple[str, str]]
    skipped_rows: Sequence[int]
    groups: Sequence[str] = ()

    def __len__(self) -> int: ...

    @property
    def columns(self) -> tuple[Sequence[Any], ...]:
        """The rows as columns, as `lstm_zoo.train` takes data in memory."""

    @property
    def identity(self) -> tuple[Sequence[str], ...]:
        """Columns of strings that identify the content, for the corpus's fingerprint."""

    @property
    def file_digests(self) -> Sequence[str]:
        """The digests of the files that the rows name, such as clips; empty if there are none."""
        return ()

    def take(self, indices: Sequence[int] | np.ndarray) -> Corpus:
        """Return the rows of these indices, without the skipped ones."""

    def split(self, fraction: float, seed: int) -> tuple[Corpus, Corpus]:
        """Split off a fraction, by seed; rows of the same content or group stay together.

        Returns:
            The remaining rows and those split off.

        Raises:
            ValueError: if either would be empty.
        """

    def overlap(self, held_out: Corpus) -> int:
        """Return how many held-out rows have the content of one of these rows."""

    @property
    def label_counts(self) -> Mapping[str, int]:
        """The number of rows of each class, by name; empty if there are no classes."""
        return {}


class Examples(Protocol):
    """A preprocessed corpus: what the network's batches are made of.

    Attributes:
        skipped: (place, reason) of each row of the corpus that can't be used.
        cut: how many examples were longer than the setting `max_length`, and are cut to it.
        unknown: the share of tokens that are unknown, from 0 to 1.
    """

    skipped: Sequence[tuple[str, str]]
    cut: int = 0
    unknown: float = 0.0

    def __len__(self) -> int: ...

    @property
    def lengths(self) -> np.ndarray:
        """The number of time steps of each example, integers `(examples,)`, for batching."""


class Names(NamedTuple):
    """What the entries along an axis of a weight stand for.

    Attributes:
        kind: what they are, such as "tokens".
        names: the name of each, in order.
    """

    kind: str
    names: Sequence[Hashable]


class Task(Protocol):
    """What a family implements for training; its `Task` inherits from this class.

    Attributes:
        directions: the metrics of `scores` but the loss, each "max" or "min": whether a higher or
            a lower value is better. The name of a metric of decoded text ends with its decoder.
        monitor: the metric that chooses the best epoch.
        summary_metrics: the metrics of the pipeline's `evaluate` that are printed at the end of
            training.
        fitted_metrics: the metrics of the pipeline's `evaluate` that `calibrate` fits on the
            validation data: a training reports them of the test set alone. Plots of validation
            data have no numbers of them, but may have what is no number.
        time_step: what the time steps of an example are, such as "tokens".
        unknown_reason: why tokens are unknown, and the setting that helps, for a warning.
        tokenizer: from texts to ids and back, a `tf.Module` or a tuple of some: a SavedModel holds
            it. Other tables that a signature uses must be inside of it or constants of the graph.
    """

    tokenizer: Any
    directions: Mapping[str, str]
    monitor: str
    time_step: str
    unknown_reason: ClassVar[str] = "the training data lack them"
    summary_metrics: tuple[str, ...]
    fitted_metrics: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    @abstractmethod
    def read(
        data: Any, settings: Mapping[str, Any], strict: bool = False, cache: Path | None = None
    ) -> Corpus:
        """Read a corpus from a path, or from columns in memory.

        Args:
            data: a path, or columns in memory.
            settings: a value for every setting.
            strict: whether a row that can't be used is an error, rather than skipped.
            cache: the folder of prepared examples, where many rows may be kept on disk; None for
                memory alone.

        Raises:
            CallError: if the path does not exist.
            DataError: if the data is malformed or has no usable row.
        """

    @staticmethod
    @abstractmethod
    def read_demo(settings: Mapping[str, Any]) -> tuple[Corpus, Corpus]:
        """Return the demo corpus: the training data and the test set."""

    @staticmethod
    def cache_directory(settings: Mapping[str, Any]) -> str | None:
        """Return the folder that caches preprocessed examples; None for `cache` next to the run."""
        return None

    @classmethod
    @abstractmethod
    def learn(
        cls, training: Corpus, settings: Mapping[str, Any], seed: int, tokenizer: Any = None
    ) -> Task:
        """Fit what precedes the network: the vocabulary, the classes, feature statistics.

        Args:
            training: the training data, without validation and test data.
            settings: a value for every setting.
            seed: the seed of what is random.
            tokenizer: that of another task of the same settings, to keep; None to learn one.
        """

    @classmethod
    @abstractmethod
    def load(cls, run: Path, config: Mapping[str, Any]) -> Task:
        """Restore the task from a run: what `save`, `learned` and `calibrate` wrote."""

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write what `learn` fitted: vocabulary files, statistics."""

    @property
    @abstractmethod
    def learned(self) -> dict[str, Any]:
        """What `learn` fitted, as far as `config.json` stores it: JSON values."""

    @property
    def counts(self) -> dict[str, tuple[int, str]]:
        """The arguments of the network that what `learn` fitted determines, to check a run.

        By argument, the count and the file of the run that holds what is counted.
        """
        return {}

    @property
    def input_settings(self) -> dict[str, Any]:
        """What the inputs of the network are computed with, by setting.

        A training starts from the weights of a run only if these are equal.
        """
        return {}

    @property
    @abstractmethod
    def named_axes(self) -> dict[str, dict[int | None, Names]]:
        """The axes of weights that follow the order of tokens, classes or the like.

        By the weight's path in the network, such as `embedding/embeddings`, and the axis; None for
        a weight that has a meaning only as long as the names are the same, in the same order. A
        training that starts from another run matches the entries by name, and those of all other
        axes by position.
        """

    @property
    @abstractmethod
    def layers(self) -> list[tuple[str, ...]]:
        """The layers of the network from the top down, for `layer_decay` and `freeze`.

        Each is the first parts of its weights' paths, such as `("logits", "ngrams")`. Every weight
        that is trained is in one of them.
        """

    @abstractmethod
    def build(self, examples: Examples, seed: int) -> tuple[keras.Model, dict[str, Any]]:
        """Build the network to train.

        Args:
            examples: the training examples.
            seed: the seed of initial values that Keras does not draw.

        Returns:
            The network, and the arguments with which the pipeline's `build` rebuilds it.
        """

    @abstractmethod
    def encode(self, corpus: Corpus, *, training: bool, cache: Path) -> Examples:
        """Preprocess a corpus.

        Args:
            corpus: the corpus.
            training: whether these are training data: rows that the loss can't use are skipped.
            cache: the folder that caches preprocessed examples.
        """

    @abstractmethod
    def batch(
        self,
        examples: Examples,
        indices: np.ndarray,
        generator: np.random.Generator,
        rows: np.ndarray | slice = slice(None),
    ) -> tuple[Any, ...]:
        """Return a training batch as `keras.Model.fit` takes it: inputs, targets and weights.

        Of several workers, each asks for its rows alone. They are equal to those of the whole
        batch: padded to the width of the whole, and with the same random draws, which are made for
        the whole batch. Nothing but the lengths of the other examples need be read.

        Args:
            examples: the examples.
            indices: the indices of the batch's examples, `(batch,)`.
            generator: the source of random augmentation.
            rows: the rows of the batch to return, positions or a slice.
        """

    @abstractmethod
    def loss(self) -> keras.losses.Loss:
        """Return the loss, a function of targets and logits: a mean of `loss_terms` terms."""

    def loss_terms(self, targets: Any) -> tf.Tensor:
        """Return the number of terms of which a batch's loss is the mean; by default, the rows.

        Several replicas' losses are weighted by it, so that their sum is the loss of all.

        Args:
            targets: the targets of a batch, or of a replica's part of it.
        """
        import tensorflow as tf

        return tf.shape(targets)[0]

    @abstractmethod
    def results(self, model: keras.Model, examples: Examples, indices: np.ndarray) -> list[Any]:
        """Apply the network to some examples after an epoch, for `scores`.

        It is called after each epoch with the same model: what it traces should be kept.

        Args:
            model: the network.
            examples: the validation examples.
            indices: the indices of those to compute, `(examples,)`; several workers share them.

        Returns:
            A JSON value for each index, in order.
        """

    @abstractmethod
    def scores(self, examples: Examples, results: Sequence[Any]) -> dict[str, Any]:
        """Compute the metrics of an epoch.

        Args:
            examples: the validation examples.
            results: the value of `results` for each example.

        Returns:
            `loss` and the metrics of `directions` as floats. A family that decodes adds
            `predictions`, a row for each example, as the pipeline's `evaluate` does.
        """

    @property
    def refitted(self) -> tuple[str, ...]:
        """The paths of the weights that `refit` fits; none by default."""
        return ()

    def refit(self, model: keras.Model, parts: Sequence[Examples]) -> bool:
        """Fit what is fitted rather than trained, on several parts of the data together.

        `build` has fitted it on the training examples. When the validation data, split off the same
        data, have chosen everything, it is fitted on both.

        Args:
            model: the network, which is changed.
            parts: the training examples, and the validation examples.

        Returns:
            Whether anything was fitted; by default nothing is.
        """
        return False

    def calibrate(self, model: keras.Model, examples: Examples) -> dict[str, Any]:
        """Fit what turns the outputs of the trained network into answers, such as a temperature.

        The pipeline, which has a task of its own, applies it. What is a part of the network may be
        set in it.

        Args:
            model: the network, with the weights of the best epoch; saved again if a value is
                returned.
            examples: the validation examples.

        Returns:
            JSON values, which `load` reads from the run's `calibration.json`; by default none, and
            no file.
        """
        return {}

    @abstractmethod
    def format_row(self, corpus: Corpus, index: int) -> str:
        """Format a row of a corpus as it was understood, for the log at the start of training."""

    @abstractmethod
    def baseline_score(self, examples: Examples) -> float:
        """Return the value of `monitor` of answers that ignore the input.

        Scores that are no better count as equal, and use up no patience.

        Args:
            examples: the validation examples.
        """

    @abstractmethod
    def score_prediction(self, prediction: Mapping[str, Any]) -> float:
        """Return how good a row of `evaluate`'s predictions is, the task's or the pipeline's.

        Higher is better. The samples that are logged are chosen over the range of these scores, the
        worst among them.
        """

    @abstractmethod
    def format_samples(self, predictions: Sequence[Mapping[str, Any]]) -> list[str]:
        """Format rows of `evaluate`'s predictions, the task's or the pipeline's, for the log."""


class Table(NamedTuple):
    """A table of the report of a run.

    Attributes:
        title: what it shows, such as "Classes".
        header: the names of the columns.
        rows: for each row a value for each column: a text, a number, or None.
        note: a line for people: how to read it.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""


class Predictor(Protocol):
    """What answers raw inputs: a run by TensorFlow, or an ONNX export by ONNX Runtime.

    Every family's inherits from `lstm_zoo.pipeline.Predictor`. Its module, `predictor`, imports no
    TensorFlow.

    Attributes:
        run: the directory of the run, or of the export.
        config: the run's `config.json`.
        beam_width: the beam width; None for a family that does not decode.
        shown_columns: the columns of `evaluate`'s predictions that the report shows of an example.
        answer_names: the columns of a prediction in a table.
        can_export: whether it has a method `export`, as pipelines of runs have.
        parameters: the number of the network's weights.
        weights_file: the file that holds them.
        environment: `versions` of the training, and what else `environment.json` holds.
    """

    can_export: ClassVar[bool] = False
    shown_columns: ClassVar[Sequence[str]]
    parameters: int
    weights_file: Path
    environment: Mapping[str, Any]
    run: Path
    config: Mapping[str, Any]
    beam_width: int | None
    answer_names: Sequence[str]

    @abstractmethod
    def with_beam_width(self, beam_width: int) -> Predictor:
        """Return this pipeline with another beam width.

        Raises:
            CallError: if the family does not decode.
        """

    @property
    @abstractmethod
    def card(self) -> dict[str, Any]:
        """The family's entries of the model card, such as the classes or the languages."""

    @abstractmethod
    def predict(self, inputs: Sequence[Any], **options: Any) -> list[NamedTuple]:
        """Return a prediction for each input; its `str` is a line for people to read.

        Args:
            inputs: raw inputs.
            **options: of a family that decodes, `beam_width`, None for the pipeline's; and
                `n_best`, the number of hypotheses of a prediction. Of one that classifies,
                `min_probability`; None for none.
        """

    @staticmethod
    def error_of(answer: NamedTuple) -> str:
        """Return why the input of a prediction can't be used; "" if it can."""
        return ""

    @staticmethod
    def input_of(value: Any, folder: Path) -> Any:
        """Return the input of `predict` that a table has; by default, a text.

        Args:
            value: what the table has: a str, or in .jsonl any JSON value; None for no value.
            folder: the table's folder.

        Raises:
            DataError: if it is none, with the reason alone.
        """
        if value is None or (isinstance(value, str) and not value.strip()):
            raise DataError("no text")
        if not isinstance(value, str):
            raise DataError(f"expected a text; found {json.dumps(value)[:40]}")
        return value

    @staticmethod
    @abstractmethod
    def answer_fields(answer: NamedTuple) -> Sequence[Any]:
        """Return the values of `answer_names` of a prediction; JSON values."""

    @staticmethod
    def format_answers(answers: Sequence[NamedTuple], format: str) -> str:
        """Format predictions in one of the family's `ANSWER_FORMATS`.

        Args:
            answers: the predictions.
            format: the format's name.

        Raises:
            CallError: if the format can't hold them.
        """
        raise CallError(f"No format of answers is named {format}.")

    @abstractmethod
    def evaluate(self, data: Any, *, strict: bool = False, **options: Any) -> dict[str, Any]:
        """Evaluate on data with references.

        Args:
            data: a path or columns, as `Task.read` takes them.
            strict: whether a row that can't be used is an error, rather than skipped.
            **options: of a family that decodes, `beam_width`; None for the pipeline's. Of one that
                classifies, `min_probability`; None for none. The family's `COLUMNS`; None for the
                run's.

        Returns:
            The metrics, among them the task's `summary_metrics`; of a family that decodes,
            `decoder`, such as "greedy" or "beam 8"; the numbers `examples` and `skipped`; and
            `predictions`, as `lstm_zoo.pipeline.prediction_rows` returns them.
        """

    @staticmethod
    @abstractmethod
    def report(scores: Mapping[str, Any]) -> str:
        """Format what `evaluate` returned for people to read."""

    @staticmethod
    @abstractmethod
    def tables(scores: Mapping[str, Any]) -> list[Table]:
        """Return the tables that the report has of what `evaluate` returned.

        Single numbers of the scores are in a table of its own, without a declaration.
        """

    @abstractmethod
    def worst(self, predictions: Sequence[Mapping[str, Any]], count: int) -> list[dict[str, Any]]:
        """Return the rows of `evaluate`'s predictions that score worst, the worst first."""

    @abstractmethod
    def draw(
        self, data: Any, scores: Mapping[str, Any], title: str, directory: Path, **columns: Any
    ) -> dict[str, str]:
        """Draw plots of some data, and of what `evaluate` returned for it.

        Args:
            data: the data, as `evaluate` takes it.
            scores: the scores; `predictions` may be missing.
            title: the title of each plot: the run, the part of the data, its number of examples.
            directory: where to write the plots, PNG files.
            **columns: the family's `COLUMNS`, as for `evaluate`.

        Returns:
            For each plot, by its file name, a caption for the report: how to read it.
        """

    @abstractmethod
    def write_report(
        self, path: str | os.PathLike, data: Any, scores: Mapping[str, Any], **columns: Any
    ) -> None:
        """Write an evaluation as HTML: the data, and what `evaluate` returned for them."""

    @abstractmethod
    def score_prediction(self, prediction: Mapping[str, Any]) -> float:
        """Return how good a row of `evaluate`'s predictions is, as `Task.score_prediction`."""


class Pipeline(Predictor, Protocol):
    """Inference with a trained run; every family's inherits from `lstm_zoo.pipeline.Pipeline`.

    Attributes:
        model: the network.
        tokenizer: maps texts to token ids and back.
    """

    model: keras.Model
    tokenizer: Any

    @classmethod
    @abstractmethod
    def load(
        cls, run: Path, config: Mapping[str, Any], *, use_cudnn: bool | str = "auto"
    ) -> Pipeline:
        """Rebuild the network of a run and load its weights."""

    @abstractmethod
    def rebuilt(self, *, use_cudnn: bool | str) -> Pipeline:
        """Return this pipeline with the network rebuilt with another `use_cudnn`."""

    @property
    @abstractmethod
    def signatures(self) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        """The serving functions by name, from raw inputs to predictions, batch axis first."""

    @property
    @abstractmethod
    def probes(self) -> dict[str, list[dict[str, tf.Tensor]]]:
        """Inputs for each signature, on which an export must return what this pipeline does."""

    @abstractmethod
    def export(self, directory: str | os.PathLike, **options: Any) -> Path:
        """Write the pipeline in a format for other programs, and check it."""

    @abstractmethod
    def save_files(self, directory: Path) -> None:
        """Write the run's files of tokenizers and features into a directory."""


class OnnxExport(Protocol):
    """What a family's module `onnx` declares; `lstm_zoo.export.onnx_graph` helps to build it."""

    @staticmethod
    def parts(
        model: keras.Model, network: Mapping[str, Any], weights: Any = None
    ) -> dict[str, Any]:
        """Return a `lstm_zoo.export.onnx_graph.Part` for each file, by name; one is `model`.

        Args:
            model: the network.
            network: the arguments that it was built with.
            weights: what the files' graphs take, a `lstm_zoo.export.onnx_weights.WeightsFile`.
        """

    @staticmethod
    def metadata(pipeline: Pipeline) -> dict[str, Any]:
        """Return what a caller needs for preprocessing, for the files' metadata."""

    @staticmethod
    def save_tables(directory: Path) -> None:
        """Write what the family's module `runtime` needs besides the run's files."""

    @staticmethod
    def inputs(pipeline: Pipeline) -> list[bytes]:
        """Return raw inputs, on which the export must answer as the pipeline; hostile ones too."""


class LiteRTExport(Protocol):
    """What a family's module `litert` declares."""

    @staticmethod
    def signatures(pipeline: Pipeline, batch_size: int) -> dict[str, Any]:
        """Return a `lstm_zoo.export.litert.Signature` for each function to convert, by name."""

    @staticmethod
    def probes(pipeline: Pipeline, batch_size: int) -> dict[str, list[dict[str, np.ndarray]]]:
        """Return inputs for each signature, on which LiteRT must return what the network does."""


class Family(NamedTuple):
    """An entry of the registry.

    Attributes:
        title: a line for `--help`.
        package: the importable name of the package.
    """

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
    """Register a family of another package with `train`, `load` and the command line.

    Args:
        name: the family's name, as on the command line.
        title: a line for `--help`.
        package: the importable name of the package.

    Raises:
        CallError: if another package has the name.

    Example:

    >>> register("sentiment", "classify texts: labels from raw text", "lstm_zoo.sentiment")
    """
    known = FAMILIES.setdefault(name, Family(title, package))
    if known.package != package:
        raise CallError(
            f"The family {name!r} is already registered, for {known.package}. Received: {package}"
        )


def module(family: str, name: str | None = None) -> ModuleType:
    """Import a family's package, or one of its modules.

    Args:
        family: a name in `FAMILIES`.
        name: such as "task"; None for the package. It and `runtime` import no TensorFlow.

    Returns:
        The module.

    Raises:
        CallError: if the family is unknown or has no such module.

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
    if name != "runtime":
        import_tensorflow()
    if importlib.util.find_spec(full_name) is None:
        raise CallError(f"The family {family} has no module {name}.")
    return importlib.import_module(full_name)


def settings(family: str) -> dict[str, Setting]:
    """Return all settings of a family: those of training, and its own.

    Args:
        family: a name in `FAMILIES`.

    Returns:
        The settings by name. The family's replace those of training.

    Raises:
        CallError: if the family is unknown.

    Example:

    >>> settings("translation")["epochs"].default
    20
    """
    return {**TRAINING, **module(family).SETTINGS}


def task(family: str) -> type[Task]:
    """Import a family's `Task`.

    Example:

    >>> task("speech").monitor, task("speech").directions
    ('wer_greedy', {'wer_greedy': 'min', 'cer_greedy': 'min'})
    """
    return module(family, "task").Task


def pipeline(family: str) -> type[Pipeline]:
    """Import a family's `Pipeline`.

    Example:

    >>> pipeline("speech").build.__name__
    'build_speech'
    """
    return module(family, "pipeline").Pipeline


def runtime(family: str) -> type[Predictor]:
    """Import a family's pipeline on ONNX Runtime; no TensorFlow.

    Example:

    >>> runtime("speech").__module__
    'lstm_zoo.speech.runtime'
    """
    return module(family, "runtime").Pipeline


def register_layers() -> None:
    """Register the layers and losses of all families with Keras, which `load_model` looks up.

    Importing lstm_zoo does not, since that would import TensorFlow.

    Example:

    >>> lstm_zoo.build_sentiment(variant="tiny").save("model.keras")  # here or in another process
    >>> lstm_zoo.register_layers()
    >>> keras.models.load_model("model.keras").name
    'sentiment'
    """
    for family in FAMILIES:
        task(family)
