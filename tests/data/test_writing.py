"""A mask lies on its source, in every format and orientation."""

import resource
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.scan_files import write_ct

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.image_format import ImageFormat
from modelsgenesis.data.formats import classify
from modelsgenesis.data.formats.dicom_picture import DicomPicture
from modelsgenesis.data.formats.dicom_series import DicomSeries
from modelsgenesis.data.formats.jsrt_image import JsrtImage
from modelsgenesis.data.formats.metaimage import MetaImage
from modelsgenesis.data.formats.natural_image import NaturalImage
from modelsgenesis.data.formats.nifti import Nifti
from modelsgenesis.data.formats.npy import Npy
from modelsgenesis.data.formats.nrrd import Nrrd
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.sources import Source, describe_file
from modelsgenesis.data.volume import Geometry
from modelsgenesis.data.writing import ending_like, write_mask

SIZE = (7, 6, 5)


def make_mask(size: tuple[int, ...] = SIZE) -> np.ndarray:
    """Classes, (I, J, K), no two corners alike."""
    return np.random.default_rng(0).integers(0, 200, size).astype(np.uint8)


def turned(axes: list[int], signs: tuple[float, ...], degrees: float) -> tuple[float, ...]:
    """A direction: axes in some order, some against LPS, all turned about X and Z."""
    a = np.radians(degrees)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    return tuple((about_x @ about_z @ np.eye(3)[:, axes] * np.array(signs)).ravel().tolist())


@settings(max_examples=40, deadline=None)
@given(
    axes=st.permutations([0, 1, 2]),
    signs=st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3),
    degrees=st.sampled_from([0.0, 3.7, 21.0]),
    ending=st.sampled_from([".nii.gz", ".nii", ".nrrd", ".mha", ".mhd"]),
)
def test_mask_is_read_back_on_its_source(
    tmp_path_factory: pytest.TempPathFactory, axes: list[int], signs: tuple[float, ...], degrees: float, ending: str
) -> None:
    """Voxels, size, spacing, origin and direction as SimpleITK reads the source; as its format keeps them."""
    folder = tmp_path_factory.mktemp("masks")
    mask = make_mask()
    geometry = Geometry(SIZE, (0.7, 1.3, 2.9), (-11.3, 7.1, 101.7), turned(axes, signs, degrees))
    write_mask(folder / f"mask{ending}", mask, geometry)
    image = sitk.ReadImage(str(folder / f"mask{ending}"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, mask)
    assert image.GetPixelID() == sitk.sitkUInt8
    assert image.GetSize() == geometry.size
    check_same_place(image, geometry, ending)


def check_same_place(image: sitk.Image, geometry: Geometry, ending: str) -> None:
    """MetaImage keeps every bit; NRRD the product of spacing and direction, so the last bit may go; NIfTI float32."""
    read = (image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    wanted = (geometry.spacing_mm, geometry.origin_mm, geometry.direction)
    upright = set(map(abs, geometry.direction)) == {0.0, 1.0}
    for found, meant in zip(read, wanted, strict=True):
        if ending.startswith(".nii"):
            np.testing.assert_allclose(found, meant, atol=2e-7 * max(map(abs, meant)), rtol=0)
        elif ending == ".nrrd" and not upright:
            np.testing.assert_allclose(found, meant, atol=1e-15, rtol=1e-15)
        else:
            assert found == meant


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha", ".mhd"])
def test_mask_of_a_file_has_the_geometry_of_the_file(tmp_path: Path, ending: str) -> None:
    """What SimpleITK reads of an oblique source it reads of the mask in the same format."""
    path = write_ct(tmp_path / f"ct{ending}", size=SIZE, spacing_mm=(0.7, 1.3, 2.9))
    image = sitk.ReadImage(str(path))
    image.SetDirection(turned([1, 2, 0], (1, -1, -1), 12.3))
    image.SetOrigin((-11.3, 7.1, 101.7))
    sitk.WriteImage(image, str(path))
    volume = read_volume(describe_file(path, classify(path), tmp_path))
    lps = (volume.values[0] > -400).astype(np.uint8)
    write_mask(tmp_path / f"mask{ending}", volume.geometry.from_lps(lps), volume.geometry)
    source, mask = sitk.ReadImage(str(path)), sitk.ReadImage(str(tmp_path / f"mask{ending}"))
    assert mask.GetSize() == source.GetSize()
    read = Geometry(source.GetSize(), source.GetSpacing(), source.GetOrigin(), source.GetDirection())
    check_same_place(mask, read, ending)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), sitk.GetArrayFromImage(source) > -400)


