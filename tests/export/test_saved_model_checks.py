"""The checks of SavedModels, each on a small graph, signature or function made here."""

from base64 import b64encode

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from lstm_zoo.export import saved_model_checks as checks


def graph_of(*ops, function_ops=()):
    """A graph with nodes of these ops, some of them in a function that is called."""
    graph = tf.compat.v1.GraphDef()
    for number, op in enumerate(ops):
        graph.node.add(name=f"node_{number}", op=op)
    if function_ops:
        function = graph.library.function.add()
        function.signature.name = "__inference_serve_7"
        graph.node.add(name="call", op=function.signature.name)
        for number, op in enumerate(function_ops):
            function.node_def.add(name=f"inner_{number}", op=op)
    return graph


def test_op_types_are_those_of_functions_too_and_no_functions_names():
    graph = graph_of("Placeholder", "AddV2", "AddV2", function_ops=["MatMul", "Placeholder"])
    assert len(list(checks.nodes(graph))) == 6
    assert checks.op_types(graph) == ["AddV2", "MatMul", "Placeholder"]
    assert checks.op_types(graph_of()) == []


def test_a_graph_of_tensorflows_and_texts_ops_passes():
    import tensorflow_text  # noqa: F401  registers the op

    checks.check_graph(graph_of("Placeholder", function_ops=["BlockLSTMV2", "While"]))
    checks.check_graph(graph_of("SentencepieceTokenizeOp"))


@pytest.mark.parametrize(
    "op", [*checks.DENIED_OPS, "CudnnRNNV3", "CudnnRNNBackpropV3", "XlaLaunch"]
)
@pytest.mark.parametrize("inner", [False, True])
def test_an_op_that_a_server_can_not_run_is_refused(op, inner):
    graph = graph_of("AddV2", function_ops=["MatMul", op]) if inner else graph_of("AddV2", op)
    with pytest.raises(checks.Refused, match=f"ops that a server can't run: {op}\\.$"):
        checks.check_graph(graph)


@pytest.mark.parametrize("inner", [False, True])
def test_an_op_of_no_known_library_is_refused(inner):
    ops = ["ZOpOfMyOwn", "AddV2", "OpOfMyOwn"]
    graph = graph_of(function_ops=ops) if inner else graph_of(*ops)
    with pytest.raises(
        checks.Refused, match="neither TensorFlow nor tensorflow-text: OpOfMyOwn, ZOpOfMyOwn"
    ):
        checks.check_graph(graph)


def test_what_xla_must_compile_is_refused():
    graph = graph_of("AddV2", function_ops=["MatMul"])
    (function,) = graph.library.function
    holders = {
        "node_0": graph.node[0],
        "inner_0": function.node_def[0],
        function.signature.name: function,
    }
    for holder in holders.values():
        holder.attr["_XlaMustCompile"].b = False
    checks.check_graph(graph)
    for name, holder in holders.items():
        holder.attr["_XlaMustCompile"].b = True
        with pytest.raises(checks.Refused, match=f"must compile: {name}\\.$"):
            checks.check_graph(graph)
        holder.attr["_XlaMustCompile"].b = False


def signature_of(inputs, outputs):
    """A signature with tensors of these shapes, None of unknown rank."""
    signature = meta_graph_pb2.SignatureDef()
    for side, shapes in (("inputs", inputs), ("outputs", outputs)):
        for key, shape in shapes.items():
            tensor_shape = getattr(signature, side)[key].tensor_shape
            tensor_shape.unknown_rank = shape is None
            for size in shape or ():
                tensor_shape.dim.add(size=size)
    return signature


def test_open_batches_pass_and_tensorflows_own_signatures_are_ignored():
    checks.check_signatures(
        {
            "serving_default": signature_of(
                {"text": [-1]}, {"logits": [-1, 2], "tokens": [-1, -1]}
            ),
            "__saved_model_init_op": signature_of({}, {"init": None}),
        }
    )


