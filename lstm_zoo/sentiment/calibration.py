"""Calibration: probabilities that are as often right as they say.

A network that has overfitted is too sure of itself. Its logits are divided by a temperature (Guo
et al. 2017), fitted on the validation data, before they become probabilities. It changes no label.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_zoo.errors import DataError
from lstm_zoo.files import read_json
from lstm_zoo.runs.directory import CALIBRATION

BINS = 15  # of confidences, as in Guo et al. (2017)
# The prior on 1 / temperature is a Gamma distribution with its mode at 1; this is its shape minus
# one. Its standard deviation is about 0.5: a few examples, or many that are all right, which alone
# would make the temperature 0, move it little, and some hundred examples outweigh it.
PRIOR = 4.0
LIMITS = (0.1, 10.0)  # of a temperature


class Calibration(NamedTuple):
    """What turns logits into answers. The defaults are those of a run that has not fitted any.

    Attributes:
        temperature: what logits are divided by.
        threshold: the least probability of a label, where a text may have several.
    """

    temperature: float = 1.0
    threshold: float = 0.5


def read(run: Path) -> Calibration:
    """Read a run's `calibration.json`; a run without one, such as of version 0.1, has the defaults.

    Raises:
        DataError: if it is damaged.

    Example:

    >>> read(Path("runs/imdb"))
    Calibration(temperature=1.0, threshold=0.5)
    """
    path = run / CALIBRATION
    if not path.is_file():
        return Calibration()
    values = read_json(path)
    for name, (lowest, highest) in {"temperature": LIMITS, "threshold": (0, 1)}.items():
        value = values.setdefault(name, Calibration._field_defaults[name])
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not lowest <= value <= highest:
            raise DataError(
                f"{path}: {name} is a number from {lowest} to {highest}. Found: {value!r:.100}"
            )
    return Calibration(float(values["temperature"]), float(values["threshold"]))


def fit_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """Fit the temperature that makes the true classes most probable.

    It minimizes the negative log-likelihood plus the prior's `PRIOR * (b - log b)`, which is convex
    in b = 1 / temperature.

    Args:
        logits: floats `(examples, classes)`.
        targets: indices of the true classes, integers `(examples,)`, for a softmax; or 1 for each
            true class, else 0, `(examples, classes)`, for a sigmoid.

    Returns:
        The temperature, within `LIMITS`: above 1 for a network that is too sure of itself.

    Example:

    >>> logits = np.array([[4.0, 0.0], [0.0, 4.0]] * 50)
    >>> sure, unsure = np.array([0, 1] * 50), np.array([0, 1, 0, 0] * 25)  # all and 75 % right
    >>> f"{fit_temperature(logits, sure):.1f} {fit_temperature(logits, unsure):.1f}"
    '0.7 3.3'
    """

    from scipy.optimize import minimize_scalar  # predictions do without SciPy

    def cost(inverse: float) -> float:
        likelihoods = log_likelihoods(logits * inverse, targets)
        return PRIOR * (inverse - math.log(inverse)) - likelihoods.sum()

    bounds = (1 / LIMITS[1], 1 / LIMITS[0])
    found = minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return float(np.clip(1 / found.x, *LIMITS))


def fit_weights(network: np.ndarray, ngrams: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Fit the weights of two logits in a sum that makes the true classes most probable.

    Both get a temperature of their own first: a network that has overfitted has large logits. Then
    the weights are fitted, each with a prior as that of `fit_temperature`, whose mode is 0.5.

    Args:
        network, ngrams: floats `(examples, classes)`.
        targets: as for `fit_temperature`.

    Returns:
        Both weights, float64 `(2,)`.

    Example:

    >>> right = np.array([[4.0, 0.0], [0.0, 4.0]] * 50)
    >>> weights = fit_weights(right, np.zeros_like(right), np.array([0, 1] * 50))
    >>> weights.round(1).tolist()
    [1.3, 0.5]
    """
    from scipy.optimize import minimize  # predictions do without SciPy

    temperatures = np.array([fit_temperature(logits, targets) for logits in (network, ngrams)])
    terms = network / temperatures[0], ngrams / temperatures[1]

    def cost(weights: np.ndarray) -> float:
        likelihoods = log_likelihoods(weights[0] * terms[0] + weights[1] * terms[1], targets)
        return PRIOR * (2 * weights - np.log(2 * weights)).sum() - likelihoods.sum()

    bounds = [(0.5 / LIMITS[1], 0.5 / LIMITS[0])] * 2
    return minimize(cost, [0.5, 0.5], bounds=bounds, method="L-BFGS-B").x / temperatures


