"""Make a preset of a recipe's run, evaluate the one that ships, or draw what it answers.

    python recipes/imdb.py --data aclImdb_train.tar.gz --run runs/imdb
    python recipes/presets.py make imdb-sentiment --data aclImdb_train.tar.gz --run runs/imdb
    python recipes/presets.py evaluate imdb-sentiment --data aclImdb_train.tar.gz
    python recipes/presets.py draw imdb-sentiment --data aclImdb_train.tar.gz --to plots

A preset has the weights of the run in float16. It is made only if its logits are within 1e-2 of
the run's, and its score on the recipe's test set within 0.1 points.
"""

import importlib
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from common import read_results

from lstm_zoo.cli import ErrorHandlingCommand
from lstm_zoo.errors import CallError
from lstm_zoo.files import atomic_write, user_path, write_checksums, write_json
from lstm_zoo.printing import write_line
from lstm_zoo.runs import cards, directory, presets
from lstm_zoo.runs.environment import ENVIRONMENT

CARD = "card.md"
MAX_BYTES = 15_000_000
MAX_LOGIT_DIFFERENCE, MAX_POINTS = 1e-2, 0.1
COMPARED = 64  # examples whose logits are compared
TIMED = 40  # answers that are timed
# Of a family: its task's name at Hugging Face, its metric, the digits to show, points per unit.
METRICS = {
    "sentiment": ("text-classification", "accuracy", 3, 100),
    "speech": ("automatic-speech-recognition", "wer", 3, 100),
    "translation": ("translation", "bleu", 1, 1),
}


@dataclass(frozen=True)
class Preset:
    """What a preset's card says that its run does not.

    Attributes:
        recipe: the name of the recipe.
        seed: the seed of the recipe's command; of several splits, the preset's is the first.
        title: what it does, in a line.
        languages: the codes of its languages.
        data: the name of the data.
        licence: their licence.
        allows: what the licence allows.
        test_set: the name of the test set.
        limits: what it can't do.
    """

    recipe: str
    seed: int
    title: str
    languages: tuple[str, ...]
    data: str
    licence: str
    allows: str
    test_set: str
    limits: str

    @property
    def module(self) -> Any:
        """The recipe's module."""
        return importlib.import_module(self.recipe)

    def test(self, data: Path) -> Any:
        """Return the recipe's test set, a corpus."""
        recipe = self.module.RECIPE
        return recipe.split_data(recipe.read(data), self.seed)[1]

    def row(self) -> dict[str, str]:
        """Return the recipe's row of RESULTS.md."""
        for rows in read_results().values():
            for row in rows:
                if row["recipe"] == self.recipe:
                    return row
        raise CallError(f"RESULTS.md has no row of {self.recipe}; run the recipe first.")