def test_masks_are_compressed_and_leave_nothing_beside(tmp_path: Path) -> None:
    """A million zeros are small, and the folder holds the files alone."""
    geometry = Geometry((100,) * 3, (1.0,) * 3, (0.0,) * 3, (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
    names = ["a.mha", "a.nii.gz", "a.nrrd", "b.mhd"]
    for name in names:
        write_mask(tmp_path / name, np.zeros((100,) * 3, np.uint8), geometry)
    there = sorted(path.name for path in tmp_path.iterdir())
    assert there == [*names, "b.zraw"]
    assert all(path.stat().st_size < 10_000 for path in tmp_path.iterdir())


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.float32])
def test_other_types_keep_their_values(tmp_path: Path, dtype: type) -> None:
    """Values of labels above 255, and probabilities."""
    geometry = Geometry(SIZE, (1.0,) * 3, (0.0,) * 3, (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
    values = (make_mask() * 100.0).astype(dtype)
    write_mask(tmp_path / "a.nii.gz", values, geometry)
    read = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.nii.gz"))).T
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, values)


def test_mask_in_other_axes_is_refused(tmp_path: Path) -> None:
    """A mask still in LPS would be written askew."""
    geometry = Geometry(SIZE, (1.0,) * 3, (0.0,) * 3, (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
    with pytest.raises(DataError, match=r"a mask of \(5, 6, 7\) voxels for an image of \(7, 6, 5\); turn it first"):
        write_mask(tmp_path / "a.nii.gz", make_mask().T, geometry)
    assert list(tmp_path.iterdir()) == []


def test_error_keeps_the_old_mask(tmp_path: Path) -> None:
    """What cannot be written leaves what was there, and no litter."""
    geometry = Geometry(SIZE, (1.0,) * 3, (0.0,) * 3, (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
    (tmp_path / "a.strange").write_text("old")
    with pytest.raises(DataError, match=r"a\.strange: could not be written"):
        write_mask(tmp_path / "a.strange", make_mask(), geometry)
    assert [path.name for path in tmp_path.iterdir()] == ["a.strange"]
    assert (tmp_path / "a.strange").read_text() == "old"


@pytest.mark.parametrize(
    ("name", "format_", "ending"),
    [
        ("a.nii.gz", Nifti(), ".nii.gz"),
        ("a.NII", Nifti(), ".nii"),
        ("a.nhdr", Nrrd(), ".nrrd"),
        ("a.mhd", MetaImage(), ".mhd"),
        ("a.hdr", Nifti(), ".nii.gz"),
        ("a.npy", Npy(), ".nii.gz"),
        ("series.mha", DicomSeries(), ".nii.gz"),
        ("chest.jpg", NaturalImage(), ".png"),
        ("chest.dcm", DicomPicture(), ".png"),
        ("JPCLN001.IMG", JsrtImage(), ".png"),
    ],
)
def test_own_format_is_the_sources_where_masks_have_it(name: str, format_: ImageFormat, ending: str) -> None:
    """NRRD, MetaImage and uncompressed NIfTI; all else becomes .nii.gz, and of every picture .png."""
    assert ending_like(Source(Path(name), format_, (Path(name),), name, name)) == ending


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_mask_that_is_cut_off_is_not_kept(ending: str, tmp_path: Path) -> None:
    """A limit of the files' length stands for a full disk, of which SimpleITK says nothing when it writes NIfTI."""
    mask = make_mask((60, 50, 40))
    geometry = Geometry(mask.shape, (1.0,) * 3, (0.0,) * 3, (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        with pytest.raises(DataError, match="is the disk full"):
            write_mask(tmp_path / f"mask{ending}", mask, geometry)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
    write_mask(tmp_path / f"mask{ending}", mask, geometry)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / f"mask{ending}")), mask.T)
