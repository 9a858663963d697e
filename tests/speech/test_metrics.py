"""Error rates, compared with manual counts."""

from lstm_zoo.speech.metrics import error_rates


def test_error_rates_are_those_of_the_corpus():
    scores = error_rates(["one two", "three", "four"], ["one too", "", "four five"])
    # A substitution, a deletion and an insertion for 4 words.
    assert scores["wer"] == 3 / 4
    # w → o, "three" and " five": 11 errors for 7 + 5 + 4 characters.
    assert scores["cer"] == 11 / 16
