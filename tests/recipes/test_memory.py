"""The adding problem: its sequences, what is trained, and what is kept."""

import json
from dataclasses import replace

import memory
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from memory import Memory, sequences


@given(count=st.integers(1, 20), length=st.integers(2, 50), seed=st.integers(0, 99))
def test_two_numbers_are_marked_one_in_each_half(count, length, seed):
    inputs, sums = sequences(count, length, np.random.default_rng(seed))
    assert inputs.shape == (count, length, 2) and inputs.dtype == np.float32
    numbers, marks = np.moveaxis(inputs, 2, 0)
    assert ((numbers >= 0) & (numbers < 1)).all() and np.isin(marks, [0, 1]).all()
    for half in (marks[:, : length // 2], marks[:, length // 2 :]):
        assert (half.sum(axis=1) == 1).all()
    expected = [row[mark == 1].sum() for row, mark in zip(numbers, marks, strict=True)]
    np.testing.assert_allclose(sums[:, 0], expected, rtol=1e-6)


def test_the_answer_that_ignores_the_input_has_an_error_of_a_sixth():
    _, sums = sequences(100_000, 10, np.random.default_rng(0))
    assert np.mean((sums - 1) ** 2) == pytest.approx(1 / 6, abs=0.002)


def test_a_cell_is_trained_up_to_what_it_fails_and_nothing_twice(tmp_path, monkeypatch):
    trained = []

    def train(self, cell, length, seed):
        trained.append((cell, length, seed))
        is_learned = cell == "gru" or length < 50
        return {"cell": cell, "steps": length, "batches": 100, "is_learned": is_learned,
                "error": 0.005 if is_learned else 0.17, "minutes": 0.5}  # fmt: skip

    monkeypatch.setattr(Memory, "train", train)
    recipe = Memory(cells=("simple_rnn", "gru"), lengths=(25, 50, 100))
    rows = recipe.rows(tmp_path / "run", seed=3)
    expected = [("simple_rnn", 25), ("simple_rnn", 50), ("gru", 25), ("gru", 50), ("gru", 100)]
    assert trained == [(cell, length, 3) for cell, length in expected]
    assert [row["batches until learned"] for row in rows] == ["100", "-", "100", "100", "100"]
    assert rows[1]["error"] == "0.1700" and rows[4]["data"] == "adding problem, 100 steps"
    assert (tmp_path / "run/memory.png").read_bytes().startswith(b"\x89PNG")

    assert recipe.rows(tmp_path / "run", seed=3) == rows
    assert len(trained) == 5
    # What other settings, or another seed, trained is not taken.
    replace(recipe, units=8).rows(tmp_path / "run", seed=3)
    recipe.rows(tmp_path / "run", seed=4)
    assert len(trained) == 15


def test_the_command_records_the_rows(tmp_path, monkeypatch):
    rows = [{"recipe": "memory", "error": "0.1", "digest": "x"}]
    recorded = []
    monkeypatch.setattr(memory, "record", recorded.append)
    monkeypatch.setattr(Memory, "rows", lambda self, run, seed: [*rows, run, seed])
    arguments = ["--run", str(tmp_path), "--seed", "2"]
    assert CliRunner().invoke(memory.main, arguments).exit_code == 0
    assert recorded == [[*rows, tmp_path, 2]]


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["simple_rnn", "gru", "lstm"])
def test_every_cell_learns_to_remember_a_few_steps(cell, tmp_path):
    recipe = Memory(cells=(cell,), lengths=(4,), units=32, learning_rate=0.01)
    (result,) = recipe.measure(tmp_path, seed=0)
    assert result["is_learned"] and 0 < result["error"] < 0.02
    assert 100 <= result["batches"] <= 3_000
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_text()) == result
