"""Error rates, against counts made by hand."""

from lstm_zoo.speech.metrics import error_rates


def test_error_rates_are_of_the_whole():
    scores = error_rates(["one two", "three", "four"], ["one too", "", "four five"])
    # A substitution, a deletion, an insertion, over 4 words.
    assert scores["wer"] == 3 / 4
    # w → o; t h r e e; and " five": 11 over 7 + 5 + 4 characters.
    assert scores["cer"] == 11 / 16
