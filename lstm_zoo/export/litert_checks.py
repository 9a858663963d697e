"""The checks that a LiteRT file must pass, without TensorFlow and lstm_zoo.

`lstm_zoo.export.litert` runs this file as a program in a fresh process:

    MODEL PROBES

PROBES is an `.npz` with arrays named `signature/number/inputs/name` and
`signature/number/outputs/name`. The program prints as JSON why the file is refused, or null.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

TOLERANCE = 1e-4  # between float32 outputs of two runtimes


class Refused(Exception):
    """The file fails a check; the message names the op or the probe."""


def main() -> None:
    from ai_edge_litert.interpreter import Interpreter

    model = Path(sys.argv[1]).read_bytes()
    refused = None
    try:
        check_ops(read_ops(model))
        with np.load(sys.argv[2]) as probes:
            check_outputs(Interpreter(model_content=model), probes)
    except Refused as reason:
        refused = str(reason)
    print(json.dumps(refused))


def read_ops(model: bytes) -> list[str]:
    """List the op types in a LiteRT file, sorted; one that is not built in is `CUSTOM name`."""
    # Private API: schema_py_generated, kept here since this runs without lstm_zoo (see
    # lstm_zoo/compat.py).
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if name[0] != "_"}
    found = set()
    for op in schema.ModelT.InitFromPackedBuf(model).operatorCodes:
        # Old ops have their code in the 8-bit field, new ones in the other.
        code = max(op.builtinCode, op.deprecatedBuiltinCode)
        if code == schema.BuiltinOperator.CUSTOM:
            found.add(f"CUSTOM {op.customCode.decode()}")
        else:
            found.add(names.get(code, f"CUSTOM {code}"))
    return sorted(found)


def check_ops(ops: list[str]) -> None:
    """Check that every op is built into LiteRT: no TensorFlow (Flex) or other custom op."""
    if custom := [op.removeprefix("CUSTOM ") for op in ops if op.startswith("CUSTOM ")]:
        raise Refused(f"The file has ops that are not built into LiteRT: {', '.join(custom)}.")


def check_outputs(interpreter: Any, probes: Mapping[str, np.ndarray]) -> None:
    """Check that LiteRT's outputs equal those of the pipeline's network.

    Args:
        interpreter: LiteRT's interpreter of the file.
        probes: the arrays of the `.npz`.
    """
    rows: dict[tuple[str, str], dict[str, dict[str, np.ndarray]]] = {}
    for path in probes:
        name, number, side, key = path.split("/")
        row = rows.setdefault((name, number), {"inputs": {}, "outputs": {}})
        row[side][key] = probes[path]
    for (name, number), row in rows.items():
        shapes = ", ".join(f"{key} {array.shape}" for key, array in row["inputs"].items())
        probe = f"{name}, probe {number} ({shapes})"
        try:
            outputs = interpreter.get_signature_runner(name)(**row["inputs"])
        except (RuntimeError, ValueError) as error:
            raise Refused(f"LiteRT fails on {probe}: {error}") from error
        for key, expected in row["outputs"].items():
            output = outputs[key]
            if output.shape != expected.shape or output.dtype != expected.dtype:
                raise Refused(
                    f"LiteRT's output {key} of {probe} is {output.dtype}{output.shape}, "
                    f"the pipeline's {expected.dtype}{expected.shape}."
                )
            if not np.allclose(output, expected, rtol=TOLERANCE, atol=TOLERANCE):
                difference = np.max(np.abs(output - expected))
                raise Refused(
                    f"LiteRT's outputs differ from the pipeline's: output {key} of {probe}, "
                    f"by up to {difference:.2g}."
                )


if __name__ == "__main__":
    main()
