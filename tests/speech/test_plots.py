"""The plot of posteriors: its lines, tokens and axes, and the file."""

import matplotlib.image
import numpy as np
import pytest

from lstm_zoo.speech import plots
from lstm_zoo.speech.plots import MIN_PROBABILITY, Panel, draw_posteriors

POSTERIORS = np.array(
    [
        [0.90, 0.06, 0.02, 0.02],
        [0.10, 0.85, 0.03, 0.02],
        [0.80, 0.04, 0.14, 0.02],
        [0.15, 0.02, 0.81, 0.02],
        [0.96, 0.01, 0.01, 0.02],
    ]
)
TOKENS = [("a", 0.02), (" ", 0.06)]


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved."""
    figures, save = [], plots.save

    def save_and_keep(figure, path):
        figures.append(figure)
        save(figure, path)

    monkeypatch.setattr(plots, "save", save_and_keep)
    return figures


def test_a_panel_has_a_line_for_each_probable_label_and_the_tokens_at_their_times(drawn, tmp_path):
    draw_posteriors([Panel(POSTERIORS, TOKENS, "a b")], 0.02, tmp_path / "plot.png")
    (axes,) = drawn[0].axes
    blank, *labels = axes.get_lines()
    assert blank.get_linestyle() == ":"
    np.testing.assert_allclose(blank.get_xdata(), [0, 0.02, 0.04, 0.06, 0.08])
    np.testing.assert_array_equal(blank.get_ydata(), POSTERIORS[:, 0])
    assert POSTERIORS[:, 3].max() < MIN_PROBABILITY
    assert [line.get_linestyle() for line in labels] == ["-", "-"]
    for line, label in zip(labels, (1, 2), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), POSTERIORS[:, label])
    assert len({line.get_color() for line in axes.get_lines()}) == 3
    marks = [(text.get_text(), text.get_position()[0]) for text in axes.texts]
    assert marks == [("a", 0.02), ("␣", 0.06)]
    assert axes.get_title(loc="left") == "a b"
    assert axes.get_xlim() == pytest.approx((0, 0.08))


def test_the_image_has_a_panel_for_each_utterance_and_is_not_blank(drawn, tmp_path):
    panels = [Panel(POSTERIORS, TOKENS, "a b"), Panel(POSTERIORS[::-1], [], "")]
    sizes = []
    for count in (1, 2):
        path = tmp_path / f"{count}.png"
        draw_posteriors(panels[:count], 0.02, path)
        assert len(drawn[-1].axes) == count
        image = matplotlib.image.imread(path)
        sizes.append(image.shape[0])
        for half in np.array_split(image, count):
            is_colored = np.ptp(half[..., :3], axis=-1) > 0.2  # of the label lines; not of the text
            assert is_colored.sum() > 200
    assert sizes[1] == 2 * sizes[0]


def test_one_frame_and_mathematical_signs_in_texts(drawn, tmp_path):
    panel = Panel(POSTERIORS[:1], [("$", 0.0), ("\\", 0.0)], "$a_{b$ 5 $ \\frac")
    draw_posteriors([panel], 0.03, tmp_path / "plot.png")
    (axes,) = drawn[0].axes
    assert axes.get_xlim() == pytest.approx((0, 0.03))
    assert axes.get_title(loc="left") == panel.reference
    assert (tmp_path / "plot.png").stat().st_size > 1_000
