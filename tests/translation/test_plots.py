"""The plot of BLEU by source length."""

import matplotlib
import numpy as np
from matplotlib.image import imread

from lstm_zoo.translation.plots import draw_bleu_by_length


def bar_pixels(path):
    """Count the pixels of the bars' color in the left and in the right half of a figure."""
    color = matplotlib.colors.to_rgb("C0")
    is_bar = np.all(np.abs(imread(path)[..., :3] - color) < 0.01, axis=-1)
    middle = is_bar.any(axis=0).nonzero()[0][[0, -1]].mean().astype(int)
    return is_bar[:, :middle].sum(), is_bar[:, middle:].sum()


def test_bars_are_as_high_as_bleu(tmp_path):
    rows = [
        {"words": 5, "examples": 1_200, "bleu": 40.0},
        {"words": None, "examples": 3, "bleu": 20.0},
    ]
    path = tmp_path / "bleu_by_length.png"
    draw_bleu_by_length(rows, "beam 5", path)
    left, right = bar_pixels(path)
    assert right > 1_000
    np.testing.assert_allclose(left / right, 2, rtol=0.05)
    assert len(np.unique(imread(path).reshape(-1, imread(path).shape[-1]), axis=0)) > 10
    assert [file.name for file in tmp_path.iterdir()] == ["bleu_by_length.png"]


def test_an_empty_evaluation_has_no_bars(tmp_path):
    draw_bleu_by_length([{"words": 5, "examples": 2, "bleu": 0.0}], "greedy", tmp_path / "zero.png")
    draw_bleu_by_length([{"words": 5, "examples": 2, "bleu": 9.0}], "greedy", tmp_path / "nine.png")
    zero, nine = (imread(tmp_path / f"{name}.png") for name in ("zero", "nine"))
    color = matplotlib.colors.to_rgb("C0")
    counts = [np.all(np.abs(i[..., :3] - color) < 0.01, axis=-1).sum() for i in (zero, nine)]
    assert counts[0] < 0.05 * counts[1]
