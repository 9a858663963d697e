"""Error rates, by length, and frequent errors, compared with manual counts."""

import pytest

from lstm_zoo.speech.metrics import by_length, error_rates, frequent_errors


def test_error_rates_are_those_of_the_corpus():
    scores = error_rates(["one two", "three", "four"], ["one too", "", "four five"])
    # A substitution, a deletion and an insertion for 4 words.
    assert scores["wer"] == 3 / 4
    # w → o, "three" and " five": 11 errors for 7 + 5 + 4 characters.
    assert scores["cer"] == 11 / 16


def test_the_most_frequent_errors_come_first_and_equal_ones_by_name():
    references = ["five oh two", "five", "five nine", "a b", ""]
    hypotheses = ["nine two", "nine", "five", "a x b y", "oh"]
    assert frequent_errors(references, hypotheses) == {
        "substitutions": [("five", "nine", 2)],
        "deletions": [("nine", "", 1), ("oh", "", 1)],
        "insertions": [("", "oh", 1), ("", "x", 1), ("", "y", 1)],
    }
    assert frequent_errors(["今天"], ["今夭"], "characters")["substitutions"] == [("天", "夭", 1)]


def test_at_most_twenty_errors_of_a_kind_are_kept():
    references = [f"w{n}" for n in range(30)] * 2
    errors = frequent_errors(references, [""] * 60)
    assert len(errors["deletions"]) == 20 and errors["deletions"][0] == ("w0", "", 2)
    assert errors["substitutions"] == []


def test_error_rates_by_length_are_those_of_the_range_with_an_interval():
    references = [*["one", "two"] * 3, "one two three"]
    assert by_length(references, [*["one", "two two"] * 3, "one"]) == [
        {"words": 2, "examples": 6, "wer": 0.5, "interval": [pytest.approx(1 / 6), 5 / 6]},
        {"words": 5, "examples": 1, "wer": 2 / 3, "interval": None},
    ]
    (row,) = by_length(["今天很好"], ["今天"], "characters")
    assert row == {"words": 2, "examples": 1, "cer": 0.5, "interval": None}
