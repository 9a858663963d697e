"""LiteRT files: the numeric core of a pipeline, for phones and small boards, checked on LiteRT."""

import importlib.metadata
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import ai_edge_litert  # noqa: F401  so that it is missed here, before anything is done
import numpy as np
import tensorflow as tf

from lstm_zoo import compat, families
from lstm_zoo.errors import CallError, ExportError
from lstm_zoo.export import litert_checks
from lstm_zoo.export.saved_model import format_spec
from lstm_zoo.export.staging import check_writable, publish, run_checks, staging_directory
from lstm_zoo.files import write_json
from lstm_zoo.recurrent import portable_loops
from lstm_zoo.runs import cards
from lstm_zoo.runs.environment import versions
from lstm_zoo.text.tokenizers import PADDING

FILE = "model.tflite"

Probes = Mapping[str, list[dict[str, np.ndarray]]]  # by signature, its inputs by name


class Signature(NamedTuple):
    """A function of tensors by name to tensors by name, and the types that it is traced for.

    Of the shapes, the batch is fixed and the time is open.
    """

    function: Callable[..., dict[str, tf.Tensor]]
    inputs: dict[str, tf.TensorSpec]


def export_litert(
    pipeline: families.Pipeline, directory: str | os.PathLike, batch_size: int = 1
) -> Path:
    """Write the numeric core of a pipeline as a LiteRT (TensorFlow Lite) file.

    What stands before the core (tokenizer, features) and after it (decoding) is the caller's; the
    files that it needs of the run lie beside. The family's module `litert` says what the signatures
    are:

    - sentiment, `serving_default`: `ids` int32 `(batch, time)`, padded on the right with 0, to
      `logits` float32 `(batch, classes)`.
    - speech, `serving_default`: `features` float32 `(batch, frames, num_features)` and `lengths`
      int32 `(batch,)` to `logits` float32 `(batch, output frames, vocabulary)`.
    - translation, `encode`: `source`, ids as above, to `summary` and the decoder's first states;
      `step`: `ids` int32 `(batch,)`, `summary` and the states to `logits` float32 `(batch,
      vocabulary)` and the new states, of the same names.

    The time is open: a caller resizes the inputs, as LiteRT's signature runners do by themselves.
    The file is written beside and holds nothing but LiteRT's built-in ops. A fresh process that has
    neither TensorFlow nor `lstm_zoo` loads it in LiteRT and compares its answers with those of the
    pipeline's network; only then it is renamed to `directory/model.tflite`.

    Args:
        pipeline: a family's pipeline.
        directory: where `model.tflite` shall stand, with `card.json` and the files of the tokenizer
            or of the features.
        batch_size: the rows of a batch, fixed in the file.

    Returns:
        The path of `model.tflite`.

    Raises:
        CallError: if the directory can't be written, the file exists, or another file of a name
            that is needed does.
        ExportError: if the network can't be converted, or LiteRT has not all its ops or answers
            otherwise; nothing is left behind.

    Example:

    >>> export_litert(lstm_zoo.load("runs/imdb"), "exports/imdb")  # doctest: +SKIP
    PosixPath('exports/imdb/model.tflite')
    """
    directory = Path(directory)
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise CallError(f"batch_size is an integer of at least 1. Received: {batch_size!r}")
    check_writable(directory)
    if (directory / FILE).exists():
        raise CallError(f"{directory / FILE} exists already.")
    family = families.module(pipeline.config["family"], "litert")
    signatures = family.signatures(pipeline, batch_size)
    with staging_directory(directory) as staging, tempfile.TemporaryDirectory() as elsewhere:
        written, probes = staging / "written", Path(elsewhere) / "probes.npz"
        written.mkdir()
        model, described = _convert(pipeline.model, signatures)
        (written / FILE).write_bytes(model)
        np.savez(probes, **_probes(signatures, family.probes(pipeline, batch_size)))
        run_checks(litert_checks, [(written / FILE).absolute(), probes])
        pipeline.save_files(written)
        card = {
            **cards.describe(pipeline),
            "exported_with": {
                **versions(),
                "ai-edge-litert": importlib.metadata.version("ai-edge-litert"),
            },
            "signatures": described,
            "ops": litert_checks.read_ops(model),
        }
        write_json(written / cards.FILE, card)
        return publish(written, directory, FILE)


