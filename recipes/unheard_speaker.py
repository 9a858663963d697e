"""Spoken digit strings by a speaker who was never heard in training, with varied clips or without.

    python recipes/unheard_speaker.py --data LibriSpeech --run runs/unheard_speaker

Data: `train` of the digit strings of recipes/digits.py, five speakers. Each seed leaves one of them
out, seed 0 the first, and reports on all that this one says. 10 % of the others' strings chooses
the epoch, the rest is trained on. A second run, `RUN-plain`, trains on the clips as they are,
without varied speed, noise and SpecAugment's masks; its WER stands in the row beside.
Cost: on two cores about 2 times 10 minutes and 2 GB.
Target: a word error rate of 10 % with greedy decoding.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from recognition import Recognition

SETTINGS = {"speed": 0.2, "noise": 5.0, "copies": 5, "dropout": 0.3}
PLAIN = {"speed": 0.0, "noise": None, "time_masks": 0, "frequency_masks": 0}


class UnheardSpeaker(Recognition):
    """The report part is all that one speaker says; a plain training is judged beside."""

    scores = {**Recognition.scores, "WER plain": "wer_plain", "CER plain": "cer_plain"}

    def parts(self, data: Path, seed: int) -> tuple[Any, Any]:
        from lstm_zoo.speech.corpus import read

        whole = read(data / "train")
        speakers = np.array(whole.speakers)
        left_out = speakers == np.unique(speakers)[seed % len(np.unique(speakers))]
        return whole.take(np.flatnonzero(~left_out)), whole.take(np.flatnonzero(left_out))

    def digest(self) -> str:
        made_of = super().digest() + json.dumps(PLAIN, sort_keys=True)
        return hashlib.sha256(made_of.encode()).hexdigest()[:8]

    def score(
        self, corpus: Any, place: Path, seed: int, export_to: str | None = None, **others: Any
    ) -> dict[str, Any]:
        from lstm_zoo import runs

        found = super().score(corpus, place, seed, export_to, **others)
        plain = runs.read_environment(_plain(place))
        return {
            **found,
            "training_seconds": found["training_seconds"] + plain["training_seconds"],
            "peak_memory_bytes": max(found["peak_memory_bytes"], plain["peak_memory_bytes"]),
        }

    def judge(self, pipeline: Any, rest: Any, report: Any, seed: int) -> dict[str, float]:
        plain = self.train(rest, _plain(pipeline.run), seed, **PLAIN)
        scores = plain.evaluate(report.columns, beam_width=1)
        return {
            **super().judge(pipeline, rest, report, seed),
            "wer_plain": scores["wer"],
            "cer_plain": scores["cer"],
        }


def _plain(run: Path) -> Path:
    """Name the run that is trained without variation."""
    return run.with_name(run.name + "-plain")


RECIPE = UnheardSpeaker(
    name="unheard_speaker",
    guide=__doc__,
    read=Path,
    settings=SETTINGS,
    data="spoken digit strings, train, four speakers; the fifth reported on",
    validation_share=0.1,
    report_share=0.0,
)
main = RECIPE.command()

if __name__ == "__main__":
    main()
