"""Compose ONNX graphs, node by node, from a network's weights.

Converters turn a masked Keras layer into a loop of small ops. ONNX has whole layers, `LSTM`, `GRU`
and `RNN`, which take the rows' lengths and have fast kernels in runtimes. This module arranges
Keras weights for these nodes. Its functions are named after their equivalents in
`lstm_zoo.recurrent`; a family's `onnx` module composes its network from them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from lstm_zoo.export.onnx_weights import WeightsFile
from lstm_zoo.recurrent import state_names

OPSET = 18
IR_VERSION = 8  # ONNX Runtime 1.14 and later read it with this opset
# For each cell: the ONNX operator, and the indices of Keras's gates in its order.
NODES = {"lstm": ("LSTM", (0, 3, 1, 2)), "gru": ("GRU", (0, 1, 2)), "simple_rnn": ("RNN", (0,))}
ACTIVATIONS = {"linear": None, "relu": "Relu", "tanh": "Tanh"}

Tensor = str  # the name of a tensor in a graph
Arrays = Mapping[str, np.ndarray]  # by the name of an input or output


class Graph:
    """An ONNX graph under construction.

    Args:
        weights: the file of the network's weights, for a graph that refers to them and must stay
            beside it; None for a graph that holds them.

    Example:

    >>> graph = Graph()
    >>> ids = graph.input("ids", "int32", ["batch", "time"])
    >>> graph.output("next", graph.add("Add", ids, np.int32(1)), "int32", ["batch", "time"])
    >>> "Add" in {node.op_type for node in graph.to_model("example").graph.node}
    True
    """

    def __init__(self, weights: WeightsFile | None = None):
        self._weights = weights
        self._stored: dict[int, Tensor] = {}
        self._nodes, self._constants, self._inputs, self._outputs = [], [], [], []
        self._used: set[int] = set()
        self._rows: Tensor | None = None  # the batch size

    def input(self, name: str, dtype: str, shape: Sequence[int | str]) -> Tensor:
        """Declare an input.

        Args:
            name: the input's name.
            dtype: its NumPy dtype.
            shape: its sizes, the batch first; a dynamic size is a name, such as "batch".

        Returns:
            The input. An empty batch is padded with a row of zeros, because ONNX Runtime's
            recurrent nodes crash the process on an empty batch; `output` removes the row.
        """
        self._inputs.append(_value_info(name, dtype, shape))
        self._rows = self.add("Shape", name, start=0, end=1)
        missing = self.add("Max", self.add("Sub", np.array([1]), self._rows), np.array([0]))
        none = np.zeros(len(shape), np.int64)
        return self.add("Pad", name, self.add("Concat", none, missing, none[1:], axis=0))

    def output(self, name: str, tensor: Tensor, dtype: str, shape: Sequence[int | str]) -> None:
        """Declare a tensor as an output of this name, dtype and shape."""
        chosen = self.add("Slice", tensor, np.array([0]), self._rows, np.array([0]))
        self._nodes.append(onnx.helper.make_node("Identity", [chosen], [name]))
        self._outputs.append(_value_info(name, dtype, shape))

    def add(
        self, op: str, *inputs: Tensor | np.ndarray | np.generic | None, outputs: int = 1, **options
    ) -> Any:
        """Add a node.

        Args:
            op: the ONNX operator.
            *inputs: tensors; arrays become constants; None omits an optional input.
            outputs: the number of outputs to declare.
            **options: the operator's attributes.

        Returns:
            The output, or a list if there are several.
        """
        stem = f"{op}_{len(self._nodes)}"
        names = [f"{stem}_{number}" for number in range(outputs)]
        input_names = [self._named(tensor, f"{stem}_in_{n}") for n, tensor in enumerate(inputs)]
        self._nodes.append(onnx.helper.make_node(op, input_names, names, name=stem, **options))
        return names if outputs > 1 else names[0]

    def compute(self, op: str, *inputs: Tensor | np.ndarray, outputs: int = 1, **options) -> Any:
        """Add a node as `add` does; if all its inputs are arrays, return what it computes."""
        if any(isinstance(tensor, Tensor) for tensor in inputs):
            return self.add(op, *inputs, outputs=outputs, **options)
        given = {f"in_{number}": array for number, array in enumerate(inputs)}
        names = [f"out_{number}" for number in range(outputs)]
        node = onnx.helper.make_node(op, [*given], names, **options)
        found = ReferenceEvaluator(node, opsets={"": OPSET}).run(None, given)
        return found if outputs > 1 else found[0]

    def cast(self, tensor: Tensor, dtype: str) -> Tensor:
        """Convert a tensor to another dtype."""
        return self.add("Cast", tensor, to=_element_type(dtype))

    def read(self, variable: keras.Variable) -> np.ndarray:
        """Return a weight's values, float32, and mark it as used."""
        self._used.add(id(variable))
        return np.asarray(variable, np.float32)

    def weight(self, variable: keras.Variable) -> np.ndarray | Tensor:
        """Return a weight to compute with, float32: its values, or where they are stored."""
        values = self.read(variable)
        place = self._weights.find(values) if self._weights else None
        if place is None:
            return values
        if id(variable) not in self._stored:
            name = f"weight_{len(self._stored)}"
            self._constants.append(place.tensor(name))
            self._stored[id(variable)] = self.cast(name, "float32")
        return self._stored[id(variable)]

    def unused(self, variables: Iterable[keras.Variable]) -> list[str]:
        """Return the paths of the weights that the graph does not use."""
        return [variable.path for variable in variables if id(variable) not in self._used]

    def to_model(self, name: str) -> onnx.ModelProto:
        """Return the graph as an ONNX model of this name."""
        graph = onnx.helper.make_graph(
            self._nodes, name, self._inputs, self._outputs, self._constants
        )
        return onnx.helper.make_model(
            graph,
            producer_name="lstm_zoo",
            opset_imports=[onnx.helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )

    def _named(self, tensor: Any, name: str) -> Tensor:
        if tensor is None or isinstance(tensor, str):
            return tensor or ""
        self._constants.append(onnx.numpy_helper.from_array(np.asarray(tensor), name))
        return name


class Part(NamedTuple):
    """One ONNX file of an export: its graph, and the data to verify it with.

    graph: the graph.
    probes: inputs to compare its outputs with the network's on.
    reference: computes the network's outputs of a probe, NaN where they are not compared.
    """

    graph: Graph
    probes: list[Arrays]
    reference: Callable[[Arrays], Arrays]


def embedding(graph: Graph, layer: keras.layers.Embedding, ids: Tensor) -> Tensor:
    """Look up the embeddings of ids of any shape: `(..., embedding_size)`."""
    (table,) = map(graph.weight, layer.weights)
    return graph.add("Gather", table, ids)


def dense(graph: Graph, layer: keras.layers.Dense, vectors: Tensor) -> Tensor:
    """Apply a dense layer, with bias and activation, to the last dimension."""
    kernel, *biases = map(graph.weight, layer.weights)
    outputs = graph.add("MatMul", vectors, kernel)
    for bias in biases:
        outputs = graph.add("Add", outputs, bias)
    activation = ACTIVATIONS[layer.activation.__name__]
    return graph.add(activation, outputs) if activation else outputs


def steps(graph: Graph, sequence: Tensor) -> Tensor:
    """Return the number of time steps of `(batch, time, ...)`, an int32 scalar."""
    size = graph.add("Shape", sequence, start=1, end=2)
    return graph.cast(graph.add("Squeeze", size), "int32")


def token_lengths(graph: Graph, ids: Tensor) -> Tensor:
    """Return the number of valid time steps of each row of ids, int32 `(batch,)`.

    As in `recurrent.LengthMask`, a row is valid up to its last nonzero id, at least 1 step.
    """
    end = graph.add("Add", steps(graph, ids), np.int32(1))
    positions = graph.add("Range", np.int32(1), end, np.int32(1))  # (time,): 1, 2, 3, …
    valid = graph.add("Where", graph.add("Equal", ids, np.int32(0)), np.int32(0), positions)
    return graph.add("Max", graph.add("ReduceMax", valid, np.array([1]), keepdims=0), np.int32(1))


def step_mask(graph: Graph, sequence: Tensor, lengths: Tensor) -> Tensor:
    """Return which steps of `(batch, time, features)` are valid: boolean `(batch, time, 1)`."""
    positions = graph.add("Range", np.int32(0), steps(graph, sequence), np.int32(1))
    rows = graph.add("Unsqueeze", lengths, np.array([1, 2]))  # (batch, 1, 1)
    return graph.add("Less", graph.add("Unsqueeze", positions, np.array([0, 2])), rows)


def recurrent_stack(
    graph: Graph,
    layers: Sequence[keras.Layer],
    cell: str,
    sequence: Tensor,
    lengths: Tensor | None = None,
    initial_states: Sequence[Sequence[Tensor]] | None = None,
    residual: bool = False,
) -> tuple[Tensor, list[list[Tensor]]]:
    """Stack recurrent layers, one node each.

    Args:
        graph: the graph to extend.
        layers: layers of `recurrent.recurrent_layer`, from input to output.
        cell: "simple_rnn", "gru" or "lstm".
        sequence: `(batch, time, features)`.
        lengths: the number of valid time steps of each row, int32 `(batch,)`; None if all are.
        initial_states: the states of each layer, `(directions, batch, units)` each; None for zeros.
        residual: whether a layer as wide as the one below it adds its input to its output.

    Returns:
        The last layer's outputs `(batch, time, width)`, 0 at padding unless `residual`; and the
        last states of each layer, `(directions, batch, units)` each, the hidden state first.
    """
    op, order = NODES[cell]
    options = {"linear_before_reset": 1} if cell == "gru" else {}
    states, below = [], None
    sequence = graph.add("Transpose", sequence, perm=[1, 0, 2])  # (time, batch, features)
    for number, layer in enumerate(layers):
        directions = [layer]
        if isinstance(layer, keras.layers.Bidirectional):
            directions = [layer.forward_layer, layer.backward_layer]
        kernels, recurrent_kernels, biases = zip(
            *(one.cell.weights for one in directions), strict=True
        )
        outputs, *last = graph.add(
            op,
            sequence,
            _kernels(graph, kernels, order),
            _kernels(graph, recurrent_kernels, order),
            np.stack([_biases(graph.read(bias), order) for bias in biases]),
            lengths,
            *(initial_states[number] if initial_states else ()),
            outputs=1 + len(state_names(cell)),
            hidden_size=directions[0].units,
            direction="bidirectional" if len(directions) == 2 else "forward",
            **options,
        )  # (time, directions, batch, units)
        width = len(directions) * directions[0].units
        outputs = graph.add("Transpose", outputs, perm=[0, 2, 1, 3])
        outputs = graph.add("Reshape", outputs, np.array([0, 0, width]))  # (time, batch, width)
        if residual and width == below:
            outputs = graph.add("Add", outputs, sequence)
        sequence, below = outputs, width
        states.append(last)
    return graph.add("Transpose", sequence, perm=[1, 0, 2]), states


def pool(
    graph: Graph, kinds: str, sequence: Tensor, last_hidden: Tensor, lengths: Tensor
) -> Tensor:
    """Pool the valid time steps into one vector, as `recurrent.Pooling` does.

    Args:
        graph: the graph to extend.
        kinds: the poolings, such as "last" or "mean+max".
        sequence: `(batch, time, width)`.
        last_hidden: the last hidden states `(directions, batch, units)`.
        lengths: the number of valid time steps of each row, int32 `(batch,)`.

    Returns:
        A tensor `(batch, pooled width)`.
    """
    mask, time = step_mask(graph, sequence, lengths), np.array([1])

    def masked(value: float) -> Tensor:
        return graph.add("Where", mask, sequence, np.float32(value))

    vectors = []
    for kind in kinds.split("+"):
        if kind == "last":
            rows = graph.add("Transpose", last_hidden, perm=[1, 0, 2])  # (batch, directions, units)
            vectors.append(graph.add("Flatten", rows))
        elif kind == "max":
            lowest = float(np.finfo(np.float32).min)
            vectors.append(graph.add("ReduceMax", masked(lowest), time, keepdims=0))
        else:
            total = graph.add("ReduceSum", masked(0), time, keepdims=0)
            counts = graph.cast(lengths, "float32")
            vectors.append(graph.add("Div", total, graph.add("Unsqueeze", counts, time)))
    return graph.add("Concat", *vectors, axis=1)


def _kernels(
    graph: Graph, kernels: Sequence[keras.Variable], order: Sequence[int]
) -> np.ndarray | Tensor:
    """Arrange a layer's kernels, one for each direction, as ONNX's W or R."""
    arranged = []
    for kernel in map(graph.weight, kernels):
        kernel = graph.compute("Transpose", kernel, perm=[1, 0])  # (gates * units, inputs)
        if len(order) > 1:
            gates = graph.compute(
                "Split", kernel, outputs=len(order), axis=0, num_outputs=len(order)
            )
            kernel = graph.compute("Concat", *(gates[gate] for gate in order), axis=0)
        arranged.append(graph.compute("Unsqueeze", kernel, np.array([0])))
    return graph.compute("Concat", *arranged, axis=0)


def _biases(bias: np.ndarray, order: Sequence[int]) -> np.ndarray:
    """Arrange the bias of a cell as ONNX's B."""
    # ONNX has a second bias, of the recurrent kernel. Of Keras's cells only the GRU has one.
    rows = bias if bias.ndim == 2 else [bias, np.zeros_like(bias)]
    gates = [np.split(row, len(order)) for row in rows]
    return np.concatenate([row[gate] for row in gates for gate in order])


def _value_info(name: str, dtype: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, _element_type(dtype), shape)


def _element_type(dtype: str) -> int:
    return onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
