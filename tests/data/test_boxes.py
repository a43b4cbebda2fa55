"""Boxes of scans: cut at a place of the world, read without the rest, padded where they hang over."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from tests.data.scan_files import make_ct, make_image, write_series, write_slice
from tests.radiographs import write_radiograph

from modelsgenesis.data.boxes import Box, read_box
from modelsgenesis.data.entries import one_source, spell
from modelsgenesis.data.image_size import image_size_of
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.sources import Source, find_sources

SIZE, SPACING_MM, ORIGIN_MM = (32, 28, 20), (0.5, 0.5, 2.0), (-10.0, 5.0, -40.0)
VALUES = make_ct(size=SIZE)


def write_scan(path: Path, *, turned: bool = False) -> Source:
    """The same CT in the same place of the world, with its first two axes running backwards if wanted."""
    image = make_image(VALUES[::-1, ::-1] if turned else VALUES, SPACING_MM)
    far = [o + step * (side - 1) for o, step, side in zip(ORIGIN_MM, SPACING_MM, SIZE, strict=True)]
    image.SetOrigin((*far[:2], ORIGIN_MM[2]) if turned else ORIGIN_MM)
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1) if turned else (1, 0, 0, 0, 1, 0, 0, 0, 1))
    sitk.WriteImage(image, str(path))
    (source,), _ = find_sources(path)
    return replace(source, modality="CT")


def world(*index: float) -> tuple[float, float, float]:
    """Where a voxel lies."""
    x, y, z = (o + step * i for o, step, i in zip(ORIGIN_MM, SPACING_MM, index, strict=True))
    return x, y, z


@pytest.mark.parametrize("ending", ["mhd", "mha", "nii.gz", "nrrd"])
def test_box_is_what_the_whole_scan_has_there(tmp_path: Path, ending: str) -> None:
    """The place is its middle voxel, whatever the format; it lies where it lay."""
    source = write_scan(tmp_path / f"scan.{ending}").within(Box(world(16, 12, 9), (8, 6, 4)))
    volume = read_volume(source)
    np.testing.assert_array_equal(volume.values[0], VALUES[12:20, 9:15, 7:11])
    np.testing.assert_allclose(volume.geometry.origin_mm, world(12, 9, 7), atol=1e-4)
    assert image_size_of(source).size == (8, 6, 4)


def test_world_decides_not_the_order_of_the_file(tmp_path: Path) -> None:
    """A file whose axes run backwards gives the same box, with its middle on the other side of the even sides."""
    box = Box(world(16.2, 11.9, 9.4), (7, 5, 3))
    straight = read_volume(write_scan(tmp_path / "straight.mhd").within(box)).values
    turned = read_volume(write_scan(tmp_path / "turned.mhd", turned=True).within(box)).values
    np.testing.assert_array_equal(straight[0], VALUES[13:20, 10:15, 8:11])
    np.testing.assert_array_equal(turned, straight)


def test_what_hangs_over_is_air(tmp_path: Path) -> None:
    """The size stays; in CT the padding is -1000 HU, elsewhere 0 or the least value of the box."""
    source = write_scan(tmp_path / "scan.mhd").within(Box(world(1, 27, 19), (8, 6, 4)))
    values = read_volume(source).values[0]
    assert values.shape == (8, 6, 4)
    np.testing.assert_array_equal(values[3:, :4, :3], VALUES[:5, 24:, 17:])
    assert (values[:3] == -1000).all()
    assert (values[:, 4:] == -1000).all()
    other = read_volume(replace(source, modality="MR")).values[0]
    assert (other[:3] == VALUES[:5, 24:, 17:].min()).all()


def test_organ_ends_where_the_scan_ends(tmp_path: Path) -> None:
    """A mask whose box holds nothing but the organ is padded with background all the same."""
    sitk.WriteImage(make_image(np.ones((12, 10, 8), np.uint8)), str(tmp_path / "organ.nii.gz"))
    (source,), _ = find_sources(tmp_path / "organ.nii.gz")
    values = read_volume(source.within(Box((5, 5, 0), (4, 4, 4)))).values[0]
    assert values[..., 2:].all()
    assert not values[..., :2].any()


def test_dicom_series_gives_up_its_slices(tmp_path: Path) -> None:
    """Only those that the box goes through are read: the others may be damaged."""
    paths = write_series(tmp_path, VALUES)
    (series,), _ = find_sources(tmp_path)
    source = series.within(Box((8.0, 6.0, 18.0), (8, 6, 4)))
    np.testing.assert_array_equal(read_volume(source).values[0], VALUES[12:20, 9:15, 7:11])
    paths[2].write_bytes(paths[2].read_bytes()[:-100])
    np.testing.assert_array_equal(read_volume(source).values[0], VALUES[12:20, 9:15, 7:11])
    with pytest.raises(UnreadableError):
        read_volume(series)


def test_tilted_series_is_straightened_first(tmp_path: Path) -> None:
    """The box then comes from the upright volume."""
    write_series(tmp_path, VALUES, step_mm=(0, 0.5, 2))
    (series,), _ = find_sources(tmp_path)
    whole = read_volume(series)
    box = Box((6.0, 8.0, 20.0), (6, 6, 4))
    frame = np.array(whole.geometry.origin_mm)
    at = np.rint((np.array(box.centre_mm) - frame) / whole.geometry.spacing_mm).astype(int)
    x, y, z = (slice(a - side // 2, a - side // 2 + side) for a, side in zip(at, box.size, strict=True))
    np.testing.assert_array_equal(read_volume(series.within(box)).values, whole.values[:, x, y, z])


def test_uneven_series_keeps_its_grid(tmp_path: Path) -> None:
    """The whole scan's slices lie at the mean of its steps; a box of them lies where the whole scan has it."""
    for number in range(18):
        place = (0.0, 0.0, 2.0 * number + 0.8 * max(0, number - 6))
        write_slice(tmp_path / f"{number}.dcm", VALUES[..., number], place, InstanceNumber=number + 1)
    series = one_source(tmp_path, tmp_path)
    whole = read_volume(series)
    for z in range(2, 16):
        box = Box((6.0, 5.0, z * whole.spacing_mm[2]), (6, 6, 4))
        cut = read_volume(series.within(box))
        np.testing.assert_array_equal(cut.values, whole.values[:, 9:15, 7:13, z - 2 : z + 2])
        np.testing.assert_allclose(cut.geometry.origin_mm[2], (z - 2) * whole.spacing_mm[2])


