"""A recognizer of digit strings goes on with 50 strings of a speaker that it has not heard.

    python recipes/new_speaker.py --data LibriSpeech --run runs/new_speaker

Data: the digit strings of recipes/digits.py, five speakers. In each of five splits, one is the new
speaker. The source is trained as in recipes/unheard_speaker.py on `train` of the other four, 10 %
of it validation data. Of the new speaker's strings in `train`, 50 are drawn by seed, 10 of them
validation data; those in `dev` (28 to 50), which are other recordings, are the test set. Recordings
recur within `train`, which makes validation scores optimistic. The source's settings were chosen on
other recordings of four of these speakers; those of the fine-tuning were chosen on no data.
Cost: on two cores about 30 minutes for all trainings and 3 GB.
Target: a lower mean word error rate than the source's, and than from scratch.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import unheard_speaker
from finetuning import FineTuning

from lstm_zoo.errors import DataError


def read(folder: Path) -> tuple[Any, Any]:
    """Return the corpora `train` and `dev`."""
    from lstm_zoo.speech import corpus

    return corpus.read(folder / "train"), corpus.read(folder / "dev")


class NewSpeaker(FineTuning):
    """From four speakers, in real and synthetic voices, to the fifth."""

    family = "speech"
    metrics = {"WER": "wer", "CER": "cer"}

    def digest(self) -> str:
        hashed = f"{super().digest()} {unheard_speaker.SYNTHETIC_COPIES}"
        return hashlib.sha256(hashed.encode()).hexdigest()[:8]

    def source_data(self, data: Any, seed: int) -> tuple[Any, Any]:
        others, _ = unheard_speaker.leave_out(data[0], seed)
        training, validation = others.split(0.1, seed)
        return unheard_speaker.with_synthetic_voices(training, seed), validation

    def split_data(self, data: Any, seed: int) -> tuple[Any, Any]:
        strings, test = (unheard_speaker.leave_out(corpus, seed)[1] for corpus in data)
        if {*strings.speakers} != {*test.speakers}:
            raise DataError("`train` and `dev` must have the same speakers.")
        drawn = np.random.default_rng(seed).permutation(len(strings))[: self.examples]
        return strings.take(np.sort(drawn)), test


RECIPE = NewSpeaker(
    name="new_speaker",
    guide=__doc__,
    read=read,
    source=unheard_speaker.SETTINGS,
    tuned={"learning_rate": 0.0005, "batch_size": 8, "epochs": 15},
    settings={**unheard_speaker.SETTINGS, "batch_size": 8, "epochs": 40},
    data="spoken digits, four speakers; then 50 strings of the fifth, each in turn",
    examples=50,
    one_source=False,
    splits=5,
    validation_share=0.2,
    test_share=0.0,
)
main = RECIPE.command()

if __name__ == "__main__":
    main()
