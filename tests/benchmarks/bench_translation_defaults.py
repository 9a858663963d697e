"""A translator with the default settings on small corpora: BLEU by the number of pairs.

    python tests/benchmarks/bench_translation_defaults.py multi30k --results defaults.jsonl

The folder has `train.de`, `train.en`, `val.de` and `val.en`. Parts of `train`, by seed, are trained
on; `val` is the test set, with a beam. 3,000:20 is 3,000 pairs for 20 epochs: as many as take some
10 minutes on two cores. What is in the file of results is not measured again.
"""

import json
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import click
import numpy as np

import lstm_zoo
from lstm_zoo.translation import corpus


@click.command(help=__doc__.split("\n")[0])
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--results", type=click.Path(path_type=Path), required=True)
@click.option("--sizes", default="3000:20,10000:12,29000:5", show_default=True)
@click.option("--seeds", default=1, show_default=True)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE",
              help="A setting that is not the default, such as batch_tokens=3000.")  # fmt: skip
def main(data, results, sizes, seeds, settings):
    lines = results.read_text().splitlines() if results.exists() else []
    rows = [json.loads(line) for line in lines]
    given = dict(setting.split("=", 1) for setting in settings)
    whole, test = (corpus.read(data / part, "de", "en") for part in ("train", "val"))
    for seed in range(seeds):
        for size in sizes.split(","):
            pairs, epochs = map(int, size.split(":"))
            key = {"pairs": pairs, "epochs": epochs, "seed": seed, "settings": given}
            if any(key.items() <= row.items() for row in rows):
                continue
            chosen = np.random.default_rng(seed).permutation(len(whole))[:pairs]
            part = whole.take(np.sort(chosen))
            rows.append({**key, **measure(part, test, epochs, seed, given)})
            with results.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    click.echo("| pairs | epochs | settings | BLEU | chrF | minutes |\n" + 6 * "| --- " + "|")
    for row in sorted(rows, key=lambda row: (row["pairs"], row["seed"])):
        click.echo(
            f"| {row['pairs']:,} | {row['epochs']} | {row['settings'] or 'defaults'} | "
            f"{row['bleu']:.1f} | {row['chrf']:.1f} | {row['minutes']:.1f} |"
        )


def measure(training, test, epochs, seed, settings):
    """Train on some pairs, and evaluate on the test set."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        translator = lstm_zoo.train(
            "translation", training.columns, run=f"{folder}/run", source="de", target="en",
            epochs=epochs, seed=seed, **settings,
        )  # fmt: skip
        minutes = (time.monotonic() - start) / 60
        scores = translator.evaluate(test.columns)
    return {"bleu": scores["bleu"], "chrf": scores["chrf"], "minutes": minutes}


if __name__ == "__main__":
    main()
