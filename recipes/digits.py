"""Speech recognition of digit strings: one to seven digits by five speakers (spliced from FSDD).

    python recipes/digits.py --data LibriSpeech --run runs/digits

Data: a folder in LibriSpeech's layout with `train` (1,500 utterances, one hour) and `dev` (200).
`dev` is the test set; 10 % of `train`, by seed, is validation data. Of the transcripts of `dev`, 66
are in `train` too, as other recordings. Recordings of single digits recur within `train`, which
makes validation scores optimistic: the settings were chosen on utterances whose recordings were not
in the training data.
Cost: on two cores about 14 minutes and 2 GB.
Target: a word error rate of 2.5 % with greedy decoding.
"""

from pathlib import Path
from typing import Any

from recognition import Recognition

SETTINGS = {
    "speed": 0.1,
    "time_mask_width": 8,
    "epochs": 60,
    "patience": 60,
    "average_epochs": 10,
}


class Digits(Recognition):
    """The test set is defined by the data set."""

    def split_data(self, data: Path, seed: int) -> tuple[Any, Any]:
        from lstm_zoo.speech.corpus import read

        return read(data / "train"), read(data / "dev")


RECIPE = Digits(
    name="digits",
    guide=__doc__,
    read=Path,
    settings=SETTINGS,
    data="spoken digit strings, train; test set: dev",
    validation_share=0.1,
    test_share=0.0,
)
main = RECIPE.command()

if __name__ == "__main__":
    main()