def probe_ids(batch_size: int, vocabulary_size: int, longest: int) -> list[np.ndarray]:
    """Draw ids to compare two networks on: whole rows, and rows padded on the right with 0.

    Args:
        batch_size: the rows of a batch.
        vocabulary_size: the number of ids, 0 included.
        longest: the most time steps.

    Returns:
        int32 arrays `(batch, time)` of several times, the longest among them.

    Example:

    >>> [ids.shape for ids in probe_ids(2, 100, 50)][::2]
    [(2, 1), (2, 2), (2, 17), (2, 50)]
    """
    generator = np.random.default_rng(0)
    drawn = []
    for time in (1, 2, 17, longest):
        for least in (time, 0):  # a row may be of padding alone
            lengths = generator.integers(least, time + 1, (batch_size, 1))
            ids = generator.integers(1, vocabulary_size, (batch_size, time), np.int32)
            drawn.append(np.where(np.arange(time) < lengths, ids, PADDING).astype(np.int32))
    return drawn


def _convert(
    network: tf.Module, signatures: Mapping[str, Signature]
) -> tuple[bytes, dict[str, dict[str, dict[str, str]]]]:
    """Trace the signatures on portable loops and convert them; describe their types too."""
    module = tf.Module()
    # What the signatures capture must hang on the module, or it is not saved.
    module.network_variables = [variable.value for variable in network.weights]
    try:
        with portable_loops():
            traced = {
                name: tf.function(function, autograph=False).get_concrete_function(**inputs)
                for name, (function, inputs) in signatures.items()
            }
        with tempfile.TemporaryDirectory() as staging:
            tf.saved_model.save(module, staging, signatures=traced)
            converter = tf.lite.TFLiteConverter.from_saved_model(staging, signature_keys=[*traced])
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
            # Else weights stay variables, which LiteRT finds without a value.
            converter.experimental_enable_resource_variables = False
            compat.update_slices_in_place(converter)
            model = converter.convert()
    except Exception as error:  # of whatever kind: the converter says no in many
        raise ExportError(f"The network can't be converted for LiteRT: {_reason(error)}") from error
    described = {
        name: {
            "inputs": {key: format_spec(spec) for key, spec in sorted(inputs.items())},
            "outputs": {
                key: format_spec(tf.TensorSpec.from_tensor(tensor))
                for key, tensor in sorted(traced[name].structured_outputs.items())
            },
        }
        for name, (_, inputs) in signatures.items()
    }
    return model, described


def _reason(error: Exception) -> str:
    """Say in a line what a converter means."""
    text = str(error)
    if lacking := sorted({*re.findall(r"'(tf\.\w+)' op is neither a custom op", text)}):
        return f"LiteRT has no {', '.join(lacking)}."
    return " ".join(text.split())[:500] or repr(error)


def _probes(signatures: Mapping[str, Signature], probes: Probes) -> dict[str, np.ndarray]:
    """Name the arrays of the probes and of the network's own answers, as the check reads them."""
    arrays = {}
    for name, (function, specifications) in signatures.items():
        network = tf.function(function, autograph=False).get_concrete_function(**specifications)
        for number, inputs in enumerate(probes[name]):
            answers = network(**{key: tf.constant(array) for key, array in inputs.items()})
            for side, tensors in (("inputs", inputs), ("outputs", answers)):
                for key, tensor in tensors.items():
                    arrays[f"{name}/{number}/{side}/{key}"] = np.asarray(tensor)
    return arrays
