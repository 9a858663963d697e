"""The columns of tables: their names, positions, and what can't be sentences."""

import pytest

from lstm_zoo.data import headers
from lstm_zoo.data.headers import wanted
from lstm_zoo.errors import CallError, DataError

USUAL = {"text_column": ("text", "sentence"), "label_column": ("label",)}


def test_a_given_name_replaces_the_usual_ones_and_a_fallback_precedes_them():
    both = wanted(USUAL, {"text_column": "review", "label_column": None}, {"label_column": 2})
    assert [column.names for column in both] == [("review",), ("2", "label")]
    assert [column.position for column in both] == [None, 1]
    assert [column.position for column in wanted(USUAL, {"text_column": "0"})] == [None, None]
    assert headers.fix(both) == "--text-column NAME --label-column NAME"
    with pytest.raises(CallError, match="text_column has no effect: a folder has no columns"):
        headers.refuse(both, "a folder")
    headers.refuse(wanted(USUAL, fallback={"text_column": "review"}), "a folder")


def test_names_differ_in_case_and_spaces_and_must_be_unique():
    columns = wanted(USUAL)
    assert headers.locate(["Label", " TEXT "], columns, "a:1") == [1, 0]
    assert headers.locate(["Text", "label", "text"], columns, "a:1") == [2, 1]
    assert headers.locate(["Label", "txt"], columns, "a:1") is None
    for header in (["text", "text", "label"], ["Text", "TEXT", "label"]):
        with pytest.raises(DataError, match="a:1: several columns are named 'text'"):
            headers.locate(header, columns, "a:1")


def test_positions_are_for_files_without_a_header():
    columns = wanted(USUAL, {"text_column": 2, "label_column": 1})
    assert headers.positions(["pos", "text"], columns, "a:1") == [1, 0]
    with pytest.raises(DataError, match="a:1: 'text' and 'Label' seem to be a header; .*-column L"):
        headers.positions(["Label", "text"], columns, "a:1")
    with pytest.raises(DataError, match="a:1: no column 2; found 1: pos"):
        headers.positions(["pos"], columns, "a:1")
    with pytest.raises(DataError, match="a:1: no column named label in the header. .* found: 2"):
        headers.positions(["2"], wanted(USUAL, {"text_column": 2}), "a:1")


@pytest.mark.parametrize(
    "values, found",
    [
        (["1.5", "", "2e-3"], "numbers"),
        (["2020-01-02"], "numbers"),
        (["٣", "4 5"], "numbers"),
        (["https://a.org/1", "www.b.org"], "URLs"),
        (["de", "de"], "'de' in every row"),
        (["de"], ""),
        (["one", "1"], ""),
        (["see www.b.org", "www.b.org"], ""),
        (["", " "], ""),
        ([], ""),
    ],
)
def test_columns_that_are_not_sentences(values, found):
    assert headers.unlikely_text(values) == found
