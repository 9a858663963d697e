"""ONNX graphs, composed node by node from a network's weights.

Converters make a loop of small ops of a masked Keras layer. ONNX has the layers themselves, `LSTM`,
`GRU` and `RNN`, which take the lengths of the rows, and runtimes have fast kernels for them. Here
the weights are laid out as these nodes want them, and the functions have the names of those in
`lstm_zoo.recurrent` that they stand for. A family's `onnx` room puts its network together of them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import onnx

OPSET = 18
IR_VERSION = 8  # with that opset, what ONNX Runtime reads from 1.14 on
# Of each cell, ONNX's node, and Keras's gates in the order of that node's.
NODES = {"lstm": ("LSTM", (0, 3, 1, 2)), "gru": ("GRU", (0, 1, 2)), "simple_rnn": ("RNN", (0,))}
ACTIVATIONS = {"linear": None, "relu": "Relu", "tanh": "Tanh"}

Tensor = str  # a graph knows its tensors by name
Arrays = Mapping[str, np.ndarray]  # by the name of an input or output


class Graph:
    """A graph in the making.

    Example:

    >>> graph = Graph()
    >>> ids = graph.input("ids", "int32", ["batch", "time"])
    >>> graph.output("next", graph.add("Add", ids, np.int32(1)), "int32", ["batch", "time"])
    >>> "Add" in {node.op_type for node in graph.to_model("example").graph.node}
    True
    """

    def __init__(self):
        self._nodes, self._constants, self._inputs, self._outputs = [], [], [], []
        self._read: set[int] = set()
        self._rows: Tensor | None = None  # the size of the batch

    def input(self, name: str, dtype: str, shape: Sequence[int | str]) -> Tensor:
        """Declare an input; a size that is open has a name, such as "batch", which comes first.

        Returns:
            The input, with a row of zeros where the batch is empty: ONNX Runtime's recurrent nodes
            would bring the whole process down.
        """
        self._inputs.append(_declared(name, dtype, shape))
        self._rows = self.add("Shape", name, start=0, end=1)
        missing = self.add("Max", self.add("Sub", np.array([1]), self._rows), np.array([0]))
        none = np.zeros(len(shape), np.int64)
        return self.add("Pad", name, self.add("Concat", none, missing, none[1:], axis=0))

    def output(self, name: str, tensor: Tensor, dtype: str, shape: Sequence[int | str]) -> None:
        """Declare a tensor an output, and give it its name; the row of an empty batch goes."""
        chosen = self.add("Slice", tensor, np.array([0]), self._rows, np.array([0]))
        self._nodes.append(onnx.helper.make_node("Identity", [chosen], [name]))
        self._outputs.append(_declared(name, dtype, shape))

    def add(
        self, op: str, *inputs: Tensor | np.ndarray | np.generic | None, outputs: int = 1, **options
    ) -> Any:
        """Add a node.

        Args:
            op: ONNX's name of the operator.
            *inputs: tensors; arrays, which become constants; None for an input that is left out.
            outputs: how many of its outputs are wanted.
            **options: the operator's attributes.

        Returns:
            The output, or a list of several.
        """
        stem = f"{op}_{len(self._nodes)}"
        names = [f"{stem}_{number}" for number in range(outputs)]
        places = [self._named(tensor, f"{stem}_in_{n}") for n, tensor in enumerate(inputs)]
        self._nodes.append(onnx.helper.make_node(op, places, names, name=stem, **options))
        return names if outputs > 1 else names[0]

    def cast(self, tensor: Tensor, dtype: str) -> Tensor:
        """Convert a tensor to another type."""
        return self.add("Cast", tensor, to=_element(dtype))

    def read(self, variable: keras.Variable) -> np.ndarray:
        """Return a weight's values, and remember that the graph holds it."""
        self._read.add(id(variable))
        return np.asarray(variable, np.float32)

    def unread(self, variables: Iterable[keras.Variable]) -> list[str]:
        """List the weights, of some, that the graph does not hold."""
        return [variable.path for variable in variables if id(variable) not in self._read]

    def to_model(self, name: str) -> onnx.ModelProto:
        """Make the model that a file holds."""
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
    """A file to be: its graph, and how it must answer.

    graph: the graph.
    probes: inputs on which it must answer as the network does.
    answer: the network's own way from inputs to outputs; NaN where an output is of no account.
    """

    graph: Graph
    probes: list[Arrays]
    answer: Callable[[Arrays], Arrays]


def embedding(graph: Graph, layer: keras.layers.Embedding, ids: Tensor) -> Tensor:
    """Look ids of any shape up: `(..., embedding_size)`."""
    (table,) = map(graph.read, layer.weights)
    return graph.add("Gather", table, ids)


def dense(graph: Graph, layer: keras.layers.Dense, vectors: Tensor) -> Tensor:
    """Apply a dense layer, its bias and activation, to the last dimension."""
    kernel, *biases = map(graph.read, layer.weights)
    outputs = graph.add("MatMul", vectors, kernel)
    for bias in biases:
        outputs = graph.add("Add", outputs, bias)
    activation = ACTIVATIONS[layer.activation.__name__]
    return graph.add(activation, outputs) if activation else outputs


