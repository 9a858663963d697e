"""A translator of captions, English to French (Multi30k), goes on with 2,000 sentences (Tatoeba).

    python recipes/captions_to_tatoeba.py --data data --run runs/captions_to_tatoeba

Data: a folder with `multi30k`, which has `train.en` and `train.fr`, and `fra.txt`, as in
recipes/multi30k.py and recipes/tatoeba.py. The source is trained on the captions but 500, by seed,
which are its validation data. Tatoeba is cut in ten folds, with no sentence of either language in
two: in each of three splits, 2,000 pairs of one fold are the test set, and 2,000 are drawn from the
others, 200 of them validation data. Settings were chosen on no data.
Cost: on two cores about 30 minutes and 3 GB.
Target: a higher mean BLEU than from scratch.
"""

from pathlib import Path
from typing import Any

import numpy as np
from finetuning import FOLDS, FineTuning, folds

LANGUAGES = {"source": "en", "target": "fr"}
CAPTIONS = {**LANGUAGES, "variant": "small", "batch_tokens": 3_000, "epochs": 8}


def read(folder: Path) -> tuple[Any, Any]:
    """Return the captions and the sentences of Tatoeba."""
    from lstm_zoo.translation import corpus

    captions = corpus.read(folder / "multi30k/train", **LANGUAGES)
    return captions, corpus.read(folder / "fra.txt", **LANGUAGES)


class CaptionsToTatoeba(FineTuning):
    """From captions of pictures to everyday sentences."""

    family = "translation"
    metrics = {"BLEU": "bleu", "chrF": "chrf"}

    def source_data(self, data: Any, seed: int) -> tuple[Any, Any]:
        captions, _ = data
        return captions.split(500 / len(captions), seed)

    def split_data(self, data: Any, seed: int) -> tuple[Any, Any]:
        _, sentences = data
        held_out = folds(sentences.sources, sentences.targets) == seed % FOLDS
        random = np.random.default_rng(seed)
        training, test = (
            sentences.take(np.sort(random.permutation(np.flatnonzero(part))[: self.examples]))
            for part in (~held_out, held_out)
        )
        return training, test


RECIPE = CaptionsToTatoeba(
    name="captions_to_tatoeba",
    guide=__doc__,
    read=read,
    source=CAPTIONS,
    tuned={"batch_tokens": 600, "learning_rate": 0.001, "epochs": 15},
    settings={**LANGUAGES, "variant": "small", "batch_tokens": 600, "epochs": 30},
    data="Multi30k English to French, then 2,000 pairs of Tatoeba, three splits",
    examples=2_000,
    splits=3,
    validation_share=0.1,
    test_share=0.0,
)
main = RECIPE.command()

if __name__ == "__main__":
    main()
