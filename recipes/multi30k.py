"""Translation of image captions, German to English (Multi30k, Elliott et al. 2016), no attention.

    python recipes/multi30k.py --data multi30k --run runs/multi30k

Data: a folder with `train.de`, `train.en` (29,000 lines), `val.de` and `val.en` (1,014), of
`data/task1/raw` of github.com/multi30k/dataset. `val` is the test set; about 500 pairs of `train`,
by seed, are validation data.
Cost: on two cores about 125 minutes and 3 GB, beside other trainings (alone, 20 epochs took 41).
The published run had one of the cores.
Target: 18 BLEU, ideally 25, cased and detokenized, in 60 minutes.
"""

from pathlib import Path
from typing import Any

from pairs import Pairs

# The preset is to stay below 15 MB, so the vocabularies are a little smaller than the default.
SETTINGS = {
    "source": "de",
    "target": "en",
    "vocabulary_size": 3_500,
    "batch_tokens": 3_000,
    "epochs": 25,
}


class Multi30k(Pairs):
    """The test set is defined by the data set."""

    def split_data(self, data: Path, seed: int) -> tuple[Any, Any]:
        from lstm_zoo.translation.corpus import read

        return read(data / "train", "de", "en"), read(data / "val", "de", "en")


RECIPE = Multi30k(
    name="multi30k",
    guide=__doc__,
    read=Path,
    settings=SETTINGS,
    data="Multi30k German to English, train; test set: val",
    validation_share=500 / 29_000,
    test_share=0.0,
)
main = RECIPE.command()

if __name__ == "__main__":
    main()
