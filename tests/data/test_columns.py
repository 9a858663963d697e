"""Columns in memory: what Python callers pass, by its behaviour."""

import numpy as np
import pytest

from lstm_zoo import families, settings
from lstm_zoo.data.columns import check_texts, is_missing, label_of, read_columns, text_of, to_list
from lstm_zoo.errors import CallError, DataError


class NA:
    """As pandas' NA: compared with anything it gives itself, and has no truth."""

    def __eq__(self, other):
        return self

    __ne__ = __eq__
    __hash__ = None

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")


class Series:
    """As a pandas Series: an index by label, not by position, and a shape."""

    def __init__(self, *values):
        self.values, self.shape = values, (len(values),)

    def __iter__(self):
        return iter(self.values)

    def __len__(self):
        return len(self.values)

    def __getitem__(self, label):
        raise KeyError(label)


class DataFrame(dict):
    """As a pandas DataFrame: iteration gives the names of the columns."""

    @property
    def shape(self):
        return len(next(iter(self.values()))), len(self)


MISSING = [None, float("nan"), np.float32("nan"), np.datetime64("NaT"), NA()]
FRAME = DataFrame({"text": Series("good", "bad"), "label": Series("pos", "neg")})


def test_missing_values_are_no_labels_and_no_texts():
    for value in MISSING:
        assert is_missing(value)
        assert label_of(value, "label 0") == text_of(value, "text 0") == ""
    for value in ("", "nan", 0, 0.0, False, b"", [], np.zeros(3), (np.zeros(3), 8_000)):
        assert not is_missing(value)


def test_labels_are_texts_or_numbers():
    values = ["a ", 3, np.int8(-3), 3.0, np.float32(2), 0.25, True, np.False_, np.str_("b"), 1e300]
    names = ["a ", "3", "-3", "3", "2", "0.25", "True", "False", "b", str(int(1e300))]
    assert [label_of(value, "label") for value in values] == names
    for value in (b"pos", ["pos"], {"label": 1}, np.zeros(2), 1j):
        with pytest.raises(DataError, match="label 7: expected a str or a number. Received: "):
            label_of(value, "label 7")
    with pytest.raises(DataError, match="text 2: expected a str. Received: int"):
        text_of(5, "text 2")


@pytest.mark.parametrize(
    "values, received",
    [
        ("good", "str"),
        (b"good", "bytes"),
        ({"text": ["good"]}, "dict"),
        ({"good"}, "set"),
        (FRAME, r"DataFrame of shape \(2, 2\)"),
        (np.array([["good"]]), r"ndarray of shape \(1, 1\)"),
        (np.array("good"), r"ndarray of shape \(\)"),
        (3, "int"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_column_is_an_error_with_the_right_call(values, received):
    with pytest.raises(CallError, match=rf"takes \[text\]. Received: {received}"):
        to_list(values, "predict takes [text]")


def test_sequences_arrays_series_and_iterators_are_columns():
    for values in (["a", "b"], ("a", "b"), np.array(["a", "b"]), Series("a", "b"), iter("ab")):
        assert check_texts(values, "") == ["a", "b"]
    assert read_columns((Series("a", "b"), np.array([1, 0])), ["texts", "labels"]) == [
        ["a", "b"],
        [1, 0],
    ]


@pytest.mark.parametrize("missing", MISSING)
def test_a_text_to_predict_that_is_none_is_named_by_its_index(missing):
    with pytest.raises(DataError, match="text 1: expected a str or bytes. Received: .*(None|a|NA)"):
        check_texts(["good", missing], "")


@pytest.mark.parametrize("family", families.FAMILIES)
def test_a_table_or_rows_instead_of_columns_are_errors_with_the_right_call(family):
    values = settings.resolve(families.settings(family), {})
    rows = [("a", "b", "c", "d")] * 5
    for data in (FRAME, {**FRAME}, ("good", "bad"), rows, rows[0], 3, (["a"], {"b": 1})):
        with pytest.raises(CallError, match=r'columns \(\w+, \w+\), such as \(frame\["'):
            families.task(family).read(data, values)
    with pytest.raises(DataError, match="2 .* but 1 "):
        families.task(family).read((["a", "b"], ["a"]), values)
    with pytest.raises(CallError, match=r"tuple\(zip\(\*rows\)\) makes columns of rows"):
        families.task(family).read(rows, values)


@pytest.mark.parametrize("missing", MISSING)
def test_every_family_skips_rows_with_a_missing_value(missing):
    clip = np.zeros(8_000, np.float32), 8_000
    for family, first, place in (
        ("sentiment", "good", "no label"),
        ("translation", "gut", "no target"),
        ("speech", clip, "no text"),
    ):
        values = settings.resolve(families.settings(family), {})
        corpus = families.task(family).read((Series(first, first), Series(missing, "x")), values)
        assert corpus.skipped == [("row 0", place)] and corpus.skipped_rows == [0]
        assert corpus.places == ["row 1"]
    corpus = families.task("speech").read(([missing, clip], ["a", "b"]), values)
    assert corpus.skipped == [("row 0", "no path")]


@pytest.mark.parametrize("family", families.FAMILIES)
def test_predict_takes_no_table_and_no_mapping(family):
    predict = families.pipeline(family).predict  # refuses before it uses the network
    for given in ("good", FRAME, {"text": ["good"]}, np.zeros((2, 8_000))):
        with pytest.raises(CallError, match=r"predict takes a list of (texts|clips), such as \["):
            predict(None, given)
