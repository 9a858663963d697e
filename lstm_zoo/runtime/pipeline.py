"""The base class of every family's pipeline on ONNX Runtime."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_zoo import pipeline
from lstm_zoo.errors import BackendError, DataError
from lstm_zoo.files import reading
from lstm_zoo.runs.exports import MODEL

if TYPE_CHECKING:
    import onnxruntime


class Pipeline(pipeline.Predictor):
    """An ONNX export that answers as the run that it was made of.

    `lstm_zoo.load` returns one. A family's has the attributes that its predictor needs.

    Args:
        directory: the export's directory.
        config: its `pipeline.json`: the `config.json` of the run.

    Attributes:
        run: the export's directory.
        config: the run's `config.json`.
    """

    def __init__(self, directory: Path, config: Mapping[str, Any]):
        super().__init__(config, directory)

    @property
    def parameters(self) -> int:
        """The number of the network's weights."""
        return self.config["parameters"]

    @property
    def weights_file(self) -> Path:
        """The file of the export that holds the weights."""
        return self.run / MODEL

    @property
    def environment(self) -> Mapping[str, Any]:
        """The `versions` that the run was trained with."""
        return self.config["environment"]

    def _copy(self, beam_width: int) -> Pipeline:
        copied = copy.copy(self)
        copied._beam_width = beam_width
        return copied

    def check_counts(self, **counts: int) -> None:
        """Check that an export's files are of the network that its configuration describes.

        Args:
            **counts: what the files give for arguments of the network.

        Raises:
            DataError: if one differs.
        """
        for name, count in counts.items():
            expected = self.config["network"].get(name)
            if count != expected:
                raise DataError(
                    f"{self.run}: its files give {name}={count}, but the network has "
                    f"{name}={expected}."
                )


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Load an ONNX file for the processor.

    Args:
        path: the file.

    Returns:
        The session; several threads may run it at once.

    Raises:
        BackendError: (an ImportError) if ONNX Runtime is not installed.
        DataError: if the file is missing or damaged.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(
            f"An ONNX export needs ONNX Runtime: pip install onnxruntime ({error})."
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    # Threads that wait would keep the processors busy between two steps of a decoder.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    with reading(path):
        return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
