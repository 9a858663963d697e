"""Trainings that are killed at chosen places end, resumed, bit for bit as without a kill."""

import pytest

from tests.kills import kill_family


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sentiment", "speech", "translation"])
def test_a_training_survives_kills_bit_for_bit(family, tmp_path):
    results = [*kill_family(family, 3, tmp_path)]
    assert len(results) == 3
    assert [result for result in results if result[1]] == []
