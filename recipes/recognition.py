"""Recipes of speech recognition."""

from typing import Any

from common import Recipe


class Recognition(Recipe):
    """A recipe of transcribed speech; `read` gives what `lstm_zoo.speech.corpus.read` takes."""

    family = "speech"
    scores = {
        "WER greedy": "wer_greedy",
        "CER greedy": "cer_greedy",
        "WER beam": "wer_beam",
        "CER beam": "cer_beam",
    }

    def evaluate(self, pipeline: Any, rest: Any, report: Any, seed: int) -> dict[str, float]:
        found = {}
        for name, width in (("greedy", 1), ("beam", None)):
            scores = pipeline.evaluate(report.columns, beam_width=width)
            found |= {f"wer_{name}": scores["wer"], f"cer_{name}": scores["cer"]}
        return found
