"""Recipes of text classification: the network against a bag of words."""

from collections.abc import Sequence
from typing import Any

from common import Recipe


def tfidf_accuracy(
    training: tuple[Sequence[str], Sequence[str]], report: tuple[Sequence[str], Sequence[str]]
) -> float:
    """Train the rival, logistic regression on TF-IDF of words and pairs of words; judge it."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rival = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=5, max_iter=1_000)
    )
    return float(rival.fit(*training).score(*report))


class Classification(Recipe):
    """A recipe of texts with labels; `read` gives (texts, labels)."""

    family = "sentiment"
    scores = {
        "accuracy": "accuracy",
        "macro F1": "macro_f1",
        "TF-IDF": "tfidf",
        "TF-IDF on more": "tfidf_on_more",
    }

    def evaluate(self, pipeline: Any, rest: Any, report: Any, seed: int) -> dict[str, float]:
        scores = pipeline.evaluate(report.columns)
        training, _ = rest.split(self.training_share, seed)  # as `train` cuts it
        return {
            "accuracy": scores["accuracy"],
            "macro_f1": scores["macro_f1"],
            "tfidf": tfidf_accuracy(training.columns, report.columns),
            "tfidf_on_more": tfidf_accuracy(rest.columns, report.columns),
        }
