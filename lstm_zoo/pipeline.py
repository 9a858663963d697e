"""The base class of every family's pipeline: load, rebuild and export."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import keras

from lstm_zoo import compat, families
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.export import formats
from lstm_zoo.files import reading
from lstm_zoo.runs import cards
from lstm_zoo.runs.directory import CONFIG, WEIGHTS
from lstm_zoo.runs.reading import check_weights
from lstm_zoo.settings import MAX_BEAM_WIDTH, check_integer
from lstm_zoo.training.report import warn_of_skipped


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


class Pipeline(families.Pipeline):
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

    def __init__(
        self,
        task: families.Task,
        model: keras.Model,
        config: Mapping[str, Any],
        run: Path,
        beam_width: int | None = None,
    ):
        self.run = run
        self.model = model
        self.config = config
        self._task = task
        self._beam_width = None
        if families.module(config["family"]).DECODES:
            self._beam_width = beam_width or config["settings"]["beam_width"]

    @classmethod
    def load(
        cls, run: Path, config: Mapping[str, Any], *, use_cudnn: bool | str = "auto"
    ) -> "Pipeline":
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
        with reading(run / CONFIG):
            task = families.task(config["family"]).load(run, config)
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

    def with_beam_width(self, beam_width: int) -> "Pipeline":
        """Return this pipeline with another beam width.

        Args:
            beam_width: the number of hypotheses; 1 is greedy decoding.

        Returns:
            A pipeline with the same network.

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
        return type(self)(self._task, self.model, self.config, self.run, beam_width)

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
        if not 1 <= n_best <= width:
            raise CallError(
                f"n_best is at least 1 and at most beam_width ({width}). Received: {n_best}"
            )
        return width

    def rebuilt(self, *, use_cudnn: bool | str) -> "Pipeline":
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
                `directory/<version>`; "onnx" for the network alone, as `directory/model.onnx`;
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
