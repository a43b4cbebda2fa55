"""Learning curves and pairs: what is drawn is what the runs say."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread

from modelsgenesis.figures import learning_curve
from modelsgenesis.figures.learning_curve import SHADES, SHAPES, STROKES, draw_learning, draw_pairs, style

BUDGETS = (3, 6, 12)
GONE = np.nan
VALUES = {
    "scratch": np.array([[0.5, 0.6], [0.6, 0.7], [0.7, GONE]]),
    "ours": np.array([[0.6, 0.8], [0.7, 0.7], [0.8, 0.9]]),
    "theirs": np.array([[0.4, 0.5], [GONE, GONE], [0.6, 0.7]]),
}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were drawn, before they became files."""
    figures: list[Figure] = []

    def keep(figure: Figure, path: Path) -> Path:
        figures.append(figure)
        return path

    monkeypatch.setattr(learning_curve, "save", keep)
    return figures


def test_curves_are_means_and_bands_are_ranges(drawn: list[Figure], tmp_path: Path) -> None:
    """A budget without a run is left out, not guessed."""
    draw_learning(tmp_path / "a.png", "Dice", BUDGETS, VALUES)
    axes = drawn[0].axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["ours"].get_xydata() == pytest.approx(np.array([[3, 0.7], [6, 0.7], [12, 0.85]]))
    assert lines["theirs"].get_xydata() == pytest.approx(np.array([[3, 0.45], [12, 0.65]]))
    band = axes.collections[1].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == pytest.approx((0.6, 0.9))
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_legend().get_texts()] == list(VALUES)
    assert "labelled cases" in axes.get_xlabel()


def test_a_run_far_from_all_others_is_named_and_not_the_axis(drawn: list[Figure], tmp_path: Path) -> None:
    """One failed run does not press all others together; its value stands at the edge."""
    failed = {"scratch": np.linspace(0.8, 0.84, 6).reshape(3, 2), "ours": np.linspace(0.81, 0.85, 6).reshape(3, 2)}
    failed["ours"][1, 0] = 0.3
    draw_learning(tmp_path / "a.png", "Dice", BUDGETS, failed)
    draw_pairs(tmp_path / "b.png", "Dice", BUDGETS, failed)
    curve, pairs = drawn
    assert curve.axes[0].get_ylim()[0] > 0.78
    assert [(each.get_text(), each.xy[0]) for each in curve.axes[0].texts] == [("↓ 0.3", 6)]
    assert pairs.axes[0].get_ylim()[0] > 0.78
    assert "off the axes: 1 far from all others" in pairs.texts[-1].get_text()


def test_pairs_join_the_runs_of_a_seed(drawn: list[Figure], tmp_path: Path) -> None:
    """Arm minus reference of each seed that both have, with the given interval beside it."""
    draw_pairs(tmp_path / "a.png", "Dice", BUDGETS, VALUES, {("ours", 3): (0.05, 0.25)})
    above, below = drawn[0].axes[:2]
    joined = {tuple(np.round(line.get_ydata(), 6)) for line in above.lines}
    assert {(0.5, 0.6), (0.6, 0.8), (0.6, 0.7), (0.7, 0.7), (0.7, 0.8)} <= joined
    points = np.concatenate([np.asarray(some.get_offsets()) for some in below.collections])
    assert sorted(points[:, 1].tolist()) == pytest.approx([0.0, 0.1, 0.1, 0.1, 0.2])
    assert any(np.allclose(line.get_ydata(), [0.05, 0.25]) for line in below.lines)
    assert [label.get_text() for label in below.get_xticklabels()] == ["3", "6", "12"]


@pytest.mark.parametrize("others", [1, 4, 6])
def test_labels_do_not_overlap(drawn: list[Figure], tmp_path: Path, others: int) -> None:
    """Of any two texts that are shown."""
    values = {f"arm-{k}": VALUES["ours"] + k / 100 for k in range(others + 1)}
    draw_learning(tmp_path / "a.png", "surface Dice", BUDGETS, values)
    draw_pairs(tmp_path / "b.png", "surface Dice", BUDGETS, values)
    for figure in drawn:
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
        texts = [*figure.texts]
        for axes in figure.axes:
            places = zip(axes.get_yticks(), axes.get_yticklabels(), strict=False)  # some are beyond the ends
            low, high = axes.get_ylim()
            ticks = [*axes.get_xticklabels(), *(label for at, label in places if low <= at <= high)]
            texts += [*ticks, axes.xaxis.label, axes.yaxis.label, axes.title, axes._left_title]
            texts += axes.get_legend().get_texts() if axes.get_legend() else []
        boxes = [each.get_window_extent(renderer) for each in texts if each.get_visible() and each.get_text()]
        boxes = [box for box in boxes if box.width]
        assert not [
            (one, other)
            for k, one in enumerate(boxes)
            for other in boxes[k + 1 :]
            if one.shrunk(0.98, 0.98).overlaps(other)
        ]


def test_arms_differ_in_more_than_colour() -> None:
    """Colours, shapes and strokes of the first eight; no two have all three in common, and no two a colour."""
    assert len({style(k)[0] for k in range(8)}) == 8 == len(SHADES) == len(SHAPES)
    assert len({style(k)[1:] for k in range(len(SHAPES))}) == len(SHAPES) > len(STROKES)
    for early in range(16):
        later = [style(k) for k in range(early + 1, 24) if style(k)[0] == style(early)[0]]
        assert all(shape != style(early)[1] and stroke != style(early)[2] for _, shape, stroke in later), early


def test_files_are_written(tmp_path: Path) -> None:
    """One arm beside the reference, all of whose pairs are missing, is drawn as well."""
    lonely = {"scratch": VALUES["scratch"], "other": np.full((3, 2), GONE)}
    assert imread(draw_pairs(tmp_path / "pairs.png", "Dice", BUDGETS, lonely)).shape[0] > 300
    assert imread(draw_learning(tmp_path / "learning_curve.png", "Dice", BUDGETS, lonely)).shape[1] == 1300
