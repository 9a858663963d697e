"""Reading files that a stranger may have made: checked before anything large is allocated.

`docs/security.md` says what is checked, and what is not.
"""

from __future__ import annotations

import os
import stat
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lstm_zoo.errors import DataError
from lstm_zoo.files import reading

if TYPE_CHECKING:  # `load` checks a call before it imports what is slow
    import h5py
    import keras
    import numpy as np

NPY_HEADER = 1_024  # bytes, at least those before the values of an array in an .npz


def check_files(directory: str | os.PathLike, names: Iterable[str] | None = None) -> None:
    """Check that a directory holds only files and directories, and no link that leads out of it.

    Args:
        directory: the directory; it may itself be a link.
        names: the files to check that are directly in it; None for all, at any depth.

    Raises:
        DataError: if it has such a link, or a pipe or a device, which would block or never end.

    Example:

    >>> os.symlink("/etc/passwd", "vocabulary.txt")
    >>> check_files(".")
    Traceback (most recent call last):
    lstm_zoo.errors.DataError: vocabulary.txt: a symbolic link that leads out of its directory.
    """
    root = Path(directory).resolve()
    walked = ((folder, name) for folder, *kinds in os.walk(root) for name in sum(kinds, []))
    for folder, name in walked if names is None else ((root, name) for name in names):
        path = Path(folder, name)
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:  # such as a temporary file of a running training
            continue
        shown = Path(directory) / path.relative_to(root)
        if stat.S_ISLNK(mode):
            try:
                leads_out = not path.resolve().is_relative_to(root)
            except (OSError, RuntimeError):  # a link to itself
                leads_out = True
            if leads_out:
                raise DataError(f"{shown}: a symbolic link that leads out of its directory.")
        elif not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise DataError(f"{shown}: neither a file nor a directory.")


def check_weights(model: keras.Model, path: Path) -> None:
    """Check that a weights file holds a network's weights, without reading them.

    Args:
        model: the network; its variables may have no values yet.
        path: what `keras.Model.save_weights` wrote.

    Raises:
        DataError: if the file is damaged, or has arrays of other shapes.

    Example:

    >>> check_weights(lstm_zoo.build_sentiment(9), Path("runs/imdb/model.weights.h5"))
    Traceback (most recent call last):
    lstm_zoo.errors.DataError: runs/imdb/model.weights.h5: of another network than config.json...
    """
    with reading(path):
        found = Counter(_weight_shapes(path))
    expected = Counter(tuple(weight.shape) for weight in model.weights)
    if found != expected:
        raise DataError(
            f"{path}: of another network than config.json describes. "
            f"Expected arrays that it lacks: {_format(expected - found)}; "
            f"arrays that are not expected: {_format(found - expected)}."
        )


def read_arrays(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Read an .npz file of some float32 arrays, without pickle.

    Args:
        path: the file.
        shapes: the arrays that it holds, and their shapes.

    Returns:
        The arrays by name.

    Raises:
        DataError: if it is damaged, or holds other arrays.

    Example:

    >>> np.savez("statistics.npz", mean=np.zeros(40, np.float32))
    >>> read_arrays(Path("statistics.npz"), {"mean": (40,)})["mean"].shape
    (40,)
    """
    import numpy as np

    with reading(path):
        with zipfile.ZipFile(path) as archive:
            # A small file may unpack to a huge one.
            sizes = {
                info.filename.removesuffix(".npy"): info.file_size for info in archive.filelist
            }
        for name, size in sizes.items():
            if name not in shapes or size > 4 * np.prod(shapes[name], dtype=float) + NPY_HEADER:
                raise DataError(f"{path}: the array {name} is larger than expected.")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    for name, shape in shapes.items():
        if name not in arrays or arrays[name].shape != shape or arrays[name].dtype != np.float32:
            raise DataError(f"{path}: expected an array {name} of float32 {list(shape)}.")
    return arrays


def _weight_shapes(path: Path) -> list[tuple[int, ...]]:
    """List the shapes of the arrays in an HDF5 file, which must be stored plainly in it.

    HDF5 has links to other files, arrays that are stored in other files, and compressed or absent
    values, so that a small file may expand to a huge one. Keras writes nothing of the kind.
    """
    import h5py

    shapes, size, seen = [], 0, set()
    with h5py.File(path) as file:
        groups = [file]
        while groups:
            group = groups.pop()
            for name in group:
                item = group[name] if _is_hard_link(group, name) else None
                place = f"{path}: {group.name}/{name}"
                if not isinstance(item, (h5py.Group, h5py.Dataset)):
                    raise DataError(f"{place} is a link or a type, which no weights file needs.")
                address = h5py.h5o.get_info(item.id).addr
                if address in seen:
                    raise DataError(f"{place} is linked twice.")
                seen.add(address)
                if isinstance(item, h5py.Group):
                    groups.append(item)
                    continue
                stored = item.id.get_storage_size()
                if (
                    item.dtype.kind not in "fiu"
                    or item.chunks is not None
                    or item.external is not None
                    or item.is_virtual
                    or stored != item.nbytes
                ):
                    raise DataError(f"{place} is no plainly stored array of numbers.")
                size += stored
                shapes.append(item.shape)
        if size > path.stat().st_size:
            raise DataError(f"{path}: its arrays overlap.")
    return shapes


def _is_hard_link(group: h5py.Group, name: str) -> bool:
    import h5py

    return isinstance(group.get(name, getlink=True), h5py.HardLink)


def _format(shapes: Counter) -> str:
    """Format up to three shapes."""
    listed = [str(list(shape)) for shape in sorted(shapes.elements())]
    return ", ".join(listed[:3]) + (", …" if len(listed) > 3 else "") or "none"
