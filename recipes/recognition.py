"""Recipes of speech recognition."""

from typing import Any

from common import Recipe


class Recognition(Recipe):
    """A recipe of transcribed speech; `read` returns what `lstm_zoo.speech.corpus.read` takes."""

    family = "speech"
    scores = {
        "WER greedy": "wer_greedy",
        "CER greedy": "cer_greedy",
        "WER beam": "wer_beam",
        "CER beam": "cer_beam",
    }

    def evaluate(self, pipeline: Any, training: Any, test: Any, seed: int) -> dict[str, float]:
        results = {}
        for name, width in (("greedy", 1), ("beam", None)):
            scores = pipeline.evaluate(test.columns, beam_width=width)
            results |= {f"wer_{name}": scores["wer"], f"cer_{name}": scores["cer"]}
        return results
