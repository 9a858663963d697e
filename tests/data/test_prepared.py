"""Prepared arrays: computed once, written atomically, errors included."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.data import prepared
from lstm_zoo.data.arrays import Arrays, Texts
from lstm_zoo.errors import DataError, FileReadError


def prepare(prefix, compute, count, **options):
    """Call `prepared.prepare` with a function of one index, which raises errors."""

    def attempt(index):
        try:
            return compute(index)
        except DataError as error:
            return error

    return prepared.prepare(prefix, lambda block: [*map(attempt, block)], count, "test", **options)


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
        arrays, errors = prepare(prefix, function, len(lengths))
        assert errors == {i: f"{i} is bad" for i, length in enumerate(lengths) if length is None}
        assert [array.shape[0] for array in arrays] == [length or 0 for length in lengths]
        for index, array in enumerate(arrays):
            assert array.dtype == np.float32 and (array == index).all()


def test_an_error_other_than_a_data_error_leaves_no_files(tmp_path):
    with pytest.raises(ZeroDivisionError):
        prepare(tmp_path / "key", lambda index: 1 / 0, 3)
    assert list(tmp_path.iterdir()) == []


def test_shards_written_before_an_interrupt_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(prepared, "AHEAD", 1)
    monkeypatch.setattr(prepared.os, "cpu_count", lambda: 1)
    computed = []

    def compute(index):
        computed.append(index)
        if index == 20 and len(computed) < 30:
            raise KeyboardInterrupt
        if index == 10:
            raise DataError("ten")
        return np.full((index % 3, 2), index, np.float32)

    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path / "key", compute, 27, shard_size=8)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key-0-8", "key-8-16"]
    computed[:] = [None] * 30
    arrays, errors = prepare(tmp_path / "key", compute, 27, shard_size=8)
    assert sorted(computed[30:]) == [*range(16, 27)]
    assert errors == {10: "ten"}
    assert [len(array) for array in arrays] == [0 if i == 10 else i % 3 for i in range(27)]
    assert all((array == index).all() for index, array in enumerate(arrays))


@pytest.mark.parametrize("damage", ["cut", "bit", "index", "count", "emptied", "version 0.1"])
def test_a_damaged_shard_is_computed_again(tmp_path, damage):
    def compute(index):
        return np.full((index + 1, 2), index, np.float32)

    prepare(tmp_path / "key", compute, 5)
    shard = tmp_path / "key-0-5"
    data, index = shard / "data.float32", json.loads((shard / prepared.INDEX).read_text())
    content = bytearray(data.read_bytes())
    if damage == "cut":
        data.write_bytes(content[: len(content) // 2])
    elif damage == "bit":
        content[9] ^= 1
        data.write_bytes(content)
    elif damage == "index":
        (shard / prepared.INDEX).write_text(json.dumps(index)[:-9])
    elif damage == "count":
        index["lengths"][:2] = [2, 1]
        (shard / prepared.INDEX).write_text(json.dumps(index))
    elif damage == "emptied":
        data.unlink()
    else:
        del index["sha256"], index["may_pass"]
        (shard / prepared.INDEX).write_text(json.dumps(index))
    arrays, errors = prepare(tmp_path / "key", compute, 5)
    assert errors == {} and [len(array) for array in arrays] == [1, 2, 3, 4, 5]
    assert all((array == index).all() for index, array in enumerate(arrays))
    assert [path.name for path in tmp_path.iterdir()] == ["key-0-5"]
    prepare(tmp_path / "key", None, 5)  # it is whole again


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
        arrays, errors = prepare(tmp_path / "key", compute, 3)
        assert errors == expected
        assert [len(array) for array in arrays] == [3, 3 * passed, 0]
    prepare(tmp_path / "key", None, 3)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 9), st.integers(1, 20))
def test_blocks_and_shards_do_not_change_the_arrays(tmp_path_factory, lengths, block, shard_size):
    def compute(indices):
        assert 1 <= len(indices) <= block
        return [np.full(lengths[index], index, np.int32) for index in indices]

    prefix = tmp_path_factory.mktemp("cache") / "key"
    for function in (compute, None):
        arrays, errors = prepared.prepare(
            prefix, function, len(lengths), "", dtype="int32", block=block, shard_size=shard_size
        )
        assert not errors and arrays.lengths.tolist() == lengths
        for index, array in enumerate(arrays):
            assert array.dtype == np.int32 and array.tolist() == [index] * lengths[index]


def test_a_folder_that_is_removed_while_it_is_read_is_prepared_again(tmp_path):
    def compute(index):
        return np.full((2, 3), index, np.float32)

    arrays, _ = prepare(tmp_path / "key", compute, 4)
    for path in tmp_path.iterdir():
        shutil.rmtree(path)
    assert [array[1, 2] for array in arrays] == [0, 1, 2, 3]
    again, _ = prepare(tmp_path / "key", compute, 4)
    assert all(np.array_equal(*pair) for pair in zip(arrays, again, strict=True))


def test_what_is_remembered_of_columns_on_disk_is_computed_once(tmp_path):
    def texts(values):
        arrays = Arrays.concatenate([np.frombuffer(value.encode(), np.uint8) for value in values])
        return Texts(arrays, "key", tmp_path / "cache")

    computed = []

    def compute():
        computed.append(1)
        return {"count": len(computed)}

    (tmp_path / "cache").mkdir()
    columns = [texts(["good", "bad"]), texts(["a", "b"])]
    for _ in range(2):
        assert prepared.remember("name", columns, compute) == {"count": 1}
    assert prepared.remember("other", columns, compute) == {"count": 2}
    assert prepared.remember("name", [column.take([0]) for column in columns], compute) == {
        "count": 3
    }
    for path in (tmp_path / "cache").iterdir():
        path.write_text("{damaged")
    assert prepared.remember("name", columns, compute) == {"count": 4}
    for number in (5, 6):  # of lists, nothing is kept
        assert prepared.remember("name", [["good"]], compute) == {"count": number}


def test_a_folder_that_is_there_is_replaced_and_a_failure_leaves_it(tmp_path):
    folder = tmp_path / "cache" / "folder"
    for content in ("old", "new"):
        with prepared.writing(folder) as staging:
            (staging / content).write_text(content)
    assert [path.name for path in folder.iterdir()] == ["new"]
    with pytest.raises(KeyboardInterrupt), prepared.writing(folder) as staging:
        (staging / "partly").write_text("")
        raise KeyboardInterrupt
    assert [*(tmp_path / "cache").iterdir()] == [folder]
    assert [path.name for path in folder.iterdir()] == ["new"]


@pytest.mark.parametrize("damaged", [False, True])
def test_two_that_prepare_at_once_never_remove_what_the_other_has_written(damaged, tmp_path):
    folder = tmp_path / "cache" / "folder"
    if damaged:
        folder.mkdir(parents=True)
        (folder / "damaged").write_text("")
    with prepared.writing(folder) as slower:
        (slower / "slower").write_text("")
        with prepared.writing(folder) as faster:
            (faster / "faster").write_text("")
        assert [path.name for path in folder.iterdir()] == ["faster"]
    assert [path.name for path in folder.iterdir()] == ["faster"]
    assert [*(tmp_path / "cache").iterdir()] == [folder]
