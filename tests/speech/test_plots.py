"""The plots of posteriors and of frequent errors: lines, tokens, axes, bars, and the files."""

import matplotlib.image
import numpy as np
import pytest

from lstm_zoo.speech.plots import MIN_PROBABILITY, Panel, draw_errors, draw_posteriors

POSTERIORS = np.array(
    [
        [0.90, 0.06, 0.02, 0.02],
        [0.10, 0.85, 0.03, 0.02],
        [0.80, 0.04, 0.14, 0.02],
        [0.15, 0.02, 0.81, 0.02],
        [0.96, 0.01, 0.01, 0.02],
    ]
)
SPECTROGRAM = np.linspace(0, 1, 600).reshape(15, 40)
TOKENS = [("a", 1, 0.02), (" ", 2, 0.06)]


def test_a_panel_has_a_line_for_each_probable_label_and_the_tokens_at_their_times(drawn, tmp_path):
    panel = Panel(POSTERIORS, SPECTROGRAM, TOKENS, "a b", "a ")
    draw_posteriors([panel], 0.02, "digits: validation", tmp_path / "plot.png")
    assert drawn[0].get_suptitle() == "digits: validation"
    upper, lower = drawn[0].axes
    blank, *labels = upper.get_lines()
    assert (blank.get_linestyle(), blank.get_color()) == (":", "gray")
    np.testing.assert_allclose(blank.get_xdata(), [0.01, 0.03, 0.05, 0.07, 0.09])
    np.testing.assert_array_equal(blank.get_ydata(), POSTERIORS[:, 0])
    assert POSTERIORS[:, 3].max() < MIN_PROBABILITY
    assert [line.get_linestyle() for line in labels] == ["-", "-"]
    for line, label in zip(labels, (1, 2), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), POSTERIORS[:, label])
    assert len({line.get_color() for line in upper.get_lines()}) == 3
    marks = [
        (text.get_text(), text.get_color(), round(text.get_position()[0], 9))
        for text in upper.texts
    ]
    assert marks == [("a", labels[0].get_color(), 0.03), ("␣", labels[1].get_color(), 0.07)]
    assert upper.get_title(loc="left") == "reference: a b\nheard: a"
    assert upper.get_xlim() == lower.get_xlim() == pytest.approx((0, 0.1))
    np.testing.assert_array_equal(lower.get_images()[0].get_array(), SPECTROGRAM.T)


@pytest.mark.parametrize("count", [4, 30])
def test_a_label_has_one_color_in_all_panels_and_no_other_has_it(drawn, tmp_path, count):
    one = np.full((5, count), 0.1)
    one[:, 2:4] = 0.0  # these two are in the second panel alone
    panels = [Panel(one, SPECTROGRAM, [], "", ""), Panel(one[:, ::-1], SPECTROGRAM, [], "", "")]
    draw_posteriors(panels, 0.02, "two", tmp_path / "plot.png")
    first, second = (
        [tuple(line.get_color()) for line in axes.get_lines()[1:]] for axes in drawn[0].axes[::2]
    )
    labels = [
        [n for n in range(1, count) if panel.posteriors[0, n] > MIN_PROBABILITY] for panel in panels
    ]
    colors = dict(zip(labels[0], first, strict=True))
    for label, color in zip(labels[1], second, strict=True):
        assert colors.setdefault(label, color) == color
    assert len({*colors.values()}) == len(colors) == count - 1
    assert all(max(color) - min(color) > 0.05 for color in colors.values())  # none is gray


def test_the_image_has_two_axes_for_each_utterance_and_is_not_blank(drawn, tmp_path):
    panels = [
        Panel(POSTERIORS, SPECTROGRAM, TOKENS, "a b", "a"),
        Panel(POSTERIORS[::-1], SPECTROGRAM, [], "", ""),
    ]
    for count in (1, 2):
        path = tmp_path / f"{count}.png"
        draw_posteriors(panels[:count], 0.02, "title", path)
        assert len(drawn[-1].axes) == 2 * count
        image = matplotlib.image.imread(path)
        for half in np.array_split(image, count):
            is_colored = np.ptp(half[..., :3], axis=-1) > 0.2  # of the label lines; not of the text
            assert is_colored.sum() > 200
    assert drawn[-1].axes[2].get_title(loc="left") == "reference: \nheard: (nothing)"


@pytest.mark.filterwarnings("error")
def test_one_frame_blanks_alone_and_mathematical_signs_in_texts(drawn, tmp_path):
    blanks = np.array([[1.0, 0.0]])
    texts = ("$a_{b$ 5 $ \\frac 好", "long " * 90)
    tokens = [("$", 1, 0.0), ("\\", 7, 0.0)]
    for posteriors in (POSTERIORS[:1], blanks):
        panel = Panel(posteriors, SPECTROGRAM[:1], tokens, *texts)
        draw_posteriors([panel], 0.03, "title", tmp_path / "plot.png")
        assert drawn[-1].axes[0].get_xlim() == pytest.approx((0, 0.03))
        lines = drawn[-1].axes[0].get_title(loc="left").split("\n")
        assert lines[0] == r"reference: \$a_{b\$ 5 \$ \frac □" and len(lines[1]) < 170
    assert len(drawn[-1].axes[0].get_lines()) == 1


def test_a_space_among_frequent_errors_has_a_name(drawn, tmp_path):
    errors = {"substitutions": [("a", " ", 2)], "deletions": [(" ", "", 1)]}
    draw_errors(errors, "characters", "digits: validation", tmp_path / "errors.png")
    names = [axes.get_yticklabels()[0].get_text() for axes in drawn[0].axes]
    assert names == ["\u200ea → ␣", "\u200e␣"]


@pytest.mark.filterwarnings("error")
def test_frequent_errors_have_bars_with_counts(drawn, tmp_path):
    errors = {
        "substitutions": [("five", "nine", 30), ("a" * 60, "好", 2)],
        "deletions": [],
        "insertions": [("", f"w{n}", 20 - n) for n in range(20)],
    }
    draw_errors(errors, "words", "digits: validation", tmp_path / "errors.png")
    one, two, three = drawn[0].axes
    assert [bar.get_width() for bar in one.patches] == [30, 2]
    assert [text.get_text() for text in one.texts] == ["30", "2"]
    names = [tick.get_text() for tick in one.get_yticklabels()]
    assert names == ["\u200efive → nine", "\u200e" + "a" * 15 + "… → □"]
    assert [axes.get_title() for axes in drawn[0].axes] == [
        "substitutions", "no deletions", "insertions",
    ]  # fmt: skip
    assert [tick.get_text() for tick in three.get_yticklabels()] == [
        f"\u200ew{n}" for n in range(10)
    ]
    assert not two.patches and (tmp_path / "errors.png").stat().st_size > 5_000
