"""A recognizer of digit strings takes on a new speaker with 50 strings.

    python recipes/new_speaker.py --data LibriSpeech --run runs/new_speaker

Data: the digit strings of recipes/digits.py. In each of five splits, the source is trained on four
speakers' strings in `train`, 10 % of them validation data. Of the fifth, 50 strings are drawn from
`train`, ten of them validation data; the test set is that speaker's strings in `dev` (28 to 50),
which share no recording with `train`. Settings were chosen on the strings of the fifth speaker in
`train` that were not drawn, in the splits 0 and 3.
Cost: on two cores about 30 minutes and 3 GB.
Target: a lower mean word error rate than before, and than from scratch.
"""

from pathlib import Path
from typing import Any

import numpy as np
from finetuning import FineTuning

SOURCE = {
    "sample_rate": 8_000,
    "features": "mfcc",
    "num_mfcc": 8,
    "tokens": "pieces",
    "vocabulary_size": 300,  # so that each digit is one token
    "variant": "small",
    "time_mask_width": 8,
    "speed": 0.25,
    "dropout": 0.3,
    "learning_rate": 0.003,
    "epochs": 20,
}


class NewSpeaker(FineTuning):
    """From four speakers to a fifth."""

    family = "speech"
    metrics = {"WER": "wer", "CER": "cer"}

    def source_data(self, data: Path, seed: int) -> tuple[Any, Any]:
        from lstm_zoo.speech.corpus import read

        others, _ = _parted(read(data / "train"), seed)
        return others.split(0.1, seed)

    def split_data(self, data: Path, seed: int) -> tuple[Any, Any]:
        from lstm_zoo.speech.corpus import read

        _, strings = _parted(read(data / "train"), seed)
        _, test = _parted(read(data / "dev"), seed)
        drawn = np.random.default_rng(seed).permutation(len(strings))[: self.examples]
        return strings.take(np.sort(drawn)), test


def _parted(corpus: Any, seed: int) -> tuple[Any, Any]:
    """Return the strings of all speakers but one, and those of that one."""
    speakers = np.array(corpus.speakers)
    names = np.unique(speakers)
    new = speakers == names[seed % len(names)]
    return corpus.take(np.flatnonzero(~new)), corpus.take(np.flatnonzero(new))


RECIPE = NewSpeaker(
    name="new_speaker",
    guide=__doc__,
    read=Path,
    source=SOURCE,
    tuned={"learning_rate": 0.001, "epochs": 20},
    settings={**SOURCE, "copies": 10, "epochs": 60},
    data="spoken digit strings, four speakers to 50 strings of a fifth; test set: dev, five splits",
    examples=50,
    one_source=False,
    splits=5,
    validation_share=0.2,
    test_share=0.0,
)
main = RECIPE.command()

if __name__ == "__main__":
    main()
