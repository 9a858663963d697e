"""Spoken digit strings by a speaker who was never heard in training, with varied clips or without.

    python recipes/unheard_speaker.py --data LibriSpeech --run runs/unheard_speaker

Data: `train` of the digit strings of recipes/digits.py, five speakers. Each seed leaves one of them
out, seed 0 the first, and reports on all that this one says. 10 % of the training part chooses the
epoch. Of two trainings, one has the clips at varied speed, with SpecAugment's masks, and beside
them the same strings in synthetic voices (eSpeak NG, the extra `demo`); the other, `RUN-plain`, the
clips as they are. Its WER stands in the row beside.
Cost: on two cores about 6 minutes for both trainings and 3 GB.
Target: a word error rate of 10 % with greedy decoding.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from recognition import Recognition

SETTINGS = {
    "sample_rate": 8_000,
    # A coarse spectrum: a voice is in the details, and there are few voices to learn from.
    "features": "mfcc",
    "num_mfcc": 8,
    "tokens": "pieces",
    "vocabulary_size": 300,  # a digit is a piece
    "speed": 0.25,
    "copies": 5,
    "time_mask_width": 8,
    "dropout": 0.3,
    "epochs": 25,
}
SAYINGS = 1  # of each string in synthetic voices
# Nothing varies; what would then have no effect is left at its default.
PLAIN = {
    "speed": 0.0,
    "copies": 3,
    "time_masks": 0,
    "time_mask_width": None,
    "frequency_masks": 0,
}


class UnheardSpeaker(Recognition):
    """The report part is all that one speaker says; a plain training is judged beside."""

    scores = {**Recognition.scores, "WER plain": "wer_plain", "CER plain": "cer_plain"}

    def parts(self, data: Path, seed: int) -> tuple[Any, Any]:
        from lstm_zoo.speech.corpus import read

        whole = read(data / "train")
        speakers = np.array(whole.speakers)
        names = np.unique(speakers)
        left_out = speakers == names[seed % len(names)]
        return whole.take(np.flatnonzero(~left_out)), whole.take(np.flatnonzero(left_out))

    def digest(self) -> str:
        made_of = super().digest() + json.dumps([PLAIN, SAYINGS], sort_keys=True)
        return hashlib.sha256(made_of.encode()).hexdigest()[:8]

    def train(self, rest: Any, run: Path, seed: int, **others: Any) -> Any:
        if others != PLAIN:
            rest = _with_synthetic_voices(rest, seed)
        return super().train(rest, run, seed, **others)

    def score(
        self, corpus: Any, place: Path, seed: int, export_to: str | None = None, **others: Any
    ) -> dict[str, Any]:
        from lstm_zoo.runs.environment import read_environment

        found = super().score(corpus, place, seed, export_to, **others)
        plain = read_environment(_plain(place))
        return {
            **found,
            "training_seconds": found["training_seconds"] + plain["training_seconds"],
            "peak_memory_bytes": max(found["peak_memory_bytes"], plain["peak_memory_bytes"]),
        }

    def evaluate(self, pipeline: Any, rest: Any, report: Any, seed: int) -> dict[str, float]:
        plain = self.train(rest, _plain(pipeline.run), seed, **PLAIN)
        scores = plain.evaluate(report.columns, beam_width=1)
        return {
            **super().evaluate(pipeline, rest, report, seed),
            "wer_plain": scores["wer"],
            "cer_plain": scores["cer"],
        }


def _with_synthetic_voices(corpus: Any, seed: int) -> Any:
    """Add each string as synthetic voices say it, with a pause behind each digit."""
    from lstm_zoo.speech import demo
    from lstm_zoo.speech.corpus import read

    texts = corpus.texts * SAYINGS
    clips, voices = demo.speak([", ".join(text.lower().split()) for text in texts], seed)
    return read((corpus.clips + clips, corpus.texts + texts, corpus.speakers + voices))


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
    test_share=0.0,
)
main = RECIPE.command()

if __name__ == "__main__":
    main()
