"""A classifier of sentences of movie reviews (MR) goes on with 200 whole reviews (IMDB).

    python recipes/mr_to_imdb.py --data data --run runs/mr_to_imdb

Data: the folder of recipes/imdb_to_mr.py. The source is trained on all sentences but 5 %, by seed,
which are its validation data. IMDB is cut in ten blocks of ids, so that few films are in two: in
each of five splits, one block is the test set, and 200 reviews are drawn from the others, 40 of
them validation data. Settings were chosen with the blocks 5 and 6.
Cost: on two cores about 10 minutes and 3 GB.
Target: a higher mean accuracy than from scratch.
"""

from typing import Any

import numpy as np
from finetuning import FOLDS
from imdb_to_mr import EARLIER, SCRATCH, Reviews, draw, read

SOURCE = {
    **EARLIER,
    "variant": "small",
    "word_dropout": 0.3,
    "embedding_dropout": 0.5,
    "learning_rate": 0.001,
    "epochs": 8,
}


class SentencesToReviews(Reviews):
    """From sentences of MR to reviews of IMDB."""

    def source_data(self, data: Any, seed: int) -> tuple[Any, Any]:
        _, _, sentences = data
        return sentences.split(0.05, seed)

    def split_data(self, data: Any, seed: int) -> tuple[Any, Any]:
        reviews, ids, _ = data
        held_out = ids * FOLDS // (1 + ids.max()) == seed % FOLDS
        rest = reviews.take(np.flatnonzero(~held_out))
        return draw(rest, self.examples, seed), reviews.take(np.flatnonzero(held_out))


RECIPE = SentencesToReviews(
    name="mr_to_imdb",
    guide=__doc__,
    read=read,
    source=SOURCE,
    tuned={"learning_rate": 0.0003, "batch_size": 16, "epochs": 10},
    settings=SCRATCH,
    data="MR to 200 reviews of IMDB, five splits",
    examples=200,
    splits=5,
    validation_share=0.2,
    test_share=0.0,
)
main = RECIPE.command()

if __name__ == "__main__":
    main()
