"""A SavedModel run by TensorFlow's C API through ctypes, without TensorFlow's Python or lstm_zoo.

    python tests/serving/runtime.py EXPORT

reads requests from standard input and writes responses to standard output, a JSON object a line:
{"signature": NAME, "inputs": {NAME: {"dtype": ..., "shape": [...], "values": [...]}}}, strings in
base64, to {"outputs": ...} of the same form, or {"error": MESSAGE}. TF Serving is built on the same
loader and kernels. XLA is disabled, as it is in a stock server.
"""

import base64
import ctypes
import importlib.util
import json
import math
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The values of TF_DataType that the signatures use
TYPES = {"float32": (1, "f"), "int32": (3, "i"), "int64": (9, "q"), "string": (7, None)}
NAMES = {number: name for name, (number, _) in TYPES.items()}
# Functions that return a pointer; ctypes would truncate it to an int
POINTERS = (
    "TF_NewStatus",
    "TF_NewGraph",
    "TF_NewSessionOptions",
    "TF_NewBuffer",
    "TF_LoadLibrary",
    "TF_LoadSessionFromSavedModel",
    "TF_GraphOperationByName",
    "TF_AllocateTensor",
    "TF_TensorData",
    "TF_StringGetDataPointer",
)
STRING_BYTES = 24  # of a TF_TString


class Buffer(ctypes.Structure):
    """TF_Buffer."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    ]


class Output(ctypes.Structure):
    """TF_Output: an operation, and the index of its output."""

    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class Runtime:
    """One SavedModel, loaded.

    Args:
        export: the SavedModel's directory.

    Attributes:
        signatures: name → "inputs" and "outputs" → name → (tensor, TF_DataType, shape).
    """

    def __init__(self, export: str):
        wheel = Path(importlib.util.find_spec("tensorflow").origin).parent
        flags = ctypes.RTLD_GLOBAL
        ctypes.CDLL(str(wheel / "libtensorflow_framework.so.2"), flags)
        self._c = c = ctypes.CDLL(str(wheel / "libtensorflow_cc.so.2"), flags)
        for name in POINTERS:
            getattr(c, name).restype = ctypes.c_void_p
        c.TF_Message.restype = ctypes.c_char_p
        c.TF_StringGetSize.restype = ctypes.c_size_t
        c.TF_Dim.restype = ctypes.c_int64
        # tensorflow::DisableXlaCompilation(), which a server calls; C has no name for it.
        c._ZN10tensorflow21DisableXlaCompilationEv()
        text = importlib.util.find_spec("tensorflow_text")
        for library in sorted((Path(text.origin).parent / "python/ops").glob("_*.so")):
            status = self._status()
            c.TF_LoadLibrary(str(library).encode(), status)
            self._check(status)
        self._graph = ctypes.c_void_p(c.TF_NewGraph())
        meta_graph = ctypes.cast(c.TF_NewBuffer(), ctypes.POINTER(Buffer))
        status = self._status()
        tags = (ctypes.c_char_p * 1)(b"serve")
        self._session = ctypes.c_void_p(
            c.TF_LoadSessionFromSavedModel(
                ctypes.c_void_p(c.TF_NewSessionOptions()), None, export.encode(), tags, 1,
                self._graph, meta_graph, status,
            )
        )  # fmt: skip
        self._check(status)
        content = ctypes.string_at(meta_graph.contents.data, meta_graph.contents.length)
        self.signatures = read_signatures(content)

    def run(self, signature: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Run a signature: from input tensors to output tensors by name, as in the program's JSON.

        Raises:
            ValueError: if the signature or an input is unknown, or has another type or shape.
            RuntimeError: if the graph fails.
        """
        if signature not in self.signatures:
            raise ValueError(f"no signature is named {signature!r}")
        sides = self.signatures[signature]
        if set(inputs) != set(sides["inputs"]):
            raise ValueError(f"the inputs are {sorted(sides['inputs'])}, not {sorted(inputs)}")
        for name, tensor in inputs.items():
            _, number, shape = sides["inputs"][name]
            given = tensor["shape"]
            matches = len(given) == len(shape) and all(
                b in (-1, a) for a, b in zip(given, shape, strict=True)
            )
            if tensor["dtype"] != NAMES[number] or not matches:
                raise ValueError(f"{name} is {NAMES[number]}{shape}, not {tensor['dtype']}{given}")
        inputs_made = [self._make(tensor) for tensor in inputs.values()]
        fetched = (ctypes.c_void_p * len(sides["outputs"]))()
        status = self._status()
        try:
            self._c.TF_SessionRun(
                self._session, None,
                self._outputs(sides["inputs"][name][0] for name in inputs),
                (ctypes.c_void_p * len(inputs_made))(*inputs_made), len(inputs_made),
                self._outputs(tensor for tensor, *_ in sides["outputs"].values()),
                fetched, len(fetched),
                None, 0, None, status,
            )  # fmt: skip
            self._check(status)
            return {
                name: self._read(tensor)
                for name, tensor in zip(sides["outputs"], fetched, strict=True)
            }
        finally:
            for tensor in (*inputs_made, *filter(None, fetched)):
                self._c.TF_DeleteTensor(ctypes.c_void_p(tensor))

    def _outputs(self, names: Any) -> Any:
        outputs = []
        for name in names:
            operation, _, index = name.partition(":")
            found = self._c.TF_GraphOperationByName(self._graph, operation.encode())
            outputs.append(Output(found, int(index or 0)))
        return (Output * len(outputs))(*outputs)

    def _make(self, tensor: dict[str, Any]) -> int:
        number, code = TYPES[tensor["dtype"]]
        shape, values = tensor["shape"], tensor["values"]
        count = math.prod(shape)
        if len(values) != count:
            raise ValueError(f"{len(values)} values for the shape {shape}")
        size = count * (STRING_BYTES if code is None else struct.calcsize(code))
        made = self._c.TF_AllocateTensor(
            number, (ctypes.c_int64 * len(shape))(*shape), len(shape), ctypes.c_size_t(size)
        )
        data = self._c.TF_TensorData(ctypes.c_void_p(made))
        if code is not None:
            packed = struct.pack(f"={count}{code}", *values)
            ctypes.memmove(data, packed, size)
            return made
        for index, text in enumerate(values):
            raw = base64.b64decode(text)
            place = ctypes.c_void_p(data + index * STRING_BYTES)
            self._c.TF_StringInit(place)
            self._c.TF_StringCopy(place, raw, ctypes.c_size_t(len(raw)))
        return made

    def _read(self, tensor: int) -> dict[str, Any]:
        c, handle = self._c, ctypes.c_void_p(tensor)
        name = NAMES[c.TF_TensorType(handle)]
        shape = [c.TF_Dim(handle, axis) for axis in range(c.TF_NumDims(handle))]
        count, data = math.prod(shape), c.TF_TensorData(handle)
        code = TYPES[name][1]
        if code is not None:
            raw = ctypes.string_at(data, count * struct.calcsize(code)) if count else b""
            return {
                "dtype": name,
                "shape": shape,
                "values": [*struct.unpack(f"={count}{code}", raw)],
            }
        values = []
        for index in range(count):
            place = ctypes.c_void_p(data + index * STRING_BYTES)
            size = c.TF_StringGetSize(place)
            raw = ctypes.string_at(c.TF_StringGetDataPointer(place), size)
            values.append(base64.b64encode(raw).decode())
        return {"dtype": name, "shape": shape, "values": values}

    def _status(self) -> ctypes.c_void_p:
        return ctypes.c_void_p(self._c.TF_NewStatus())

    def _check(self, status: ctypes.c_void_p) -> None:
        message, code = self._c.TF_Message(status).decode(), self._c.TF_GetCode(status)
        self._c.TF_DeleteStatus(status)
        if code:
            raise RuntimeError(message)


