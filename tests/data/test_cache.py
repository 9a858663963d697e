"""The cache: computed once, written atomically, errors included."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.data import cache
from lstm_zoo.data.cache import load_or_compute
from lstm_zoo.errors import DataError, FileReadError


@settings(max_examples=25)
@given(st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=200))
def test_cached_arrays_are_not_computed_again(tmp_path_factory, lengths):
    def compute(index):
        if lengths[index] is None:
            raise DataError(f"{index} is bad")
        return np.full((lengths[index], 3), index, np.float32)

    def never(index):
        raise AssertionError("computed again")

    prefix = tmp_path_factory.mktemp("cache") / "new" / "key"
    for function in (compute, never):
        arrays, errors = load_or_compute(prefix, function, len(lengths), "test")
        assert errors == {i: f"{i} is bad" for i, length in enumerate(lengths) if length is None}
        assert [array.shape[0] for array in arrays] == [length or 0 for length in lengths]
        for index, array in enumerate(arrays):
            assert array.dtype == np.float32 and (array == index).all()


def test_an_error_other_than_a_data_error_leaves_no_files(tmp_path):
    with pytest.raises(ZeroDivisionError):
        load_or_compute(tmp_path / "key", lambda index: 1 / 0, 3, "test")
    assert list(tmp_path.iterdir()) == []


def test_shards_written_before_an_interrupt_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "SHARD", 8)
    monkeypatch.setattr(cache, "AHEAD", 1)
    computed = []

    def compute(index):
        computed.append(index)
        if index == 20 and len(computed) < 30:
            raise KeyboardInterrupt
        if index == 10:
            raise DataError("ten")
        return np.full((index % 3, 2), index, np.float32)

    with pytest.raises(KeyboardInterrupt):
        load_or_compute(tmp_path / "key", compute, 27, "test")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key-0-8", "key-8-16"]
    computed[:] = [None] * 30
    arrays, errors = load_or_compute(tmp_path / "key", compute, 27, "test")
    assert sorted(computed[30:]) == [*range(16, 27)]
    assert errors == {10: "ten"}
    assert [len(array) for array in arrays] == [0 if i == 10 else i % 3 for i in range(27)]
    assert all((array == index).all() for index, array in enumerate(arrays))


@pytest.mark.parametrize("damage", ["cut", "bit", "index", "count", "emptied", "version 0.1"])
def test_a_damaged_shard_is_computed_again(tmp_path, damage):
    def compute(index):
        return np.full((index + 1, 2), index, np.float32)

    load_or_compute(tmp_path / "key", compute, 5, "test")
    shard = tmp_path / "key-0-5"
    data, index = shard / cache.DATA, json.loads((shard / cache.INDEX).read_text())
    content = bytearray(data.read_bytes())
    if damage == "cut":
        data.write_bytes(content[: len(content) // 2])
    elif damage == "bit":
        content[9] ^= 1
        data.write_bytes(content)
    elif damage == "index":
        (shard / cache.INDEX).write_text(json.dumps(index)[:-9])
    elif damage == "count":
        index["lengths"][:2] = [2, 1]
        (shard / cache.INDEX).write_text(json.dumps(index))
    elif damage == "emptied":
        data.unlink()
    else:
        del index["sha256"], index["may_pass"]
        (shard / cache.INDEX).write_text(json.dumps(index))
    arrays, errors = load_or_compute(tmp_path / "key", compute, 5, "test")
    assert errors == {} and [len(array) for array in arrays] == [1, 2, 3, 4, 5]
    assert all((array == index).all() for index, array in enumerate(arrays))
    assert [path.name for path in tmp_path.iterdir()] == ["key-0-5"]
    load_or_compute(tmp_path / "key", None, 5, "test")  # it is whole again


def test_an_error_that_may_pass_is_not_remembered(tmp_path):
    def compute(index):
        if index == 1 and not passed:
            raise FileReadError("1: Input/output error.")
        if index == 2:
            raise DataError("2 is damaged")
        return np.ones((3, 2), np.float32)

    for passed, expected in (
        (False, {1: "1: Input/output error.", 2: "2 is damaged"}),
        (True, {2: "2 is damaged"}),
    ):
        arrays, errors = load_or_compute(tmp_path / "key", compute, 3, "test")
        assert errors == expected
        assert [len(array) for array in arrays] == [3, 3 * passed, 0]
    load_or_compute(tmp_path / "key", None, 3, "test")
