"""Translation of short sentences, English to French (Tatoeba), no attention.

    python recipes/tatoeba.py --data fra.txt --run runs/tatoeba

Data: tab-separated, the English sentence first and the French one second. Of the pairs with at most
eight English words, 20,000 are drawn by seed. Of these, 10 % is the test set and 5 % validation
data; no sentence of either language is in two of the sets.
Cost: on two cores about 15 minutes and 2 GB.
Target: none.
"""

from pathlib import Path
from typing import Any

import numpy as np
from pairs import Pairs

WORDS = 8
PAIRS = 20_000
SETTINGS = {
    "source": "en",
    "target": "fr",
    "encoder_units": (256,),
    "decoder_units": (256,),
    "batch_tokens": 3_000,
    "epochs": 15,
}


class Tatoeba(Pairs):
    """Draws from the short pairs."""

    def split_data(self, data: Path, seed: int) -> tuple[Any, Any]:
        from lstm_zoo.translation.corpus import read

        corpus = read(data, "en", "fr")
        short = [i for i, text in enumerate(corpus.sources) if len(text.split()) <= WORDS]
        drawn = np.random.default_rng(seed).permutation(short)[:PAIRS]
        return corpus.take(np.sort(drawn)).split(self.test_share, seed)


RECIPE = Tatoeba(
    name="tatoeba",
    guide=__doc__,
    read=Path,
    settings=SETTINGS,
    data="Tatoeba English to French, 20,000 short pairs; 10 % test, no shared sentences",
    validation_share=0.05,
)
main = RECIPE.command()

if __name__ == "__main__":
    main()
