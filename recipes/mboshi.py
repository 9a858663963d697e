"""Speech recognition of Mboshi, a Bantu language of Congo: read sentences (Godard et al. 2018).

    python recipes/mboshi.py --data mboshi --run runs/mboshi

Data: a folder with `train.tsv` (columns `path`, `text` and `speaker`) and the clips it lists, four
hours, made of github.com/besacier/mboshi-french-parallel-corpus. By seed, 10 % is the test set and
5 % validation data; no transcript is in two of the sets.
Cost: on two cores about 32 minutes, with nothing else running, and 3 GB; 0.5 GB of disk for
features.
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
    """Return the path of the manifest."""
    return path / "train.tsv"


RECIPE = Recognition(
    name="mboshi",
    guide=__doc__,
    read=read,
    settings=SETTINGS,
    data="Mboshi, 4.0 hours; 10 % test, no shared transcripts",
    validation_share=0.05,
)
main = RECIPE.command()

if __name__ == "__main__":
    main()
