"""Recipes of text classification: the network and a bag-of-words baseline."""

from typing import Any

from common import Recipe


def tfidf_accuracy(training: Any, test: Any) -> float:
    """Return the accuracy on a corpus of logistic regression on TF-IDF of unigrams and bigrams."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    baseline = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=5, max_iter=1_000)
    )
    return float(baseline.fit(training.texts, training.labels).score(test.texts, test.labels))


class Classification(Recipe):
    """A recipe of texts with labels; `read` returns (texts, labels)."""

    family = "sentiment"
    scores = {
        "accuracy": "accuracy",
        "macro F1": "macro_f1",
        "TF-IDF": "tfidf",
        "TF-IDF, more data": "tfidf_more_data",
    }

    def evaluate(self, pipeline: Any, training: Any, test: Any, seed: int) -> dict[str, float]:
        scores = pipeline.evaluate(test.columns)
        # The split that `train` makes.
        without_validation, _ = training.split(self.validation_split, seed)
        return {
            "accuracy": scores["accuracy"],
            "macro_f1": scores["macro_f1"],
            "tfidf": tfidf_accuracy(without_validation, test),
            "tfidf_more_data": tfidf_accuracy(training, test),
        }
