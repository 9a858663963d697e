"""What each part of the translator is worth: Multi30k with one thing changed at a time.

    python recipes/multi30k_ablation.py --data multi30k --run runs/multi30k_ablation

Data: `train.de` and `train.en` of the folder (29,000 lines). 1,000 pairs by seed are reported on,
about 500 choose the epoch, the rest is trained on; `val` is not looked at. Every row is a training
of the small variant, four epochs of the same seed. Greedy and beam search stand in two columns.
Cost: on two cores about 5 times 10 minutes (up to 24 with other work beside) and 3 GB.
Target: none; the rows say what the recipe's choices are worth.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from pairs import Pairs

SETTINGS = {"source": "de", "target": "en", "variant": "small", "epochs": 4}
CHANGES = {
    "as the variant is": {},
    "one direction": {"bidirectional": False},
    "one direction, source reversed": {"bidirectional": False, "reverse_source": True},
    "summary sets the first states only": {"context": False},
    "logits not tied": {"tied": False},
}


class Multi30kAblation(Pairs):
    """A row for each change."""

    def parts(self, data: Path, seed: int) -> tuple[Any, Any]:
        from lstm_zoo.translation.corpus import read

        return read(data / "train", "de", "en").split(self.test_share, seed)

    def digest(self) -> str:
        made_of = super().digest() + json.dumps(CHANGES, sort_keys=True)
        return hashlib.sha256(made_of.encode()).hexdigest()[:8]

    def rows(self, data: Path, run: Path, seed: int, export_to: str | None) -> list[dict[str, str]]:
        rows = []
        for number, (network, changes) in enumerate(CHANGES.items()):
            place = run / f"change-{number}"
            # Only the first is exported: the others are there to be compared with it.
            scores = self.score(data, place, seed, None if number else export_to, **changes)
            row = self.row(data, seed, [scores], network=network)
            del row["peak GB"]  # one process trains them all: each has the highest peak so far
            rows.append(row)
        return rows


RECIPE = Multi30kAblation(
    name="multi30k_ablation",
    guide=__doc__,
    read=Path,
    settings=SETTINGS,
    data="Multi30k German to English, 1,000 pairs of train reported on",
    validation_share=500 / 29_000,
    test_share=1_000 / 29_000,
)
main = RECIPE.command()

if __name__ == "__main__":
    main()
