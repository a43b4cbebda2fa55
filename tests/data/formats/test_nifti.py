"""NIfTI in every form that valid files take, against nibabel and SimpleITK."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from tests.data.scan_files import edit, put

from modelsgenesis.core.labels import Label
from modelsgenesis.data.case import Case
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.entries import one_source
from modelsgenesis.data.images import Reading, corners_mm
from modelsgenesis.data.intensity import Percentiles
from modelsgenesis.data.masks import read_classes
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.sources import Source
from modelsgenesis.data.volume import Volume
from modelsgenesis.data.writing import ending_like, write_mask
from modelsgenesis.targets.segmentation import Segmentation

SIZE = (9, 8, 7)
QFORM = np.array([[-0.8, 0, 0, 40], [0, -0.9, 0, 30], [0, 0, 2.5, -70], [0, 0, 0, 1.0]])
TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
Make = Callable[[Path], object]


def turned(degrees: float) -> np.ndarray:
    """The affine turned about the axis of the body."""
    a = np.radians(degrees)
    about_z = np.eye(4)
    about_z[:2, :2] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    return about_z @ QFORM


def numbers(dtype: type = np.int16) -> np.ndarray:
    """Voxels, no two alike."""
    return np.arange(np.prod(SIZE)).reshape(SIZE).astype(dtype)


def save(
    path: Path,
    sform: np.ndarray | None,
    s_code: int,
    qform: np.ndarray | None,
    q_code: int,
    kind: type = nib.Nifti1Image,
) -> Source:
    """Write a file with two forms."""
    image = kind(numbers(), None)
    image.header.set_zooms((0.8, 0.9, 2.5))
    image.set_sform(sform, s_code)
    image.set_qform(qform, q_code)
    nib.save(image, path)
    return one_source(path, path.parent)


def read(path: Path) -> Volume:
    """Read a file."""
    return read_volume(one_source(path, path.parent))


FORMS = {
    "sform": (QFORM, 1, None, 0),
    "qform": (None, 0, turned(7), 1),
    "qform_left_handed": (None, 0, turned(7) @ np.diag([-1.0, 1, 1, 1]), 1),
    "both": (turned(7), 2, turned(7), 1),
    "sform_2_differs": (turned(8), 2, QFORM, 1),
    "sform_4_differs": (turned(8), 4, turned(1), 2),
}


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".hdr"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image, nib.Nifti1Pair])
@pytest.mark.parametrize("name", FORMS)
def test_voxels_lie_where_nibabel_puts_them(name: str, kind: type, ending: str, tmp_path: Path) -> None:
    """The sform first, in NIfTI-1 and NIfTI-2; values and the places of all corners."""
    if (kind is nib.Nifti1Pair) != (ending == ".hdr"):
        return
    source = save(tmp_path / f"a{ending}", *FORMS[name], kind=kind)
    volume = read_volume(source)
    np.testing.assert_array_equal(volume.geometry.from_lps(volume.values[0]), numbers())
    ends = np.array(np.meshgrid(*[(0, side - 1) for side in SIZE], indexing="ij")).reshape(3, -1)
    meant = TO_LPS @ nib.load(source.path).affine @ np.vstack([ends, np.ones(8)])
    np.testing.assert_allclose(corners_mm(volume.geometry).T, meant[:3], atol=1e-4)
    assert any("qform and its sform lie up to" in note for note in volume.notes) == ("differs" in name)


@pytest.mark.parametrize("unit", ["meter", "mm", "micron", "unknown"])
def test_unit_of_lengths_is_heeded(unit: str, tmp_path: Path) -> None:
    """As SimpleITK does, which reads spacing and origin in millimetres."""
    image = nib.Nifti1Image(numbers(), QFORM)
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "a.nii")
    geometry, meant = read(tmp_path / "a.nii").geometry, sitk.ReadImage(str(tmp_path / "a.nii"))
    np.testing.assert_allclose(geometry.spacing_mm, meant.GetSpacing(), rtol=1e-6)
    np.testing.assert_allclose(geometry.origin_mm, meant.GetOrigin(), rtol=1e-6)


@pytest.mark.parametrize(("written", "told"), [((1, 1, 1), True), ((3, 3, 2), False), ((3.0004, 3, 2), False)])
def test_spacing_that_is_not_the_sforms_is_told(tmp_path: Path, written: tuple[float, ...], told: bool) -> None:
    """Without a qform SimpleITK takes the pixdim, nibabel the sform: three times as large here."""
    save(tmp_path / "a.nii", np.diag([-3.0, -3, 2, 1]), 1, None, 0)
    edit(tmp_path / "a.nii", put("<3f", 80, *written))
    np.testing.assert_allclose(nib.affines.voxel_sizes(nib.load(tmp_path / "a.nii").affine), (3, 3, 2))
    np.testing.assert_allclose(sitk.ReadImage(str(tmp_path / "a.nii")).GetSpacing(), written, rtol=1e-6)
    volume = read(tmp_path / "a.nii")
    np.testing.assert_allclose(volume.geometry.spacing_mm, (3, 3, 2), rtol=1e-3)
    assert volume.notes == (("its pixdim says 1 x 1 x 1 mm, not its sform; the sform is followed",) if told else ())


def analyze(path: Path) -> None:
    """Write an Analyze 7.5 pair."""
    image = nib.AnalyzeImage(numbers(), None)
    image.header.set_zooms((0.8, 0.9, 2.5))
    nib.save(image, path)


FORMLESS: dict[str, Make] = {
    "a.nii.gz": lambda path: save(path, None, 0, None, 0),
    "a.nii": lambda path: save(path, None, 0, None, 0, nib.Nifti2Image),
    "a.hdr": analyze,
}


@pytest.mark.parametrize("name", FORMLESS)
def test_no_form_is_told(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Voxels and spacing as SimpleITK has them, one line about it, and no warning of ITK's."""
    FORMLESS[name](tmp_path / name)
    volume = read(tmp_path / name)
    assert volume.notes == ("its header says neither orientation nor origin: (X, Y, Z) in LPS are assumed",)
    np.testing.assert_array_equal(volume.values[0], numbers())
    np.testing.assert_allclose(volume.spacing_mm, (0.8, 0.9, 2.5), rtol=1e-6)
    if name != "a.nii":  # NIfTI-2
        np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / name))).T, numbers())
    assert capfd.readouterr().err == ""


