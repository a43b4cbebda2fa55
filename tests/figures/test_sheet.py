"""Sheets, planes and windows."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.figures.drawing import difference_limit
from modelsgenesis.figures.gallery import draw_gallery
from modelsgenesis.figures.locator import Locator
from modelsgenesis.figures.planes import cut_plane, names
from modelsgenesis.figures.restoration import caption, restoration_sheet
from modelsgenesis.figures.sheet import Panel, draw_sheet
from modelsgenesis.figures.windows import ct_display, ct_window, percentile_display

SIZE = (12, 10, 8)
SPACING_MM = (1.0, 2.0, 3.0)


def marked(at: tuple[int, ...], size: tuple[int, ...] = SIZE) -> np.ndarray:
    """An image of zeros with one bright voxel."""
    values = np.zeros(size, np.float32)
    values[at] = 1
    return values


def brightest(picture: np.ndarray) -> tuple[int, ...]:
    """Row and column of the brightest pixel."""
    return tuple(int(k) for k in np.unravel_index(np.argmax(picture), picture.shape))


def test_axial_plane_has_patients_right_on_the_left_and_front_on_top():
    """A voxel to the right and in front (low x, low y in LPS) is drawn at the left and on top."""
    plane = cut_plane(marked((0, 0, 4)), "axial", SPACING_MM)
    assert brightest(plane.picture) == (0, 0)
    assert plane.letters == ("R", "L", "A", "P")
    assert plane.size_mm == (12.0, 20.0)


def test_coronal_plane_has_patients_right_on_the_left_and_head_on_top():
    """A voxel to the right and at the head (low x, high z) is drawn at the left and on top."""
    plane = cut_plane(marked((0, 5, 7)), "coronal", SPACING_MM)
    assert brightest(plane.picture) == (0, 0)
    assert plane.letters == ("R", "L", "S", "I")
    assert plane.size_mm == (12.0, 24.0)


def test_sagittal_plane_has_front_on_the_left_and_head_on_top():
    """A voxel in front and at the head (low y, high z) is drawn at the left and on top."""
    plane = cut_plane(marked((6, 0, 7)), "sagittal", SPACING_MM)
    assert brightest(plane.picture) == (0, 0)
    assert plane.letters == ("A", "P", "S", "I")
    assert plane.size_mm == (20.0, 24.0)


def test_planes_meet_where_they_shall():
    """All three planes go through the voxel given, and through the middle when none is given."""
    values = marked((2, 3, 1))
    assert all(cut_plane(values, name, SPACING_MM, (2, 3, 1)).picture.max() == 1 for name in names(3))
    assert all(cut_plane(values, name, SPACING_MM).picture.max() == 0 for name in names(3))


def test_flat_images_are_one_plane_without_letters():
    """A 2D image is drawn as it is; nothing is claimed about how the patient lies."""
    plane = cut_plane(marked((0, 1), (5, 7)), "image", (1.0, 1.0))
    assert names(2) == ("image",)
    assert plane.picture.shape == (7, 5)
    assert brightest(plane.picture) == (1, 0)
    assert plane.letters == ("", "", "", "")


def test_wrong_shapes_and_planes_are_refused():
    """Channels, missing spacings and unknown planes are refused as wrong."""
    with pytest.raises(ShapeError, match="choose one channel"):
        cut_plane(np.zeros((1, *SIZE)), "axial", SPACING_MM)
    with pytest.raises(ShapeError, match="one spacing for each axis"):
        cut_plane(np.zeros(SIZE), "axial", (1.0, 1.0))
    with pytest.raises(ShapeError, match="no plane 'oblique'"):
        cut_plane(np.zeros(SIZE), "oblique", SPACING_MM)


def test_window_follows_content():
    """A cube with much lung gets the lung window, one of soft tissue does not."""
    lung = np.full((4, 4, 4), 0.08)  # -840 HU
    soft = np.full((4, 4, 4), 0.52)  # 40 HU
    assert ct_window(lung, (-1000, 1000)) == "lung"
    assert ct_window(soft, (-1000, 1000)) == "soft tissue"
    assert ct_display("soft tissue", (-1000, 1000)) == pytest.approx((0.42, 0.62))


def test_display_of_a_flat_image_has_a_width():
    """Percentiles of a constant image do not collapse to nothing."""
    assert percentile_display(np.ones((3, 3))) == (0.5, 1.5)
    low, high = percentile_display(np.linspace(0, 1, 1001))
    assert (low, high) == pytest.approx((0.005, 0.995))


def test_sheet_has_a_column_for_each_panel_and_a_row_for_each_plane(tmp_path):
    """Sheets of more panels are wider by a column; 2D sheets are lower than 3D ones; the page is white."""
    values = np.random.default_rng(0).random(SIZE).astype(np.float32)
    panels = [Panel("original", values), Panel("deformed", 1 - values, note="alone")]
    two = imread(draw_sheet(panels, tmp_path / "two.png", spacing_mm=SPACING_MM, title="two"))
    more = [*panels, Panel("difference", 1 - 2 * values, "difference")]
    three = imread(draw_sheet(more, tmp_path / "three.png", spacing_mm=SPACING_MM))
    flat = [Panel("original", values[:, :, 0])]
    one = imread(draw_sheet(flat, tmp_path / "flat.png", spacing_mm=SPACING_MM[:2]))
    assert three.shape[1] - two.shape[1] == pytest.approx(1.61 * 130, abs=2)
    assert one.shape[0] < two.shape[0]
    assert np.all(two[0, 0] == 1)


def test_sheet_is_the_same_bytes_every_time(tmp_path):
    """Nothing in the file depends on when it was written."""
    panels = [Panel("original", marked((3, 3, 3)))]
    first = draw_sheet(panels, tmp_path / "a.png", spacing_mm=SPACING_MM).read_bytes()
    assert draw_sheet(panels, tmp_path / "b.png", spacing_mm=SPACING_MM).read_bytes() == first


def test_panels_of_different_shapes_are_refused(tmp_path):
    """A sheet without panels, or of unlike ones, is an error and leaves no file."""
    for panels in ([], [Panel("a", np.zeros(SIZE)), Panel("b", np.zeros((4, 4, 4)))]):
        with pytest.raises(ShapeError, match="panels of one shape"):
            draw_sheet(panels, tmp_path / "x.png", spacing_mm=SPACING_MM)
    assert list(tmp_path.iterdir()) == []


def test_locator_draws_the_cube_where_it_lies():
    """The drawn cube is a share of the picture: low x at the left, low y on top, low z at the bottom."""
    sections = [np.zeros((12, 10, 1)), np.zeros((12, 1, 8)), np.zeros((1, 10, 8))]
    locator = Locator(sections, SPACING_MM, lower_mm=(3.0, 0.0, 0.0), size_mm=(6.0, 5.0, 6.0))
    axial, coronal, _ = locator.planes(names(3))
    axes = Figure().add_axes((0, 0, 1, 1))
    assert locator.rectangle(axial, axes).get_bbox().bounds == pytest.approx((0.25, 0.75, 0.5, 0.25))
    assert locator.rectangle(coronal, axes).get_bbox().bounds == pytest.approx((0.25, 0.0, 0.5, 0.25))


def test_locator_is_drawn_beside_the_panels(tmp_path):
    """A sheet with a locator is wider."""
    panels = [Panel("original", marked((3, 3, 3), (6, 6, 6)))]
    sections = [np.zeros((12, 10, 1)), np.zeros((12, 1, 8)), np.zeros((1, 10, 8))]
    locator = Locator(sections, SPACING_MM, (0.0, 0.0, 0.0), (6.0, 12.0, 18.0))
    without = imread(draw_sheet(panels, tmp_path / "a.png", spacing_mm=SPACING_MM))
    with_it = imread(draw_sheet(panels, tmp_path / "b.png", spacing_mm=SPACING_MM, locator=locator))
    assert with_it.shape[1] > without.shape[1] + 130


def test_differences_share_one_scale():
    """The limit is the largest of all differences, nearly, and never nothing."""
    assert difference_limit([]) == 0
    assert difference_limit([np.zeros(10)]) > 0
    assert difference_limit([np.full(10, -0.5), np.full(10, 0.25)]) == pytest.approx(0.5)


@pytest.mark.parametrize("space", [(12, 10, 8), (12, 10)])
def test_restoration_sheet_draws_every_cube(tmp_path: Path, space: tuple[int, ...]):
    """More cubes make a higher sheet; batches of 2D images are drawn too."""
    original = np.random.default_rng(0).random((3, 1, *space)).astype(np.float32)
    deformed, restored = np.clip(original + 0.3, 0, 1), original * 0.9
    few = imread(restoration_sheet(tmp_path / "few.png", original[:1], deformed[:1], restored[:1], title="early"))
    spacings = [SPACING_MM[: len(space)]] * 3
    many = imread(restoration_sheet(tmp_path / "many.png", original, deformed, restored, spacing_mm=spacings))
    assert many.shape[0] > few.shape[0]
    with pytest.raises(ShapeError, match="three batches"):
        restoration_sheet(tmp_path / "x.png", original, deformed[:2], restored)


def test_caption_compares_with_leaving_the_cube_as_it_is():
    """The ratio of the two errors is given, unless nothing was deformed."""
    assert caption(0.01, 0.04).endswith("0.0400, ratio 0.25")
    assert "ratio" not in caption(0.01, 0.0)


def test_gallery_wraps_its_rows(tmp_path):
    """Seven pictures in rows of five take two rows."""
    panels = [Panel(f"law {k}", marked((k, 1, 4)), note="one line\nand another") for k in range(7)]
    two_rows = imread(draw_gallery(panels, tmp_path / "a.png", spacing_mm=SPACING_MM))
    one_row = imread(draw_gallery(panels[:5], tmp_path / "b.png", spacing_mm=SPACING_MM))
    assert two_rows.shape[1] == one_row.shape[1]
    assert two_rows.shape[0] > 1.5 * one_row.shape[0]
    with pytest.raises(ShapeError, match="panels of one shape"):
        draw_gallery([], tmp_path / "c.png", spacing_mm=SPACING_MM)
