"""LiteRT export of a classifier: the network, from ids to logits."""

from typing import Any

import tensorflow as tf

from lstm_zoo.export.litert import Probes, Signature, probe_ids


def signatures(pipeline: Any, batch_size: int) -> dict[str, Signature]:
    """Return the function to convert; see `lstm_zoo.export.litert.export_litert`."""

    def classify(ids: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"logits": pipeline.model(ids)}

    ids = tf.TensorSpec([batch_size, None], tf.int32, "ids")
    return {"serving_default": Signature(classify, {"ids": ids})}


def probes(pipeline: Any, batch_size: int) -> Probes:
    """Return inputs to compare LiteRT with the network on, up to the maximum length."""
    ids = probe_ids(
        batch_size,
        pipeline.config["network"]["vocabulary_size"],
        pipeline.config["settings"]["max_length"],
    )
    return {"serving_default": [{"ids": array} for array in ids]}
