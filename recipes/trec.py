"""Classification of TREC questions (Li and Roth 2002) by the kind of answer, six coarse classes.

    python recipes/trec.py --data train.txt --run runs/trec

Data: a file of lines `COARSE:fine question`, Latin-1: `train_5500.label` from
cogcomp.seas.upenn.edu/Data/QA/QC. In each of five splits by seed, 10 % is the test set and 5 %
validation data.
Cost: on two cores under 10 minutes and 3 GB.
Target: a mean accuracy half a point above TF-IDF with logistic regression.
"""

from pathlib import Path

from classification import Classification

from lstm_zoo.errors import DataError

SETTINGS = {}


def read(path: Path) -> tuple[list[str], list[str]]:
    """Read the questions with their coarse classes."""
    texts, labels = [], []
    for number, line in enumerate(path.read_text(encoding="latin-1").rstrip("\n").split("\n"), 1):
        label, space, text = line.partition(" ")
        if ":" not in label or not space:
            raise DataError(f"{path}:{number}: expected COARSE:fine and a question.")
        texts.append(text)
        labels.append(label.split(":")[0])
    return texts, labels


RECIPE = Classification(
    name="trec",
    guide=__doc__,
    read=read,
    settings=SETTINGS,
    data="TREC, training set, coarse classes; 10 % test, five splits",
    splits=5,
    validation_share=0.05,
)
main = RECIPE.command()

if __name__ == "__main__":
    main()
