"""Weights for networks that exports are tested with."""

import numpy as np


def randomized(model, seed=0):
    """Set all weights, biases too, to random values, so that a weight left out is noticed."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(0, 0.5, weight.shape) for weight in model.get_weights()])
    return model
