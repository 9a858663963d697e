"""The confusion matrix's plot."""

import pytest
from matplotlib.image import imread

from lstm_zoo.sentiment.plots import draw_confusion


@pytest.mark.parametrize(
    "confusion, classes",
    [
        ([[1_200, 30], [4, 7]], ["neg", "pos"]),
        ([[5, 0, 1], [0, 0, 0], [2, 0, 9]], ["a", "of no example", "c"]),
    ],
)
def test_a_confusion_matrix_is_drawn(tmp_path, confusion, classes):
    draw_confusion(confusion, classes, tmp_path / "confusion.png")
    assert [path.name for path in tmp_path.iterdir()] == ["confusion.png"]
    assert imread(tmp_path / "confusion.png")[..., :3].std() > 0.05  # not blank


def test_the_shade_is_the_share_of_the_true_class(tmp_path):
    for name, confusion in {"few.png": [[8, 2], [1, 9]], "many.png": [[80, 20], [10, 90]]}.items():
        draw_confusion(confusion, ["neg", "pos"], tmp_path / name)
    few, many = (imread(tmp_path / f"{name}.png")[..., :3] for name in ("few", "many"))
    assert few.shape == many.shape
    assert (few != many).any(axis=2).mean() < 0.02  # the counts, not the shades
