"""A translator in LiteRT: the encoder, and one step of the decoder."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from lstm_zoo.export.litert import Probes, Signature, probe_ids
from lstm_zoo.translation.model import encoder


def signatures(pipeline: Any, batch_size: int) -> dict[str, Signature]:
    """Return the functions to convert, by signature name: `encode` and `step`.

    Args:
        pipeline: a translation pipeline.
        batch_size: the fixed number of rows.

    Returns:
        `encode`: from `source` int32 `(batch, time)` to `summary`, the context vector float32
        `(batch, width)`, and the decoder's initial states float32 `(batch, units)`: `hidden_1`,
        for an LSTM `cell_1`, and likewise for further layers.
        `step`: from `ids` int32 `(batch,)`, `summary` and the states to `logits` float32 `(batch,
        target_vocabulary_size)` and the new states under the same names.
    """
    encode_source, decoder = encoder(pipeline.model), pipeline.model.get_layer("decoder")
    names = decoder.state_widths

    def encode(source: tf.Tensor) -> dict[str, tf.Tensor]:
        context = encode_source(source)
        return {"summary": context, **_named(names, decoder.initial_states(context))}

    # The parameter `summary` is the name of the file's input.

    def step(ids: tf.Tensor, summary: tf.Tensor, **states: tf.Tensor) -> dict[str, tf.Tensor]:
        layers = [[states[name] for name in row] for row in names]
        logits, new = decoder.step(ids, summary, layers)
        return {"logits": logits, **_named(names, new)}

    _, context = decoder.input
    widths = {"summary": context.shape[-1]}
    for row in names:
        widths |= row
    state_specs = {
        name: tf.TensorSpec([batch_size, width], tf.float32, name) for name, width in widths.items()
    }
    return {
        "encode": Signature(
            encode, {"source": tf.TensorSpec([batch_size, None], tf.int32, "source")}
        ),
        "step": Signature(
            step, {"ids": tf.TensorSpec([batch_size], tf.int32, "ids"), **state_specs}
        ),
    }


def probes(pipeline: Any, batch_size: int) -> Probes:
    """Return inputs by signature, up to `max_length`, to compare LiteRT's outputs on."""
    sizes = pipeline.config["network"]
    sources = probe_ids(
        batch_size,
        sizes["source_vocabulary_size"],
        pipeline.config["settings"]["max_length"] + 1,  # and the end token
    )
    generator = np.random.default_rng(0)
    _, step = signatures(pipeline, batch_size).values()
    steps = [
        {
            name: generator.integers(1, sizes["target_vocabulary_size"], spec.shape, np.int32)
            if name == "ids"
            else np.tanh(generator.normal(size=spec.shape)).astype(np.float32)
            for name, spec in step.inputs.items()
        }
        for _ in range(4)
    ]
    return {"encode": [{"source": source} for source in sources], "step": steps}


def _named(
    names: Sequence[Mapping[str, int]], states: Sequence[Sequence[tf.Tensor]]
) -> dict[str, tf.Tensor]:
    """Return the states of all layers by name."""
    return {
        name: state
        for row, layer in zip(names, states, strict=True)
        for name, state in zip(row, layer, strict=True)
    }
