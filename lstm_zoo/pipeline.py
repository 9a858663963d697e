"""The base of every family's pipeline: load, rebuild, export."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import keras

from lstm_zoo import families
from lstm_zoo.errors import CallError
from lstm_zoo.export import formats
from lstm_zoo.runs.directory import WEIGHTS


class Pipeline(families.Pipeline):
    """A trained run that answers. `lstm_zoo.train` and `lstm_zoo.load` return one.

    A family's pipeline says which function builds its network, and adds what
    `lstm_zoo.families.Pipeline` lists beyond what is here.

    Args:
        task: what was learned before the network: the family's `Task`.
        model: the network.
        config: the run's `config.json`.
        run: the run's directory.
        beam_width: the hypotheses kept while decoding; None for the run's setting.

    Attributes:
        run: the run's directory.
        model: the `keras.Model`, to logits.
        config: the run's `config.json`.
    """

    build: ClassVar[Callable[..., keras.Model]]  # from `config["network"]` and `use_cudnn`

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
        """Rebuild the network of a run, and read its weights; `lstm_zoo.load` calls this.

        Args:
            run: the run's directory.
            config: its `config.json`.
            use_cudnn: "auto" for cuDNN where it can run, False for never.

        Returns:
            The pipeline.
        """
        task = families.task(config["family"]).load(run, config)
        model = cls.build(**config["network"], use_cudnn=use_cudnn)
        model.load_weights(run / WEIGHTS)
        return cls(task, model, config, run)

    @property
    def beam_width(self) -> int | None:
        """The hypotheses kept while decoding, where a call says nothing else; 1: greedy.

        The served functions are traced with it: it does not change. None of a family that does not
        decode.
        """
        return self._beam_width

    def with_beam_width(self, beam_width: int) -> "Pipeline":
        """Return this pipeline with another beam width.

        Raises:
            CallError: of a family that does not decode.
        """
        if self.beam_width is None:
            family = self.config["family"]
            raise CallError(f"beam_width is of families that decode; {family} does not.")
        return type(self)(self._task, self.model, self.config, self.run, beam_width)

    def rebuilt(self, *, use_cudnn: bool | str) -> "Pipeline":
        """Return this pipeline on a network rebuilt with another `use_cudnn`."""
        model = type(self).build(**self.config["network"], use_cudnn=use_cudnn)
        model.set_weights(self.model.get_weights())
        return type(self)(self._task, model, self.config, self.run, self.beam_width)

    def export(
        self, directory: str | os.PathLike, *, format: str = "tf_saved_model", **options: Any
    ) -> Path:
        """Write the pipeline for other programs, checked before it is called done.

        Args:
            directory: where to write.
            format: "tf_saved_model" for all from raw inputs to answers, as `directory/<version>`,
                or for the network alone "onnx", as `directory/model.onnx`, or "litert", as
                `directory/model.tflite`.
            **options: what the format takes; None and False say nothing.
                version: of a SavedModel; None for the next free one.
                beam_width: of a SavedModel of a family that decodes: the answers kept while
                    decoding, fixed in the export; None for the pipeline's.
                int8: of ONNX: whether weights are kept in 8 bits.
                batch_size: of LiteRT: the rows of a batch, fixed in the file; None for 1.

        Returns:
            The path of the version, or of the file.

        Raises:
            CallError: if the directory can't be written, what is asked for exists, the format is
                unknown or lacks its extra, or an option is not one of the format's.
            ExportError: if the export does not pass its checks; nothing is left of it.

        Example:

        >>> lstm_zoo.load("runs/imdb").export("exports/imdb")  # doctest: +SKIP
        PosixPath('exports/imdb/1')
        """
        return formats.export(self, directory, format, **options)

    def save_files(self, directory: Path) -> None:
        """Write the files that a run holds of its tokenizers and features."""
        self._task.save(directory)
