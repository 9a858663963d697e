"""Sentences read in Mboshi, a Bantu language of Congo (Godard et al. 2018): from speech to text.

    python recipes/mboshi.py --data mboshi --run runs/mboshi

Data: a folder with `train.tsv`, of `path`, `text` and `speaker`, and the clips it names: four
hours. By seed, 10 % is reported on, 5 % chooses the epoch, the rest is trained on; no transcript is
in two parts.
Cost: on two cores about 32 minutes with nothing beside it, and 3 GB; 0.5 GB of disk for features.
Target: a character error rate of 22 %.
"""

from pathlib import Path

from recognition import Recognition

SETTINGS = {
    "units": (192, 192, 192),
    "batch_size": 16,
    "epochs": 32,
    "speed": 0.1,
    "copies": 2,
}


def read(path: Path) -> Path:
    """Name the manifest."""
    return path / "train.tsv"


RECIPE = Recognition(
    name="mboshi",
    guide=__doc__,
    read=read,
    settings=SETTINGS,
    data="Mboshi, 4.0 hours; 10 % reported on, no transcript in two parts",
    validation_share=0.05,
)
main = RECIPE.command()

if __name__ == "__main__":
    main()
