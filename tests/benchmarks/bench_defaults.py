"""A classifier with the default settings against TF-IDF, on corpora and parts of them.

    python tests/benchmarks/bench_defaults.py DATA --results tests/benchmarks/defaults.jsonl

DATA is a folder with aclImdb_train.tar.gz, sentence_polarity, trec/train.txt,
sms_spam/SMSSpamCollection and reuters_r8/train.tsv; those that are missing are left out. For each
seed a fifth of a corpus is the test set (of IMDB whole blocks of ids, and at most 5,000 rows), and
1,000, 3,000, 10,000 or all of the other rows are given to both. The classifier takes a tenth of
them as validation data; TF-IDF with logistic regression is trained on all of them. What is in the
file of results is not measured again; defaults.jsonl has what was measured so far with these
defaults, and is to be emptied when they change.
"""

import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parents[2] / "recipes"))

import click
import imdb
import numpy as np
import sentence_polarity
import trec
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline

import lstm_zoo
from lstm_zoo.sentiment import corpus

TEST_SHARE, MAX_TEST = 0.2, 5_000

CORPORA = {
    "sms": (
        "sms_spam/SMSSpamCollection",
        lambda path: corpus.read(path, given={"label_column": "1", "text_column": "2"}),
    ),
    "trec": ("trec/train.txt", lambda path: corpus.read(trec.read(path))),
    "r8": ("reuters_r8/train.tsv", corpus.read),
    "mr": ("sentence_polarity", lambda path: corpus.read(sentence_polarity.read(path))),
    "imdb": ("aclImdb_train.tar.gz", lambda path: corpus.read(imdb.read(path))),
}


@click.command(help=__doc__.split("\n")[0])
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--results", type=click.Path(path_type=Path), required=True)
@click.option("--corpora", default=",".join(CORPORA), show_default=True)
@click.option("--sizes", default="1000,3000,10000,all", show_default=True)
@click.option("--seeds", default=5, show_default=True)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE",
              help="A setting that is not the default, for ablations.")  # fmt: skip
def main(data, results, corpora, sizes, seeds, settings):
    lines = results.read_text().splitlines() if results.exists() else []
    rows = [json.loads(line) for line in lines]
    given = dict(setting.split("=", 1) for setting in settings)
    for seed, name, size in itertools.product(range(seeds), corpora.split(","), sizes.split(",")):
        path, read = CORPORA[name]
        key = {"corpus": name, "size": size, "seed": seed, "settings": given}
        if any(key.items() <= row.items() for row in rows) or not (data / path).exists():
            continue
        if measured := measure(read(data / path), size, seed, given):
            rows.append({**key, **measured})
            with results.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    click.echo(format_table([row for row in rows if row["settings"] == given]))


def measure(whole, size, seed, settings):
    """Train both on a part of a corpus; None if the corpus is smaller."""
    rest, test = whole.split(TEST_SHARE, seed)
    count = len(rest) if size == "all" else int(size)
    if count > len(rest):
        return None
    random = np.random.default_rng(seed)
    training, test = (
        part.take(np.sort(random.permutation(len(part))[:number]))
        for part, number in ((rest, count), (test, MAX_TEST))
    )
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        classifier = lstm_zoo.train(
            "sentiment", training.columns, run=f"{folder}/run", seed=seed, **settings
        )
        seconds = time.monotonic() - start
        scores = classifier.evaluate(test.columns)
    baseline = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=5, max_iter=1_000)
    )
    answers = baseline.fit(training.texts, training.labels).predict(test.texts)
    return {
        **{name: scores[name] for name in ("accuracy", "macro_f1", "ece")},
        "tfidf_accuracy": float(np.mean(answers == np.array(test.labels))),
        "tfidf_macro_f1": float(f1_score(test.labels, answers, average="macro")),
        "seconds": seconds,
    }


def format_table(rows):
    """Format the means over the seeds, in percent, and the mean difference to TF-IDF."""
    lines = [
        "| corpus | rows | seeds | accuracy | TF-IDF | difference | macro F1 | TF-IDF | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    differences = []
    groups = itertools.groupby(
        sorted(rows, key=lambda row: (row["corpus"], row["size"].rjust(6))),
        key=lambda row: (row["corpus"], row["size"]),
    )
    for (name, size), group in groups:
        group = [*group]
        mean = {
            key: statistics.mean(row[key] for row in group)
            for key, value in group[0].items()
            if isinstance(value, float)
        }
        differences.append(100 * (mean["accuracy"] - mean["tfidf_accuracy"]))
        lines.append(
            f"| {name} | {size} | {len(group)} | {mean['accuracy']:.2%} | "
            f"{mean['tfidf_accuracy']:.2%} | {differences[-1]:+.2f} | {mean['macro_f1']:.2%} | "
            f"{mean['tfidf_macro_f1']:.2%} | {mean['seconds']:.0f} |"
        )
    if differences:
        lines.append(
            f"\nmean difference {statistics.mean(differences):+.2f} points, "
            f"from {min(differences):+.2f} to {max(differences):+.2f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
