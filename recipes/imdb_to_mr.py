"""A classifier of movie reviews (IMDB) goes on with 200 sentences (MR).

    python recipes/imdb_to_mr.py --data data --run runs/imdb_to_mr

Data: a folder with `aclImdb_train.tar.gz` (or `aclImdb/train`) and `sentence_polarity`, as in
recipes/imdb.py and recipes/sentence_polarity.py. The source is trained on the reviews with the ids
0 to 11,874; the others, which are of other films, are its validation data. MR is cut in ten folds:
in each of five splits, one is the test set, and 200 sentences are drawn from the others, 40 of them
validation data. Settings were chosen with fold 5.
Cost: on two cores about 10 minutes and 3 GB.
Target: a higher mean accuracy than from scratch.
"""

from pathlib import Path
from typing import Any

import imdb
import numpy as np
import sentence_polarity
from classification import tfidf_accuracy
from finetuning import FOLDS, FineTuning, folds

# The defaults of the time of these rows.
EARLIER = {"ngrams": 0, "fitted_ngrams": False, "monitor": "accuracy", "min_count": 2}
SOURCE = {
    **EARLIER,
    "variant": "small",
    "max_length": 200,
    "word_dropout": 0.3,
    "embedding_dropout": 0.5,
    "epsilon": 1e-6,
    "batch_size": 64,
    "epochs": 3,
}
# Of a network alone, without n-grams and class ratios, little comes.
SCRATCH = {
    **EARLIER,
    "variant": "tiny",
    "class_ratios": True,
    "ngrams": 2,
    "batch_size": 16,
    "epochs": 30,
}


def draw(corpus: Any, count: int, seed: int) -> Any:
    """Return as many examples of each class, drawn by seed, `count` together."""
    random = np.random.default_rng(seed)
    labels = np.array(corpus.labels)
    chosen = [
        random.permutation(np.flatnonzero(labels == name))[: count // len(corpus.classes)]
        for name in corpus.classes
    ]
    return corpus.take(np.sort(np.concatenate(chosen)))


def read(folder: Path) -> tuple[Any, np.ndarray, Any]:
    """Return the reviews of IMDB, their ids `(reviews,)`, and the sentences of MR."""
    from lstm_zoo.sentiment import corpus

    archive = folder / "aclImdb_train.tar.gz"
    *columns, ids = imdb.read_reviews(archive if archive.is_file() else folder / "aclImdb/train")
    sentences = sentence_polarity.read(folder / "sentence_polarity")
    return corpus.read(tuple(columns)), np.array(ids), corpus.read(sentences)


class Reviews(FineTuning):
    """A recipe of both corpora, with a baseline: TF-IDF of the few examples."""

    family = "sentiment"
    metrics = {"accuracy": "accuracy"}

    @property
    def scores(self) -> dict[str, str]:
        return {**super().scores, "TF-IDF": "tfidf"}

    def train_and_evaluate(
        self, corpus: Any, run: Path, seed: int, export_to: str | None = None, **others: Any
    ) -> dict[str, Any]:
        results = super().train_and_evaluate(corpus, run, seed, export_to, **others)
        training, test = self.split_data(corpus, seed)
        return {**results, "tfidf": tfidf_accuracy(training, test)}


class ReviewsToSentences(Reviews):
    """From reviews of IMDB to sentences of MR."""

    def source_data(self, data: Any, seed: int) -> tuple[Any, Any]:
        reviews, ids, _ = data
        held_out = ids >= 0.95 * (1 + ids.max())
        return (
            reviews.take(np.flatnonzero(~held_out)),
            reviews.take(np.flatnonzero(held_out)),
        )

    def split_data(self, data: Any, seed: int) -> tuple[Any, Any]:
        _, _, sentences = data
        held_out = folds(sentences.texts) == seed % FOLDS
        rest = sentences.take(np.flatnonzero(~held_out))
        return draw(rest, self.examples, seed), sentences.take(np.flatnonzero(held_out))


RECIPE = ReviewsToSentences(
    name="imdb_to_mr",
    guide=__doc__,
    read=read,
    source=SOURCE,
    tuned={"learning_rate": 0.0003, "batch_size": 16, "epochs": 10},
    settings={**SCRATCH, "min_count": 1, "learning_rate": 0.005},
    data="IMDB to 200 sentences of MR, five splits",
    examples=200,
    splits=5,
    validation_share=0.2,
    test_share=0.0,
)
main = RECIPE.command()

if __name__ == "__main__":
    main()
