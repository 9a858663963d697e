"""Short sentences from English to French (Tatoeba), 20,000 pairs by seed, without attention.

    python recipes/tatoeba.py --data fra.txt --run runs/tatoeba

Data: tab-separated, the English sentence first and the French one second. Of the pairs with at
most eight words of English, 20,000 are drawn by seed. 10 % of them is reported on, 5 % chooses the
epoch, the rest is trained on; no sentence of either language is in two parts.
Cost: on two cores about 15 minutes and 2 GB.
Target: none but to run.
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
    "epochs": 15,
}


class Tatoeba(Pairs):
    """A draw of the short pairs."""

    def parts(self, data: Path, seed: int) -> tuple[Any, Any]:
        from lstm_zoo.translation.corpus import read

        whole = read(data, "en", "fr")
        short = [i for i, text in enumerate(whole.sources) if len(text.split()) <= WORDS]
        drawn = np.random.default_rng(seed).permutation(short)[:PAIRS]
        return whole.take(np.sort(drawn)).split(self.test_share, seed)


RECIPE = Tatoeba(
    name="tatoeba",
    guide=__doc__,
    read=Path,
    settings=SETTINGS,
    data="Tatoeba English to French, 20,000 short pairs; 10 % reported on, no sentence twice",
    validation_share=0.05,
)
main = RECIPE.command()

if __name__ == "__main__":
    main()
