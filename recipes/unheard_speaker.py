"""Speech recognition of digit strings by an unseen speaker, with and without data augmentation.

    python recipes/unheard_speaker.py --data LibriSpeech --run runs/unheard_speaker

Data: `train` of the digit strings of recipes/digits.py, five speakers. The utterances of one, by
seed (0: the first), are the test set; 10 % of the training data is validation data. Two networks
are trained: one with speed perturbation, SpecAugment and the same strings in synthetic voices
(eSpeak NG, the extra `demo`); the other, in `RUN-plain`, without augmentation.
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
    # A coarse spectrum: its details depend on the speaker, and there are few speakers.
    "features": "mfcc",
    "num_mfcc": 8,
    "tokens": "pieces",
    "vocabulary_size": 300,  # so that each digit is one token
    "speed": 0.25,
    "copies": 5,
    "time_mask_width": 8,
    "dropout": 0.3,
    "epochs": 25,
}
SYNTHETIC_COPIES = 1  # utterances in synthetic voices for each recorded one
# No augmentation; a setting that then has no effect is at its default.
PLAIN = {
    "speed": 0.0,
    "copies": 3,
    "time_masks": 0,
    "time_mask_width": None,
    "frequency_masks": 0,
}


class UnheardSpeaker(Recognition):
    """The test set is one speaker; a network trained without augmentation is evaluated too."""

    scores = {**Recognition.scores, "WER plain": "wer_plain", "CER plain": "cer_plain"}

    def split_data(self, data: Path, seed: int) -> tuple[Any, Any]:
        from lstm_zoo.speech.corpus import read

        return leave_out(read(data / "train"), seed)

    def digest(self) -> str:
        hashed = super().digest() + json.dumps([PLAIN, SYNTHETIC_COPIES], sort_keys=True)
        return hashlib.sha256(hashed.encode()).hexdigest()[:8]

    def train(self, training: Any, run: Path, seed: int, **others: Any) -> Any:
        if others != PLAIN:
            training = with_synthetic_voices(training, seed)
        return super().train(training, run, seed, **others)

    def train_and_evaluate(
        self, corpus: Any, run: Path, seed: int, export_to: str | None = None, **others: Any
    ) -> dict[str, Any]:
        from lstm_zoo.runs.environment import read_environment

        result = super().train_and_evaluate(corpus, run, seed, export_to, **others)
        plain = read_environment(_plain(run))
        return {
            **result,
            "training_seconds": result["training_seconds"] + plain["training_seconds"],
            "peak_memory_bytes": max(result["peak_memory_bytes"], plain["peak_memory_bytes"]),
        }

    def evaluate(self, pipeline: Any, training: Any, test: Any, seed: int) -> dict[str, float]:
        plain = self.train(training, _plain(pipeline.run), seed, **PLAIN)
        scores = plain.evaluate(test.columns, beam_width=1)
        return {
            **super().evaluate(pipeline, training, test, seed),
            "wer_plain": scores["wer"],
            "cer_plain": scores["cer"],
        }


def leave_out(corpus: Any, seed: int) -> tuple[Any, Any]:
    """Return the utterances of all speakers but one, by seed, and those of that one."""
    speakers = np.array(corpus.speakers)
    names = np.unique(speakers)
    left_out = speakers == names[seed % len(names)]
    return corpus.take(np.flatnonzero(~left_out)), corpus.take(np.flatnonzero(left_out))


def with_synthetic_voices(corpus: Any, seed: int) -> Any:
    """Add each utterance in a synthetic voice, with a pause after each digit."""
    from lstm_zoo.speech import demo
    from lstm_zoo.speech.corpus import read

    texts = corpus.texts * SYNTHETIC_COPIES
    clips, voices = demo.speak([", ".join(text.lower().split()) for text in texts], seed)
    return read((corpus.clips + clips, corpus.texts + texts, corpus.speakers + voices))


def _plain(run: Path) -> Path:
    """Return the run directory of the network trained without augmentation."""
    return run.with_name(run.name + "-plain")


RECIPE = UnheardSpeaker(
    name="unheard_speaker",
    guide=__doc__,
    read=Path,
    settings=SETTINGS,
    data="spoken digit strings, train; test set: one of five speakers",
    validation_share=0.1,
    test_share=0.0,
)
main = RECIPE.command()

if __name__ == "__main__":
    main()