@pytest.mark.parametrize(
    "shape, shown", [([1], "[1]"), ([], "[]"), (None, "[]"), ([8, -1], "[8, -1]")]
)
@pytest.mark.parametrize("side", ["input", "output"])
def test_a_batch_that_is_not_open_is_refused(side, shape, shown):
    shapes = {"input": {"text": [-1]}, "output": {"score": [-1]}}
    shapes[side]["other"] = shape
    signature = signature_of(shapes["input"], shapes["output"])
    with pytest.raises(checks.Refused) as refused:
        checks.check_signatures({"serve": signature})
    assert f"that of serve's {side} other is not open: its shape is {shown}." in str(refused.value)


def probe_of(inputs, outputs):
    def encoded(values):
        return {
            key: b64encode(tf.make_tensor_proto(value).SerializeToString()).decode()
            for key, value in values.items()
        }

    return {"inputs": encoded(inputs), "outputs": encoded(outputs)}


def check(expected, output):
    """Compare the only output of a function with the expected one."""
    probe = probe_of({"x": np.zeros(1, np.float32)}, {"y": expected})
    checks.check_outputs({"serve": lambda x: {"y": tf.constant(output)}}, {"serve": [probe]})


@pytest.mark.parametrize(
    "expected, output",
    [
        (np.float32([[1, -2]]), np.float32([[1 + 9e-5, -2]])),
        (np.float32([1e4]), np.float32([1e4 + 0.5])),  # relative to the value
        (np.float32([np.nan, -np.inf]), np.float32([np.nan, -np.inf])),
        (np.int32([[3]]), np.int32([[3]])),
        (np.array([b"\xff", b""], object), np.array([b"\xff", b""], object)),
        (np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32)),
    ],
)
def test_equal_outputs_pass(expected, output):
    check(expected, output)


@pytest.mark.parametrize(
    "expected, output",
    [
        (np.float32([1]), np.float32([1.001])),
        (np.float32([1]), np.float32([np.nan])),
        (np.float32([1]), np.float32([[1]])),
        (np.float32([1]), np.float64([1])),
        (np.int32([100_000]), np.int32([100_001])),
        (np.array([b"pos"], object), np.array([b"POS"], object)),
        (np.zeros((0, 2), np.float32), np.zeros((0, 3), np.float32)),
    ],
)
def test_other_outputs_are_refused(expected, output):
    with pytest.raises(
        checks.Refused, match="differ from the pipeline's: serve, output y, probe 0"
    ):
        check(expected, output)


def test_the_probe_is_named_and_its_inputs_are_cut():
    probes = [
        probe_of({"x": np.float32([number] * 200)}, {"y": np.float32([2 * number] * 200)})
        for number in (0, 1)
    ]

    def unequal_from_one(x):
        return {"y": 2 * x + tf.cast(x > 0.5, tf.float32), "unchecked": x}

    checks.check_outputs({"serve": unequal_from_one}, {"serve": probes[:1]})
    with pytest.raises(checks.Refused, match=r"output y, probe 1: {'x': '\[1\. 1\. ") as refused:
        checks.check_outputs({"serve": unequal_from_one}, {"serve": probes})
    assert len(str(refused.value)) < 150


def test_every_signature_is_checked():
    probe = probe_of({"x": np.float32([1])}, {"y": np.float32([1])})
    functions = {"right": lambda x: {"y": x}, "wrong": lambda x: {"y": -x}}
    with pytest.raises(checks.Refused, match="pipeline's: wrong, output y, probe 0"):
        checks.check_outputs(functions, {"right": [probe], "wrong": [probe]})


def test_a_meta_graph_is_read_with_its_ops_and_signatures(tmp_path):
    module = tf.Module()
    module.weight = tf.Variable([2.0, 3.0])
    module.serve = tf.function(
        lambda x: {"y": x * module.weight},
        input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")],
    )
    tf.saved_model.save(module, str(tmp_path), signatures=module.serve)
    meta_graph = checks.read_meta_graph(tmp_path)
    assert {"Mul", "ReadVariableOp"} <= set(checks.op_types(meta_graph.graph_def))
    assert meta_graph.signature_def["serving_default"].inputs["x"].tensor_shape.dim[1].size == 2
    checks.check_graph(meta_graph.graph_def)
    checks.check_signatures(meta_graph.signature_def)
    functions = tf.saved_model.load(str(tmp_path)).signatures
    probe = probe_of({"x": np.float32([[1, 1]])}, {"y": np.float32([[2, 3]])})
    checks.check_outputs(functions, {"serving_default": [probe]})
