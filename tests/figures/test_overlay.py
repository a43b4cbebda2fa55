"""Masks lie on their image where their voxels are, in three planes and in colours that can be distinguished."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from PIL import Image

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.core.labels import COLOURS
from modelsgenesis.figures.overlay import (
    FILL,
    edges,
    overlay,
    overlay_figure,
    overlay_picture,
    overlay_sheet,
)
from modelsgenesis.figures.page import Page

SIZE, SPACING = (20, 16, 12), (1.0, 1.0, 2.0)


def scan(size: tuple[int, ...] = SIZE) -> np.ndarray:
    """A made-up image in [0, 1]."""
    return np.random.default_rng(0).uniform(size=size).astype(np.float32)


def label_map() -> np.ndarray:
    """Two labels; most voxels lie in the planes x = 5, y = 4 and z = 8."""
    mask = np.zeros(SIZE, np.uint8)
    mask[3:8, 2:7, 7:10] = 1
    mask[5, 2:9, 8] = 2
    mask[5:7, 4, 6:11] = 2
    return mask


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 7))
def test_contour_runs_between_pixels_in_and_out(seed: int, rows: int, columns: int) -> None:
    """Its pieces are exactly the sides of pixels whose other side is out of the mask; so the area is what it bounds."""
    part = np.random.default_rng(seed).random((rows, columns)) < 0.5
    found = {tuple(sorted(piece)) for piece in edges(part)}
    wanted: set[object] = set()
    for row, column in np.argwhere(part):
        x, y = float(column), float(row)
        left_top, right_top = (x - 0.5, y - 0.5), (x + 0.5, y - 0.5)
        left_low, right_low = (x - 0.5, y + 0.5), (x + 0.5, y + 0.5)
        for side in ((left_top, right_top), (left_low, right_low), (left_top, left_low), (right_top, right_low)):
            wanted ^= {tuple(sorted(side))}  # a side of two pixels of the mask is no border
    assert found == wanted


def test_planes_go_where_most_is_labelled() -> None:
    """Each axis on its own, so that a small label in a large scan is seen."""
    image = np.zeros(SIZE, np.float32)
    image[5], image[:, 4], image[:, :, 8] = 1, 1, 1  # each of these planes is white
    found = overlay(image, label_map(), spacing_mm=SPACING)
    assert [plane.name for plane in found.planes] == ["axial", "coronal", "sagittal"]
    assert all(plane.picture.min() == 1 for plane in found.planes)


def test_mask_is_cut_as_the_image_is() -> None:
    """Where the image equals the mask, so do their pictures: nothing is mirrored or turned against the other."""
    mask = label_map()
    found = overlay(mask.astype(np.float32), mask, spacing_mm=SPACING)
    for plane, picture in zip(found.planes, found.masks, strict=True):
        np.testing.assert_array_equal(picture[0], plane.picture)


def test_patient_s_right_is_on_the_left_and_the_head_on_top() -> None:
    """A label at the lowest x (right), lowest y (front) and highest z (head) is in the upper left corner."""
    mask = np.zeros(SIZE, np.uint8)
    mask[0, 0, -1] = 1
    found = overlay(scan(), mask, spacing_mm=SPACING)
    assert all(picture[0, 0, 0] == 1 and picture.sum() == 1 for picture in found.masks)


def test_no_label_means_the_middle() -> None:
    """An empty mask is no error; around it is the whole image."""
    image = np.zeros(SIZE, np.float32)
    image[10, 8, 6] = 1
    found = overlay(image, np.zeros(SIZE, np.uint8), spacing_mm=SPACING, around_mm=3)
    assert [plane.picture.max() for plane in found.planes] == [1, 1, 1]
    assert found.planes[0].picture.shape == (16, 20)
    assert found.found() == set()


def test_slices_and_greys_are_stated() -> None:
    """The slices are those of the whole image, counted from 1, also where only a part of it is shown."""
    for around in (None, 2.0):
        found = overlay(scan(), label_map(), spacing_mm=SPACING, display=(-160.0, 240.0), around_mm=around)
        assert found.foot == (
            "axial slice 9 of 12 from the feet, coronal slice 5 of 16 from the front, sagittal slice 6 of 20 from the "
            "right; black at -160, white at 240"
        )
        assert found.foot in [text.get_text() for text in overlay_figure([found], labels=("a", "b")).texts]
    flat = overlay(scan((9, 7)), np.zeros((9, 7), np.uint8), spacing_mm=(1.0, 1.0), display=(0.0, 255.0))
    assert flat.foot == "black at 0, white at 255"


def test_around_shows_millimetres_not_voxels() -> None:
    """Two voxels more along x, one along z where voxels are twice as long; nothing beyond the image."""
    mask = np.zeros(SIZE, np.uint8)
    mask[8:12, 0:4, 5:7] = 1
    found = overlay(scan(), mask, spacing_mm=SPACING, around_mm=2)
    assert found.planes[0].picture.shape == (4 + 2, 4 + 2 * 2)  # at the front the image ends
    assert found.planes[1].picture.shape == (2 + 2 * 1, 4 + 2 * 2)


def test_truth_outside_the_prediction_is_in_view() -> None:
    """What is shown around is around both."""
    mask, truth = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    mask[2, 8, 6], truth[17, 8, 6] = 1, 1
    found = overlay(scan(), mask, truth=truth, spacing_mm=SPACING, around_mm=1)
    assert found.masks[0].any()
    assert found.truths[0].any()


def test_overlapping_labels_are_all_drawn() -> None:
    """Binary masks of one voxel each keep their own colour, one within the other."""
    masks = np.zeros((2, *SIZE), np.uint8)
    masks[0, 4:12, 4:12, 4:8] = 1
    masks[1, 6:9, 6:9, 5:7] = 1
    found = overlay(scan(), masks, spacing_mm=SPACING)
    assert found.found() == {0, 1}
    figure = overlay_figure([found], labels=("whole", "core"))
    lines = [c for axes in figure.axes for c in axes.collections if isinstance(c, LineCollection)]
    drawn = {tuple(line.get_colors()[0][:3]) for line in lines}
    assert {to_rgb(COLOURS[0]), to_rgb(COLOURS[1])} <= drawn


def test_prediction_is_filled_and_truth_is_a_line() -> None:
    """A truth alone paints no pixel; a prediction beside a truth has no line of its own."""
    nothing, mask = np.zeros(SIZE, np.uint8), label_map()
    only_truth = overlay_figure([overlay(scan(), nothing, truth=mask, spacing_mm=SPACING)], labels=("a", "b"))
    only_mask = overlay_figure([overlay(scan(), mask, truth=nothing, spacing_mm=SPACING)], labels=("a", "b"))

    def painted(figure: object) -> tuple[int, int]:
        all_axes = figure.axes  # type: ignore[attr-defined]
        return sum(len(axes.images) > 1 for axes in all_axes), sum(len(axes.collections) > 0 for axes in all_axes)

    assert painted(only_truth) == (0, 3)
    assert painted(only_mask) == (3, 0)


def test_fill_lets_the_image_through() -> None:
    """The colour covers less than half."""
    figure = overlay_figure([overlay(scan(), label_map(), spacing_mm=SPACING)], labels=("a", "b"))
    layers = [image.get_array() for axes in figure.axes for image in axes.images[1:]]
    assert {float(layer[..., 3].max()) for layer in layers} == {FILL}
    assert FILL < 0.5


def test_sheet_is_a_png_with_the_same_bytes(tmp_path: Path) -> None:
    """Drawn twice, as wide as three columns and as high as its rows."""
    rows = [overlay(scan(), label_map(), truth=label_map(), spacing_mm=SPACING, caption=f"case {n}") for n in (1, 2)]
    drawn = [overlay_sheet(tmp_path / name, rows, labels=("a", "b"), title="two") for name in ("1.png", "2.png")]
    assert drawn[0].read_bytes() == drawn[1].read_bytes()
    with Image.open(drawn[0]) as sheet:
        assert sheet.width > 900
    one = overlay_sheet(tmp_path / "one.png", rows[:1], labels=("a", "b"), title="two")
    with Image.open(drawn[0]) as both, Image.open(one) as single:
        assert both.height > 1.5 * single.height


def test_sheet_inside_a_page_says_what_it_is() -> None:
    """An image with its alternative text, escaped, and nothing to load."""
    row = overlay(scan(), label_map(), spacing_mm=SPACING, caption="Dice 0.5")
    page = Page("", "")
    page.section("", overlay_picture([row], 'of "A" & B', labels=("a", "b")))
    text = page.html()
    assert 'alt="of &#34;A&#34; &amp; B; Dice 0.5"' in text
    assert 'src="data:image/webp;base64,' in text


def test_many_labels_have_names_on_several_lines() -> None:
    """Colours come round again; the legend makes room for all names that are to be seen, and only those."""
    mask = np.zeros(SIZE, np.uint8)
    mask[2:18, 8, 6] = np.arange(1, 17)
    found = overlay(scan(), mask, spacing_mm=SPACING)
    names = [f"a rather long name of structure {number}" for number in range(20)]
    figure = overlay_figure([found], labels=names)
    words = [text.get_text() for text in figure.texts]
    assert set(names[:16]) <= set(words)
    assert not set(names[16:]) & set(words)
    height = float(figure.get_size_inches()[1])
    few = float(overlay_figure([found], labels=[str(n) for n in range(20)]).get_size_inches()[1])
    assert height > few


def test_flat_images_have_one_plane() -> None:
    """A 2D image is drawn as it is."""
    mask = np.zeros((9, 7), np.uint8)
    mask[2:4, 3] = 1
    found = overlay(scan((9, 7)), mask, spacing_mm=(1.0, 1.0))
    assert [plane.name for plane in found.planes] == ["image"]
    np.testing.assert_array_equal(found.masks[0][0], mask.T)
    assert overlay_figure([found], labels=("a",)).axes


def test_what_does_not_fit_is_refused() -> None:
    """A mask of another shape, no row, and a label without a name."""
    with pytest.raises(ShapeError, match="does not lie on an image"):
        overlay(scan(), np.zeros((4, 4, 4), np.uint8), spacing_mm=SPACING)
    with pytest.raises(ShapeError, match="at least one row"):
        overlay_figure([], labels=("a",))
    with pytest.raises(ShapeError, match="1 names for 2 labels"):
        overlay_figure([overlay(scan(), label_map(), spacing_mm=SPACING)], labels=("a",))
