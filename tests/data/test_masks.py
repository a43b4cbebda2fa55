"""Masks become classes on the very grid of their image, or are refused with the reason."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from tests.data.scan_files import make_ct, make_image

from modelsgenesis.core.labels import Label
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.data.case import Case
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.entries import one_source
from modelsgenesis.data.formats import classify
from modelsgenesis.data.images import Image, Reading
from modelsgenesis.data.intensity import Percentiles
from modelsgenesis.data.masks import grid_notes, read_label_map, read_mask
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.sources import Source, describe_file
from modelsgenesis.targets.multilabel_segmentation import MultilabelSegmentation
from modelsgenesis.targets.segmentation import Segmentation

SIZE = (24, 20, 18)
ORGANS = Segmentation((Label("liver", (1,)), Label("tumour", (2,))))
AXES = st.permutations([0, 1, 2])
SIGNS = st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)


def balls(size: tuple[int, ...] = SIZE) -> np.ndarray:
    """A label map, (X, Y, Z): value 1 a large ball off the centre, value 2 a small one inside it."""
    place = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"))
    far = [np.sqrt(sum((place[axis] - at[axis]) ** 2 for axis in range(3))) for at in [(9, 8, 9), (11, 9, 8)]]
    return np.where(far[1] < 3, 2, np.where(far[0] < 7, 1, 0)).astype(np.uint8)


def write(folder: Path, name: str, values: np.ndarray, like: sitk.Image | None = None) -> Source:
    """Write an array (X, Y, Z) with 1.5 x 2 x 3 mm voxels, or the geometry of an image."""
    image = make_image(values, (1.5, 2.0, 3.0))
    if like is not None:
        image.CopyInformation(like)
    path = folder / name
    sitk.WriteImage(image, str(path))
    return describe_file(path, classify(path), folder)


def make_case(folder: Path, *masks: np.ndarray) -> Case:
    """A CT and its masks, of one grid."""
    sources = (write(folder, f"mask{number}.nii.gz", mask) for number, mask in enumerate(masks))
    return Case("one", (write(folder, "ct.nii.gz", make_ct(1, SIZE)),), tuple(sources))


def read(case: Case, target: MaskTarget, reading: Reading | None = None) -> tuple[Image, np.ndarray]:
    """The image and the mask of a case."""
    reading = reading or Reading()
    image = read_image(case.images, reading)
    return image, read_mask(case, target.label_map, image, reading)


def test_values_become_classes_in_the_order_of_the_labels(tmp_path: Path) -> None:
    """Class k + 1 stands for the k-th label, whatever its values are."""
    values = balls().astype(np.int16) * 100
    target = Segmentation((Label("tumour", (200,)), Label("liver", (100,))))
    image, mask = read(make_case(tmp_path, values), target)
    assert (mask.shape, mask.dtype) == ((1, *image.size), np.uint8)
    np.testing.assert_array_equal(mask[0] == 1, values == 200)
    np.testing.assert_array_equal(mask[0] == 2, values == 100)


def test_regions_of_several_values_overlap(tmp_path: Path) -> None:
    """A region takes the union of its values; two regions may share voxels."""
    whole, core = Label("whole", (1, 2)), Label("core", (2,))
    _, mask = read(make_case(tmp_path, balls()), MultilabelSegmentation((whole, core)))
    np.testing.assert_array_equal(mask, [balls() > 0, balls() == 2])


def test_binary_masks_overlap(tmp_path: Path) -> None:
    """Where each label has a mask of its own, any value beside 0 means yes."""
    target = MultilabelSegmentation((Label("whole"), Label("core")))
    case = make_case(tmp_path, (balls() > 0) * np.uint8(255), (balls() == 2) * np.uint8(1))
    np.testing.assert_array_equal(read(case, target)[1], [balls() > 0, balls() == 2])


@settings(max_examples=12, deadline=None)
@given(axes=AXES, signs=SIGNS, spacing_mm=st.tuples(*[st.sampled_from([0.7, 1.5, 2.2, 4.1])] * 3))
def test_mask_lies_on_the_grid_of_the_image(
    tmp_path_factory: pytest.TempPathFactory,
    axes: list[int],
    signs: tuple[float, ...],
    spacing_mm: tuple[float, float, float],
) -> None:
    """However file and grid lie, a mask is resampled as its image: an image of the mask's own values agrees with it."""
    folder = tmp_path_factory.mktemp("grid")
    like = make_image(balls(), (1.5, 2.0, 3.0))
    like.SetDirection((np.eye(3)[:, axes] * np.array(signs)).ravel().tolist())
    like.SetOrigin((5.0, -7.0, 11.0))
    ball = (balls() > 0).astype(np.float32)
    case = Case(
        "one", (write(folder, "ct.nii.gz", 1000 * ball - 500, like),), (write(folder, "m.nii.gz", balls(), like),)
    )
    image, mask = read(case, ORGANS, Reading(spacing_mm=spacing_mm))
    assert mask.shape[1:] == image.size
    clear = np.abs(image.values) > 1  # where the ball's share of a voxel is not just a half
    inside = read(case, Segmentation((Label("ball", (1, 2)),)), Reading(spacing_mm=spacing_mm))[1]
    np.testing.assert_array_equal(inside[clear] > 0, image.values[clear] > 0)


