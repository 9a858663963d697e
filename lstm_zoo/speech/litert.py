"""LiteRT export of a recognizer: the network, from features to logits."""

from typing import Any

import numpy as np
import tensorflow as tf

from lstm_zoo.export.litert import Probes, Signature

FRAMES = (1, 2, 20, 300)


def signatures(pipeline: Any, batch_size: int) -> dict[str, Signature]:
    """Return the function to convert; see `lstm_zoo.export.litert.export_litert`."""

    def recognize(features: tf.Tensor, lengths: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"logits": pipeline.model([features, lengths])}

    num_features = pipeline.config["network"]["num_features"]
    inputs = {
        "features": tf.TensorSpec([batch_size, None, num_features], tf.float32, "features"),
        "lengths": tf.TensorSpec([batch_size], tf.int32, "lengths"),
    }
    return {"serving_default": Signature(recognize, inputs)}


def probes(pipeline: Any, batch_size: int) -> Probes:
    """Return inputs, padded with noise, to compare LiteRT with the network on."""
    generator = np.random.default_rng(0)
    num_features = pipeline.config["network"]["num_features"]
    return {
        "serving_default": [
            {
                "features": generator.normal(size=(batch_size, frames, num_features)).astype("f"),
                "lengths": generator.integers(min_length, frames + 1, batch_size, np.int32),
            }
            for frames in FRAMES
            for min_length in (frames, 0)
        ]
    }
