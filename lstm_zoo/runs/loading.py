"""Loading a run as a pipeline."""

import os
from pathlib import Path

from lstm_zoo import families
from lstm_zoo.errors import CallError
from lstm_zoo.runs.directory import WEIGHTS, read_config


def load(run: str | os.PathLike, *, use_cudnn: bool | str = "auto") -> families.Pipeline:
    """Load a trained run as a pipeline.

    The network is rebuilt by the current builder, then its weights are read.

    Args:
        run: the directory that `train` wrote.
        use_cudnn: "auto" for cuDNN where it can run, False for never.

    Returns:
        The family's pipeline, such as `lstm_zoo.sentiment.pipeline.Pipeline`.

    Raises:
        CallError: if there is no run, or it has not finished an epoch.

    Example:

    >>> lstm_zoo.load("runs/imdb").predict(["a moving film"])[0].label
    'pos'
    """
    config = read_config(run)
    if not (Path(run) / WEIGHTS).is_file():
        raise CallError(
            f"{run}: no {WEIGHTS} in it; this run has not finished an epoch. "
            "Continue its training with resume (--resume)."
        )
    return families.pipeline(config["family"]).load(Path(run), config, use_cudnn=use_cudnn)
