import io

import numpy as np
from matplotlib.colors import to_hex
from PIL import Image

from gsda_tf.reporting import figures

LINES = [
    {"step": 10, "loss/classification": 2.0, "S/domain": 0.5, "S/group": 0.4, "S/class": 0.1},
    {"step": 10, "accuracy/source": 0.25, "accuracy/target": 0.5},
    {"step": 20, "loss/classification": None, "S/domain": 0.6, "S/group": 0.7, "S/class": 0.3},
    {"step": 30, "loss/classification": 1.0, "S/domain": 0.7, "S/group": 0.6, "S/class": 0.5},
]


def _curve(ax, title):
    (found,) = (line for line in ax.lines if line.get_label() == title)
    return found.get_xdata().tolist(), found.get_ydata().tolist()


def test_nothing_logged_gives_no_figure():
    assert not any(figures.curves([]).values())
    assert figures.curves([{"step": 1, "loss/classification": 1.0}])["synchronization"] == []


def test_what_is_zero_throughout_is_not_drawn_as_if_it_were_measured():
    lines = [{"step": s, "loss/classification": 1.0, "loss/entropy": 0.0} for s in (1, 2)]
    (figure,) = figures.curves(lines)["losses"]
    assert [line.get_label() for line in figure.axes[0].lines] == ["loss/classification"]


def test_curves_show_what_was_logged_and_skip_what_was_not_finite():
    (losses,) = figures.curves(LINES)["losses"]
    assert _curve(losses.axes[0], "loss/classification") == ([10, 30], [2.0, 1.0])
    assert [text.get_text() for text in losses.axes[0].texts] == ["2", "1"]  # two values are no curve


def test_one_evaluation_and_values_that_stay_are_no_curves():
    """A line from step 0 to the only evaluation says nothing, and one at 100 flattens what changes."""
    once = figures.curves([{"step": s, "accuracy/source": s / 10, "score/a_distance": 1 - s / 10} for s in (0, 5)])
    assert once["accuracies"] == once["distance"] == []
    lines = [{"step": s, "accuracy/source": 1.0, "accuracy/target": s / 10} for s in (0, 4, 8)]
    ax = figures.curves(lines)["accuracies"][0].axes[0]
    assert [line.get_label() for line in ax.lines] == ["accuracy/target"] and ax.get_title(loc="left") == "Accuracy"


def test_the_axis_shows_what_training_reaches_and_source_only_beside_it():
    lines = [
        {"step": s, "accuracy/source": a, "accuracy/target": a - 0.04} for s, a in ((0, 0.1), (10, 0.92), (20, 0.98))
    ]
    other = [{"step": s, "accuracy/target": 0.85} for s in (0, 10, 20)]
    (figure,) = figures.curves(lines, other)["accuracies"]
    low, high = figure.axes[0].get_ylim()
    assert 80 < low < 85 and 98 < high <= 101
    assert _curve(figure.axes[0], "accuracy/target, source only") == ([10, 20], [85.0] * 2)
    assert not figure.axes[0].get_legend() and len(figure.legends) == 1  # not over the lines


def test_synchronization_shows_s_of_every_level_from_coarse_to_fine():
    ax = figures.curves(LINES)["synchronization"][0].axes[0]
    assert [line.get_label() for line in ax.lines] == ["S/domain", "S/group", "S/class"]
    assert _curve(ax, "S/group") == ([10, 20, 30], [0.4, 0.7, 0.6])


def test_a_long_curve_is_smoothed_without_bias():
    lines = [{"step": int(s), "loss/entropy": 2.0 * s + (-1) ** s} for s in np.arange(400)]
    x, y = _curve(figures.curves(lines)["losses"][0].axes[0], "loss/entropy")
    np.testing.assert_allclose(y, 2 * np.array(x), atol=1e-9)  # a window of even width: the noise cancels


def test_a_distance_that_changed_in_training_is_drawn_with_what_was_before():
    lines = [{"step": s, "score/a_distance": d, "score/a_distance_spread": 0.1} for s, d in enumerate((1.9, 0.5, 0.2))]
    (figure,) = figures.curves(lines)["distance"]
    assert [line.get_xdata().tolist() for line in figure.axes[0].lines] == [[0, 1, 2]]


