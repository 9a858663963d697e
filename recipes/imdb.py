"""Sentiment of IMDB movie reviews (Maas et al. 2011): positive or negative.

    python recipes/imdb.py --data aclImdb_train.tar.gz --run runs/imdb

Data: the labelled training set, `aclImdb/train` as a folder or in a .tar.gz, of `aclImdb_v1.tar.gz`
from ai.stanford.edu/~amaas/data/sentiment. Reviews of one film have ids near each other, so the ids
are cut in twenty blocks, the same in both classes: by seed, two are the test set and one is the
validation data. The settings were chosen before, on random splits of the same reviews.
Cost: on two cores under 20 minutes and 3 GB.
Target: a test accuracy of 0.91, above TF-IDF with logistic regression.
"""

import tarfile
from pathlib import Path

from classification import Classification

from lstm_zoo.errors import DataError

BLOCKS = 20  # of ids: reviews of a film have ids near each other
SETTINGS = {
    "max_length": 1_024,  # the end of a review often holds the verdict
    "units": (64,),
    # Unigrams and bigrams are a strong baseline on reviews: their scores are averaged in.
    "ngrams": 2,
    "ngram_buckets": 2**20,
    # Strong dropout, and a raised epsilon of AdamW for small updates of rare words: otherwise a
    # network of this size memorizes 21,000 reviews in three epochs.
    "word_dropout": 0.5,
    "embedding_dropout": 0.5,
    "epsilon": 1e-6,
    "learning_rate": 0.002,
    "batch_size": 64,
    "epochs": 8,
}


def read(path: Path) -> tuple[list[str], list[str], list[str]]:
    """Return the texts, the labels and their blocks, which a split leaves whole."""
    texts, labels, ids = read_reviews(path)
    return texts, labels, [f"block {i * BLOCKS // (max(ids) + 1)}" for i in ids]


def read_reviews(path: Path) -> tuple[list[str], list[str], list[int]]:
    """Read the folder, or the archive without extracting it to disk.

    Returns:
        The texts, the labels and the ids: reviews of one film have ids near each other.
    """
    from lstm_zoo.sentiment import corpus

    if path.is_dir():
        reviews = corpus.read(path)
        return *reviews.columns, [*map(_id, reviews.places)]
    texts, labels, ids = [], [], []
    try:
        with tarfile.open(path) as archive:
            members = {member.name: member for member in archive if member.name.endswith(".txt")}
            for name in sorted(members):
                if name.split("/")[-3:-1] in (["train", "neg"], ["train", "pos"]):
                    texts.append(archive.extractfile(members[name]).read().decode("utf-8"))
                    labels.append(name.split("/")[-2])
                    ids.append(_id(name))
    except tarfile.ReadError as error:
        raise DataError(f"{path}: expected aclImdb/train or a .tar.gz that holds it.") from error
    return texts, labels, ids


def _id(name: str) -> int:
    """Return the id of a review's file, named `<id>_<rating>.txt`."""
    return int(Path(name).stem.split("_")[0])


RECIPE = Classification(
    name="imdb",
    guide=__doc__,
    read=read,
    settings=SETTINGS,
    data="IMDB, training half; two of twenty blocks of ids are the test set",
    splits=1,
    validation_share=0.05,
)
main = RECIPE.command()

if __name__ == "__main__":
    main()
