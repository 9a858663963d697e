"""Sentiment of single sentences of movie reviews, MR (Pang and Lee 2005): positive or negative.

    python recipes/sentence_polarity.py --data sentence_polarity --vectors VECTORS --run runs/mr

Data: a folder with `rt-polarity.neg` and `rt-polarity.pos`, one sentence per line, UTF-8, as NLTK
has it (`python -m nltk.downloader sentence_polarity`). In each of five splits by seed, 10 % is the
test set and 5 % validation data. VECTORS are pretrained word vectors in GloVe's text format. The
published scores are with the 300-dimensional ones of spaCy's model en_core_web_md 3.8 (CC0; `python
-m spacy download en_core_web_md`, then a line for each word that `nlp.vocab` has a vector for), of
the words that occur twice or more in this and some other corpora. The training texts fill the
vocabulary, so that no other word is taken from the file. GloVe's, from
nlp.stanford.edu/projects/glove, work in the same way.
Cost: on two cores about 55 minutes for the five trainings, beside others, and 4 GB.
Target: a mean accuracy of 0.81, two points above TF-IDF with logistic regression.
"""

from pathlib import Path

from classification import Classification

# Pretrained vectors: 10,000 sentences are too few to learn words from. They are overfitted within
# three epochs without strong dropout.
SETTINGS = {
    "vectors": "spacy_en_md.300d.txt.gz",
    "vocabulary_size": 17_000,
    "word_dropout": 0.1,
    "embedding_dropout": 0.5,
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
    files={"vectors": "Pretrained word vectors, see above."},
)
main = RECIPE.command()

if __name__ == "__main__":
    main()