def test_place_outside_is_refused(tmp_path: Path) -> None:
    """Whatever the format, with the place."""
    for name in ("scan.mhd", "scan.nii.gz"):
        source = write_scan(tmp_path / name)
        with pytest.raises(UnreadableError, match=r"the place \(100, 5, -40\) mm lies outside the scan"):
            read_volume(source.within(Box((100.0, 5.0, -40.0), (8, 8, 8))))


@pytest.mark.parametrize("ending", ["png", "tif", "jpg"])
def test_region_of_a_picture_is_what_pillow_crops(tmp_path: Path, ending: str) -> None:
    """The place counts pixels, from 0 at the centre of the first; what hangs over is black; it lies where it lay."""
    path = tmp_path / f"chest.{ending}"
    Image.fromarray(np.random.default_rng(0).integers(1, 255, (60, 80), np.uint8)).save(path)
    with Image.open(path) as whole:
        for spelled, corners in (("30,20@16x10", (22, 15, 38, 25)), ("3.4,58.6@9x7", (-1, 56, 8, 63))):
            source = one_source(Path(f"{path}@{spelled}"), tmp_path)
            volume = read_volume(source)
            np.testing.assert_array_equal(volume.values[0].T, np.asarray(whole.crop(corners)))
            assert volume.geometry.origin_mm == (max(0, corners[0]), corners[1]) or corners[0] < 0
            assert image_size_of(source).size == volume.values.shape[1:]
            assert one_source(Path(spell(source)), tmp_path).box == source.box


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_what_hangs_over_a_radiograph_is_its_black(photometric: str, tmp_path: Path) -> None:
    """Black is what the header says, whether values have a sign or are rescaled, and not the least of the region."""
    levels = np.full((20, 30), 1000, np.int16)
    for tags, black in (({}, -2048), ({"RescaleSlope": "2", "RescaleIntercept": "-100"}, -4196)):
        write_radiograph(
            tmp_path / "a.dcm", levels, PhotometricInterpretation=photometric, PixelRepresentation=1, **tags
        )
        region = read_volume(one_source(Path(f"{tmp_path / 'a.dcm'}@1,10@4x2"), tmp_path)).values[0].T
        assert region[:, 0].tolist() == [black, black]
        assert (region[:, 1:] > black).all()


