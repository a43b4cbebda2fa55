"""Rows that compare: one slice under several masks, and the middle slices of several images."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.figures.overlay import overlay_figure, overlay_sheet
from modelsgenesis.figures.side_by_side import heat_maps, middles, side_by_side

SIZE, SPACING = (20, 16, 12), (1.0, 1.0, 2.0)


def scan() -> np.ndarray:
    """A made-up image in which every slice is another."""
    return np.arange(np.prod(SIZE), dtype=np.float32).reshape(SIZE)


def masks() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A truth, and two predictions; most of all three lies in the axial plane z = 7."""
    truth, one, other = (np.zeros(SIZE, np.uint8) for _ in range(3))
    truth[3:15, 2:14, 7] = 1
    one[3:15, 2:8, 7] = 1
    other[10:12, 3:5, 6:9] = 2
    return truth, one, other


def test_all_masks_are_shown_on_the_slice_that_says_most() -> None:
    """The plane and place with most of truth and predictions together, the same for each, with its title."""
    truth, one, other = masks()
    row = side_by_side(scan(), [one, other], truth, spacing_mm=SPACING, titles=["one", "other"], caption="a case")
    assert [plane.name for plane in row.planes] == ["axial", "axial"]
    assert all((plane.picture == scan()[:, :, 7].T).all() for plane in row.planes)
    assert [mask.tolist() for mask in row.masks] == [[one[:, :, 7].T.tolist()], [other[:, :, 7].T.tolist()]]
    assert all((each[0] == truth[:, :, 7].T).all() for each in row.truths)
    assert row.titles == ("one", "other")
    assert row.foot.startswith("axial slice 8 of 12 from the feet; black at ")


def test_what_lies_far_around_is_left_out() -> None:
    """As of other overlays, so many millimetres around all labels."""
    truth, one, _ = masks()
    row = side_by_side(scan(), [one], truth, spacing_mm=SPACING, titles=["one"], around_mm=2.0)
    assert row.planes[0].picture.shape == (16, 16)  # rows 2 - 2 to 14 + 2, columns 3 - 2 to 15 + 2
    with pytest.raises(ShapeError, match="does not lie on an image"):
        side_by_side(scan(), [one[1:]], truth, spacing_mm=SPACING, titles=["one"])


def test_middles_have_windows_of_their_own(tmp_path: Path) -> None:
    """Images of other sizes and units beside each other, and lines of text above them that do not touch the caption."""
    bright = 1000 * scan()[:10] + 5
    row = middles(
        [scan(), bright],
        spacings_mm=[SPACING, SPACING],
        displays=[(0.0, float(scan().max())), None],
        titles=["first\ntrue: a\nsaid: b", "second"],
        caption="worst",
    )
    assert row.planes[0].picture == pytest.approx(scan()[:, :, 6].T / scan().max())
    assert 0 <= np.median(row.planes[1].picture) <= 1
    figure = overlay_figure([row, row], labels=())
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    boxes = [each.get_window_extent(renderer) for each in figure.texts if each.get_text()]
    assert len(boxes) == 8
    assert not [1 for k, one in enumerate(boxes) for other in boxes[k + 1 :] if one.overlaps(other)]
    pictures = [axes.get_window_extent(renderer) for axes in figure.axes]
    assert not [1 for box in boxes for picture in pictures if box.overlaps(picture)]
    assert imread(overlay_sheet(tmp_path / "sheet.png", [row], labels=())).shape[1] > 500


def test_pictures_have_no_slices_and_glow_where_the_heat_is() -> None:
    """Of pictures a line says the grey values alone; heat maps stand beside the picture, from none to their hottest."""
    picture, heat = np.zeros((20, 16)), np.full((1, 20, 16), -1.0)
    heat[0, 5, 7] = 4.0
    how = {"spacing_mm": (1.0, 1.0), "caption": "one"}
    row = middles([picture], spacings_mm=[(1.0, 1.0)], displays=[(0.0, 2.0)], titles=["a"])
    assert row.foot == "black at 0, white at 2"
    (row,) = heat_maps(picture, heat, titles=["ill 0.90"], **how)
    assert (row.titles, len(row.planes)) == (("", "ill 0.90"), 2)
    assert not row.heats[0].any()
    assert np.argwhere(row.heats[1]).tolist() == [[7, 5]]  # rows and columns
    rows = heat_maps(scan(), np.stack([scan(), -scan()]), titles=["a", "b"], spacing_mm=SPACING)
    assert [len(row.planes) for row in rows] == [3, 3]
    at = np.unravel_index(int(scan().argmax()), scan().shape)
    np.testing.assert_allclose(rows[0].heats[0], scan()[:, :, at[2]].T / scan().max(), rtol=1e-6)
    assert not rows[1].heats[0].any()
