"""Recipes of translation."""

from typing import Any

from common import Recipe


class Pairs(Recipe):
    """A recipe of sentence pairs."""

    family = "translation"
    scores = {
        "BLEU greedy": "bleu_greedy",
        "BLEU beam": "bleu_beam",
        "chrF greedy": "chrf_greedy",
        "chrF beam": "chrf_beam",
        "perplexity": "perplexity",
    }

    def evaluate(self, pipeline: Any, training: Any, test: Any, seed: int) -> dict[str, float]:
        results = {}
        for name, width in (("greedy", 1), ("beam", None)):
            scores = pipeline.evaluate(test.columns, beam_width=width)
            results |= {f"bleu_{name}": scores["bleu"], f"chrf_{name}": scores["chrf"]}
        return {**results, "perplexity": scores["perplexity"]}