def test_region_of_a_row_keeps_its_name(tmp_path: Path) -> None:
    """Spelled in a table, the region of a picture in an archive comes back."""
    rows = np.random.default_rng(0).integers(0, 255, (3, 28, 32), np.uint8)
    np.savez(tmp_path / "set.npz", train_images=rows)
    source = one_source(tmp_path / "set.npz#train_images:1@10,8@6x4", tmp_path)
    np.testing.assert_array_equal(read_volume(source).values[0].T, rows[1, 6:10, 7:13])
    assert one_source(Path(spell(source)), tmp_path).box == source.box


def test_impossible_region_of_a_picture_is_refused(tmp_path: Path) -> None:
    """In pixels, and with the grammar of pictures."""
    Image.fromarray(np.zeros((60, 80), np.uint8)).save(tmp_path / "a.png")
    for spelled, words in (
        ("80,3@4x4", r"the place \(80, 3\) lies outside the picture of 80 x 60 pixels; correct it: in pixels"),
        ("1,2,3@4x4x4", "a box of 3 axes in an image of 2; write PICTURE@x,y@WIDTHxHEIGHT"),
        ("1,2@0x4", "write two numbers for its centre, and sides of 1 or more"),
    ):
        with pytest.raises(UnreadableError, match=words):
            read_volume(one_source(tmp_path / f"a.png@{spelled}", tmp_path))
    with pytest.raises(UnreadableError, match="a box of 2 axes in an image of 3; write SCAN@x,y,z@XxYxZ"):
        read_volume(write_scan(tmp_path / "scan.mhd").within(Box((1.0, 2.0), (4, 4))))


def test_cut_off_file_is_refused(tmp_path: Path) -> None:
    """A box of which voxels are missing is not read as if they were there."""
    source = write_scan(tmp_path / "scan.mhd")
    with open(tmp_path / "scan.raw", "r+b") as file:
        file.truncate(SIZE[0] * SIZE[1] * 2 * 6)
    with pytest.raises(UnreadableError, match="cut off"):
        read_volume(source.within(Box(world(16, 12, 9), (8, 6, 4))))


def test_spelled_in_a_table_it_comes_back(tmp_path: Path) -> None:
    """A path, the place and the size, digit for digit."""
    source = write_scan(tmp_path / "scan.mhd").within(Box((-3.1415926535, 8.0, -22.25), (64, 64, 32)))
    assert spell(source).endswith("scan.mhd@-3.1415926535,8.0,-22.25@64x64x32")
    again = one_source(Path(spell(source)), tmp_path)
    assert again.box == source.box
    assert read_box(Path("scan.mhd")) is None
    assert read_box(Path("scan@1,2@64x64x32")) is None
    assert read_box(Path("scan@1,2,3-4@64x64x32")) is None
    with pytest.raises(UnreadableError, match="sides of 1 or more"):
        Box((0.0, 0.0, 0.0), (0, 8, 8))
    with pytest.raises(UnreadableError, match="three numbers"):
        Box((float("nan"), 0.0, 0.0), (8, 8, 8))
