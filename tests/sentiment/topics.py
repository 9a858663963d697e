"""Synthetic texts of several labels: each topic has words of its own, and a text 0 to 3 topics."""

import numpy as np

TOPICS = {
    "art": ["painting", "museum", "sculpture", "gallery"],
    "law": ["court", "judge", "statute", "lawyer"],
    "sport": ["football", "goal", "referee", "stadium"],
}
OTHERS = ["the", "a", "new", "old", "in", "of", "with", "for", "today", "report", "says"]


def topics(count, seed):
    """Return texts, and their labels with "|" between them."""
    generator = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(count):
        chosen = [name for name in TOPICS if generator.random() < 0.4]
        words = [str(generator.choice(OTHERS)) for _ in range(5)]
        words += [str(generator.choice(TOPICS[name])) for name in chosen]
        texts.append(" ".join(generator.permutation(words)))
        labels.append("|".join(chosen))
    return texts, labels
