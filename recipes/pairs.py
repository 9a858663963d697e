"""Recipes of translation."""

from typing import Any

from common import Recipe


class Pairs(Recipe):
    """A recipe of translated sentences."""

    family = "translation"
    scores = {
        "BLEU greedy": "bleu_greedy",
        "BLEU beam": "bleu_beam",
        "chrF greedy": "chrf_greedy",
        "chrF beam": "chrf_beam",
        "perplexity": "perplexity",
    }

    def evaluate(self, pipeline: Any, rest: Any, report: Any, seed: int) -> dict[str, float]:
        found = {}
        for name, width in (("greedy", 1), ("beam", None)):
            scores = pipeline.evaluate(report.columns, beam_width=width)
            found |= {f"bleu_{name}": scores["bleu"], f"chrf_{name}": scores["chrf"]}
        return {**found, "perplexity": scores["perplexity"]}
