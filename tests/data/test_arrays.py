"""Arrays of different lengths in flat ones: equal to a list of arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_zoo.data.arrays import Arrays, offsets_of


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