def test_confusion_is_in_percent_of_the_row_and_leaves_out_absent_classes():
    ax = figures.confusion(np.array([[3, 1, 0], [0, 0, 0], [0, 2, 2]]), ("a", "b", "c")).axes[0]
    np.testing.assert_allclose(ax.images[0].get_array(), [[75, 25, 0], [0, 50, 50]])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "c"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "b", "c"]


def test_of_many_classes_only_what_can_be_read_is_drawn():
    names = [f"c{k}" for k in range(5000)]
    assert figures.confusion(np.eye(201, dtype=int), names[:201]) is None
    assert figures.confusion(np.eye(200, dtype=int), names[:200]) is not None


def test_bars_are_shares_side_by_side_from_top_to_bottom():
    shares = {"this run": np.array([0.75, 0.25]), "source only": np.array([0.5, np.nan])}
    ax = figures.bars("Mean 50.0 %", "percent", ["c (8)", "a (4)"], shares).axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["c (8)", "a (4)"]
    np.testing.assert_array_equal([bar.get_width() for bar in ax.patches], [75, 25, 50, np.nan])
    assert [t.get_text() for t in ax.texts] == ["75", "25"]
    assert [to_hex(bar.get_facecolor()) for bar in ax.patches[::2]] == [figures.TARGET, figures.REFERENCE]


def test_embedding_has_one_colour_a_class_in_both_domains():
    points = np.arange(6.0).reshape(3, 2)
    figure = figures.embedding([("now", points, points)], np.array([0, 1, 2]), np.array([2, 0, -1]), ("a", "b", "c"))
    source, target = (c.get_facecolors()[:, :3] for c in figure[0].axes[0].collections)
    np.testing.assert_array_equal(target[:2], source[[2, 0]])
    assert not (source == target[2]).all(axis=1).any()  # -1 has a colour of its own
    assert len(np.unique(source, axis=0)) == 3


def test_many_classes_still_have_colours_of_their_own():
    names = [str(k) for k in range(65)]
    labels = np.arange(65)
    points = np.random.default_rng(0).normal(size=(65, 2))
    figure = figures.embedding([("now", points, points)], labels, labels, names)
    assert len(np.unique(figure[0].axes[0].collections[0].get_facecolors().round(6), axis=0)) == 65


def test_png_is_a_picture():
    image = Image.open(io.BytesIO(figures.png(figures.curves(LINES)["losses"][0], dpi=50)))
    assert image.format == "PNG" and np.asarray(image.convert("L")).std() > 1


_STRANGE = ["$5_and_$10", "$x", "_private", "a\nb\x1b[31m", "飞机", "コード", "\udcff", "é" * 90, r"\frac{"]
_STRANGE += ["\u202egnp"]


def test_names_are_drawn_as_they_are_or_by_number_without_a_warning(recwarn):
    """A pair of $ is no mathematics, what no font has is a number, what is no text is escaped."""
    counts = np.arange(100).reshape(10, 10)
    points = np.zeros((10, 2))
    made = [
        figures.confusion(counts, _STRANGE),
        figures.bars("", "", figures.legible(_STRANGE), {"this run": np.linspace(0, 1, 10)}),
        *figures.embedding([("x", points, points)], np.arange(10), np.arange(10), _STRANGE),
    ]
    for figure in made:
        assert figures.png(figure).startswith(b"\x89PNG")
    assert not recwarn.list
    shown = figures.legible(_STRANGE)
    assert shown[:4] == [r"\$5_and_\$10", r"\$x", " _private", r"a\nb\x1b[31m"]
    assert len(shown[7]) == 40 and shown[6] == r"\udcff" and shown[9] == r"\u202egnp"
    legend = [text.get_text() for text in made[2].legends[0].get_texts()]
    assert legend[2:] == shown


def test_a_name_that_no_font_has_is_a_number(monkeypatch):
    monkeypatch.setattr(figures, "characters", lambda: frozenset(range(256)))
    assert figures.legible(["bike", "飞机"]) == ["bike", "class 1"]
