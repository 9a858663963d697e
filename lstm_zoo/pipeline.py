"""The base classes of every family's predictor and pipeline.

A predictor answers raw inputs, by whatever computes the network. A pipeline is one that computes it
with TensorFlow: it loads, rebuilds and exports runs. This module imports no TensorFlow: ONNX
exports answer without it.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import tempfile
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lstm_zoo import families
from lstm_zoo.data import answers
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.export import formats
from lstm_zoo.files import reading
from lstm_zoo.printing import progress_bar
from lstm_zoo.runs import cards
from lstm_zoo.runs.directory import CONFIG, WEIGHTS
from lstm_zoo.runs.environment import read_environment
from lstm_zoo.runs.reading import check_weights
from lstm_zoo.settings import MAX_BEAM_WIDTH, check_integer
from lstm_zoo.training.report import warn_of_skipped

if TYPE_CHECKING:
    import keras

CHUNK = 1_024  # rows of a table that are answered at once


def prediction_rows(
    corpus: families.Corpus, answers: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return `evaluate`'s predictions: a row for each row of the data, none left out.

    Logs a warning if more than a tenth of the rows are skipped.

    Args:
        corpus: the corpus, as its reader returned it.
        answers: columns by name for each of its rows: what was expected and what was predicted. A
            row that turned out to be unusable has its reason in the column `skipped`.

    Returns:
        A dict for each row of the data, in order: `row`, its number from 0; `place`, such as
        `test.tsv:7`; `skipped`, the reason why it was skipped, "" if it was not; and the columns
        of `answers`, None in the rows that the reader skipped.

    Example:

    >>> from lstm_zoo.sentiment.corpus import read
    >>> skipping, _ = prediction_rows(read((["", "good"], ["pos", "pos"])), [{"predicted": "pos"}])
    >>> skipping
    {'row': 0, 'place': 'row 0', 'skipped': 'no text', 'predicted': None}
    """
    total = len(corpus) + len(corpus.skipped)
    skipped = dict(zip(corpus.skipped_rows, corpus.skipped, strict=True))
    unanswered = dict.fromkeys(answers[0])
    answered = zip(corpus.places, answers, strict=True)
    rows = []
    for number in range(total):
        if number in skipped:
            place, reason = skipped[number]
            columns = {**unanswered, "skipped": reason}
        else:
            place, columns = next(answered)
        rows.append({"row": number, "place": place, "skipped": "", **columns})
    reasons = [(row["place"], row["skipped"]) for row in rows if row["skipped"]]
    warn_of_skipped("evaluation", reasons, total)
    return rows


