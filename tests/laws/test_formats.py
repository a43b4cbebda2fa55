"""What every image format obeys."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image as Pillow
from tests.data.scan_files import make_ct, write_ct, write_series
from tests.radiographs import write_radiograph
from tests.tasks.test_ncs import nodule, xml

from modelsgenesis.core.naming import members
from modelsgenesis.data.entries import one_source
from modelsgenesis.data.formats import HEAD_BYTES, formats
from modelsgenesis.data.formats.base.itk import Image, geometry_of, itk_image, voxels_of
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.sources import Source

UID = "1.2.826.0.1.3680043.8.498.1"  # of the series that is written here
REGION = (slice(2, 9), slice(1, 8), slice(3, 8))


def make_itk(ending: str) -> Callable[[Path, int], str]:
    """A CT in a format that SimpleITK writes."""

    def make(folder: Path, seed: int) -> str:
        return write_ct(folder / f"a{ending}", seed).name

    return make


def make_series(folder: Path, seed: int) -> str:
    """A DICOM series; the name of its folder."""
    write_series(folder / "series", make_ct(seed))
    return "series"


def make_npy(folder: Path, seed: int) -> str:
    """A bare array."""
    np.save(folder / "a.npy", make_ct(seed))
    return "a.npy"


def make_cubes(folder: Path, seed: int) -> str:
    """An official cube file of four cubes, of which the third is meant."""
    cubes = np.random.default_rng(seed).random((4, 12, 10, 9))
    np.save(folder / "bat_2_12x10x9_3.npy", cubes)
    return "bat_2_12x10x9_3.npy#2"


def make_rows(folder: Path, seed: int) -> str:
    """An archive of three volumes, of which the second is meant."""
    np.savez(folder / "a.npz", images=np.stack([make_ct(seed), make_ct(seed + 5), make_ct(seed + 9)]))
    return "a.npz#images:1"


def make_picture(folder: Path, seed: int) -> str:
    """A grey PNG."""
    levels = np.random.default_rng(seed).integers(0, 256, (40, 50)).astype(np.uint8)
    Pillow.fromarray(levels).save(folder / "a.png")
    return "a.png"


def make_contours(folder: Path, seed: int) -> str:
    """A series, and the contours of a nodule on it."""
    make_series(folder, 0)
    one = nodule((slice(4, 10 + seed), slice(3, 9), slice(2, 7)))
    (folder / "a.xml").write_text(xml(UID, [one]))
    return f"series#{folder}/a.xml"


def make_mgh(folder: Path, seed: int) -> str:
    """A volume of FreeSurfer's, its axes turned."""
    affine = np.array([[0, 0, -2.0, 4], [-1.0, 0, 0, 5], [0, 1.5, 0, 6], [0, 0, 0, 1]])
    nib.MGHImage(make_ct(seed), affine).to_filename(folder / "a.mgz")
    return "a.mgz"


def make_radiograph(folder: Path, seed: int) -> str:
    """A radiograph in DICOM."""
    write_radiograph(folder / "a.dcm", np.random.default_rng(seed).integers(0, 4096, (40, 50)).astype(np.uint16))
    return "a.dcm"


def make_jsrt(folder: Path, seed: int) -> str:
    """A radiograph of JSRT."""
    np.random.default_rng(seed).integers(0, 4096, (2048, 2048)).astype(">u2").tofile(folder / "JPCLN001.IMG")
    return "JPCLN001.IMG"


def make_gif(folder: Path, seed: int) -> str:
    """A mask on a picture twice as large."""
    levels = np.random.default_rng(seed).integers(0, 2, (40, 50)).astype(np.uint8) * 255
    Pillow.fromarray(levels).save(folder / "a.gif")
    return "a.gif#times:2"


