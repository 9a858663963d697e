"""A run's weights file as the place of an ONNX model's weights."""

import os
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import onnx


class Place(NamedTuple):
    """Where an array is in a file: its dtype, its shape, and its first byte."""

    file: str
    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int

    def tensor(self, name: str) -> onnx.TensorProto:
        """Return an ONNX tensor of this name that refers to the array (as external data)."""
        tensor = onnx.TensorProto(
            name=name,
            data_type=onnx.helper.np_dtype_to_tensor_dtype(self.dtype),
            dims=self.shape,
            data_location=onnx.TensorProto.EXTERNAL,
        )
        length = self.dtype.itemsize * int(np.prod(self.shape))
        values = {"location": self.file, "offset": self.offset, "length": length}
        for key, value in values.items():
            tensor.external_data.add(key=key, value=str(value))
        return tensor


class WeightsFile:
    """The arrays of a weights file that lie there as they are in memory.

    Args:
        path: the file, in Keras's HDF5 format.
    """

    def __init__(self, path: str | os.PathLike):
        self._found: list[tuple[np.ndarray, Place]] = []

        def collect(name: str, item: h5py.Dataset | h5py.Group) -> None:
            # Neither compressed nor in chunks, which have no offset.
            if isinstance(item, h5py.Dataset) and item.id.get_offset() is not None:
                place = Place(Path(path).name, item.dtype, item.shape, item.id.get_offset())
                self._found.append((item[()], place))

        with h5py.File(path) as file:
            file.visititems(collect)

    def find(self, values: np.ndarray) -> Place | None:
        """Return where an array of these values is in the file; None if there is none."""
        for found, place in self._found:
            if found.shape == values.shape and np.array_equal(found, values):
                return place
        return None
