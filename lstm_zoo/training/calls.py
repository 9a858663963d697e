"""The verb `train`: checks its call, then imports TensorFlow and trains."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lstm_zoo import families, import_tensorflow
from lstm_zoo.errors import CallError
from lstm_zoo.settings import check_strategy
from lstm_zoo.training import checks

if TYPE_CHECKING:  # a mistake in a call should cost no import
    import keras
    import tensorflow as tf


def train(
    family: str,
    data: Any = None,
    *,
    run: str | os.PathLike | None = None,
    validation: Any = None,
    validation_split: float | None = None,
    init_from: str | os.PathLike | None = None,
    keep_vocabulary: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    config: str | os.PathLike | None = None,
    strict: bool = False,
    threads: int | None = None,
    strategy: str | tf.distribute.Strategy = "auto",
    callbacks: Sequence[keras.callbacks.Callback] = (),
    **settings: Any,
) -> families.Pipeline:
    """Train a family's network and write a run directory.

    It sets the global random seeds and how the process keeps freed memory;
    `lstm_zoo.training.process` describes how to turn both off.

    Args:
        family: a name in `lstm_zoo.families.FAMILIES`, such as "sentiment".
        data: the training data: a path, or columns such as (texts, labels) or (clips, texts); None
            for the family's demo corpus.
        run: the directory to create; None for `runs/FAMILY-<time>`.
        validation: the validation data, which chooses the best epoch; None to split it off `data`.
        validation_split: the fraction to split off, by seed, with duplicates on one side; None for
            0.1.
        init_from: a run of the family whose weights the training starts from, as far as they fit:
            those of equal name and shape, and of embeddings and outputs the entries of equal tokens
            and classes. Which ones is printed, and kept in `config.json`. Settings of the family
            that are not given are that run's, but for columns and paths.
        keep_vocabulary: whether to keep the tokenizer of `init_from`, rather than to learn one.
        resume: whether to continue `run` from its last checkpoint, with its settings and data;
            only `epochs`, `threads` and `strategy` may change. A finished run is loaded.
        overwrite: whether a run at `run` is replaced, once the new one has passed all checks and
            has something to write. It is renamed to `RUN.old`. Nothing but a run is replaced.
        config: a run's `config.json`, whose settings are taken where none is given; which ones is
            logged. Those of columns and paths are not taken, and nothing else of it is used.
        strict: whether a row that can't be used is an error, rather than skipped.
        threads: the number of CPU threads for TensorFlow, if it has not run an op yet; None for
            all.
        strategy: "none" for one device; "mirrored" for all GPUs of this machine; "multi-worker" for
            the workers that `TF_CONFIG` or SLURM names, before TensorFlow's first op; "auto" for
            what there is; or a strategy of one worker. `batch_size` and `batch_tokens` are those of
            all devices together.
        callbacks: Keras callbacks. After an epoch, `logs` has `loss`, `val_loss` and the metrics
            of the task's `directions` with `val_` before them, such as `val_accuracy`,
            `val_wer_greedy` or `val_bleu_greedy`; for Keras's callbacks with `mode="auto"`, the
            direction is set. If a callback assigns another value to `optimizer.learning_rate`, it
            replaces the schedule (warmup and decay) from then on, also after `resume`. The run's
            files are written after the callbacks have run. Callbacks run in each worker, and must
            do the same to its model. `BackupAndRestore` is refused: a run is its own backup.
        **settings: settings of the family (such as `lstm_zoo.sentiment.SETTINGS`) and of training
            (`lstm_zoo.settings.TRAINING`).

    Returns:
        The pipeline of the best epoch, equal to `lstm_zoo.load(run)`.

    Raises:
        CallError: if an argument is bad, or a setting has no effect; nothing is written.
        DataError: if the data can't be used; nothing is written.
        TrainingError: if the loss or the gradient is NaN or infinite, or another worker has ended
            or does not start.
        KeyboardInterrupt: if interrupted in the first epoch, or one of several workers is. Later,
            Ctrl-C ends the training like early stopping, and `resume` continues it.

    Example:

    >>> texts, labels = ["good", "fine", "bad", "poor"] * 9, ["pos", "pos", "neg", "neg"] * 9
    >>> classifier = lstm_zoo.train(
    ...     "sentiment", (texts, labels), run="runs/doc", validation=(texts, labels), epochs=1
    ... )
    >>> classifier.run
    PosixPath('runs/doc')
    """
    families.module(family)  # an unknown family is refused first
    if threads is not None and threads < 1:
        raise CallError(f"threads is an integer of at least 1. Received: {threads}")
    if isinstance(strategy, str):
        check_strategy(strategy)
    if resume and (overwrite or config is not None):
        raise CallError("A resumed run keeps what it has; give neither overwrite nor config.")
    if config is not None:
        settings = checks.from_config(family, config, settings, keep_vocabulary)
    start = (settings, init_from, keep_vocabulary)
    if resume:
        checks.resumed_run(family, run, *start)
    elif not _has_several_workers(strategy):  # which check together, once all have started
        checks.new_run(family, run, data, validation, validation_split, *start, overwrite)
    import_tensorflow()
    from lstm_zoo.training.train import train_checked

    return train_checked(
        family, data, run, validation, validation_split, init_from, keep_vocabulary, resume,
        overwrite, strict, threads, strategy, callbacks, settings,
    )  # fmt: skip


def _has_several_workers(strategy: Any) -> bool:
    """Return whether the environment may name several workers."""
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", "1")
    return strategy in ("auto", "multi-worker") and ("TF_CONFIG" in os.environ or tasks != "1")