PRESETS = {
    "imdb-sentiment": Preset(
        "imdb",
        0,
        "is an English film review positive (pos) or negative (neg)?",
        ("en",),
        "IMDB, the labelled training half (Maas et al. 2011)",
        "research use",
        "The data have no licence; their authors give them out for research. Ask a lawyer before "
        "a commercial use.",
        "held-out blocks of IMDB's training half",
        "It knows films, in English. Short, ironic or off-topic texts get answers too, as sure of "
        "themselves as others. It has no neutral class.",
    ),
    "trec-questions": Preset(
        "trec",
        0,
        "what kind of answer does an English question ask for, of six?",
        ("en",),
        "TREC, training set, coarse classes (Li and Roth 2002)",
        "research use",
        "The data have no licence; their authors give them out for research. Ask a lawyer before "
        "a commercial use.",
        "a tenth of TREC's training set",
        "It knows open questions of facts, one sentence long, in English. Any other text gets one "
        "of the six classes too.",
    ),
    "mr-sentiment": Preset(
        "sentence_polarity",
        0,
        "is an English sentence about a film positive (pos) or negative (neg)?",
        ("en",),
        "MR (Pang and Lee 2005), with word vectors of spaCy's en_core_web_md 3.8 (CC0)",
        "research use",
        "The sentences have no licence; their authors give them out for research. Ask a lawyer "
        "before a commercial use. The word vectors may be used for anything.",
        "a tenth of MR",
        "It knows single sentences of film reviews, in English. It has no neutral class.",
    ),
    "digits-speech": Preset(
        "digits",
        0,
        "English digits, spoken one after another",
        ("en",),
        "digit strings spliced from the Free Spoken Digit Dataset (5 speakers)",
        "CC BY-SA 4.0",
        "Any use, with attribution; what is derived from the data is shared alike.",
        "digits dev",
        "It knows the ten English digits, at 8 kHz, of five speakers. The error rate is of these "
        "speakers; RESULTS.md has that of speakers it has not heard, which is far higher. Every "
        "other sound is heard as digits too.",
    ),
    "multi30k-de-en": Preset(
        "multi30k",
        0,
        "German captions of pictures to English",
        ("de", "en"),
        "Multi30k, training set (Elliott et al. 2016)",
        "research use",
        "The captions are given out for research; those of Flickr30k, from which they were "
        "translated, forbid commercial use.",
        "Multi30k val",
        "It knows captions of photographs: people, clothes, sports, streets. Any other German "
        "comes out as a caption.",
    ),
    "tatoeba-en-fr": Preset(
        "tatoeba",
        0,
        "short everyday sentences, English to French",
        ("en", "fr"),
        "Tatoeba, 167,130 English-French pairs of www.manythings.org/anki",
        "CC BY 2.0",
        "Any use, with attribution to www.manythings.org/anki and tatoeba.org.",
        "3 % of Tatoeba's pairs, no sentence shared",
        "It knows short sentences, as of a phrase book: half of those that it was trained on have "
        "at most six words. Names and rare words are often wrong, and long sentences lose their "
        "end. Whether it says tu, vous or both, and whether the speaker is a woman, is chance.",
    ),
}


def write_half(source: Path, target: Path) -> None:
    """Copy a weights file with its float arrays in float16.

    Args:
        source: what `keras.Model.save_weights` wrote.
        target: the path of the copy.

    Raises:
        CallError: if a weight is beyond the range of float16.
    """
    import h5py

    def copy(place: h5py.Group, target: h5py.Group) -> None:
        target.attrs.update(place.attrs)
        for key, item in place.items():
            if isinstance(item, h5py.Group):
                copy(item, target.create_group(key))
                continue
            values = item[()]
            if np.issubdtype(values.dtype, np.floating):
                with np.errstate(over="ignore"):
                    halved = values.astype(np.float16)
                if not np.isfinite(halved).all():
                    raise CallError(f"{source}: {item.name} has a value that float16 can't hold.")
                values = halved
            target.create_dataset(key, data=values).attrs.update(item.attrs)

    with h5py.File(source) as original, h5py.File(target, "w") as halved:
        copy(original, halved)


def logits(pipeline: Any, test: Any) -> list[np.ndarray]:
    """Return the logits of some examples of a test set, one array for each of them."""
    from lstm_zoo import families

    task = families.task(pipeline.config["family"]).load(pipeline.run, pipeline.config)
    some = test.take(np.arange(min(COMPARED, len(test))))
    found = []
    with tempfile.TemporaryDirectory() as cache:
        examples = task.encode(some, training=False, cache=Path(cache))
        for index in range(len(examples)):
            inputs, *_ = task.batch(examples, np.array([index]), np.random.default_rng(0))
            inputs = inputs if isinstance(inputs, (tuple, list)) else (inputs,)
            found.append(np.asarray(pipeline.model([*inputs] if len(inputs) > 1 else inputs[0])))
    return found


def milliseconds(pipeline: Any, test: Any) -> float:
    """Return the median time of an answer, raw input to answer, one at a time."""
    inputs, times = test.columns[0], []
    for number in range(TIMED + 5):
        start = time.perf_counter()
        pipeline.predict([inputs[number % len(inputs)]])
        times.append(1_000 * (time.perf_counter() - start))
    return statistics.median(times[5:])  # the first ones trace and warm up


def spread(preset: Preset) -> str:
    """Return the score of the recipe's row, with its spread over the splits."""
    _, name, _, _ = METRICS[preset.module.RECIPE.family]
    column = {"accuracy": "accuracy", "wer": "WER beam", "bleu": "BLEU beam"}[name]
    return preset.row()[column]


