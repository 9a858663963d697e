"""What is logged about the data: a few lines before the training, and warnings."""

import re
from collections.abc import Sequence

import numpy as np

from lstm_zoo import families
from lstm_zoo.printing import log, shorten
from lstm_zoo.training.corpora import Corpora

LIMIT = 0.1  # the share of unknown tokens, or of skipped rows, above which a warning is logged
RAREST = 3  # classes that are named
NAME_WIDTH = 30  # characters of a class name
FEW_STEPS = 300  # of a training from scratch


def log_data(
    task: families.Task,
    corpora: Corpora,
    training: families.Examples,
    validation: families.Examples,
) -> list[str]:
    """Log what the data of a training are like, and warn of what may be wrong with them.

    Args:
        task: the family's task.
        corpora: the data.
        training: the training examples.
        validation: the validation examples.

    Returns:
        The lines without the warnings, as `describe` returns them.
    """
    lines = describe(task, corpora, training, validation)
    for line in lines:
        log(line)
    for name, examples, corpus, skipped in (
        ("training", training, corpora.training, corpora.training_skipped),
        ("validation", validation, corpora.validation, corpora.validation_skipped),
    ):
        warn_of_unknown(task.unknown_reason, name, examples.unknown)
        warn_of_skipped(name, [*skipped, *examples.skipped], len(corpus) + len(skipped))
    if corpora.overlap:
        log(f"Warning: {corpora.overlap} validation examples are also in the training data.")
    return lines


def warn_of_few_steps(steps: int, epochs: int) -> None:
    """Log a warning if a training has too few steps for a network to learn much.

    Args:
        steps: the number of steps of an epoch.
        epochs: the maximum number of epochs.

    Example:

    >>> warn_of_few_steps(400, 3)
    """
    if steps * epochs < FEW_STEPS:
        log(
            f"Warning: only {steps * epochs:,} training steps ({epochs:,} epochs of {steps:,}), in "
            "which a network learns little. More epochs, or a smaller batch_size or batch_tokens, "
            "give more."
        )


def describe(
    task: families.Task,
    corpora: Corpora,
    training: families.Examples,
    validation: families.Examples,
) -> list[str]:
    """Return lines about the classes, the lengths, duplicates and unknown tokens.

    Args:
        task, corpora, training, validation: as for `log_data`.
    """
    lines = []
    if counts := corpora.training.label_counts:
        ranked = sorted(counts.items(), key=lambda item: (item[1], item[0]))
        named = [f"{shorten(name, NAME_WIDTH)} {count:,}" for name, count in ranked]
        share = ranked[-1][1] / len(corpora.training)  # of examples, which may have several labels
        rarest = ", ".join(named[:RAREST])
        lines.append(
            f"{len(counts):,} classes; the rarest: {rarest}; the largest: {named[-1]} ({share:.0%})"
        )
    median, most, longest = np.percentile(training.lengths, [50, 95, 100]).astype(int)
    share = training.cut / len(training)
    cut = f"; {training.cut:,} ({share:.1%}) are cut to max_length" if training.cut else ""
    lines.append(
        f"{task.time_step} of an example: median {median:,}, 95% at most {most:,}, "
        f"longest {longest:,}{cut}"
    )
    lines.append(
        f"{corpora.duplicates:,} duplicates; unknown tokens: {training.unknown:.1%} of the "
        f"training, {validation.unknown:.1%} of the validation data"
    )
    return lines


def warn_of_unknown(reason: str, name: str, share: float) -> None:
    """Warn if too many tokens are unknown.

    Args:
        reason: why tokens are unknown: the `unknown_reason` of the family's task.
        name: the name of the data, such as "training".
        share: the share of unknown tokens, from 0 to 1.
    """
    if share > LIMIT:
        log(f"Warning: {share:.0%} of the {name} data's tokens are unknown: {reason}.")


def warn_of_skipped(name: str, skipped: Sequence[tuple[str, str]], total: int) -> None:
    """Warn if too many rows are skipped, with the most frequent kind of reason.

    Args:
        name: the name of the data, such as "training".
        skipped: (place, reason) of each skipped row.
        total: the number of all rows.
    """
    if len(skipped) <= LIMIT * total:
        return
    most = by_kind(skipped)[0]
    place, reason = most[0]
    log(
        f"Warning: {len(skipped):,} of the {name} data's {total:,} rows "
        f"({len(skipped) / total:.0%}) are skipped, {len(most):,} of them like {place}: {reason}"
    )


def by_kind(skipped: Sequence[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Group skipped rows by the kind of reason, the largest group first.

    Args:
        skipped: (place, reason) of each skipped row.

    Example:

    >>> by_kind([("a:1", "no text"), ("a:2", "5 pieces"), ("a:9", "7 pieces")])
    [[('a:2', '5 pieces'), ('a:9', '7 pieces')], [('a:1', 'no text')]]
    """
    kinds: dict[str, list[tuple[str, str]]] = {}
    for place, reason in skipped:
        # Reasons differ in numbers and in the names of files.
        kind = re.sub(r"\S*[\d/.]\S*", "", reason)
        kinds.setdefault(kind, []).append((place, reason))
    return sorted(kinds.values(), key=len, reverse=True)
