"""The plots of the confusion matrix and of reliability."""

import pytest
from matplotlib.image import imread

from lstm_zoo.runs import plots
from lstm_zoo.sentiment.calibration import wilson_interval
from lstm_zoo.sentiment.plots import draw_classes, draw_confusion, draw_reliability


@pytest.mark.parametrize(
    "confusion, classes",
    [
        ([[1_200, 30], [4, 7]], ["neg", "pos"]),
        ([[5, 0, 1], [0, 0, 0], [2, 0, 9]], ["a", "of no example", "c"]),
        ([[0, 9], [0, 11]], ["of one answer", "alone"]),
    ],
)
def test_a_confusion_matrix_is_drawn(tmp_path, confusion, classes):
    draw_confusion(confusion, classes, "validation", tmp_path / "confusion.png")
    assert [path.name for path in tmp_path.iterdir()] == ["confusion.png"]
    assert imread(tmp_path / "confusion.png")[..., :3].std() > 0.05  # not blank


def test_the_shade_is_the_share_of_the_true_class(tmp_path):
    for name, confusion in {"few.png": [[8, 2], [1, 9]], "many.png": [[80, 20], [10, 90]]}.items():
        draw_confusion(confusion, ["neg", "pos"], "validation", tmp_path / name)
    few, many = (imread(tmp_path / f"{name}.png")[..., :3] for name in ("few", "many"))
    assert few.shape == many.shape
    assert (few != many).any(axis=2).mean() < 0.02  # the counts, not the shades


@pytest.mark.parametrize("count, numbers, named", [(16, 256, 16), (60, 0, 60), (300, 0, 75)])
def test_many_classes_have_shades_alone_and_a_bounded_size(tmp_path, drawn, count, numbers, named):
    confusion = [[int(row == column) for column in range(count)] for row in range(count)]
    names = [f"a class of the number {number}" for number in range(count)]
    draw_confusion(confusion, names, "many", tmp_path / "confusion.png")
    axes = drawn[0].axes[0]
    assert len(axes.texts) == numbers
    drawn[0].draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.get_yticklabels()]
    assert len(boxes) == named
    assert all(one.y0 >= two.y1 - 1 for one, two in zip(boxes, boxes[1:], strict=False))
    assert max(imread(tmp_path / "confusion.png").shape) <= 12 * plots.DPI


@pytest.mark.filterwarnings("error")
def test_names_of_any_script_and_length_are_drawn(tmp_path, drawn):
    names = ["<script>", "$a_{b$", "好的", "x" * 90, "a\nb"]
    confusion = [[1] * 5] * 5
    draw_confusion(confusion, names, "names", tmp_path / "confusion.png")
    ticks = [tick.get_text() for tick in drawn[0].axes[0].get_yticklabels()]
    assert ticks == ["<script>", r"\$a_{b\$", "3", "x" * 23 + "…", "a b"]


def test_a_reliability_diagram_is_drawn_for_few_bins_and_for_many(tmp_path, drawn):
    few = [{"examples": 1, "confidence": 1.0, "accuracy": 0.0}]
    many = [
        {"examples": n, "confidence": n / 15 - 0.02, "accuracy": (n % 4) / 3} for n in range(1, 16)
    ]
    for name, bins in {"few.png": few, "many.png": many}.items():
        draw_reliability(bins, None, "a run, validation, 1 example", tmp_path / name)
    for bins, figure in zip((few, many), drawn, strict=True):
        diagram, histogram = figure.axes
        (points, caps, (bars,)) = diagram.containers[0]
        assert points.get_xdata().tolist() == [row["confidence"] for row in bins]
        assert points.get_ydata().tolist() == [row["accuracy"] for row in bins]
        intervals = [segment[:, 1] for segment in bars.get_segments()]
        for (low, high), row in zip(intervals, bins, strict=True):
            assert (low, high) == pytest.approx(
                wilson_interval(row["accuracy"], row["examples"]), abs=1e-6
            )
        assert [bar.get_height() for bar in histogram.patches] == [row["examples"] for row in bins]
        for bar, row in zip(histogram.patches, bins, strict=True):
            assert bar.get_x() < row["confidence"] <= bar.get_x() + bar.get_width() + 1e-9


@pytest.mark.parametrize("error, label", [(None, "the answers"), (0.25, "the answers: ECE 0.250")])
def test_a_reliability_diagram_has_the_error_that_it_is_given(tmp_path, drawn, error, label):
    bins = [{"examples": 4, "confidence": 0.75, "accuracy": 0.5}]
    draw_reliability(bins, error, "a run", tmp_path / "reliability.png")
    (legend,) = (axes.get_legend() for axes in drawn[0].axes if axes.get_legend())
    assert [text.get_text() for text in legend.get_texts()] == ["perfect calibration", label]


@pytest.mark.parametrize("count, shown", [(2, 2), (300, 80)])
def test_the_classes_scores_are_drawn(tmp_path, drawn, count, shown):
    classes = {
        f"class {n}": {"precision": n / count, "recall": 0.5, "f1": 0.4, "support": n}
        for n in range(count)
    }
    draw_classes(classes, "a run, validation, 9 examples", tmp_path / "classes.png")
    assert imread(tmp_path / "classes.png").shape[0] <= 26 * plots.DPI
    (axes,) = drawn[0].axes
    numbers = [*range(count)][-shown:]  # the most frequent, the last one at the top
    assert [bar.get_width() for bar in axes.patches] == [0.4] * shown
    precision, recall = axes.get_lines()
    assert precision.get_xdata() == pytest.approx([n / count for n in numbers])
    assert [*recall.get_xdata()] == [0.5] * shown
    ticks = [tick.get_text() for tick in axes.get_yticklabels()]
    assert ticks == [f"class {n} ({n})" for n in numbers]