MAKERS: dict[str, Callable[[Path, int], str]] = {
    "cube_file": make_cubes,
    "dicom_picture": make_radiograph,
    "dicom_series": make_series,
    "gif_mask": make_gif,
    "jsrt_image": make_jsrt,
    "lidc_xml": make_contours,
    "metaimage": make_itk(".mha"),
    "mgh": make_mgh,
    "natural_image": make_picture,
    "nifti": make_itk(".nii.gz"),
    "npy": make_npy,
    "npz_row": make_rows,
    "nrrd": make_itk(".nrrd"),
}

each_format = pytest.mark.parametrize("name", members("data.formats"))


def made(name: str, folder: Path, seed: int = 0) -> Source:
    """A valid file of a format, as a source."""
    folder.mkdir(exist_ok=True)
    return one_source(folder / MAKERS[name](folder, seed), folder)


def array_of(image: Image) -> np.ndarray:
    """The voxels in the file's own axes."""
    return voxels_of(image).T


@each_format
def test_file_is_recognised_by_its_own_format_and_by_no_other(name: str, tmp_path: Path) -> None:
    """The first bytes and the name are enough to identify it."""
    source = made(name, tmp_path / "a")
    head = source.files[0].read_bytes()[:HEAD_BYTES]
    assert type(source.format).__module__.endswith(f"formats.{name}")
    assert [each for each in formats() if each.recognise(head, source.files[0])] == [source.format]


@each_format
def test_header_says_what_is_read(name: str, tmp_path: Path) -> None:
    """Size, spacing, origin and direction are those of the voxels, which the header's check lets pass."""
    source = made(name, tmp_path / "a")
    header = source.format.read_header(source)
    source.format.check(header, source)
    read = geometry_of(source.format.read(source)[0])
    assert read.size == header.geometry.size
    for what in ("spacing_mm", "origin_mm", "direction"):
        np.testing.assert_allclose(getattr(header.geometry, what), getattr(read, what), atol=1e-6)
    assert source.format.axes_of(source) == len(read.size)


@each_format
def test_read_twice_is_equal(name: str, tmp_path: Path) -> None:
    """Nothing is used up, and nothing is left behind."""
    source = made(name, tmp_path / "a")
    (first, notes), (second, again) = source.format.read(source), source.format.read(source)
    np.testing.assert_array_equal(array_of(first), array_of(second))
    assert notes == again


@each_format
def test_region_is_the_cut_of_the_whole(name: str, tmp_path: Path) -> None:
    """Values and place of a region are those that the whole has there."""
    source = made(name, tmp_path / "a")
    whole = itk_image(source.format.read(source)[0])
    region = REGION[: whole.GetDimension()]
    part, _ = source.format.read(source, region)
    np.testing.assert_array_equal(array_of(part), array_of(whole)[region])
    corner = whole.TransformIndexToPhysicalPoint([side.start for side in region])
    np.testing.assert_allclose(part.GetOrigin(), corner, atol=1e-6)
    np.testing.assert_allclose(part.GetSpacing(), whole.GetSpacing())


@each_format
def test_hash_hangs_on_the_content_and_not_on_the_place(name: str, tmp_path: Path) -> None:
    """A copy elsewhere has the same hash, other voxels have another."""
    source = made(name, tmp_path / "a")
    home = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "a", home)
    files = tuple(home / file.relative_to(tmp_path / "a") for file in source.files)
    copy = replace(source, path=home / source.path.relative_to(tmp_path / "a"), files=files)
    other = made(name, tmp_path / "b", seed=1)
    assert source.format.content_hash(copy) == source.format.content_hash(source)
    assert source.format.content_hash(other) != source.format.content_hash(source)


@each_format
def test_truncated_file_is_refused_with_a_remedy(name: str, tmp_path: Path) -> None:
    """Half a file is never half a scan."""
    source = made(name, tmp_path / "a")
    file = source.files[-1]
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(UnreadableError) as refusal:
        read_volume(one_source(source.path, tmp_path) if source.format.stands_alone else source)
    assert refusal.value.remedy