def log_likelihoods(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the log probabilities of the true classes, or of each decision on a class.

    Args:
        logits, targets: as for `fit_temperature`.

    Returns:
        Floats of the shape of `targets`.

    Example:

    >>> log_likelihoods(np.zeros((1, 4)), np.array([2])).round(2).tolist()
    [-1.39]
    >>> log_likelihoods(np.zeros((1, 4)), np.array([[0, 0, 1, 1]])).round(2).tolist()
    [[-0.69, -0.69, -0.69, -0.69]]
    """
    from scipy.special import log_expit, log_softmax

    if targets.ndim == 2:
        return log_expit(np.where(targets > 0, logits, -logits))
    return log_softmax(logits, axis=1)[np.arange(len(targets)), targets]


def fit_threshold(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Find the threshold of the highest micro F1: one for all classes.

    With one for each class, a few examples would decide that of a rare class (Yang 2001). Of
    thresholds that are equally good, it is the one nearest to 0.5.

    Args:
        probabilities: floats `(examples, classes)` in 0..1.
        targets: 1 for each true class, else 0, `(examples, classes)`.

    Returns:
        The threshold: labels are the classes of at least this probability.

    Example:

    >>> fit_threshold(np.array([[0.4, 0.3], [0.2, 0.9]]), np.array([[1, 0], [0, 1]]))
    0.35
    """
    order = np.argsort(-probabilities, axis=None)
    descending = probabilities.ravel()[order].astype(float)
    true = np.append(0, np.cumsum(targets.ravel()[order]))
    f1 = 2 * true / np.maximum(np.arange(len(true)) + true[-1], 1)
    # The first n are labels if the threshold is not above the last of them, but above the next one.
    last, following = np.append(1.0, descending), np.append(descending, 0.0)
    f1[last == following] = -1
    best = np.isclose(f1, f1.max(), rtol=0, atol=1e-12)
    last, following = last[best], following[best]
    thresholds = np.where((following < 0.5) & (last > 0.5), 0.5, (last + following) / 2)
    return float(thresholds[np.argmin(np.abs(thresholds - 0.5))])


def reliability(confidences: np.ndarray, correct: np.ndarray) -> list[dict[str, Any]]:
    """Compare confidences with how often they are right, in `BINS` bins of equal width.

    Args:
        confidences: probabilities of the answers, floats `(answers,)` in 0..1.
        correct: whether each is right, booleans `(answers,)`.

    Returns:
        A dict for each bin that is not empty, from low to high: its number of `examples`, their
        mean `confidence` and their `accuracy`.

    Example:

    >>> reliability(np.array([0.5, 0.99, 0.97]), np.array([True, True, False]))[1]
    {'examples': 2, 'confidence': 0.98, 'accuracy': 0.5}
    """
    # A bin has its upper bound, not its lower one.
    bins = np.clip(np.ceil(BINS * np.asarray(confidences)).astype(int) - 1, 0, BINS - 1)
    return [
        {
            "examples": int(np.count_nonzero(bins == number)),
            "confidence": float(np.mean(confidences[bins == number], dtype=float)),
            "accuracy": float(np.mean(correct[bins == number])),
        }
        for number in np.unique(bins)
    ]


def expected_calibration_error(bins: Sequence[Mapping[str, Any]]) -> float:
    """Return the mean distance of confidence and accuracy, weighted by examples (Guo et al. 2017).

    Args:
        bins: what `reliability` returned.

    Returns:
        The error in 0..1. With few examples chance alone makes some: about 0.02 for 500.

    Example:

    >>> bins = reliability(np.array([0.5, 0.99, 0.97]), np.array([True, True, False]))
    >>> round(expected_calibration_error(bins), 3)
    0.487
    """
    distances = [row["examples"] * abs(row["accuracy"] - row["confidence"]) for row in bins]
    return sum(distances) / sum(row["examples"] for row in bins)


def wilson_interval(share: float, examples: int) -> tuple[float, float]:
    """Return the 95% interval of a share (Wilson 1927), which holds for few examples too.

    Args:
        share: the share that was seen, in 0..1.
        examples: of how many.

    Returns:
        Its lower and upper bound.

    Example:

    >>> low, high = wilson_interval(1.0, 5)
    >>> f"{low:.2f} {high:.2f}"
    '0.57 1.00'
    """
    z = 1.96
    scale = 1 + z**2 / examples
    center = (share + z**2 / (2 * examples)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / examples + (z / (2 * examples)) ** 2)
    return max(center - half, 0.0), min(center + half, 1.0)