@pytest.mark.parametrize(("step", "within"), [(0.5, 0.05), (4.0, 0.35)])
def test_resampling_keeps_volumes(tmp_path: Path, step: float, within: float) -> None:
    """On a grid finer or coarser each label takes up the same space; a ball of 9 coarse voxels loses a third."""
    case = make_case(tmp_path, balls())
    _, mask = read(case, ORGANS, Reading(spacing_mm=(step, step, step)))
    for value in (1, 2):
        before_mm3, after_mm3 = (balls() == value).sum() * 9.0, (mask == value).sum() * step**3
        assert after_mm3 == pytest.approx(before_mm3, rel=within)


def test_resampling_mixes_no_labels(tmp_path: Path) -> None:
    """Between value 3 and the background no voxel becomes value 1 or 2."""
    values = np.zeros(SIZE, np.uint8)
    values[6:18, 5:15, 4:14] = 3
    target = Segmentation(tuple(Label(str(value), (value,)) for value in (1, 2, 3)))
    _, mask = read(make_case(tmp_path, values), target, Reading(spacing_mm=(0.8, 0.8, 0.8)))
    assert set(np.unique(mask)) == {0, 3}


def test_overlapping_masks_are_resampled_one_by_one(tmp_path: Path) -> None:
    """Each label's mask is what it would be alone."""
    reading = Reading(spacing_mm=(2.0, 2.0, 2.0))
    labels = Label("whole", (1, 2)), Label("core", (2,))
    _, both = read(make_case(tmp_path, balls()), MultilabelSegmentation(labels), reading)
    for number, label in enumerate(labels):
        alone = np.isin(balls(), label.values).astype(np.uint8)
        target = MultilabelSegmentation((Label(label.name),))
        np.testing.assert_array_equal(read(make_case(tmp_path, alone), target, reading)[1][0], both[number])
        assert both[number].sum() * 8.0 == pytest.approx(alone.sum() * 9.0, rel=0.15)


def test_nearly_whole_numbers_are_whole(tmp_path: Path) -> None:
    """Rounding of a scaled file is undone."""
    _, mask = read(make_case(tmp_path, balls().astype(np.float32) * np.float32(0.99999)), ORGANS)
    np.testing.assert_array_equal(mask[0], balls())


def shifted(values: np.ndarray) -> sitk.Image:
    """A mask's grid, moved by half a voxel."""
    image = make_image(values, (1.5, 2.0, 3.0))
    image.SetOrigin((0.75, 0.0, 0.0))
    return image


