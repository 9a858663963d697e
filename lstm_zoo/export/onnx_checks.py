"""What ONNX files must pass, in a fresh process that has neither lstm_zoo nor TensorFlow.

`lstm_zoo.export.onnx` runs this file as a program of its own:

    DIRECTORY PROBES exact|near

Of each DIRECTORY/NAME.onnx, PROBES/NAME.npz holds what goes in and must come out, `0/inputs/ids`,
`0/outputs/logits` and so on. It prints as JSON why the files are refused, null if they are not.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

TOLERANCE = 1e-4  # between float32 answers of two runtimes
NEAR = 0.1  # between answers of 8-bit weights and float32: root mean squares, difference to answer


class Refused(Exception):
    """A file does not pass; the message says which, and on which probe."""


def main() -> None:
    import numpy as np

    directory, probes, how = sys.argv[1:]
    refused = None
    try:
        for path in sorted(Path(directory).glob("*.onnx")):
            with np.load(Path(probes) / f"{path.stem}.npz") as arrays:
                check(path, dict(arrays), how)
    except Refused as reason:
        refused = str(reason)
    print(json.dumps(refused))


def check(path: Path, arrays: Mapping, how: str) -> None:
    """Make sure that a file is valid ONNX, loads, and answers its probes as it must."""
    import numpy as np
    import onnx
    import onnxruntime

    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    pairs = {name: [] for name in names}
    for number in range(1 + max(int(key.split("/")[0]) for key in arrays)):
        inputs = {i.name: arrays[f"{number}/inputs/{i.name}"] for i in session.get_inputs()}
        for name, answer in zip(names, session.run(None, inputs), strict=True):
            expected = arrays[f"{number}/outputs/{name}"]
            if (expected.shape, expected.dtype) != (answer.shape, answer.dtype):
                raise Refused(
                    f"{path.name} answers {answer.dtype}{list(answer.shape)}, not "
                    f"{expected.dtype}{list(expected.shape)}: output {name}, probe {number}."
                )
            counts = ~np.isnan(expected)
            expected, answer = expected[counts], answer[counts]
            pairs[name].append((expected, answer))
            if how == "exact" and not np.allclose(expected, answer, TOLERANCE, TOLERANCE):
                raise Refused(
                    f"{path.name} answers otherwise than the network: output {name}, probe "
                    f"{number}, by up to {np.abs(expected - answer).max():.2g}."
                )
    for name, pair in pairs.items():
        expected, answer = (np.concatenate(column) for column in zip(*pair, strict=True))
        share = np.sqrt(np.mean((expected - answer) ** 2) / np.mean(expected**2))
        if how == "near" and not share <= NEAR:
            raise Refused(
                f"{path.name} answers otherwise than the network: output {name}, by {share:.2f} of "
                f"its root mean square; int8 may take {NEAR}."
            )


if __name__ == "__main__":
    main()