def make(name: str, preset: Preset, run: Path, data: Path, folder: Path) -> dict[str, Any]:
    """Write a preset.

    Args:
        name: its name.
        preset: what its card says.
        run: the recipe's run.
        data: the recipe's data.
        folder: the folder of presets, in which one of that name is replaced.

    Returns:
        Its card.

    Raises:
        CallError: if the run is of another seed, float16 changes its answers too much, or it is too
            large.
    """
    import lstm_zoo
    from lstm_zoo.export.onnx import add_onnx

    test = preset.test(data)
    original = lstm_zoo.load(run)
    task, metric, digits, points = METRICS[original.config["family"]]
    if (seed := original.config["settings"]["seed"]) != preset.seed:
        raise CallError(
            f"{run} has the seed {seed}, not {preset.seed}: it was trained on other data, some of "
            "them in this test set."
        )
    with tempfile.TemporaryDirectory() as temporary:
        half = Path(temporary) / name
        shutil.copytree(
            run,
            half,
            ignore=shutil.ignore_patterns(
                directory.WEIGHTS, directory.REPORT, "checksums.json", "*.png", "skipped.tsv",
                "checkpoint", "tensorboard", "steps.jsonl", "history.csv",
            ),
        )  # fmt: skip
        write_half(run / directory.WEIGHTS, half / directory.WEIGHTS)
        _forget_paths(half)
        write_checksums(half)
        halved = lstm_zoo.load(half)
        pairs = zip(logits(original, test), logits(halved, test), strict=True)
        difference = max(float(np.abs(one - other).max()) for one, other in pairs)
        before, after = (each.evaluate(test.columns) for each in (original, halved))
        moved = points * abs(before[metric] - after[metric])
        if difference > MAX_LOGIT_DIFFERENCE or moved > MAX_POINTS:
            raise CallError(
                f"{name}: in float16 its logits differ by {difference:.4f}, its {metric} by "
                f"{moved:.2f} points, which is too much."
            )
        add_onnx(halved)
        size = sum(path.stat().st_size for path in half.rglob("*") if path.is_file())
        if size > MAX_BYTES:
            raise CallError(f"{name}: {size:,} bytes, which is too much.")
        card = {
            **cards.describe(halved),
            "preset": {
                "title": preset.title,
                "task": task,
                "languages": preset.languages,
                "data": {
                    "name": preset.data, "licence": preset.licence, "allows": preset.allows,
                },
                "recipe": preset.row()["command"].strip("`"),
                "commit": _commit(),
                "metric": {
                    "name": metric,
                    "value": round(after[metric], 6),
                    "digits": digits,
                    "test_set": preset.test_set,
                    "examples": after["examples"],
                    "recipe": spread(preset),
                },
                "float16": {
                    "logits_differ_by": round(difference, 6),
                    "metric_differs_by_points": round(moved, 4),
                },
                "bytes": size,
                "milliseconds": round(milliseconds(lstm_zoo.load(half, prefer_onnx=True), test), 1),
                "limits": preset.limits,
            },
        }  # fmt: skip
        write_json(half / cards.FILE, card)
        (half / CARD).write_text(card_text(name, card), encoding="utf-8")
        (half / "checksums.json").unlink()
        write_checksums(half)
        if (folder / name).exists():
            shutil.rmtree(folder / name)
        with atomic_write(folder / name) as target:
            shutil.copytree(half, target)
    return card


