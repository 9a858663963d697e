"""What an export must pass, in a fresh process that has no lstm_zoo: TensorFlow and its text ops.

`lstm_zoo.export.saved_model` runs this file as a program of its own. It reads from standard input
what each signature must answer, and prints as JSON why the export is refused, null if it is not.
"""

import importlib.util
import json
import sys
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# What a server on another machine can't run: Python inside the graph, files, cuDNN's kernels.
DENIED_OPS = ("PyFunc", "PyFuncStateless", "EagerPyFunc", "ReadFile", "WriteFile")
DENIED_PREFIXES = ("Cudnn", "Xla")
MUST_COMPILE = "_XlaMustCompile"
TOLERANCE = 1e-4  # between float32 answers of two processes


class Refused(Exception):
    """The export does not pass; the message says which op, which signature or which probe."""


def main() -> None:
    import tensorflow as tf

    if importlib.util.find_spec("tensorflow_text"):
        import tensorflow_text  # noqa: F401  registers the tokenizers' ops
    refused = None
    try:
        meta_graph = read_meta_graph(Path(sys.argv[1]))
        check_graph(meta_graph.graph_def)
        check_signatures(meta_graph.signature_def)
        check_answers(tf.saved_model.load(sys.argv[1]).signatures, json.load(sys.stdin))
    except Refused as reason:
        refused = str(reason)
    print(json.dumps(refused))


def read_meta_graph(path: Path) -> Any:
    """Read a SavedModel's graph and signatures, a `MetaGraphDef`."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString((path / "saved_model.pb").read_bytes())
    return saved_model.meta_graphs[0]


def nodes(graph: Any) -> Iterator[Any]:
    """Go through the nodes of a `GraphDef` and of its functions."""
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def kinds(graph: Any) -> list[str]:
    """List the kinds of ops in a `GraphDef`, its functions included, sorted."""
    functions = {function.signature.name for function in graph.library.function}
    return sorted({node.op for node in nodes(graph)} - functions)


def check_graph(graph: Any) -> None:
    """Make sure that every op is one that a server has, and none needs XLA."""
    from tensorflow.python.framework import op_def_registry

    found = kinds(graph)
    denied = [op for op in found if op in DENIED_OPS or op.startswith(DENIED_PREFIXES)]
    if denied:
        raise Refused(f"The graph holds ops that a server can't run: {', '.join(denied)}.")
    unknown = [op for op in found if op_def_registry.get(op) is None]
    if unknown:
        raise Refused(
            f"The graph holds ops of neither TensorFlow nor tensorflow-text: {', '.join(unknown)}."
        )
    holders = [(f.signature.name, f) for f in graph.library.function]
    holders += [(node.name, node) for node in nodes(graph)]
    compiled = sorted({name for name, holder in holders if holder.attr[MUST_COMPILE].b})
    if compiled:
        raise Refused(f"XLA, which a server lacks, must compile: {', '.join(compiled)}.")


def check_signatures(signatures: Mapping[str, Any]) -> None:
    """Make sure that the batch, of any size, is the first dimension of all that goes in and out."""
    for name, signature in signatures.items():
        if name.startswith("__"):  # TensorFlow's own, such as __saved_model_init_op
            continue
        for side in ("inputs", "outputs"):
            for key, info in getattr(signature, side).items():
                sizes = [dim.size for dim in info.tensor_shape.dim]
                if info.tensor_shape.unknown_rank or not sizes or sizes[0] != -1:
                    raise Refused(
                        f"A server joins and cuts batches along the first dimension; that of "
                        f"{name}'s {side[:-1]} {key} is not open: its shape is {sizes}."
                    )


def check_answers(
    signatures: Mapping[str, Any], probes: Mapping[str, Sequence[Mapping[str, Mapping[str, str]]]]
) -> None:
    """Make sure that the signatures answer what the pipeline answered.

    Args:
        signatures: the loaded functions by name.
        probes: by signature, rows of "inputs" and "outputs", each a base64 TensorProto by name.
    """
    for name, rows in probes.items():
        for number, row in enumerate(rows):
            inputs = {key: _tensor(text) for key, text in row["inputs"].items()}
            answers = signatures[name](**inputs)
            for key, text in row["outputs"].items():
                if not _alike(_tensor(text), answers[key]):
                    shown = {key: str(value.numpy())[:60] for key, value in inputs.items()}
                    raise Refused(
                        f"The export answers otherwise than the pipeline: {name}, output {key}, "
                        f"probe {number}: {shown}."
                    )


def _tensor(text: str) -> Any:
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    return tf.constant(tf.make_ndarray(tensor_pb2.TensorProto.FromString(b64decode(text))))


def _alike(expected: Any, answer: Any) -> bool:
    import numpy as np

    expected, answer = expected.numpy(), answer.numpy()
    if expected.shape != answer.shape or expected.dtype != answer.dtype:
        return False
    if expected.dtype.kind != "f":
        return np.array_equal(expected, answer)
    return np.allclose(expected, answer, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)


if __name__ == "__main__":
    main()
