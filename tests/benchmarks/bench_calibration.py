"""Measure what the temperature does to a classifier's probabilities, on rows that fitted nothing.

    python tests/benchmarks/bench_calibration.py --sms SMSSpamCollection --trec train.txt \\
      --r8 train.tsv

trains small classifiers and prints a table in Markdown: for each corpus the expected calibration
error, and the accuracy of the answers with a probability of 0.9 to 0.99, with temperature 1 and
with the fitted one. For each seed, a tenth of the rows, split off before the training, is the test
set, and a tenth of the rest the validation data, on which the temperature is fitted. The error is a
mean over the seeds, with its range; the answers of all seeds are counted together.
"""

import os
import statistics
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import click
import numpy as np
from scipy.special import softmax

import lstm_zoo
from lstm_zoo.sentiment import corpus
from lstm_zoo.sentiment.calibration import expected_calibration_error, reliability

SURE = (0.9, 0.99)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def read_sms(path):
    rows = (line.split("\t", 1) for line in path.read_text("utf-8").splitlines())
    labels, texts = zip(*rows, strict=True)
    return texts, labels


def read_trec(path):
    rows = (line.split(" ", 1) for line in path.read_text("latin-1").splitlines())
    labels, texts = zip(*rows, strict=True)
    return texts, [label.split(":")[0] for label in labels]


@click.command(help=__doc__.split("\n")[0])
@click.option("--sms", type=FILE, help="SMSSpamCollection: label, tab, text.")
@click.option("--r8", type=FILE, help="Reuters R8: a .tsv with text and label.")
@click.option("--trec", type=FILE, help="TREC: COARSE:fine question, Latin-1.")
@click.option("--seeds", default=3, show_default=True)
@click.option("--epochs", default=10, show_default=True)
@click.option("--variant", default="small", show_default=True)
def main(sms, r8, trec, seeds, epochs, variant):
    corpora = {
        "SMS spam": sms and read_sms(sms),
        "Reuters R8": r8,
        "TREC": trec and read_trec(trec),
    }
    options = {"variant": variant, "epochs": epochs, "max_length": 128}
    lines = []
    for name, data in corpora.items():
        if data is None:
            continue
        rows = [measure(data, seed, options) for seed in range(seeds)]
        lines.append(format_row(name, rows))
    click.echo(
        f"variant {variant}, {epochs} epochs, {seeds} seeds; each cell: temperature 1 → fitted\n\n"
        "| corpus | test rows | accuracy | temperature | ECE | answers at 0.9 to 0.99 | of them "
        "right |\n| --- | --- | --- | --- | --- | --- | --- |\n" + "\n".join(lines)
    )


def measure(data, seed, options):
    """Train on a split, and return the figures of its test set, with temperature 1 and fitted."""
    training, test = corpus.read(data).split(0.1, seed)
    with tempfile.TemporaryDirectory() as directory:
        classifier = lstm_zoo.train(
            "sentiment", training.columns, run=Path(directory) / "run", seed=seed, **options
        )
        scores = classifier.evaluate(test.columns)
    temperature = classifier.card["temperature"]
    probabilities = np.array(
        [[row[f"p({name})"] for name in classifier.classes] for row in scores["predictions"]]
    )
    right = np.array([row["predicted"] == row["label"] for row in scores["predictions"]])
    # The softmax of T log p is that of the logits themselves.
    plain = softmax(temperature * np.log(np.maximum(probabilities, 1e-30)), axis=1)
    figures = []
    for confidences in (plain.max(axis=1), probabilities.max(axis=1)):
        sure = (SURE[0] <= confidences) & (confidences < SURE[1])
        error = expected_calibration_error(reliability(confidences, right))
        figures.append((error, int(sure.sum()), int(right[sure].sum())))
    click.echo(f"seed {seed}: {temperature:.2f}, {scores['accuracy']:.4f}, {figures}", err=True)
    return len(test), scores["accuracy"], temperature, *figures


def format_row(name, rows):
    """Format a line of the table; the answers of all seeds are counted together."""
    sizes, accuracies, temperatures, *before_and_after = zip(*rows, strict=True)
    errors, counts, shares = [], [], []
    for figures in before_and_after:
        each, sure, right = zip(*figures, strict=True)
        errors.append(f"{statistics.mean(each):.3f} ({min(each):.3f} to {max(each):.3f})")
        counts.append(f"{sum(sure):,}")
        shares.append(f"{sum(right) / sum(sure):.1%}" if sum(sure) else "none")
    cells = [
        name,
        f"{round(statistics.mean(sizes)):,}",
        f"{statistics.mean(accuracies):.3f}",
        f"{min(temperatures):.2f} to {max(temperatures):.2f}",
        *(" → ".join(pair) for pair in (errors, counts, shares)),
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