SCALINGS = [(0, 5), (np.nan, 5), (np.inf, 5), (np.nan, np.nan), (1, 0), (1, -1024), (2.5, 7), (-2, 3)]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("slope", "intercept"), SCALINGS)
def test_values_are_those_of_nibabel(slope: float, intercept: float, order: str, tmp_path: Path) -> None:
    """A slope of 0, or none, means no rescaling, and no intercept either; in both orders of bytes."""
    header = nib.Nifti1Header(endianness=order)
    nib.save(nib.Nifti1Image(numbers(), QFORM, header), tmp_path / "a.nii")
    edit(tmp_path / "a.nii", put(f"{order}2f", 112, slope, intercept))
    volume = read(tmp_path / "a.nii")
    meant = np.asarray(nib.load(tmp_path / "a.nii").dataobj)
    np.testing.assert_array_equal(volume.geometry.from_lps(volume.values[0]), meant.astype(np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int32, np.uint32, np.float32, np.float64, np.int64])
def test_every_type_of_numbers_is_read(dtype: type, tmp_path: Path) -> None:
    """Those of 16 bits and fewer as they are, others in float32."""
    nib.save(nib.Nifti1Image(numbers(dtype), QFORM, dtype=dtype), tmp_path / "a.nii.gz")
    volume = read(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(volume.geometry.from_lps(volume.values[0]), numbers(dtype))
    assert volume.values.dtype == (dtype if np.dtype(dtype).itemsize <= 2 else np.float32)


def test_other_numbers_are_named(tmp_path: Path) -> None:
    """Complex numbers are no damage."""
    nib.save(nib.Nifti1Image(numbers(np.complex64), QFORM), tmp_path / "a.nii")
    with pytest.raises(UnreadableError, match="it holds complex numbers; save it as"):
        read(tmp_path / "a.nii")


def test_gzipped_file_of_several_members_is_read(tmp_path: Path) -> None:
    """As block-wise compressors write."""
    save(tmp_path / "x.nii", *FORMS["both"])
    whole = (tmp_path / "x.nii").read_bytes()
    parts = [whole[:100], whole[100:600], whole[600:]]
    (tmp_path / "a.nii.gz").write_bytes(b"".join(map(gzip.compress, parts)))
    np.testing.assert_array_equal(read(tmp_path / "a.nii.gz").values, read(tmp_path / "x.nii").values)


def mask_like(source: Source, folder: Path) -> Path:
    """Write what a network would predict of a scan: where its values are even; the file."""
    volume = read_volume(source)
    even = (np.rint(volume.values[0]).astype(int) % 2 == 0).astype(np.uint8)
    path = folder / f"mask{ending_like(source)}"
    write_mask(path, volume.geometry.from_lps(even), volume.geometry, source)
    return path


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("name", [*FORMS, "none"])
def test_mask_carries_both_forms_of_its_image(name: str, kind: type, tmp_path: Path) -> None:
    """Codes and numbers are the same to the last bit, so that every program lays it on the scan."""
    source = save(tmp_path / "a.nii.gz", *FORMS.get(name, (None, 0, None, 0)), kind=kind)
    path = mask_like(source, tmp_path)
    image, mask = nib.load(source.path), nib.load(path)
    for field in ("qform_code", "sform_code", "pixdim", "xyzt_units", "qoffset_x", "quatern_b", "srow_x", "srow_y"):
        np.testing.assert_array_equal(image.header[field], mask.header[field], err_msg=field)
    np.testing.assert_array_equal(image.affine, mask.affine)
    np.testing.assert_array_equal(np.asarray(mask.dataobj), numbers() % 2 == 0)
    assert mask.get_data_dtype() == np.uint8
    if kind is nib.Nifti1Image:
        one, other = (sitk.ReadImage(str(each)) for each in (source.path, path))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(other), sitk.GetArrayFromImage(one) % 2 == 0)
        for ask in ("GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(one, ask)() == getattr(other, ask)()


def test_mask_of_one_volume_says_nothing_of_the_others_or_of_a_person(tmp_path: Path) -> None:
    """Of a 4D image with a description, a slope and an intent."""
    image = nib.Nifti1Image(np.stack([numbers(), numbers() + 1], axis=3), QFORM)
    image.header["descrip"], image.header["aux_file"] = b"Doe, Jane", b"jane.txt"
    image.header.set_intent("t test", (3,), "secret")
    nib.save(image, tmp_path / "a.nii.gz")
    edit(tmp_path / "a.nii.gz", lambda data: data.__setitem__(slice(None), gzip.compress(gzip.decompress(data))))
    path = mask_like(one_source(tmp_path / "a.nii.gz#1", tmp_path), tmp_path)
    header = nib.load(path).header
    assert header.get_data_shape() == SIZE
    assert header.get_intent()[0] == "none"
    assert b"Jane" not in gzip.decompress(path.read_bytes())
    np.testing.assert_array_equal(np.asarray(nib.load(path).dataobj), (numbers() + 1) % 2 == 0)


@pytest.mark.parametrize("name", [*FORMS, "none", "analyze"])
def test_mask_written_by_nibabel_is_accepted(name: str, tmp_path: Path) -> None:
    """From the image's own affine, the usual way; voxel k of the mask is voxel k of the image, whatever the forms."""
    if name == "analyze":
        analyze(tmp_path / "a.hdr")
        source = one_source(tmp_path / "a.hdr", tmp_path)
    else:
        source = save(tmp_path / "a.nii.gz", *FORMS.get(name, (None, 0, None, 0)))
    marked = (numbers() > 250).astype(np.uint8)
    nib.save(nib.Nifti1Image(marked, nib.load(source.path).affine), tmp_path / "mask.nii.gz")
    volume = read_volume(source)
    case = Case("a", (source,), (one_source(tmp_path / "mask.nii.gz", tmp_path),))
    classes = read_classes(case, Segmentation((Label("organ", (1,)),)).label_map, volume.geometry)
    np.testing.assert_array_equal(classes[0] > 0, volume.values[0] > 250)


@pytest.mark.parametrize("spacing_mm", [None, (1.2, 1.2, 2.5)])
def test_channel_of_no_form_lies_on_the_first_voxel_by_voxel(
    spacing_mm: tuple[float, ...] | None, tmp_path: Path
) -> None:
    """Whatever program wrote the other one with an orientation."""
    sources = [
        save(tmp_path / "a.nii.gz", None, 0, None, 0),
        save(tmp_path / "b.nii.gz", nib.load(tmp_path / "a.nii.gz").affine, 2, None, 0),
    ]
    for channels in (sources, sources[::-1]):
        image = read_image(channels, Reading(Percentiles(), spacing_mm=spacing_mm))
        np.testing.assert_array_equal(image.values[0], image.values[1])


def test_header_that_is_cut_off_or_impossible_is_refused(tmp_path: Path) -> None:
    """With words of what is wrong."""
    save(tmp_path / "a.nii", *FORMS["both"])
    whole = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "a.nii").write_bytes(whole[:40] + struct.pack("<8h", 9, *SIZE, 1, 1, 1, 1) + whole[56:])
    with pytest.raises(UnreadableError, match="impossible size"):
        read(tmp_path / "a.nii")
