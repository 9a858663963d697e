"""The checks that a SavedModel must pass, with TensorFlow and its text ops, without lstm_zoo.

`lstm_zoo.export.saved_model` runs this file as a program in a fresh process:

    PATH < PROBES

PROBES is JSON: signature → rows of "inputs" and "outputs" → name → `TensorProto` in base64. The
program prints as JSON why the export is refused, or null.
"""

import importlib.util
import json
import sys
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# What a server on another machine can't run: Python in the graph, local files, cuDNN, XLA.
DENIED_OPS = ("PyFunc", "PyFuncStateless", "EagerPyFunc", "ReadFile", "WriteFile")
DENIED_PREFIXES = ("Cudnn", "Xla")
MUST_COMPILE = "_XlaMustCompile"
TOLERANCE = 1e-4  # between float32 outputs of two processes


class Refused(Exception):
    """The export fails a check; the message names the op, the signature or the probe."""


def main() -> None:
    import tensorflow as tf

    if importlib.util.find_spec("tensorflow_text"):
        import tensorflow_text  # noqa: F401  registers the tokenizers' ops
    refused = None
    try:
        meta_graph = read_meta_graph(Path(sys.argv[1]))
        check_graph(meta_graph.graph_def)
        check_signatures(meta_graph.signature_def)
        check_outputs(tf.saved_model.load(sys.argv[1]).signatures, json.load(sys.stdin))
    except Refused as reason:
        refused = str(reason)
    print(json.dumps(refused))


def read_meta_graph(path: Path) -> Any:
    """Read a SavedModel's `MetaGraphDef`, which holds its graph and its signatures."""
    # Private API: tensorflow.core.protobuf, kept here since this runs without lstm_zoo (see
    # lstm_zoo/compat.py).
    from tensorflow.core.protobuf import saved_model_pb2

    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString((path / "saved_model.pb").read_bytes())
    if not saved_model.meta_graphs:
        raise ValueError("it holds no graph")
    return saved_model.meta_graphs[0]


def nodes(graph: Any) -> Iterator[Any]:
    """Yield the nodes of a `GraphDef` and of its functions."""
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def op_types(graph: Any) -> list[str]:
    """List the op types in a `GraphDef`, its functions included, sorted."""
    functions = {function.signature.name for function in graph.library.function}
    return sorted({node.op for node in nodes(graph)} - functions)


def check_graph(graph: Any) -> None:
    """Check that a server has every op, and that none must be compiled by XLA."""
    # Private API: tensorflow.python.framework.op_def_registry, kept here since this runs without
    # lstm_zoo (see lstm_zoo/compat.py).
    from tensorflow.python.framework import op_def_registry

    found = op_types(graph)
    denied = [op for op in found if op in DENIED_OPS or op.startswith(DENIED_PREFIXES)]
    if denied:
        raise Refused(f"The graph has ops that a server can't run: {', '.join(denied)}.")
    unknown = [op for op in found if op_def_registry.get(op) is None]
    if unknown:
        raise Refused(
            f"The graph has ops of neither TensorFlow nor tensorflow-text: {', '.join(unknown)}."
        )
    holders = [(f.signature.name, f) for f in graph.library.function]
    holders += [(node.name, node) for node in nodes(graph)]
    # Private API: the attribute _XlaMustCompile, of functions with jit_compile=True.
    compiled = sorted({name for name, holder in holders if holder.attr[MUST_COMPILE].b})
    if compiled:
        raise Refused(f"XLA, which a server lacks, must compile: {', '.join(compiled)}.")


def check_signatures(signatures: Mapping[str, Any]) -> None:
    """Check that the first dimension of every input and output is the batch, of open size."""
    for name, signature in signatures.items():
        if name.startswith("__"):  # TensorFlow's own, such as __saved_model_init_op
            continue
        for side in ("inputs", "outputs"):
            for key, info in getattr(signature, side).items():
                sizes = [dim.size for dim in info.tensor_shape.dim]
                if info.tensor_shape.unknown_rank or not sizes or sizes[0] != -1:
                    raise Refused(
                        f"A server concatenates and splits batches along the first dimension, but "
                        f"that of {name}'s {side[:-1]} {key} is not open: its shape is {sizes}."
                    )


def check_outputs(
    signatures: Mapping[str, Any], probes: Mapping[str, Sequence[Mapping[str, Mapping[str, str]]]]
) -> None:
    """Check that the signatures' outputs equal the pipeline's.

    Args:
        signatures: the loaded functions by name.
        probes: signature → rows of "inputs" and "outputs" → name → `TensorProto` in base64.
    """
    for name, rows in probes.items():
        for number, row in enumerate(rows):
            inputs = {key: _decode(text) for key, text in row["inputs"].items()}
            outputs = signatures[name](**inputs)
            for key, text in row["outputs"].items():
                if not _equal(_decode(text), outputs[key]):
                    shown = {key: str(value.numpy())[:60] for key, value in inputs.items()}
                    raise Refused(
                        f"The export's outputs differ from the pipeline's: {name}, output {key}, "
                        f"probe {number}: {shown}."
                    )


def _decode(text: str) -> Any:
    import tensorflow as tf

    # Private API: tensorflow.core.framework, kept here since this runs without lstm_zoo (see
    # lstm_zoo/compat.py).
    from tensorflow.core.framework import tensor_pb2

    return tf.constant(tf.make_ndarray(tensor_pb2.TensorProto.FromString(b64decode(text))))


def _equal(expected: Any, output: Any) -> bool:
    """Return whether two tensors are equal, floats within `TOLERANCE`."""
    import numpy as np

    expected, output = expected.numpy(), output.numpy()
    if expected.shape != output.shape or expected.dtype != output.dtype:
        return False
    if expected.dtype.kind != "f":
        return np.array_equal(expected, output)
    return np.allclose(expected, output, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)


if __name__ == "__main__":
    main()
