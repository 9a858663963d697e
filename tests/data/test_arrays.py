"""Arrays of different lengths in flat ones: equal to a list of arrays."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.data.arrays import Arrays, Texts, offsets_of, take


@given(
    st.lists(st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=4), max_size=5), st.data()
)
@settings(max_examples=60)
def test_they_are_those_of_a_list_however_they_are_sharded(shards, data):
    rows = [row for shard in shards for row in shard]
    arrays = Arrays(
        [
            (np.array([v for row in shard for v in row], np.int32), offsets_of([*map(len, shard)]))
            for shard in shards
        ]
    )
    assert len(arrays) == len(rows) and [row.tolist() for row in arrays] == rows
    if rows:
        together = Arrays.concatenate([np.array(row, np.int32) for row in rows])
        assert [row.tolist() for row in together] == rows
    taken, longest = arrays, None
    for _ in range(2):
        indices = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=6)) if rows else []
        longest = data.draw(st.integers(0, 6))
        taken, rows = taken.take(indices).cut(longest), [rows[index][:longest] for index in indices]
        assert [row.tolist() for row in taken] == rows
        assert taken.lengths.tolist() == [*map(len, rows)] and taken.lengths.dtype == np.int32


def test_they_are_views_and_have_no_more_indices_than_arrays():
    values = np.arange(12, dtype=np.float32).reshape(6, 2)
    arrays = Arrays([(values, offsets_of([4, 0, 2]))])
    assert np.shares_memory(arrays[2], values) and arrays[-1].tolist() == values[4:].tolist()
    assert arrays[np.int64(1)].shape == (0, 2)
    for index in (3, -4):
        with pytest.raises(IndexError):
            arrays[index]
    assert offsets_of([2**31, 2**31]).dtype == np.int64


def texts_of(values, key="key", prefix=""):
    arrays = Arrays.concatenate([np.frombuffer(value.encode(), np.uint8) for value in values])
    hashes = np.arange(len(values), dtype=np.uint64)
    return Texts(arrays, key, Path("cache"), prefix, hashes)


@settings(max_examples=40)
@given(st.lists(st.text(max_size=4), max_size=12), st.data())
def test_texts_are_a_sequence_of_str(values, data):
    texts = texts_of(values)
    indices = data.draw(st.lists(st.integers(0, len(values) - 1), max_size=9)) if values else []
    taken = take(texts, indices)
    assert [*texts] == values and [texts[i] for i in range(len(values))] == values
    assert [*taken] == take(values, indices) == [values[i] for i in indices]
    assert [*taken[1:3]] == [values[i] for i in indices][1:3]
    assert taken.hashes.tolist() == indices
    assert [*(taken + texts)] == [*taken, *values]
    assert [*(taken + texts).take([len(indices)] * bool(values))] == values[:1]


def test_texts_have_a_key_of_the_column_and_its_rows():
    texts = texts_of(["a", "b", "c"])
    others = [
        texts,
        texts.take([0, 1]),
        texts.take([1, 0]),
        texts_of(["a", "b", "c"], key="other"),
        texts + texts.take([0]),
        texts.take([0]) + texts,
    ]
    assert len({column.key for column in others}) == len(others)
    assert texts.take([0, 2, 1]).take([0, 2]).key == texts.take([0, 1]).key


def test_texts_may_share_a_prefix():
    assert [*texts_of([":1", ":2"], prefix="a.tsv").take([1])] == ["a.tsv:2"]
