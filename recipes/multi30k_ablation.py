"""Ablation study of the translator on Multi30k, German to English: one change at a time.

    python recipes/multi30k_ablation.py --data multi30k --run runs/multi30k_ablation

Data: `train.de` and `train.en` of the folder (29,000 lines). By seed, 1,000 pairs are the test set
and about 500 validation data; `val` is unused. Every row is the small variant, trained for four
epochs with the same seed.
Cost: on two cores about 5 times 10 minutes (up to 24 with other work running) and 3 GB.
Target: none.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from pairs import Pairs

SETTINGS = {
    "source": "de",
    "target": "en",
    "variant": "small",
    "batch_tokens": 3_000,
    "epochs": 4,
}
# The digest hashes these names too: they must not change. LABELS holds the names shown.
CHANGES = {
    "as the variant is": {},
    "one direction": {"bidirectional": False},
    "one direction, source reversed": {"bidirectional": False, "reverse_source": True},
    "summary sets the first states only": {"context": False},
    "logits not tied": {"tied": False},
}
LABELS = {
    "as the variant is": "small variant, unchanged",
    "one direction": "unidirectional encoder",
    "one direction, source reversed": "unidirectional encoder, source reversed",
    "summary sets the first states only": "context vector only in the initial states",
    "logits not tied": "embedding and output weights not tied",
}


class Multi30kAblation(Pairs):
    """One row for each change."""

    def split_data(self, data: Path, seed: int) -> tuple[Any, Any]:
        from lstm_zoo.translation.corpus import read

        return read(data / "train", "de", "en").split(self.test_share, seed)

    def digest(self) -> str:
        hashed = super().digest() + json.dumps(CHANGES, sort_keys=True)
        return hashlib.sha256(hashed.encode()).hexdigest()[:8]

    def rows(self, data: Path, run: Path, seed: int, export_to: str | None) -> list[dict[str, str]]:
        rows = []
        for number, (name, changes) in enumerate(CHANGES.items()):
            export_dir = None if number else export_to  # only the unchanged network
            result = self.train_and_evaluate(
                data, run / f"change-{number}", seed, export_dir, **changes
            )
            row = self.row(data, seed, [result], network=LABELS[name])
            del row["peak GB"]  # one process trains all: its peak includes the earlier networks
            rows.append(row)
        return rows


RECIPE = Multi30kAblation(
    name="multi30k_ablation",
    guide=__doc__,
    read=Path,
    settings=SETTINGS,
    data="Multi30k German to English, 1,000 pairs of train as test set",
    validation_share=500 / 29_000,
    test_share=1_000 / 29_000,
)
main = RECIPE.command()

if __name__ == "__main__":
    main()