def chunks(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Yield rows to evaluate, some at once, with a progress bar on a terminal.

    Args:
        rows: the rows.
        size: the number of rows of a chunk.

    Example:

    >>> [*chunks("abcde", 2)]
    ['ab', 'cd', 'e']
    """
    with progress_bar(total=len(rows), desc="evaluation", unit="row") as bar:
        for start in range(0, len(rows), size):
            yield rows[start : start + size]
            bar.update(min(size, len(rows) - start))


@contextlib.contextmanager
def _bar(path: Path) -> Iterator[Any]:
    """Show a progress bar over the lines of a file, on a terminal."""
    with path.open("rb") as file:
        total = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(2**20), b""))
    with progress_bar(total=total, unit="line") as bar:
        yield bar


class Predictor(families.Predictor):
    """Answers to raw inputs, whatever computes the network: tables, checks of calls, reports.

    A family's predictor implements the rest of `lstm_zoo.families.Predictor`, but for what its
    `Pipeline` and its `runtime.Pipeline` compute in their own ways.

    Args:
        config: the run's `config.json`.
        run: the directory of the run, or of the export.
        beam_width: the beam width; None for the run's setting.
    """

    def __init__(self, config: Mapping[str, Any], run: Path, beam_width: int | None = None):
        self.run = run
        self.config = config
        self._beam_width = None
        if families.module(config["family"]).DECODES:
            self._beam_width = beam_width or config["settings"]["beam_width"]

    @property
    def beam_width(self) -> int | None:
        """The default number of hypotheses of beam search; 1 is greedy decoding.

        It is read-only, since serving functions are traced with it. None if the family does not
        decode.
        """
        return self._beam_width

    def decoder(self, beam_width: int | None = None) -> str:
        """Name the decoder of a beam width, as scores of decoded text name it.

        Args:
            beam_width: the number of hypotheses; None for the pipeline's.

        Returns:
            "greedy", or "beam" and the width.

        Example:

        >>> lstm_zoo.load("runs/multi30k").decoder(1)
        'greedy'
        """
        return cards.decoder_name(self.beam_width if beam_width is None else beam_width)

    def with_beam_width(self, beam_width: int) -> Predictor:
        """Return this pipeline with another beam width.

        Args:
            beam_width: the number of hypotheses; 1 is greedy decoding.

        Returns:
            One with the same network.

        Raises:
            CallError: if the family does not decode, or the width is not from 1 to 1,000.

        Example:

        >>> lstm_zoo.load("runs/multi30k").with_beam_width(1).beam_width
        1
        """
        if self.beam_width is None:
            family = self.config["family"]
            raise CallError(f"beam_width is for families that decode; {family} does not.")
        check_integer("beam_width", beam_width, 1, MAX_BEAM_WIDTH)
        return self._copy(beam_width)

    @abstractmethod
    def _copy(self, beam_width: int) -> Predictor:
        """Return this predictor with another beam width, which the family has."""

    def checked_beam_width(self, beam_width: int | None, n_best: int) -> int:
        """Return the beam width of a call, None for the pipeline's.

        Raises:
            CallError: if it is not from 1 to 1,000, or `n_best` not from 1 to it.

        Example:

        >>> lstm_zoo.load("runs/multi30k").checked_beam_width(None, n_best=2)
        5
        """
        width = self.beam_width if beam_width is None else beam_width
        check_integer("beam_width", width, 1, MAX_BEAM_WIDTH)
        if not (hasattr(n_best, "__index__") and 1 <= n_best <= width):
            raise CallError(
                f"n_best is at least 1 and at most beam_width ({width}). Received: {n_best}"
            )
        return width

    def worst(self, predictions: Sequence[Mapping[str, Any]], count: int) -> list[dict[str, Any]]:
        """Return the predictions that score worst by `score_prediction`.

        Args:
            predictions: the rows that `evaluate` returned; those that were skipped are ignored.
            count: the maximum number of rows to return.

        Returns:
            The rows, the worst first; of equal scores in their order.

        Example:

        >>> classifier = lstm_zoo.load("runs/imdb")
        >>> scores = classifier.evaluate((["great", "dull", "moving"], ["pos", "pos", "pos"]))
        >>> [row["text"] for row in classifier.worst(scores["predictions"], 1)]
        ['dull']
        """
        answered = [row for row in predictions if not row["skipped"]]
        return heapq.nsmallest(count, answered, key=self.score_prediction)

    def predict_file(
        self,
        source: str | os.PathLike,
        target: str | os.PathLike,
        *,
        column: str | int | None = None,
        **options: Any,
    ) -> tuple[int, int]:
        """Copy a table, and add what `predict` returns for each row as columns.

        The columns are those of `evaluate`'s predictions, such as `predicted` and `probability`,
        and `error`: why a row has no answer, such as "no text"; empty if it has one. Memory does
        not grow with the file, and nothing appears at `target` before it is whole.

        Args:
            source: a .csv, .tsv or .jsonl file with a column of inputs, or a .txt file with an
                input on each line.
            target: the .csv, .tsv or .jsonl file to write; an existing one is replaced.
            column: the column of the inputs: its name, or its position (from 1) in a file without a
                header; None for the run's, or else its usual name, such as `text` or `path`.
            **options: those of `predict`, such as `beam_width`.

        Returns:
            The number of rows, and of those without an answer.

        Raises:
            CallError: if a path can't be read or written, or a column is given for a .txt file.
            DataError: if the table is malformed, has no such column, or has one of the columns that
                are added; nothing is written.

        Example:

        >>> _ = Path("films.csv").write_text("id,text\\n1,a moving film\\n2,\\n")
        >>> lstm_zoo.load("runs/imdb").predict_file("films.csv", "answers.csv")
        (2, 1)
        >>> Path("answers.csv").read_text().splitlines()
        ['id,text,predicted,probability,p(neg),p(pos),error', '1,a moving film,pos,...', '2,,...']
        """
        if (options.get("n_best") or 1) > 1:
            raise CallError("n_best has no effect on a table, which has the best answers.")
        source, target = answers.check_paths(source, target)
        inputs = answers.read(source, answers.input_column(self.config, column))
        names = [*self.answer_names, answers.ERROR]
        answers.check_names(source, inputs.names, names)
        count = failed = 0
        with (
            _bar(source) as bar,
            answers.writing(target, inputs, names) as write,
        ):
            while rows := [*itertools.islice(inputs.rows, CHUNK)]:
                for row, fields in zip(rows, self._answer(rows, source, options), strict=True):
                    write(row, dict(zip(names, fields, strict=True)))
                    failed += fields[-1] != ""
                count += len(rows)
                bar.update(rows[-1].line - bar.n)
        return count, failed

    def _answer(
        self, rows: Sequence[answers.Row], source: Path, options: Mapping[str, Any]
    ) -> list[list[Any]]:
        """Return the values of `answer_names` and the error of some rows of a table."""
        inputs, errors = [], []
        for row in rows:
            try:
                inputs.append(self.input_of(row.value, source.parent))
                errors.append("")
            except DataError as error:
                errors.append(" ".join(str(error).split()))
        predictions = iter(self.predict(inputs, **options))
        empty = [None] * len(self.answer_names)
        fields = []
        for error in errors:
            if not error:
                answer = next(predictions)
                error = " ".join(self.error_of(answer).split())
            fields.append([*(empty if error else self.answer_fields(answer)), error])
        return fields

    def write_report(
        self, path: str | os.PathLike, data: Any, scores: Mapping[str, Any], **columns: Any
    ) -> None:
        """Write an evaluation as HTML, one file as a training's `report.html`.

        Args:
            path: the file to write.
            data: the data that were evaluated: a path or columns.
            scores: what `evaluate` returned for them.
            **columns: the columns that `evaluate` was given.

        Example:

        >>> classifier, data = lstm_zoo.load("runs/imdb"), (["great", "dull"], ["pos", "neg"])
        >>> classifier.write_report("evaluation.html", data, classifier.evaluate(data))
        >>> "2 examples" in Path("evaluation.html").read_text()
        True
        """
        from lstm_zoo.runs import plots, report  # with matplotlib, which is slow to import

        is_path = isinstance(data, (str, os.PathLike))
        part = Path(data).resolve().name if is_path else "evaluation"
        title = plots.title(self.run, part, scores["examples"])
        with tempfile.TemporaryDirectory() as folder:
            captions = self.draw(data, scores, title, Path(folder), **columns)
            report.write(
                Path(path),
                self,
                {part: scores},
                self.worst(scores["predictions"], report.WORST),
                {Path(folder) / name: caption for name, caption in captions.items()},
            )


class Pipeline(Predictor, families.Pipeline):
    """Preprocessing, network and decoding of a trained run.

    `lstm_zoo.train` and `lstm_zoo.load` return one. A family's pipeline sets `build`, and
    implements the rest of `lstm_zoo.families.Pipeline`.

    Args:
        task: the family's `Task`, which holds what precedes the network.
        model: the network.
        config: the run's `config.json`.
        run: the run's directory.
        beam_width: the beam width; None for the run's setting.

    Attributes:
        build: the function that builds the network from `config["network"]` and `use_cudnn`.
        run: the run's directory.
        model: the `keras.Model`, which returns logits.
        config: the run's `config.json`.
    """

    build: ClassVar[Callable[..., keras.Model]]
    can_export = True

    def __init__(
        self,
        task: families.Task,
        model: keras.Model,
        config: Mapping[str, Any],
        run: Path,
        beam_width: int | None = None,
    ):
        super().__init__(config, run, beam_width)
        self.model = model
        self._task = task

    @classmethod
    def load(
        cls, run: Path, config: Mapping[str, Any], *, use_cudnn: bool | str = "auto"
    ) -> Pipeline:
        """Rebuild the network of a run and load its weights; `lstm_zoo.load` calls this.

        Args:
            run: the run's directory.
            config: its `config.json`.
            use_cudnn: "auto" to use cuDNN where it can run, False never to.

        Returns:
            The pipeline.

        Raises:
            DataError: if a file is damaged, or the network does not fit its weights or the other
                files; nothing larger than the files has been allocated then.
        """
        from lstm_zoo import compat

        task_class = families.task(config["family"])
        with reading(run / CONFIG):
            task = task_class.load(run, config)
            for name, (count, file) in task.counts.items():
                if config["network"].get(name) != count:
                    raise DataError(
                        f"{run / file}: it gives {name}={count}, but the network has "
                        f"{name}={config['network'].get(name)}."
                    )
            with compat.deferred_values():
                model = cls.build(**config["network"], use_cudnn=use_cudnn)
                check_weights(model, run / WEIGHTS)
        with reading(run / WEIGHTS):
            model.load_weights(run / WEIGHTS)
        return cls(task, model, config, run)

    @property
    def tokenizer(self) -> Any:
        """From texts to ids and back: the task's."""
        return self._task.tokenizer

    @property
    def parameters(self) -> int:
        """The number of the network's weights."""
        return self.model.count_params()

    @property
    def weights_file(self) -> Path:
        """The file of the run that holds the weights."""
        return self.run / WEIGHTS

    @property
    def environment(self) -> dict[str, Any]:
        """The run's `environment.json`."""
        return read_environment(self.run)

    def rebuilt(self, *, use_cudnn: bool | str) -> Pipeline:
        """Return this pipeline with the network rebuilt with another `use_cudnn`.

        Args:
            use_cudnn: "auto" to use cuDNN where it can run, False never to.

        Returns:
            A pipeline with a network of the same weights.
        """
        model = type(self).build(**self.config["network"], use_cudnn=use_cudnn)
        model.set_weights(self.model.get_weights())
        return type(self)(self._task, model, self.config, self.run, self.beam_width)

    def export(
        self, directory: str | os.PathLike, *, format: str = "tf_saved_model", **options: Any
    ) -> Path:
        """Write the pipeline in a format for other programs, and check it.

        Args:
            directory: where to write.
            format: "tf_saved_model" for the whole pipeline, from raw inputs to predictions, as
                `directory/<version>`; "onnx" for the network, as `directory/model.onnx`, and all
                that `lstm_zoo.load` needs to answer with it, without TensorFlow;
                "litert" for the network alone, as `directory/model.tflite`.
            **options: the options of the format; None and False are ignored.
                version: of a SavedModel; None for the next free one.
                beam_width: of a SavedModel of a family that decodes: the beam width, fixed in the
                    export; None for the pipeline's.
                int8: of ONNX: whether to store weights as 8-bit integers.
                batch_size: of LiteRT: the batch size, fixed in the file; None for 1.

        Returns:
            The path of the version's directory, or of the file.

        Raises:
            CallError: if the directory can't be written, the version or file exists, the format is
                unknown or its extra is not installed, or the format has no such option.
            ExportError: if the export fails its checks; its files are removed.

        Example:

        >>> lstm_zoo.load("runs/imdb").export("exports/imdb")
        PosixPath('exports/imdb/1')
        """
        return formats.export(self, directory, format, **options)

    def save_files(self, directory: Path) -> None:
        """Write the run's files of tokenizers and features into a directory.

        Args:
            directory: an existing directory.

        Example:

        >>> lstm_zoo.load("runs/imdb").save_files(Path("."))
        >>> Path("vocabulary.txt").is_file()
        True
        """
        self._task.save(directory)

    def score_prediction(self, prediction: Mapping[str, Any]) -> float:
        """Return how good a row of `evaluate`'s predictions is: the task's `score_prediction`."""
        return self._task.score_prediction(prediction)

    def _copy(self, beam_width: int) -> Pipeline:
        return type(self)(self._task, self.model, self.config, self.run, beam_width)
