"""Trainings that are killed at chosen places end, resumed, bit for bit as without a kill."""

import pytest

from tests.kills import kill_family, run_process


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sentiment", "speech", "translation"])
def test_a_training_survives_kills_bit_for_bit(family, tmp_path):
    options = {"speed": 0.1, "copies": 1} if family == "speech" else {}
    results = [*kill_family(family, 3, tmp_path, **options)]
    assert len(results) == 3
    assert [result for result in results if result[1]] == []


@pytest.mark.slow
def test_a_fine_tuned_training_survives_kills_bit_for_bit(tmp_path):
    # Killed before its first epoch ends, in which one layer is trained, and in a later one. No
    # family has code of its own for this.
    source = tmp_path / "source"
    assert run_process("sentiment", source, epochs=1)[0] == 0
    options = {"init_from": source, "keep_vocabulary": True, "freeze": 1, "layer_decay": 0.5}
    results = [*kill_family("sentiment", 3, tmp_path, **options)]
    assert [result for result in results if result[1]] == []
