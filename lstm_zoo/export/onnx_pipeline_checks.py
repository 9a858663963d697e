"""Verify in a separate process that an ONNX export answers as its run, without TensorFlow.

`lstm_zoo.export.onnx` runs this file as a program:

    DIRECTORY EXPECTED PATHS exact|near

EXPECTED is a JSON file: `family`, an entry of the registry (name, title, package); `inputs`, raw
inputs in base64; and `calls`, each with the `options` of `predict` and the run's `answers`. PATHS
is where Python finds modules, as JSON. The program prints, as JSON, why the export is refused, or
null.
"""

import base64
import importlib.abc
import json
import sys
from collections.abc import Mapping
from typing import Any

BLOCKED = ("keras", "librosa", "onnx", "tensorflow", "tensorflow_text")
TOLERANCE = 1e-3  # relative and absolute, of times, probabilities and scores
TIE = 1e-4  # of scores: another answer of the same score is as good


class Blocked(importlib.abc.MetaPathFinder):
    """Finds no module of those that the machine of an export may lack."""

    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"{name} is needed, which an export must not", name=name)
        return None


def main() -> None:
    directory, expected, paths, mode = sys.argv[1:]
    sys.path[:] = json.loads(paths)
    sys.meta_path.insert(0, Blocked())
    import lstm_zoo
    from lstm_zoo import families

    with open(expected, encoding="utf-8") as file:
        wanted = json.load(file)
    families.register(*wanted["family"])
    inputs = [*map(base64.b64decode, wanted["inputs"])]
    pipeline, refused = lstm_zoo.load(directory), None
    for call in wanted["calls"]:
        answers = [answer._asdict() for answer in pipeline.predict(inputs, **call["options"])]
        answers = json.loads(json.dumps(answers))
        for row, found, answer in zip(inputs, answers, call["answers"], strict=True):
            if not agree(found, answer, mode):
                refused = refused or (
                    f"ONNX Runtime answers the input {row[:40]!r} with {shown(found)}, the run "
                    f"with {shown(answer)}."
                )
    print(json.dumps(refused))


def agree(found: Mapping[str, Any], answer: Mapping[str, Any], mode: str) -> bool:
    """Return whether an answer is the run's, or as good as the run's.

    Args:
        found: the fields of an answer.
        answer: those of the run's.
        mode: "exact", or "near" for weights of 8 bits, which may give another answer.
    """
    if found.keys() != answer.keys() or found.get("error") != answer.get("error"):
        return False
    if mode == "near" or close(found, answer):
        return True
    scores = [row.get("score", row.get("probability")) for row in (found, answer)]
    return None not in scores and abs(scores[0] - scores[1]) <= TIE * max(1, abs(scores[1]))


def close(found: Any, answer: Any) -> bool:
    """Return whether two JSON values are equal, numbers within the tolerance."""
    if isinstance(answer, float) and isinstance(found, float):
        return abs(found - answer) <= TOLERANCE * max(1, abs(answer))
    if isinstance(answer, list) and isinstance(found, list):
        return len(found) == len(answer) and all(map(close, found, answer))
    if isinstance(answer, dict) and isinstance(found, dict):
        return found.keys() == answer.keys() and all(close(found[k], answer[k]) for k in answer)
    return found == answer


def shown(answer: Mapping[str, Any]) -> str:
    return json.dumps(answer, ensure_ascii=False)[:200]


if __name__ == "__main__":
    main()
