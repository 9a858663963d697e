"""A small server with TF Serving's interface, for contract tests; it is not TF Serving.

    python tests/serving/server.py MODELS

serves the newest version of every MODELS/<name> over gRPC and REST on free local ports, and prints
{"grpc": PORT, "rest": PORT} when it is ready. Each model runs in a child process on TensorFlow's C
API (`runtime.py`). Written after https://www.tensorflow.org/tfx/serving/api_rest and
tensorflow-serving-api.
"""

import base64
import json
import re
import subprocess
import sys
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

POLL = 0.2  # seconds between checks for new versions
GRACE = 10  # seconds before a replaced version is closed
KINDS = {"float32": np.float32, "int32": np.int32, "int64": np.int64}
TYPES = {1: "float32", 3: "int32", 9: "int64", 7: "string"}
PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?(:predict|/metadata)?")


class BadRequest(Exception):
    """The request is invalid."""


class NotFound(Exception):
    """There is no such model or version."""


class Model:
    """A version of a model, in a child process."""

    def __init__(self, path: Path):
        self.version = int(path.name)
        self._lock = threading.Lock()
        self._child = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("runtime.py"), path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.signatures = json.loads(self._child.stdout.readline())["signatures"]

    def predict(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run a signature: from arrays by name to arrays by name; strings are arrays of bytes."""
        request = {
            "signature": signature,
            "inputs": {name: to_message(array) for name, array in inputs.items()},
        }
        with self._lock:
            self._child.stdin.write(json.dumps(request).encode() + b"\n")
            self._child.stdin.flush()
            response = json.loads(self._child.stdout.readline())
        if "error" in response:
            raise BadRequest(response["error"])
        return {name: from_message(tensor) for name, tensor in response["outputs"].items()}

    def close(self) -> None:
        with self._lock:
            self._child.kill()
            self._child.wait()


class Models:
    """The newest version of every model of a directory, which is checked for new ones."""

    def __init__(self, directory: Path):
        self._directory = directory
        self._loaded: dict[str, Model] = {}
        self._load_newest()
        threading.Thread(target=self._watch, daemon=True).start()

    def find(self, name: str, version: int | None = None) -> Model:
        model = self._loaded.get(name)
        if model is None or version not in (None, model.version):
            raise NotFound(f"Servable not found for request: {name} version {version or 'latest'}")
        return model

    def _watch(self) -> None:
        while True:
            time.sleep(POLL)
            self._load_newest()

    def _load_newest(self) -> None:
        for folder in self._directory.iterdir():
            versions = [int(entry.name) for entry in folder.iterdir() if entry.name.isdigit()]
            old = self._loaded.get(folder.name)
            if versions and (old is None or old.version != max(versions)):
                self._loaded[folder.name] = Model(folder / str(max(versions)))
                if old is not None:  # after its last requests have their responses
                    threading.Timer(GRACE, old.close).start()


def to_message(array: np.ndarray) -> dict[str, Any]:
    if array.dtype == object:
        values = [base64.b64encode(value).decode() for value in array.ravel()]
        return {"dtype": "string", "shape": list(array.shape), "values": values}
    return {
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "values": array.ravel().tolist(),
    }


def from_message(tensor: dict[str, Any]) -> np.ndarray:
    if tensor["dtype"] == "string":
        array = np.empty(len(tensor["values"]), object)
        array[:] = [base64.b64decode(value) for value in tensor["values"]]
    else:
        array = np.array(tensor["values"], KINDS[tensor["dtype"]])
    return array.reshape(tensor["shape"])


class Grpc(
    prediction_service_pb2_grpc.PredictionServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
):
    """The gRPC methods Predict, GetModelMetadata and GetModelStatus."""

    def __init__(self, models: Models):
        self._models = models

    def Predict(self, request: Any, context: Any) -> Any:
        try:
            model = self._find(request.model_spec)
            signature = request.model_spec.signature_name or "serving_default"
            inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
            outputs = model.predict(signature, inputs)
        except NotFound as error:
            context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        except (BadRequest, ValueError, TypeError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        response = predict_pb2.PredictResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = model.version
        response.model_spec.signature_name = signature
        wanted = set(request.output_filter) or set(outputs)
        for name in wanted & set(outputs):
            response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
        return response

    def GetModelMetadata(self, request: Any, context: Any) -> Any:
        try:
            model = self._find(request.model_spec)
        except NotFound as error:
            context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = model.version
        response.metadata["signature_def"].Pack(metadata(model))
        return response

    def GetModelStatus(self, request: Any, context: Any) -> Any:
        try:
            model = self._find(request.model_spec)
        except NotFound as error:
            context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        response = get_model_status_pb2.GetModelStatusResponse()
        state = get_model_status_pb2.ModelVersionStatus.State.AVAILABLE
        response.model_version_status.add(version=model.version, state=state)
        return response

    def _find(self, specification: Any) -> Model:
        has_version = specification.HasField("version")
        return self._models.find(
            specification.name, specification.version.value if has_version else None
        )


def metadata(model: Model) -> Any:
    found = get_model_metadata_pb2.SignatureDefMap()
    for name, sides in model.signatures.items():
        signature = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
        for side in ("inputs", "outputs"):
            for key, (tensor, number, shape) in sides[side].items():
                info = getattr(signature, side)[key]
                info.name, info.dtype = tensor, number
                info.tensor_shape.SetInParent()
                for size in shape:
                    info.tensor_shape.dim.add(size=size)
        found.signature_def[name].CopyFrom(signature)
    return found


class Rest(BaseHTTPRequestHandler):
    """The same over REST: rows under "instances", columns under "inputs"."""

    models: Models
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._respond(self._describe)

    def do_POST(self) -> None:
        self._respond(self._predict)

    def log_message(self, *arguments: Any) -> None:
        pass

    def _respond(self, method: Any) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            status, content = 200, method(body)
        except NotFound as error:
            status, content = 404, {"error": str(error)}
        except (BadRequest, ValueError, TypeError, KeyError, OverflowError) as error:
            status, content = 400, {"error": str(error)}
        encoded = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def _find(self) -> tuple[Model, str | None]:
        match = PATH.fullmatch(self.path)
        if not match:
            raise BadRequest(f"Malformed request: {self.command} {self.path}")
        name, version, verb = match.groups()
        return self.models.find(name, int(version) if version else None), verb

    def _describe(self, body: bytes) -> dict[str, Any]:
        model, verb = self._find()
        if verb == "/metadata":
            found = json_format.MessageToDict(metadata(model), preserving_proto_field_name=True)
            return {
                "model_spec": {"version": str(model.version)},
                "metadata": {"signature_def": found},
            }
        status = {"error_code": "OK", "error_message": ""}
        row = {"version": str(model.version), "state": "AVAILABLE", "status": status}
        return {"model_version_status": [row]}

    def _predict(self, body: bytes) -> dict[str, Any]:
        model, verb = self._find()
        if verb != ":predict":
            raise BadRequest(f"Malformed request: {self.command} {self.path}")
        request = json.loads(body)
        if not isinstance(request, dict) or ("instances" in request) == ("inputs" in request):
            raise BadRequest("JSON object: must have exactly one of 'instances' and 'inputs'")
        signature = request.get("signature_name", "serving_default")
        if signature not in model.signatures:
            raise BadRequest(f"Serving signature key {signature!r} not found")
        wanted = model.signatures[signature]["inputs"]
        given = columns(request, wanted)
        inputs = {name: to_array(given[name], *wanted[name][1:], name) for name in wanted}
        outputs = {name: to_json(v) for name, v in model.predict(signature, inputs).items()}
        single = len(outputs) == 1
        if "inputs" in request:
            return {"outputs": [*outputs.values()][0] if single else outputs}
        rows = [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
        return {"predictions": [[*row.values()][0] for row in rows] if single else rows}


def columns(request: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs by name, from rows or columns, checked against the signature's."""
    if "inputs" in request:
        given = request["inputs"]
        if len(wanted) == 1 and not (isinstance(given, dict) and set(given) == set(wanted)):
            return {[*wanted][0]: given}
        names = set(given) if isinstance(given, dict) else set()
    else:
        rows = request["instances"]
        if not isinstance(rows, list) or not rows:
            raise BadRequest("'instances' is a list of at least one row")
        if len(wanted) == 1 and not any(
            isinstance(row, dict) and set(row) == set(wanted) for row in rows
        ):
            return {[*wanted][0]: rows}
        names = set(wanted)
        if any(not isinstance(row, dict) or set(row) != names for row in rows):
            raise BadRequest(f"every row has the inputs {sorted(names)}")
        given = {name: [row[name] for row in rows] for name in names}
    if names != set(wanted):
        raise BadRequest(f"the inputs are {sorted(wanted)}, not {sorted(names)}")
    return given


def to_array(value: Any, number: int, shape: list[int], name: str) -> np.ndarray:
    """Convert a nested list, whose rows have one shape, to an array of the signature's type."""
    sizes, flat = [], [value]
    for _ in shape:
        if any(not isinstance(item, list) for item in flat):
            raise BadRequest(f"{name} has {len(shape)} dimensions")
        lengths = {len(item) for item in flat}
        if len(lengths) > 1:
            raise BadRequest(f"{name}: rows of different lengths")
        sizes.append(lengths.pop() if lengths else 0)
        flat = [child for item in flat for child in item]
    if TYPES[number] == "string":
        array = np.empty(len(flat), object)
        array[:] = [to_bytes(item, name) for item in flat]
    else:
        if any(isinstance(item, bool) or not isinstance(item, (int, float)) for item in flat):
            raise BadRequest(f"{name} takes numbers")
        kind = KINDS[TYPES[number]]
        if np.issubdtype(kind, np.integer) and any(isinstance(item, float) for item in flat):
            raise BadRequest(f"{name} takes integers")
        array = np.array(flat, kind)
    return array.reshape(sizes)


def to_bytes(item: Any, name: str) -> bytes:
    if isinstance(item, str):
        return item.encode("utf-8", "surrogatepass")
    if isinstance(item, dict) and set(item) == {"b64"}:
        return base64.b64decode(item["b64"], validate=True)
    raise BadRequest(f"{name} takes strings, or base64 in {{'b64': ...}}")


def to_json(array: np.ndarray) -> Any:
    """Convert an output to JSON; bytes are UTF-8, since no output's name ends in _bytes."""
    if array.dtype != object:
        return array.tolist()
    decoded = np.empty(array.shape, object)
    for index in np.ndindex(array.shape):
        decoded[index] = array[index].decode("utf-8")
    return decoded.tolist()


def main() -> None:
    models = Models(Path(sys.argv[1]))
    grpc_server = grpc.server(futures.ThreadPoolExecutor(8))
    servicer = Grpc(models)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(servicer, grpc_server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(servicer, grpc_server)
    grpc_port = grpc_server.add_insecure_port("localhost:0")
    grpc_server.start()
    handler = type("Handler", (Rest,), {"models": models})
    rest_server = ThreadingHTTPServer(("localhost", 0), handler)
    ports = {"grpc": grpc_port, "rest": rest_server.server_port}
    print(json.dumps(ports), flush=True)
    rest_server.serve_forever()


if __name__ == "__main__":
    main()
