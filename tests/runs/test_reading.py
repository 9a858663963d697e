"""Files of a stranger's run: refused before they are read, or anything large is allocated."""

import json
import os
import resource
import shutil
import zipfile

import h5py
import numpy as np
import pytest

import lstm_zoo
from lstm_zoo import families
from lstm_zoo.errors import DataError
from lstm_zoo.runs import reading
from tests.conftest import READY_RUNS

WEIGHTS = "model.weights.h5"
EMBEDDING = "layers/embedding/vars/0"


@pytest.fixture
def run(tmp_path):
    """A copy of a ready run."""
    return shutil.copytree(READY_RUNS / "sentiment", tmp_path / "run")


def replace(run, **network):
    """Replace arguments of the network in a run's configuration."""
    config = json.loads((run / "config.json").read_text("utf-8"))
    config["network"].update(network)
    (run / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("family", families.FAMILIES)
def test_a_small_file_does_not_become_a_large_network(tmp_path, family):
    run = shutil.copytree(READY_RUNS / family, tmp_path / "run")
    units = [name for name in families.module(family).SETTINGS if name.endswith("units")]
    replace(run, **{name: [16_000] * 4 for name in units})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=rf"{WEIGHTS}: of another network than config\.json"):
        lstm_zoo.load(run)
    # In KiB; the network would have more than 30 GB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000
    # The refused network's variables aren't initialized later, with another network's.
    assert lstm_zoo.load(READY_RUNS / family).model.count_params() < 100_000


def test_weights_of_another_network_are_named_by_their_shapes(run):
    shutil.copy(READY_RUNS / "speech" / WEIGHTS, run)
    with pytest.raises(DataError, match=r"that it lacks: \[2\], \[8, 32\].*not expected: \[2, 72"):
        lstm_zoo.load(run)


def replace_array(file, **options):
    shape = file[EMBEDDING].shape
    del file[EMBEDDING]
    file.create_dataset(EMBEDDING, shape, "float32", **options)


HDF5 = {
    "a link to another file": lambda file: (
        file.__delitem__(EMBEDDING),
        file.__setitem__(EMBEDDING, h5py.ExternalLink("/etc/other.h5", "/weights")),
    ),
    "a link": lambda file: (
        file.__delitem__(EMBEDDING),
        file.__setitem__(EMBEDDING, h5py.SoftLink("/layers/embedding_1/vars/0")),
    ),
    "values in another file": lambda file: replace_array(
        file, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
    ),
    "compressed values": lambda file: replace_array(file, compression="gzip"),
    "absent values": lambda file: replace_array(file),
    "a group in itself": lambda file: file["layers"].__setitem__("again", file["layers"]),
    "texts": lambda file: file.create_dataset("layers/text", data=["text"]),
}


@pytest.mark.parametrize("kind", HDF5)
def test_what_keras_does_not_write_into_a_weights_file_is_refused(run, kind):
    with h5py.File(run / WEIGHTS, "a") as file:
        HDF5[kind](file)
    with pytest.raises(
        DataError,
        match=rf"{WEIGHTS}: /layers/.* (is a link|is linked twice|is no plainly stored array)",
    ):
        lstm_zoo.load(run)


def test_a_file_that_is_cut_is_named(run):
    os.truncate(run / WEIGHTS, 9_000)
    with pytest.raises(DataError, match=rf"{WEIGHTS}: damaged, or not what is expected .*truncat"):
        lstm_zoo.load(run)


def test_a_vocabulary_of_another_size_is_named(run):
    words = (run / "vocabulary.txt").read_text("utf-8").splitlines(keepends=True)
    (run / "vocabulary.txt").write_text("".join(words[:50]))
    with pytest.raises(
        DataError,
        match=r"vocabulary\.txt: it gives vocabulary_size=54, but .* vocabulary_size=228\.",
    ):
        lstm_zoo.load(run)


def test_links_that_lead_out_and_pipes_are_refused(run, tmp_path):
    (run / "inside.txt").symlink_to("vocabulary.txt")
    reading.check_files(run)
    (tmp_path / "alias").symlink_to(run)  # the run itself may be a link
    lstm_zoo.load(tmp_path / "alias")
    (tmp_path / "secret.txt").write_text("secret")
    for target in ("../secret.txt", "/etc/passwd", "/", "loop"):
        (run / "loop").symlink_to(target)
        with pytest.raises(DataError, match="run/loop: a symbolic link that leads out of its dir"):
            lstm_zoo.load(run)
        (run / "loop").unlink()
    os.mkfifo(run / "pipe")  # to read it would never end
    with pytest.raises(DataError, match="run/pipe: neither a file nor a directory"):
        lstm_zoo.load(run)


def test_arrays_are_read_if_they_are_those_expected(tmp_path):
    path = tmp_path / "arrays.npz"
    np.savez(path, mean=np.arange(3, dtype=np.float32))
    (mean,) = reading.read_arrays(path, {"mean": (3,)}).values()
    np.testing.assert_array_equal(mean, [0, 1, 2])
    for shapes in ({}, {"mean": (4,)}, {"mean": (3, 1)}, {"mean": (3,), "deviation": (3,)}):
        with pytest.raises(DataError, match=r"arrays\.npz: "):
            reading.read_arrays(path, shapes)


def test_an_archive_that_unpacks_to_a_huge_array_is_refused(tmp_path):
    path = tmp_path / "arrays.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mean.npy", bytes(10**7))
    with pytest.raises(DataError, match="the array mean is larger than expected"):
        reading.read_arrays(path, {"mean": (3,)})
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000000,), }"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "mean.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
        )
    with pytest.raises(DataError, match=r"arrays\.npz: damaged"):
        reading.read_arrays(path, {"mean": (3,)})
    np.savez(path, mean=np.array([{}], dtype=object))
    with pytest.raises(DataError, match=r"arrays\.npz: damaged"):
        reading.read_arrays(path, {"mean": (3,)})
