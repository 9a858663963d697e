"""Settings: one flat namespace, strict in names and values."""

import numpy as np
import pytest

from lstm_zoo import sentiment
from lstm_zoo.errors import CallError
from lstm_zoo.settings import TRAINING, Setting, integers, optional, resolve

TABLE = {**TRAINING, **sentiment.SETTINGS}


def test_families_and_training_share_no_name():
    assert not set(TRAINING) & set(sentiment.SETTINGS)


def test_spellings_and_values_come_to_the_same():
    spelled = resolve(TABLE, {"units": "64,32", "epochs": "3", "bidirectional": "false"})
    given = resolve(TABLE, {"units": (64, 32), "epochs": 3, "bidirectional": False})
    assert spelled == given
    assert spelled["units"] == (64, 32)
    assert spelled["bidirectional"] is False


def test_every_default_can_be_read_back():
    for name, setting in TABLE.items():
        assert setting.read(setting.default) == setting.default, name


def test_an_unknown_name_is_an_error_that_lists_the_known_ones():
    with pytest.raises(CallError, match=r"'unit'. Did you mean units\? Known: .*epochs.*cell"):
        resolve(TABLE, {"unit": 3})


@pytest.mark.parametrize(
    "name, value, expected",
    [
        ("epochs", "0", "an integer of at least 1"),
        ("epochs", "2.5", "an integer of at least 1"),
        ("epochs", True, "an integer of at least 1"),
        ("epochs", None, "an integer of at least 1"),
        ("seed", 2**32, "an integer of at least 0"),
        ("dropout", "1", "at least 0 and below 1"),
        ("learning_rate", "nan", "a number of at least 0"),
        ("learning_rate", "fast", "a number of at least 0"),
        ("bidirectional", "maybe", "true or false"),
        ("cell", "transformer", "one of lstm, gru, simple_rnn"),
        ("units", "64,-1", "positive integers"),
        ("variant", "huge", "tiny, small, base, large"),
    ],
)
def test_a_bad_value_says_what_is_taken_and_what_came(name, value, expected):
    with pytest.raises(CallError) as error:
        resolve(TABLE, {name: value})
    assert name in str(error.value)
    assert expected in str(error.value)
    assert repr(value) in str(error.value)


def test_none_is_read_only_where_it_is_optional():
    assert resolve({"a": Setting(1, integers, "")}, {"a": np.int64(8)}) == {"a": (8,)}
    assert resolve({"a": Setting(1, optional(integers), "")}, {"a": "none"}) == {"a": None}
    with pytest.raises(CallError):
        resolve({"a": Setting(1, integers, "")}, {"a": None})
