"""Sentiment of single sentences of movie reviews, MR (Pang and Lee 2005): positive or negative.

    python recipes/sentence_polarity.py --data sentence_polarity --run runs/sentence_polarity

Data: a folder with `rt-polarity.neg` and `rt-polarity.pos`, one sentence per line, UTF-8. In each
of five splits by seed, 10 % is the test set and 5 % validation data.
Cost: on two cores about 8 minutes for the five trainings, and 2 GB.
Target: a mean accuracy half a point above TF-IDF with logistic regression.
"""

from pathlib import Path

from classification import Classification

SETTINGS = {
    # The defaults of the time of its row.
    "fitted_ngrams": False,
    "monitor": "accuracy",
    "min_count": 2,
    "embedding_size": 64,
    "units": (64,),
    "class_ratios": True,
    "ngrams": 2,
    "word_dropout": 0.5,
    "embedding_dropout": 0.5,
    "learning_rate": 0.001,
    "epochs": 8,
}


def read(path: Path) -> tuple[list[str], list[str]]:
    """Read the sentences of the two files."""
    texts, labels = [], []
    for label in ("neg", "pos"):
        lines = (path / f"rt-polarity.{label}").read_text(encoding="utf-8").split("\n")
        sentences = [line.strip() for line in lines if line.strip()]
        texts += sentences
        labels += [label] * len(sentences)
    return texts, labels


RECIPE = Classification(
    name="sentence_polarity",
    guide=__doc__,
    read=read,
    settings=SETTINGS,
    data="MR; 10 % test, five splits",
    splits=5,
    validation_share=0.05,
)
main = RECIPE.command()

if __name__ == "__main__":
    main()