def card_text(name: str, card: Mapping[str, Any]) -> str:
    """Format a card in Hugging Face's form: YAML, then Markdown."""
    entry, family = card["preset"], card["family"]
    metric, data = entry["metric"], entry["data"]
    sentence = "ein Satz" if entry["languages"][0] == "de" else "a sentence"
    example = {
        "sentiment": f'lstm-zoo sentiment predict {name} "one text"',
        "speech": f"lstm-zoo speech predict {name} recording.wav",
        "translation": f'lstm-zoo translation predict {name} "{sentence}"',
    }[family]
    score = f"{metric['value']:.{metric['digits']}f}"
    # JSON strings are YAML strings.
    return f"""---
library_name: keras
pipeline_tag: {entry["task"]}
language: [{", ".join(entry["languages"])}]
license: other
license_name: {json.dumps(data["licence"])}
metrics: [{metric["name"]}]
model-index:
  - name: {name}
    results:
      - task: {{type: {entry["task"]}}}
        dataset: {{name: {json.dumps(metric["test_set"])}, type: {json.dumps(data["name"])}}}
        metrics: [{{type: {metric["name"]}, value: {score}}}]
---

# {name}

{entry["title"][0].upper()}{entry["title"][1:]}

    {example}

It ships with `lstm_zoo`; nothing is downloaded.

- Network: {card["parameters"]:,} weights in float16, {entry["bytes"] / 1e6:.1f} MB
- Score: {metric["name"]} {score} on {metric["test_set"]}, {metric["examples"]:,} examples that
  trained and chose nothing; the recipe's row reads {metric["recipe"]}
- In float16 the logits differ by at most {entry["float16"]["logits_differ_by"]:.4f}, the score by
  {entry["float16"]["metric_differs_by_points"]:.2f} points
- Latency: {entry["milliseconds"]:.0f} ms for one input on two cores, raw input to answer
- Data: {data["name"]}; licence: {data["licence"]}. {data["allows"]}
- Trained by `{entry["recipe"]}` at commit {entry["commit"][:12]}, with
  {", ".join(f"{package} {version}" for package, version in card["trained_with"].items())}
- Limits: {entry["limits"]}
"""


def _forget_paths(run: Path) -> None:
    """Remove the paths of the machine that trained it from a run's files."""
    config = json.loads((run / directory.CONFIG).read_text("utf-8"))
    for key in ("source", "validation_source"):
        if isinstance(config["data"].get(key), str):
            config["data"][key] = Path(config["data"][key]).name
    if vectors := config["settings"].get("vectors"):
        config["settings"]["vectors"] = Path(vectors).name
    write_json(run / directory.CONFIG, config)
    environment = json.loads((run / ENVIRONMENT).read_text("utf-8"))
    environment.pop("platform", None)
    write_json(run / ENVIRONMENT, environment)


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@click.group(help="\b\n" + __doc__.replace("\n\n", "\n\n\b\n"))
def main() -> None:
    pass


_name = click.argument("name", type=click.Choice([*PRESETS]))
_data = click.option("--data", required=True, type=user_path, metavar="PATH", help="The recipe's.")


@main.command("make", cls=ErrorHandlingCommand)
@_name
@_data
@click.option("--run", required=True, type=user_path, metavar="PATH", help="The recipe's run.")
def make_command(name: str, data: Path, run: Path) -> None:
    """Write a preset into the package."""
    make(name, PRESETS[name], run, data, presets.FOLDER)
    write_line((presets.FOLDER / name / CARD).read_text("utf-8"))


@main.command("evaluate", cls=ErrorHandlingCommand)
@_name
@_data
def evaluate_command(name: str, data: Path) -> None:
    """Evaluate a preset on the recipe's test set, and compare with its card."""
    scores = evaluate(name, data)
    write_line("  ".join(f"{key} {value}" for key, value in scores.items()))


@main.command("draw", cls=ErrorHandlingCommand)
@_name
@_data
@click.option("--to", "folder", required=True, type=user_path, metavar="DIR", help="For DIR/NAME.")
def draw_command(name: str, data: Path, folder: Path) -> None:
    """Draw the plots of a run's report for a preset and the recipe's test set."""
    import lstm_zoo
    from lstm_zoo.runs import plots

    predictor = lstm_zoo.load(f"{presets.PREFIX}{name}")
    columns = PRESETS[name].test(data).columns
    scores = predictor.evaluate(columns)
    title = plots.title(Path(name), PRESETS[name].test_set, scores["examples"])
    folder /= name
    folder.mkdir(parents=True, exist_ok=True)
    for file, caption in predictor.draw(columns, scores, title, folder).items():
        write_line(f"{folder / file}: {caption}")


def evaluate(name: str, data: Path) -> dict[str, Any]:
    """Evaluate a preset that ships.

    Returns:
        The metric's name, its value, that of the card, and the number of examples.
    """
    import lstm_zoo

    metric = presets.presets()[name]["preset"]["metric"]
    scores = lstm_zoo.load(f"{presets.PREFIX}{name}").evaluate(PRESETS[name].test(data).columns)
    return {
        "metric": metric["name"],
        "value": round(scores[metric["name"]], 6),
        "card": metric["value"],
        "examples": scores["examples"],
    }


if __name__ == "__main__":
    main()
