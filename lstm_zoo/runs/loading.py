"""Loading a run as a pipeline."""

import os

from lstm_zoo import families
from lstm_zoo.errors import CallError, DataError
from lstm_zoo.files import find_damage, user_path
from lstm_zoo.printing import write_line
from lstm_zoo.runs.directory import WEIGHTS, how_to_continue, read_config


def load(
    run: str | os.PathLike, *, family: str | None = None, use_cudnn: bool | str = "auto"
) -> families.Pipeline:
    """Load a trained run as a pipeline.

    The network is rebuilt by the current builder, then its weights are read. The run may be a
    stranger's: see `docs/security.md`.

    Args:
        run: the directory that `train` wrote.
        family: the family that the run must be of; None for any.
        use_cudnn: "auto" for cuDNN where it can run, False for never.

    Returns:
        The family's pipeline, such as `lstm_zoo.sentiment.pipeline.Pipeline`.

    Raises:
        CallError: if there is no run, it is of another family, or it has not finished an epoch.
        DataError: if a file of the run is damaged.

    Example:

    >>> lstm_zoo.load("runs/imdb").predict(["a moving film"])[0].label
    'pos'
    """
    run = user_path(run)
    config = read_config(run, family)
    if not (run / WEIGHTS).is_file():
        raise CallError(
            f"{run}: no {WEIGHTS} in it; this run has not finished an epoch. {how_to_continue(run)}"
        )
    if not verify(run):
        write_line(f"{run}: made without checksums; damage may go unnoticed.", err=True)
    return families.pipeline(config["family"]).load(run, config, use_cudnn=use_cudnn)


def verify(directory: str | os.PathLike) -> bool:
    """Compare the files of a run or an export with their checksums.

    Args:
        directory: the run's or export's directory.

    Returns:
        Whether there are checksums; earlier versions wrote none.

    Raises:
        DataError: if a file has changed or is missing, naming each.
    """
    damage = find_damage(directory)
    if damage:
        raise DataError(f"{directory}: damaged: {'; '.join(damage)}.")
    return damage is not None
