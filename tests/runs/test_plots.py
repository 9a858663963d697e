"""The plots of a run: what is drawn, and the files."""

import math
import subprocess
import sys

import matplotlib
import matplotlib.image
import numpy as np
import pytest

from lstm_zoo.runs import plots

HISTORY = [
    {"epoch": 1, "loss": 2.0, "val_loss": 2.5, "val_wer": 0.9, "val_cer": 0.5},
    {"epoch": 2, "loss": 1.0, "val_loss": 1.5, "val_wer": 0.41234, "val_cer": 0.2},
    {"epoch": 3, "loss": 0.5, "val_loss": 1.75, "val_wer": 0.6, "val_cer": 0.3},
]
RATES = {"wer": "min", "cer": "min"}


def draw(path, history=HISTORY, best=1, metrics=RATES, baseline=1.0, title="digits"):
    plots.draw_curves(history, history[best], [*metrics][0], metrics, baseline, title, path)


def test_the_curves_are_those_of_the_history(drawn, tmp_path):
    draw(tmp_path / "curves.png")
    losses, scores = drawn[0].axes
    curves = {line.get_label(): [*line.get_ydata()] for line in losses.get_lines()[:2]}
    assert curves == {"training": [2.0, 1.0, 0.5], "validation": [2.5, 1.5, 1.75]}
    wer, cer, baseline, best = scores.get_lines()
    assert wer.get_xydata().tolist() == [[1, 0.9], [2, 0.41234], [3, 0.6]]
    assert [*cer.get_ydata()] == [0.5, 0.2, 0.3]
    assert set(baseline.get_ydata()) == {1.0} and set(best.get_xdata()) == {2}
    assert [axes.get_yscale() for axes in drawn[0].axes] == ["linear", "linear"]


def test_the_titles_name_the_run_and_the_kept_epoch(drawn, tmp_path):
    title = plots.title(tmp_path / "runs/digits", "validation", 1_200)
    assert title == "digits: validation, 1,200 examples"
    assert plots.title(tmp_path, "test", 1).endswith(": test, 1 example")
    draw(tmp_path / "curves.png", title=title)
    assert drawn[0].get_suptitle() == title
    assert drawn[0].axes[1].get_title() == "epoch 2 is kept: wer 0.4123"


def test_losses_and_rates_over_decades_have_logarithmic_axes(drawn, tmp_path):
    falling = [{"epoch": n, "loss": 10.0**-n, "val_loss": 1.0, "val_wer": 0.5**n} for n in range(9)]
    draw(tmp_path / "a.png", falling, metrics={"wer": "min"})
    draw(tmp_path / "b.png", [{**row, "val_wer": 0.0} for row in falling], metrics={"wer": "min"})
    draw(tmp_path / "c.png", falling, metrics={"wer": "max"})
    scales = [[axes.get_yscale() for axes in figure.axes] for figure in drawn]
    assert scales == [["log", "log"], ["log", "linear"], ["log", "linear"]]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.filterwarnings("error")
def test_a_loss_that_is_not_finite_is_a_gap(drawn, tmp_path, value):
    draw(tmp_path / "a.png", [{**row, "val_loss": value} for row in HISTORY])
    assert np.isnan(drawn[0].axes[0].get_lines()[1].get_ydata()).all()


def test_the_file_is_a_picture_and_not_blank(tmp_path):
    path = tmp_path / "curves.png"
    draw(path)
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    picture = matplotlib.image.imread(path)[..., :3]
    assert picture.shape == (444, 1080, 3)
    # Each half has more than its white background.
    for half in np.split(picture, 2, axis=1):
        assert 0.01 < (half.min(axis=-1) < 0.9).mean() < 0.5
    assert [entry.name for entry in tmp_path.iterdir()] == ["curves.png"]


def test_equal_histories_give_equal_files_and_one_epoch_is_enough(drawn, tmp_path):
    for name in ("a", "b"):
        draw(tmp_path / f"{name}.png", HISTORY[:1], best=0)
    content = (tmp_path / "a.png").read_bytes()
    assert content == (tmp_path / "b.png").read_bytes()
    assert b"matplotlib" not in content.lower()
    assert [tick for tick in drawn[0].axes[0].get_xticks() if 0.5 <= tick <= 1.5] == [1]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "text, expected",
    [
        ("$a_{b$ 5 $ \\frac", r"\$a_{b\$ 5 \$ \frac"),
        ("今天 很好", "□□ □□"),
        ("a\n\tb\x1b[31m\u202e\udcff", r"a b\u001b[31m\u202e\udcff"),
        ("x" * 200, "x" * 99 + "…"),
        ("", ""),
    ],
)
def test_any_text_can_be_drawn(drawn, tmp_path, text, expected):
    assert plots.label(text) == expected
    draw(tmp_path / "curves.png", title=text)
    title = drawn[0].get_suptitle().replace("\n", "")  # of up to three lines
    assert title == (text if text.startswith("x") else expected)
    with plots.plot(tmp_path / "text.png", "a" * 1_000, (4, 3)) as figure:
        figure.subplots().set(title=plots.label(text), xlabel=plots.label(text))
    left = matplotlib.image.imread(tmp_path / "text.png")[:60, :4, :3]
    assert left.min() == 1  # the title is wrapped, and not cut at the sides


def test_a_style_of_the_user_has_no_effect(tmp_path):
    """Such as LaTeX, which is not installed, or a dark background."""
    draw(tmp_path / "a.png")
    style = {"text.usetex": True, "figure.facecolor": "black", "axes.grid": True}
    with matplotlib.rc_context(style):
        draw(tmp_path / "b.png")
        assert matplotlib.rcParams["text.usetex"]
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_bars_are_as_high_as_the_metric_with_counts_and_intervals(drawn, tmp_path):
    rows = [
        {"words": 5, "examples": 1_200, "bleu": 40.0, "interval": None},
        {"words": 10, "examples": 3, "bleu": 20.0, "interval": [5.0, 55.0]},
        {"words": None, "examples": 1, "bleu": 0.0, "interval": None},
    ]
    path = tmp_path / "bleu.png"
    plots.draw_by_length(rows, "bleu", "BLEU (greedy)", "phrases: validation", path)
    (axes,) = drawn[0].axes
    assert [bar.get_height() for bar in axes.patches] == [40, 20, 0]
    assert [text.get_text() for text in axes.texts] == ["1,200", "3", "1"]
    assert [text.get_position()[1] for text in axes.texts] == [3, 3, 3]  # points above
    assert [text.xy[1] for text in axes.texts] == [40, 55, 0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["≤ 5", "≤ 10", "longer"]
    (interval,) = axes.collections
    assert interval.get_segments()[0].tolist() == [[1, 5], [1, 55]]
    assert axes.get_ylim()[1] > 55 and drawn[0].get_suptitle() == "phrases: validation"


def test_a_metric_of_zero_and_one_bar_are_drawn(drawn, tmp_path):
    row = {"words": 5, "examples": 2, "wer": 0.0, "interval": [0.0, 0.0]}
    plots.draw_by_length([row], "wer", "WER", "one", tmp_path / "zero.png")
    assert drawn[0].axes[0].get_ylim() == (0, 1)


def test_plots_need_no_tensorflow():
    script = "import sys, lstm_zoo.runs.plots; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
