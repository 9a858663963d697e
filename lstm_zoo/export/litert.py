"""Export to LiteRT (TensorFlow Lite), for phones and small boards."""

import importlib.metadata
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import ai_edge_litert  # noqa: F401  if the extra is missing, fails here, before any work
import numpy as np
import tensorflow as tf

from lstm_zoo import compat, families
from lstm_zoo.errors import ExportError
from lstm_zoo.export import formats, litert_checks
from lstm_zoo.export.saved_model import format_spec
from lstm_zoo.export.staging import publish, run_checks, staging_directory
from lstm_zoo.files import user_path, write_json
from lstm_zoo.recurrent import portable_loops
from lstm_zoo.runs import cards
from lstm_zoo.runs.environment import versions
from lstm_zoo.text.tokenizers import PADDING

FILE = "model.tflite"

Probes = Mapping[str, list[dict[str, np.ndarray]]]  # signature → inputs by name


class Signature(NamedTuple):
    """A function to convert.

    Attributes:
        function: from input tensors by name to output tensors by name.
        inputs: the types it is traced for; the batch size is fixed, the number of time steps open.
    """

    function: Callable[..., dict[str, tf.Tensor]]
    inputs: dict[str, tf.TensorSpec]


def export_litert(
    pipeline: families.Pipeline, directory: str | os.PathLike, batch_size: int = 1
) -> Path:
    """Export the network of a pipeline to a LiteRT (TensorFlow Lite) file.

    Preprocessing (tokenizer, features) and decoding are left to the caller; the files that they
    need are written to the same directory. The family's module `litert` declares the signatures:

    - sentiment, `serving_default`: `ids` int32 `(batch, time)`, right-padded with 0, to `logits`
      float32 `(batch, classes)`.
    - speech, `serving_default`: `features` float32 `(batch, frames, num_features)` and `lengths`
      int32 `(batch,)` to `logits` float32 `(batch, output frames, vocabulary)`.
    - translation, `encode`: `source`, ids as above, to the context vector `summary` and the
      decoder's initial states; `step`: `ids` int32 `(batch,)`, `summary` and the states to `logits`
      float32 `(batch, vocabulary)` and the new states, under the same names.

    The number of time steps is open: resize the inputs, as LiteRT's signature runners do by
    themselves. All ops are built into LiteRT. Before the file is moved to `directory/model.tflite`,
    a fresh process without TensorFlow and `lstm_zoo` compares its outputs with the network's.

    Args:
        pipeline: a family's pipeline.
        directory: where to write `model.tflite`, `card.json`, and the files of the tokenizer or of
            the features.
        batch_size: the number of examples in a batch, fixed in the file.

    Returns:
        The path of `model.tflite`.

    Raises:
        CallError: if the directory can't be written, the file exists, or a file of another export
            is in the way.
        ExportError: if the network can't be converted, or LiteRT lacks an op or gives other
            outputs; nothing is left behind.

    Example:

    >>> export_litert(lstm_zoo.load("runs/imdb"), "exports/imdb")
    PosixPath('exports/imdb/model.tflite')
    """
    directory = user_path(directory)
    formats.check(directory, "litert", batch_size=batch_size)
    family = families.module(pipeline.config["family"], "litert")
    signatures = family.signatures(pipeline, batch_size)
    with staging_directory(directory) as staging:
        staged, probes = staging / "export", staging / "probes.npz"
        staged.mkdir()
        model, types = _convert(pipeline.model, signatures)
        (staged / FILE).write_bytes(model)
        np.savez(probes, **_evaluate_probes(signatures, family.probes(pipeline, batch_size)))
        run_checks(litert_checks, [(staged / FILE).absolute(), probes.absolute()])
        pipeline.save_files(staged)
        card = {
            **cards.describe(pipeline),
            "exported_with": {
                **versions(),
                "ai-edge-litert": importlib.metadata.version("ai-edge-litert"),
            },
            "signatures": types,
            "ops": litert_checks.read_ops(model),
        }
        write_json(staged / cards.FILE, card)
        return publish(staged, directory, FILE)


def probe_ids(batch_size: int, vocabulary_size: int, max_time: int) -> list[np.ndarray]:
    """Draw random ids, full and right-padded, to compare the outputs of two networks on.

    Args:
        batch_size: the number of rows.
        vocabulary_size: the number of ids, the padding id 0 included.
        max_time: the maximum number of time steps.

    Returns:
        int32 arrays `(batch_size, time)` of several numbers of time steps, up to `max_time`.

    Example:

    >>> [ids.shape for ids in probe_ids(2, 100, 50)][::2]
    [(2, 1), (2, 2), (2, 17), (2, 50)]
    """
    generator = np.random.default_rng(0)
    probes = []
    for time in (1, 2, 17, max_time):
        for min_length in (time, 0):  # a row may be padding only
            lengths = generator.integers(min_length, time + 1, (batch_size, 1))
            ids = generator.integers(1, vocabulary_size, (batch_size, time), np.int32)
            probes.append(np.where(np.arange(time) < lengths, ids, PADDING).astype(np.int32))
    return probes


def _convert(
    network: tf.Module, signatures: Mapping[str, Signature]
) -> tuple[bytes, dict[str, dict[str, dict[str, str]]]]:
    """Convert the signatures, traced with the portable loops.

    Returns:
        The bytes of the LiteRT file, and signature → "inputs" and "outputs" → name → type.
    """
    module = tf.Module()
    # Variables that signatures capture are saved only if they are attributes of the module.
    module.network_variables = [variable.value for variable in network.weights]
    try:
        with portable_loops():
            traced = {
                name: tf.function(function, autograph=False).get_concrete_function(**inputs)
                for name, (function, inputs) in signatures.items()
            }
        with tempfile.TemporaryDirectory() as temporary:
            tf.saved_model.save(module, temporary, signatures=traced)
            converter = tf.lite.TFLiteConverter.from_saved_model(
                temporary, signature_keys=[*traced]
            )
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
            # Otherwise weights stay variables, which LiteRT finds uninitialized.
            converter.experimental_enable_resource_variables = False
            compat.update_slices_in_place(converter)
            model = converter.convert()
    except Exception as error:  # the converter raises errors of many types
        raise ExportError(f"The network can't be converted for LiteRT: {_reason(error)}") from error
    types = {
        name: {
            "inputs": {key: format_spec(spec) for key, spec in sorted(inputs.items())},
            "outputs": {
                key: format_spec(tf.TensorSpec.from_tensor(tensor))
                for key, tensor in sorted(traced[name].structured_outputs.items())
            },
        }
        for name, (_, inputs) in signatures.items()
    }
    return model, types


def _reason(error: Exception) -> str:
    """Summarize a converter's error in one line."""
    text = str(error)
    if missing := sorted({*re.findall(r"'(tf\.\w+)' op is neither a custom op", text)}):
        return f"LiteRT has no {', '.join(missing)}."
    return " ".join(text.split())[:500] or repr(error)


def _evaluate_probes(signatures: Mapping[str, Signature], probes: Probes) -> dict[str, np.ndarray]:
    """Return the probes and the network's outputs, named as `litert_checks` reads them."""
    arrays = {}
    for name, (function, types) in signatures.items():
        network = tf.function(function, autograph=False).get_concrete_function(**types)
        for number, inputs in enumerate(probes[name]):
            outputs = network(**{key: tf.constant(array) for key, array in inputs.items()})
            for side, tensors in (("inputs", inputs), ("outputs", outputs)):
                for key, tensor in tensors.items():
                    arrays[f"{name}/{number}/{side}/{key}"] = np.asarray(tensor)
    return arrays