def steps(graph: Graph, sequence: Tensor) -> Tensor:
    """Return the number of time steps of `(batch, time, ...)`, an int32 without dimensions."""
    size = graph.add("Shape", sequence, start=1, end=2)
    return graph.cast(graph.add("Squeeze", size), "int32")


def token_lengths(graph: Graph, ids: Tensor) -> Tensor:
    """Return the real steps of rows of ids, int32 `(batch,)`, as `recurrent.length_mask` has it.

    A row is real up to its last id that is not 0, and for one step at least.
    """
    end = graph.add("Add", steps(graph, ids), np.int32(1))
    positions = graph.add("Range", np.int32(1), end, np.int32(1))  # (time,): 1, 2, 3, …
    real = graph.add("Where", graph.add("Equal", ids, np.int32(0)), np.int32(0), positions)
    return graph.add("Max", graph.add("ReduceMax", real, np.array([1]), keepdims=0), np.int32(1))


def step_mask(graph: Graph, sequence: Tensor, lengths: Tensor) -> Tensor:
    """Tell which steps of `(batch, time, features)` are real: boolean `(batch, time, 1)`."""
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
    """Run recurrent layers one upon the other, a node each.

    Args:
        graph: what to add them to.
        layers: `recurrent.recurrent_layer`s, the lowest first.
        cell: "simple_rnn", "gru" or "lstm".
        sequence: `(batch, time, features)`.
        lengths: the real steps of each row, int32 `(batch,)`; None where all are.
        initial_states: of each layer, `(directions, batch, units)`; None for zeros.
        residual: whether a layer as wide as the one below it adds its input to its output.

    Returns:
        The last layer's outputs `(batch, time, width)`, 0 or a residual's past the real steps; and
        of each layer its last states `(directions, batch, units)`, the hidden one first.
    """
    op, order = NODES[cell]
    options = {"linear_before_reset": 1} if cell == "gru" else {}
    states, below = [], None
    sequence = graph.add("Transpose", sequence, perm=[1, 0, 2])  # (time, batch, features)
    for number, layer in enumerate(layers):
        ways = [layer]
        if isinstance(layer, keras.layers.Bidirectional):
            ways = [layer.forward_layer, layer.backward_layer]
        weights = [_laid_out([*map(graph.read, way.cell.weights)], order) for way in ways]
        outputs, *last = graph.add(
            op,
            sequence,
            *map(np.stack, zip(*weights, strict=True)),
            lengths,
            *(initial_states[number] if initial_states else ()),
            outputs=3 if cell == "lstm" else 2,
            hidden_size=ways[0].units,
            direction="bidirectional" if len(ways) == 2 else "forward",
            **options,
        )  # (time, batch, directions, units) once transposed
        width = len(ways) * ways[0].units
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
    """Make one vector of the real steps, as `recurrent.pool` does.

    Args:
        graph: what to add it to.
        kinds: such as "last" or "mean+max".
        sequence: `(batch, time, width)`.
        last_hidden: `(directions, batch, units)`.
        lengths: the real steps of each row, int32 `(batch,)`.

    Returns:
        A tensor `(batch, pooled width)`.
    """
    mask, time = step_mask(graph, sequence, lengths), np.array([1])

    def kept(instead: float) -> Tensor:
        return graph.add("Where", mask, sequence, np.float32(instead))

    vectors = []
    for kind in kinds.split("+"):
        if kind == "last":
            turned = graph.add("Transpose", last_hidden, perm=[1, 0, 2])
            vectors.append(graph.add("Flatten", turned))
        elif kind == "max":
            lowest = float(np.finfo(np.float32).min)
            vectors.append(graph.add("ReduceMax", kept(lowest), time, keepdims=0))
        else:
            total = graph.add("ReduceSum", kept(0), time, keepdims=0)
            counts = graph.cast(lengths, "float32")
            vectors.append(graph.add("Div", total, graph.add("Unsqueeze", counts, time)))
    return graph.add("Concat", *vectors, axis=1)


def _laid_out(weights: Sequence[np.ndarray], order: Sequence[int]) -> list[np.ndarray]:
    """Lay Keras's kernel, recurrent kernel and bias out as ONNX's W, R and B."""
    kernel, recurrent_kernel, bias = weights

    def ordered(array: np.ndarray) -> np.ndarray:
        gates = np.split(array, len(order), axis=-1)
        return np.concatenate([gates[gate] for gate in order], axis=-1)

    # ONNX has a second bias, behind the recurrent kernel. Of Keras's cells only the GRU has it.
    biases = bias if bias.ndim == 2 else [bias, np.zeros_like(bias)]
    return [
        ordered(kernel).T,
        ordered(recurrent_kernel).T,
        np.concatenate([ordered(row) for row in biases]),
    ]


def _declared(name: str, dtype: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, _element(dtype), shape)


def _element(dtype: str) -> int:
    return onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
