"""Cards: the description that an export carries of the run it was made from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lstm_zoo import families
from lstm_zoo.files import read_json, reading
from lstm_zoo.runs.directory import METRICS
from lstm_zoo.runs.environment import read_environment

# Keys of version 0.1, and what they are called since: of cards, of scores and of histories.
OLD_KEYS = {
    "trained with": "trained_with",
    "exported with": "exported_with",
    "report": "test",
    **{f"val_{metric}": f"val_{metric}_greedy" for metric in ("wer", "cer", "bleu", "chrf")},
}
HOW = ("decoder", "signature")  # what defines the scores of decoded text
FILE = "card.json"  # of an export or a preset


def describe(pipeline: families.Pipeline) -> dict[str, Any]:
    """Describe a trained pipeline.

    Args:
        pipeline: a family's pipeline.

    Returns:
        The family and its own entries (classes; alphabet and sample rate; languages), the network's
        arguments and its number of parameters, the settings, the data with its fingerprint, the
        run from which the training started, if there was one, the scores, the versions used in
        training, and of a preset, or what is exported from it, `preset` with its licence.

    Example:

    >>> card = describe(lstm_zoo.load("runs/imdb"))
    >>> card["family"], card["classes"], card["network"]["cell"], card["parameters"]
    ('sentiment', ['neg', 'pos'], 'lstm', 4562)
    """
    config, metrics, own = pipeline.config, pipeline.run / METRICS, pipeline.run / FILE
    card = {
        "family": config["family"],
        **pipeline.card,
        "network": config["network"],
        "parameters": pipeline.model.count_params(),
        "settings": config["settings"],
        "data": config["data"],
        **({"init_from": config["init_from"]} if "init_from" in config else {}),
        "scores": _scalars(read_json(metrics)) if metrics.is_file() else {},
        "trained_with": read_environment(pipeline.run)["versions"],
        **({"preset": read_file(own).get("preset")} if own.is_file() else {}),
    }
    return read(card)  # the run's metrics may be those of version 0.1


def read(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return a card with current keys, whichever version of lstm_zoo wrote it.

    Example:

    >>> read({"family": "speech", "trained with": {"keras": "3.15.1"}})
    {'family': 'speech', 'trained_with': {'keras': '3.15.1'}}
    """
    renamed = rename(card)
    if "scores" in renamed:
        renamed["scores"] = rename(renamed["scores"])
        if "beam_width" in renamed.get("settings", {}):  # version 0.1 did not name the decoder
            decoder = {"decoder": decoder_name(renamed["settings"]["beam_width"])}
            for name, value in renamed["scores"].items():
                if isinstance(value, Mapping):
                    renamed["scores"][name] = {**decoder, **value}
    return renamed


def read_file(path: Path) -> dict[str, Any]:
    """Read an export's card.

    Raises:
        DataError: if it is damaged.
    """
    card = read_json(path)
    with reading(path):
        return read(card)


def decoder_name(beam_width: int) -> str:
    """Name a decoder, as the scores of decoded text do.

    Example:

    >>> decoder_name(1), decoder_name(8)
    ('greedy', 'beam 8')
    """
    return "greedy" if beam_width == 1 else f"beam {beam_width}"


def rename(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with the keys of version 0.1 renamed.

    Example:

    >>> rename({"epoch": 1, "val_wer": 0.5})
    {'epoch': 1, 'val_wer_greedy': 0.5}
    """
    return {OLD_KEYS.get(key, key): value for key, value in values.items()}


def _scalars(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the scalars of a run's metrics, and those of its data sets with how they are defined."""
    kept = {}
    for name, value in scores.items():
        if isinstance(value, Mapping):
            kept[name] = {k: v for k, v in value.items() if k in HOW or isinstance(v, (int, float))}
        elif isinstance(value, (int, float)):
            kept[name] = value
    return kept
