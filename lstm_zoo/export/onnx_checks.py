"""Verify ONNX files in a separate process, without lstm_zoo and TensorFlow.

`lstm_zoo.export.onnx` runs this file as a program:

    DIRECTORY PROBES exact|near

PROBES/NAME.npz holds the inputs and expected outputs of DIRECTORY/NAME.onnx as arrays named
`0/inputs/ids`, `0/outputs/logits` and so on; NaN is not compared. The program prints, as JSON, why
the files are refused, or null.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

TOLERANCE = 1e-4  # relative and absolute, between float32 outputs of two runtimes
NEAR = 0.1  # root mean square of the 8-bit outputs' error, relative to that of the outputs


class Refused(Exception):
    """A file fails a check; the message names the file and the probe."""


def main() -> None:
    import numpy as np

    directory, probes, mode = sys.argv[1:]
    refused = None
    try:
        for path in sorted(Path(directory).glob("*.onnx")):
            with np.load(Path(probes) / f"{path.stem}.npz") as arrays:
                check(path, dict(arrays), mode)
    except Refused as reason:
        refused = str(reason)
    print(json.dumps(refused))


def check(path: Path, arrays: Mapping, mode: str) -> None:
    """Check that a file is valid ONNX, loads, and has the expected outputs.

    Args:
        path: the ONNX file.
        arrays: the probes' inputs and expected outputs, named as above.
        mode: "exact" compares each probe within `TOLERANCE`, "near" each output within `NEAR`.

    Raises:
        Refused: if a shape, a dtype or the values of an output differ.
    """
    import numpy as np
    import onnx
    import onnxruntime

    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    pairs = {name: [] for name in names}
    for number in range(1 + max(int(key.split("/")[0]) for key in arrays)):
        inputs = {i.name: arrays[f"{number}/inputs/{i.name}"] for i in session.get_inputs()}
        for name, output in zip(names, session.run(None, inputs), strict=True):
            expected = arrays[f"{number}/outputs/{name}"]
            if (expected.shape, expected.dtype) != (output.shape, output.dtype):
                raise Refused(
                    f"{path.name}: output {name} of probe {number} is {output.dtype}"
                    f"{list(output.shape)}, the network's {expected.dtype}{list(expected.shape)}."
                )
            compared = ~np.isnan(expected)
            expected, output = expected[compared], output[compared]
            pairs[name].append((expected, output))
            if mode == "exact" and not np.allclose(expected, output, TOLERANCE, TOLERANCE):
                raise Refused(
                    f"{path.name}: outputs differ from the network's: output {name}, probe "
                    f"{number}, by up to {np.abs(expected - output).max():.2g}."
                )
    for name, pair in pairs.items():
        expected, output = (np.concatenate(column) for column in zip(*pair, strict=True))
        error = np.sqrt(np.mean((expected - output) ** 2) / np.mean(expected**2))
        if mode == "near" and not error <= NEAR:
            raise Refused(
                f"{path.name}: outputs differ from the network's: output {name}, by {error:.2f} of "
                f"its root mean square; at most {NEAR} is allowed with int8."
            )


if __name__ == "__main__":
    main()
