"""The checks of ONNX files, on a graph that doubles its input."""

import json
import sys

import numpy as np
import onnx
import pytest

from lstm_zoo.export.onnx_checks import Refused, check, main

X = np.array([[1, 2], [-3, 0.5]], np.float32)


@pytest.fixture
def path(tmp_path):
    return save(tmp_path / "model.onnx", "Add", "x", "x")


def save(path, op, *inputs):
    """Write a model whose output `y` is an operator of the input `x`."""
    tensor = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(op, inputs, ["y"])],
        "example",
        [tensor("x", onnx.TensorProto.FLOAT, ["batch", 2])],
        [tensor("y", onnx.TensorProto.FLOAT, ["batch", 2])],
    )
    opset = onnx.helper.make_opsetid("", 18)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return path


def probes(*expected):
    """Name the arrays of probes whose input is `X`."""
    arrays = {}
    for number, array in enumerate(expected):
        arrays |= {f"{number}/inputs/x": X, f"{number}/outputs/y": array}
    return arrays


@pytest.mark.parametrize("mode", ["exact", "near"])
def test_equal_outputs_pass(path, mode):
    check(path, probes(2 * X, 2 * X), mode)


@pytest.mark.parametrize("mode", ["exact", "near"])
@pytest.mark.parametrize(
    "expected, shape_and_type",
    [
        (2 * X[:1], r"float32\[1, 2\]"),
        (2 * X[:, :, np.newaxis], r"float32\[2, 2, 1\]"),
        (2 * X.astype(np.float64), r"float64\[2, 2\]"),
        ((2 * X).astype(np.int32), r"int32\[2, 2\]"),
    ],
)
def test_another_shape_or_dtype_is_refused(path, mode, expected, shape_and_type):
    message = (
        rf"^model\.onnx: output y of probe 1 is float32\[2, 2\], the network's {shape_and_type}"
    )
    with pytest.raises(Refused, match=message + r"\.$"):
        check(path, probes(2 * X, expected), mode)


def test_exact_allows_1e_4(path):
    check(path, probes(2 * X + 5e-5), "exact")
    with pytest.raises(Refused, match=r": output y, probe 1, by up to 0\.001\.$"):
        check(path, probes(2 * X, 2 * X + np.float32(1e-3)), "exact")
    one_value_off = 2 * X
    one_value_off[1, 0] += 0.25
    with pytest.raises(Refused, match=r": output y, probe 0, by up to 0\.25\.$"):
        check(path, probes(one_value_off, 2 * X), "exact")


def test_near_allows_a_tenth_of_the_root_mean_square(path):
    for error in (0.09, -0.09):
        check(path, probes(2 * X / np.float32(1 + error)), "near")
    with pytest.raises(
        Refused, match=r": output y, by 0\.11 of its root mean square; at most 0\.1"
    ):
        check(path, probes(2 * X / np.float32(1.11)), "near")
    # Errors are averaged over all probes.
    check(path, probes(2 * X / np.float32(1.11), 2 * X, 2 * X), "near")


@pytest.mark.parametrize("mode", ["exact", "near"])
def test_nan_is_compared_in_outputs_only(path, tmp_path, mode):
    expected = 2 * X
    expected[0] = np.nan
    check(path, probes(expected), mode)
    root = save(tmp_path / "root.onnx", "Sqrt", "x")  # NaN at -3
    with pytest.raises(Refused, match="root.onnx: outputs differ from the network's: output y"):
        check(root, probes(np.sqrt(np.abs(X))), mode)


def test_invalid_onnx_is_refused(tmp_path):
    path = save(tmp_path / "model.onnx", "NoSuchOperator", "x")
    with pytest.raises(onnx.checker.ValidationError, match="NoSuchOperator"):
        check(path, probes(2 * X), "exact")


@pytest.mark.parametrize(
    "expected, mode, message",
    [
        (2 * X, "exact", None),
        (2 * X + np.float32(0.01), "near", None),
        (
            2 * X + np.float32(0.01),
            "exact",
            "double.onnx: outputs differ from the network's: output y, probe 0, by up to 0.01.",
        ),
    ],
)
def test_the_program_prints_why_a_file_is_refused(
    path, tmp_path, monkeypatch, capsys, expected, mode, message
):
    for folder in ("written", "probes"):
        (tmp_path / folder).mkdir()
    path.rename(tmp_path / "written/double.onnx")
    np.savez(tmp_path / "probes/double.npz", **probes(expected))
    arguments = ["checks", str(tmp_path / "written"), str(tmp_path / "probes"), mode]
    monkeypatch.setattr(sys, "argv", arguments)
    main()
    assert json.loads(capsys.readouterr().out) == message