BAD = {
    "undeclared value": (balls() + (balls() == 2) * np.uint8(5), r"holds 7 \(\d+ voxels\); declared are 0, 1, 2"),
    "negative value": (balls().astype(np.int16) - 1, r"holds -1 \(\d+ voxels\)"),
    "numbers between": (balls() * np.float32(0.5), "numbers that are not whole"),
    "an image": (make_ct(2, SIZE).astype(np.int32) * 100, "more like an image"),
    "enormous values": (balls() * np.float32(1e12), "enormous"),
    "nothing finite": (np.where(balls() == 1, np.nan, 0).astype(np.float32), "numbers that are not whole"),
    "another size": (balls()[1:], "mask and image have different sizes"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_mask_is_refused(tmp_path: Path, name: str) -> None:
    """What cannot be a mask of this image is named."""
    values, words = BAD[name]
    with pytest.raises(UnreadableError, match=words):
        read(make_case(tmp_path, values), ORGANS)


def test_mask_elsewhere_is_refused(tmp_path: Path) -> None:
    """A mask half a voxel beside its image is not its mask."""
    image = write(tmp_path, "ct.nii.gz", make_ct(1, SIZE))
    mask = write(tmp_path, "mask.nii.gz", balls(), shifted(balls()))
    with pytest.raises(UnreadableError, match=r"mask and image lie up to 0\.75 mm apart"):
        read(Case("one", (image,), (mask,)), ORGANS)


@pytest.mark.parametrize("spacing_mm", [None, (1.0, 1.0, 3.0)])
@pytest.mark.parametrize(("step_mm", "origin_mm"), [(0.7031, 0.0), (0.703, 0.0), (0.703125, 0.06)])
def test_header_rounded_to_a_few_digits_is_no_other_grid(
    tmp_path: Path, step_mm: float, origin_mm: float, spacing_mm: tuple[float, ...] | None
) -> None:
    """A tenth of a voxel at the far corner, of masks and of channels; the image's grid is taken, and it is told."""
    x, y, z = np.ogrid[:512, :512, :4]
    organ = ((x - 200) ** 2 + (y - 256) ** 2 + 0 * z < 40**2).astype(np.uint8)
    image = make_image((organ.astype(np.int16) * 100) + (x % 7).astype(np.int16), (0.703125, 0.703125, 5.0))
    mask = make_image(organ, (step_mm, step_mm, 5.0))
    mask.SetOrigin((0.0, origin_mm, 0.0))
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    sitk.WriteImage(mask, str(tmp_path / "mask.nrrd"))
    image.SetSpacing(mask.GetSpacing())
    image.SetOrigin(mask.GetOrigin())
    sitk.WriteImage(image, str(tmp_path / "b.nrrd"))
    one, other, labels = (one_source(tmp_path / f"{name}.nrrd", tmp_path) for name in ("a", "b", "mask"))
    reading = Reading(Percentiles(), spacing_mm=spacing_mm)
    read_in, found = read(Case("one", (one, other), (labels,)), Segmentation((Label("organ", (1,)),)), reading)
    assert found.shape[1:] == read_in.size
    np.testing.assert_array_equal(read_in.values[0], read_in.values[1])
    assert read_in.geometry.spacing_mm == (0.703125, 0.703125, 5.0)
    (note,) = read_in.notes
    assert note.startswith("its channels lie up to")
    (note,) = grid_notes((labels,), read_in.geometry, "mask and image")
    assert note.startswith("mask and image lie up to 0.0")
    if spacing_mm is None:
        np.testing.assert_array_equal(found[0], organ)


@pytest.mark.parametrize("axes", ["RAS", "LAS", "PIR", "SAL"])
@pytest.mark.parametrize("spacing_mm", [None, (2.0, 2.0, 2.0)])
def test_axes_of_the_file_make_no_difference(
    tmp_path: Path, axes: str, spacing_mm: tuple[float, float, float] | None
) -> None:
    """A viewer that wrote the mask along other axes put every voxel in its place all the same."""
    case, reading = make_case(tmp_path, balls()), Reading(spacing_mm=spacing_mm)
    _, straight = read(case, ORGANS, reading)
    turned = sitk.DICOMOrient(sitk.ReadImage(str(case.masks[0].path)), axes)
    sitk.WriteImage(turned, str(case.masks[0].path))
    np.testing.assert_array_equal(read(case, ORGANS, reading)[1], straight)


def test_missing_masks_are_refused(tmp_path: Path) -> None:
    """No mask, and one mask where two labels overlap."""
    with pytest.raises(UnreadableError, match="no mask"):
        read(make_case(tmp_path), ORGANS)
    target = MultilabelSegmentation((Label("whole"), Label("core")))
    with pytest.raises(UnreadableError, match="1 masks where 2 are wanted"):
        read(make_case(tmp_path, balls()), target)


def test_binary_mask_of_two_values_is_refused(tmp_path: Path) -> None:
    """A map given as one label's mask does not say what belongs to it."""
    target = MultilabelSegmentation((Label("whole"), Label("core")))
    with pytest.raises(UnreadableError, match="mask of whole: the mask holds 1, 2 beside 0"):
        read(make_case(tmp_path, balls(), balls()), target)


def test_places_in_a_palette_are_labels(tmp_path: Path) -> None:
    """As drawing programs and PASCAL VOC write masks; two of these colours are equally bright, one is transparent."""
    places = np.arange(48, dtype=np.uint8).reshape(6, 8) % 3
    drawn = Pillow.fromarray(places, mode="P")
    drawn.putpalette([0, 0, 0, 255, 0, 0, 0, 130, 0])
    for ending, more in ((".png", {}), (".tif", {}), (".png", {"transparency": 0})):
        drawn.save(tmp_path / f"mask{ending}", **more)
        values, _ = read_label_map(one_source(tmp_path / f"mask{ending}", tmp_path))
        np.testing.assert_array_equal(values.T, places)


def test_grey_levels_are_labels_also_of_a_palette_or_in_three_colours(tmp_path: Path) -> None:
    """A palette of greys, as programs that make files smaller write it, says what it shows."""
    grey = Pillow.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8) % 3 * 60)
    for name, picture in (("P", grey.quantize(4)), ("RGB", grey.convert("RGB")), ("L", grey)):
        picture.save(tmp_path / f"{name}.png")
        with Pillow.open(tmp_path / f"{name}.png") as written:
            assert written.mode == name
        np.testing.assert_array_equal(
            read_label_map(one_source(tmp_path / f"{name}.png", tmp_path))[0].T, np.asarray(grey)
        )


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        ("mask.png", "RGB", "a mask in colour: its colours are no numbers of labels"),
        ("mask.jpg", "L", "a mask in JPEG, which changes the numbers of labels"),
        ("mask.tif", "L", "a mask in JPEG, which changes the numbers of labels"),
    ],
)
def test_picture_that_holds_no_labels_is_refused(tmp_path: Path, name: str, mode: str, words: str) -> None:
    """Brightness would merge colours; JPEG leaves a dozen values about each edge, every one a label."""
    drawn = np.zeros((16, 16), np.uint8)
    drawn[4:9, 5:11] = 255
    picture = Pillow.fromarray(drawn)
    picture = Pillow.merge("RGB", [picture, *[Pillow.new("L", (16, 16))] * 2]) if mode == "RGB" else picture
    picture.save(tmp_path / name, **({"compression": "jpeg"} if name.endswith(".tif") else {}))
    source = one_source(tmp_path / name, tmp_path)
    with pytest.raises(UnreadableError, match=words):
        read_label_map(source)
    assert read_volume(source).values.shape == (1, 16, 16)  # as an image it is one
