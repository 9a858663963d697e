"""The plots of a run: what is drawn, and the files."""

import matplotlib.image
import numpy as np
import pytest

from lstm_zoo.runs import plots

HISTORY = [
    {"epoch": 1, "loss": 2.0, "val_loss": 2.5, "val_wer": 0.9},
    {"epoch": 2, "loss": 1.0, "val_loss": 1.5, "val_wer": 0.41234},
    {"epoch": 3, "loss": 0.5, "val_loss": 1.75, "val_wer": 0.6},
]


@pytest.fixture
def figure(monkeypatch, tmp_path):
    """The figure of the curves, as it is drawn."""
    drawn = []
    monkeypatch.setattr(plots, "save", lambda figure, path: drawn.append(figure))
    plots.draw_curves(HISTORY, HISTORY[1], "wer", tmp_path / "curves.png")
    return drawn[0]


def test_the_curves_are_those_of_the_history(figure):
    losses, metric = figure.axes
    curves = {line.get_label(): [*line.get_ydata()] for line in losses.get_lines()}
    assert curves == {"training": [2.0, 1.0, 0.5], "validation": [2.5, 1.5, 1.75]}
    scores, best = metric.get_lines()
    assert scores.get_xydata().tolist() == [[1, 0.9], [2, 0.41234], [3, 0.6]]
    assert set(best.get_xdata()) == {2}
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "validation wer"]


def test_the_title_names_the_best_epoch(figure):
    assert figure.axes[1].get_title() == "best 0.4123, epoch 2"


def test_the_file_is_a_picture_and_not_blank(tmp_path):
    path = tmp_path / "curves.png"
    plots.draw_curves(HISTORY, HISTORY[1], "wer", path)
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    picture = matplotlib.image.imread(path)[..., :3]
    assert picture.shape == (420, 1080, 3)
    # Each half has more than its white background.
    for half in np.split(picture, 2, axis=1):
        assert 0.01 < (half.min(axis=-1) < 0.9).mean() < 0.5
    assert [entry.name for entry in tmp_path.iterdir()] == ["curves.png"]


def test_equal_histories_give_equal_files_and_one_epoch_is_enough(tmp_path):
    for name in ("a", "b"):
        plots.draw_curves(HISTORY[:1], HISTORY[0], "wer", tmp_path / f"{name}.png")
    content = (tmp_path / "a.png").read_bytes()
    assert content == (tmp_path / "b.png").read_bytes()
    assert b"matplotlib" not in content.lower()
