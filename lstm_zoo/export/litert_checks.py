"""What a LiteRT file must pass, in a fresh process that has neither TensorFlow nor lstm_zoo.

`lstm_zoo.export.litert` runs this file as a program of its own, with the paths of the LiteRT file
and of an `.npz` of probes, whose arrays are named `signature/number/inputs/name` and
`signature/number/outputs/name`. It prints as JSON why the file is refused, null if it is not.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

TOLERANCE = 1e-4  # between float32 answers of two runtimes


class Refused(Exception):
    """The file does not pass; the message says which op, or which probe."""


def main() -> None:
    from ai_edge_litert.interpreter import Interpreter

    model = Path(sys.argv[1]).read_bytes()
    refused = None
    try:
        check_ops(read_ops(model))
        with np.load(sys.argv[2]) as probes:
            check_answers(Interpreter(model_content=model), probes)
    except Refused as reason:
        refused = str(reason)
    print(json.dumps(refused))


def read_ops(model: bytes) -> list[str]:
    """List the kinds of ops in a LiteRT file, sorted; one that is not built in as `CUSTOM name`."""
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if name[0] != "_"}
    found = set()
    for op in schema.ModelT.InitFromPackedBuf(model).operatorCodes:
        # Old ops have their code in a field of eight bits, new ones in another.
        code = max(op.builtinCode, op.deprecatedBuiltinCode)
        if code == schema.BuiltinOperator.CUSTOM:
            found.add(f"CUSTOM {op.customCode.decode()}")
        else:
            found.add(names.get(code, f"CUSTOM {code}"))
    return sorted(found)


def check_ops(ops: list[str]) -> None:
    """Make sure that every op is built into LiteRT: neither TensorFlow's (Flex) nor another's."""
    if custom := [op.removeprefix("CUSTOM ") for op in ops if op.startswith("CUSTOM ")]:
        raise Refused(f"The file holds ops that are not built into LiteRT: {', '.join(custom)}.")


def check_answers(interpreter: Any, probes: Mapping[str, np.ndarray]) -> None:
    """Make sure that LiteRT answers what the pipeline's network answered.

    Args:
        interpreter: LiteRT's, of the file.
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
            answers = interpreter.get_signature_runner(name)(**row["inputs"])
        except (RuntimeError, ValueError) as error:
            raise Refused(f"LiteRT fails on {probe}: {error}") from error
        for key, expected in row["outputs"].items():
            answer = answers[key]
            if answer.shape != expected.shape or answer.dtype != expected.dtype:
                raise Refused(
                    f"LiteRT answers {answer.dtype}{answer.shape} for the output {key} of {probe}, "
                    f"the pipeline {expected.dtype}{expected.shape}."
                )
            if not np.allclose(answer, expected, rtol=TOLERANCE, atol=TOLERANCE):
                off = np.max(np.abs(answer - expected))
                raise Refused(
                    f"LiteRT answers otherwise than the pipeline: output {key} of {probe} is off "
                    f"by {off:.2g}."
                )


if __name__ == "__main__":
    main()
