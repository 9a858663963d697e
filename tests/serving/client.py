"""A client of a server: gRPC by the official stubs, REST by the standard library."""

import base64
import json
import urllib.error
import urllib.request
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc


class Refused(Exception):
    """The server returned an error: `status` is its code, the text its reason."""

    def __init__(self, status: Any, message: str):
        super().__init__(message)
        self.status = status


def predict_grpc(
    target: str, model: str, signature: str, inputs: dict[str, Any]
) -> dict[str, np.ndarray]:
    """Send a Predict request by gRPC: from tensors by name to arrays by name."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    for name, tensor in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(tensor))
    with grpc.insecure_channel(target) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        try:
            response = stub.Predict(request, timeout=120)
        except grpc.RpcError as error:
            raise Refused(error.code(), error.details()) from error
    return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}


def call_rest(target: str, path: str, body: Any = None) -> Any:
    """Send a REST request: GET without a body, POST with one."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{target}{path}", data)
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise Refused(error.code, json.load(error)["error"]) from error


def to_rest(tensor: tf.Tensor) -> Any:
    """Convert a tensor to REST's JSON, strings to base64."""
    if tensor.dtype != tf.string:
        return tensor.numpy().tolist()
    return [{"b64": base64.b64encode(value).decode()} for value in tensor.numpy()]
