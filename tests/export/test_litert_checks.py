"""The checks of LiteRT files, each on a small file or interpreter made here."""

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")

import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from lstm_zoo.export import litert_checks as checks
from tests.conftest import READY_RUNS

CLASSIFIER = READY_RUNS / "exports/sentiment-litert/model.tflite"


def file_of(*codes):
    """A LiteRT file with nothing but op codes: (old code, new code, custom name)."""
    model = schema.ModelT()
    model.operatorCodes = []
    for old, new, custom in codes:
        code = schema.OperatorCodeT()
        code.deprecatedBuiltinCode, code.builtinCode, code.customCode = old, new, custom
        model.operatorCodes.append(code)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_ops_of_all_ages_have_their_names():
    add, gelu, custom = (getattr(schema.BuiltinOperator, n) for n in ("ADD", "GELU", "CUSTOM"))
    assert gelu > 127  # too large for the old field, which then holds 127
    model = file_of(
        (add, 0, None), (127, gelu, None), (add, add, None), (custom, custom, b"FlexInv"),
        (custom, 0, b"Own"), (127, 9_999, None),
    )  # fmt: skip
    assert checks.read_ops(model) == ["ADD", "CUSTOM 9999", "CUSTOM FlexInv", "CUSTOM Own", "GELU"]


def test_the_ops_of_a_classifier_are_built_in():
    ops = checks.read_ops(CLASSIFIER.read_bytes())
    assert {"FULLY_CONNECTED", "GATHER", "LOGISTIC", "TANH", "WHILE"} < set(ops)
    assert ops == sorted(ops)
    checks.check_ops(ops)


def test_ops_that_are_not_built_in_are_refused():
    checks.check_ops(["ADD", "WHILE"])
    with pytest.raises(checks.Refused, match=r"not built into LiteRT: FlexInv, Own\.$"):
        checks.check_ops(["ADD", "CUSTOM FlexInv", "CUSTOM Own", "WHILE"])


class Stub:
    """An interpreter whose only signature is a function."""

    def __init__(self, function):
        self._function = function

    def get_signature_runner(self, name):
        assert name == "serve"
        return self._function


def check(output, expected):
    """Compare the only output of a function with the expected one."""
    probes = {"serve/0/inputs/x": np.zeros((2, 3), np.int32), "serve/0/outputs/y": expected}
    checks.check_outputs(Stub(lambda x: {"y": output}), probes)


@pytest.mark.parametrize("output", [np.float32([1, -2]), np.float32([1 + 9e-5, -2])])
def test_equal_outputs_pass(output):
    check(output, np.float32([1, -2]))


@pytest.mark.parametrize(
    "output, message",
    [
        (np.float32([1, -2.5]), r"output y of serve, probe 0 \(x \(2, 3\)\), by up to 0\.5\."),
        (np.float32([[1, -2]]), r"output y of .* is float32\(1, 2\), the pipeline's float32\(2,\)"),
        (np.float64([1, -2]), r"is float64\(2,\), the pipeline's float32\(2,\)"),
        (np.float32([1, np.nan]), "outputs differ from the pipeline's: output y"),
    ],
)
def test_other_outputs_are_refused(output, message):
    with pytest.raises(checks.Refused, match=message):
        check(output, np.float32([1, -2]))


def test_a_runtime_that_fails_is_a_refusal():
    def fail(x):
        raise RuntimeError("tensor 7 has no buffer")

    probes = {"serve/3/inputs/x": np.zeros(2), "serve/3/outputs/y": np.zeros(2)}
    with pytest.raises(checks.Refused, match=r"fails on serve, probe 3 \(x \(2,\)\): tensor 7 has"):
        checks.check_outputs(Stub(fail), probes)


def test_every_probe_is_checked():
    probes = {}
    for number, value in enumerate([1.0, 2.0, 9.0]):
        probes[f"serve/{number}/inputs/x"] = np.float32([value])
        probes[f"serve/{number}/outputs/y"] = np.float32([min(2 * value, 10)])
    with pytest.raises(checks.Refused, match="serve, probe 2 .* by up to 8"):
        checks.check_outputs(Stub(lambda x: {"y": 2 * x}), probes)


def test_a_file_passes_on_its_own_outputs_alone():
    interpreter = Interpreter(str(CLASSIFIER))
    ids = np.int32([[5, 6, 7, 0]])
    logits = interpreter.get_signature_runner("serving_default")(ids=ids)["logits"]
    assert logits.shape == (1, 2)
    probes = {
        "serving_default/0/inputs/ids": ids,
        "serving_default/0/outputs/logits": logits,
    }
    checks.check_outputs(interpreter, probes)
    probes["serving_default/0/outputs/logits"] = logits + 0.01
    with pytest.raises(checks.Refused, match=r"output logits of serving_default.* by up to 0\.01"):
        checks.check_outputs(interpreter, probes)