def read_signatures(meta_graph: bytes) -> dict[str, Any]:
    """Parse the signatures of a serialized MetaGraphDef by its field numbers."""

    def tensors(entries: list[bytes]) -> dict[str, Any]:
        found = {}
        for entry in entries:
            pair = fields(entry)
            info = fields(pair[2][0])
            dims = fields(info[3][0]).get(2, []) if 3 in info else []
            sizes = [fields(dim).get(1, [0])[0] for dim in dims]
            # A negative varint is a 64-bit two's complement.
            shape = [size - 2**64 if size >= 2**63 else size for size in sizes]
            found[pair[1][0].decode()] = (info[1][0].decode(), info[2][0], shape)
        return found

    signatures = {}
    for entry in fields(meta_graph).get(5, []):
        pair = fields(entry)
        name, signature = pair[1][0].decode(), fields(pair[2][0])
        if not name.startswith("__"):
            signatures[name] = {
                "inputs": tensors(signature.get(1, [])),
                "outputs": tensors(signature.get(2, [])),
            }
    return signatures


def fields(message: bytes) -> dict[int, list[Any]]:
    """Parse a protobuf message into its fields: number → values, integers or bytes."""
    found: dict[int, list[Any]] = {}
    for number, value in _parse(message):
        found.setdefault(number, []).append(value)
    return found


def _parse(message: bytes) -> Iterator[tuple[int, Any]]:
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(message):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
            continue
        size = varint() if kind == 2 else {1: 8, 5: 4}[kind]
        yield key >> 3, message[position : position + size]
        position += size


def main() -> None:
    runtime = Runtime(sys.argv[1])
    assert not {"tensorflow", "lstm_zoo", "numpy"} & set(sys.modules)
    print(json.dumps({"signatures": runtime.signatures}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            response = {"outputs": runtime.run(request["signature"], request["inputs"])}
        except Exception as error:  # any error of a request; the next one gets its response
            response = {"error": str(error)}
        print(json.dumps(response), flush=True)


if __name__ == "__main__":
    main()
