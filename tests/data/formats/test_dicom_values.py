"""The numbers of DICOM slices: each by its own rescaling, never inverted, never wrapped, padding never metal."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless
from tests.data.scan_files import compress_by_gdcm, make_ct, write_series, write_slice

from modelsgenesis.core.image_format import Region
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.sources import Source, find_sources

RAMP = np.add.outer(np.arange(24), np.arange(20)) * 30  # 0 to 1260, (columns, rows)


def write_stored(path: Path, stored: np.ndarray, z_mm: float, **tags: object) -> None:
    """Write one slice of stored numbers, (X, Y), 16 bits of the sign that PixelRepresentation says."""
    tags = {"BitsStored": 16, "HighBit": int(tags.get("BitsStored", 16)) - 1, **tags}
    dtype = "<i2" if tags.get("PixelRepresentation") else "<u2"
    write_slice(path, stored, (0, 0, z_mm), PixelData=stored.T.astype(dtype).tobytes(), **tags)


def write_scaled(folder: Path, scales: list[tuple[float | None, float | None]], **tags: object) -> None:
    """Write a series of ramps, each slice with its own slope and intercept."""
    for number, (slope, intercept) in enumerate(scales):
        write_stored(
            folder / f"{number}.dcm", RAMP, 2.0 * number, RescaleSlope=slope, RescaleIntercept=intercept, **tags
        )


def only_source(folder: Path) -> Source:
    """The only source of a folder without problems."""
    (source,), problems = find_sources(folder)
    assert problems == []
    return source


def values_of(folder: Path) -> np.ndarray:
    """The voxels, (X, Y, Z), of the only volume of a folder."""
    return read_volume(only_source(folder)).values[0]


@pytest.mark.parametrize(
    ("scales", "signed"),
    [
        ([(1, 0), *[(1, -1024)] * 5], False),
        ([(None, None), *[(1, -1024)] * 5], False),
        ([(1, 0), (50, 0), (60, 0), (31, 7), (80, 0), (90, 0)], True),
        ([(40, 0)] * 6, True),
        ([(1, -1024), (0.5, -1024), (1, 0)], False),
        ([(-1, 100), (-3, 0)], True),
    ],
)
def test_every_slice_is_rescaled_by_its_own_numbers(
    tmp_path: Path, scales: list[tuple[float | None, float | None]], signed: bool
) -> None:
    """A type that holds them all, whatever the first slice needs; SimpleITK takes the first slice's for all."""
    write_scaled(tmp_path, scales, PixelRepresentation=int(signed))
    wanted = [RAMP * (slope or 1.0) + (intercept or 0.0) for slope, intercept in scales]
    np.testing.assert_array_equal(values_of(tmp_path), np.stack(wanted, axis=-1))


def test_pet_of_whole_slopes_does_not_wrap(tmp_path: Path) -> None:
    """1,271 times 31, less 70, is 39,331, which 16 bits with a sign do not hold."""
    for number, (slope, intercept) in enumerate([(1, 0), (31, -70), (31, -70)]):
        tags = {"Modality": "PT", "RescaleSlope": slope, "RescaleIntercept": intercept, "PixelRepresentation": 1}
        write_stored(tmp_path / f"{number}.dcm", np.full((24, 20), 1271), 2.0 * number, **tags)
    assert values_of(tmp_path)[0, 0].tolist() == [1271, 39331, 39331]


@pytest.mark.parametrize(("modality", "slope", "intercept"), [("CT", 1, -1024), ("MR", 2, 0), ("PT", 0.5, 0)])
@pytest.mark.parametrize(("bits", "signed"), [(12, False), (16, False), (16, True), (12, True)])
def test_monochrome1_is_never_inverted(
    tmp_path: Path, modality: str, slope: float, intercept: float, bits: int, signed: bool
) -> None:
    """It says how to show the numbers, not what they are: stored 631 is -393 HU."""
    tags = {"Modality": modality, "RescaleSlope": slope, "RescaleIntercept": intercept, "BitsStored": bits}
    stored = RAMP + 1
    stored[0, 0] = 631
    for number in range(3):
        place = tmp_path / f"{number}.dcm", stored, 2.0 * number
        write_stored(*place, PhotometricInterpretation="MONOCHROME1", PixelRepresentation=int(signed), **tags)
    values = values_of(tmp_path)
    assert modality != "CT" or values[0, 0, 0] == -393
    file = pydicom.dcmread(tmp_path / "0.dcm")
    np.testing.assert_array_equal(values[..., 0], apply_modality_lut(file.pixel_array, file).T)


def test_compressed_monochrome1_is_never_inverted(tmp_path: Path) -> None:
    """JPEG 2000, which pydicom decodes, and JPEG lossless, which GDCM does."""
    values = make_ct(size=(64, 64, 2))
    for path in write_series(tmp_path, values):
        file = pydicom.dcmread(path)
        file.PhotometricInterpretation = "MONOCHROME1"
        file.compress(JPEG2000Lossless, generate_instance_uid=False)
        file.save_as(path)
    np.testing.assert_array_equal(values_of(tmp_path), values)
    for path in write_series(tmp_path, values):
        compress_by_gdcm(path)
        file = pydicom.dcmread(path)
        file.PhotometricInterpretation = "MONOCHROME1"
        file.save_as(path)
    np.testing.assert_array_equal(values_of(tmp_path), values)


@pytest.mark.parametrize(
    ("padding", "limit", "tags"),
    [
        (-2000, None, {"PixelRepresentation": 1}),
        (-32768, None, {"PixelRepresentation": 1}),
        (-32768, -2000, {"PixelRepresentation": 1}),
        (63536, None, {}),
        (63536, 65535, {}),
        (63536, None, {"BitsStored": 12}),
        (2000, None, {"PhotometricInterpretation": "MONOCHROME1"}),
        (2000, None, {"RescaleSlope": 0.1}),
    ],
)
def test_padding_becomes_the_lowest_value(
    tmp_path: Path, padding: int, limit: int | None, tags: dict[str, object]
) -> None:
    """Also of a range, of numbers that wrap when they are rescaled, and beyond the bits stored; a region as the whole.

    With 12 bits stored, 63536 would be cut to 2096: 1072 HU.
    """
    for number in range(4):
        stored = RAMP + 10 + number
        stored[:3] = padding
        stored[3] = padding if limit is None else limit
        extra = {} if limit is None else {"PixelPaddingRangeLimit": limit}
        write_stored(tmp_path / f"{number}.dcm", stored, 2.0 * number, PixelPaddingValue=padding, **extra, **tags)
    source = only_source(tmp_path)
    values = read_volume(source).values[0]
    slope = float(tags.get("RescaleSlope", 1))  # type: ignore[arg-type]
    wanted = np.stack([RAMP + 10 + number for number in range(4)], axis=-1) * slope - 1024
    wanted[:4] = wanted[4:].min()
    np.testing.assert_allclose(values, wanted, rtol=1e-6)
    region: Region = (slice(2, 6), slice(0, 5), slice(2, 4))
    part = sitk.GetArrayFromImage(source.format.read(source, region)[0]).T
    np.testing.assert_allclose(part, wanted[region], rtol=1e-6)


def test_padding_without_a_sign_of_its_own_is_read(tmp_path: Path) -> None:
    """In implicit VR a file does not say whether the tag is signed: the pixels' sign counts."""
    stored = RAMP + 10
    stored[0] = -2000
    for number in range(2):
        path = tmp_path / f"{number}.dcm"
        write_stored(path, stored, 2.0 * number, PixelRepresentation=1, PixelPaddingValue=-2000)
        file = pydicom.dcmread(path)
        file.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        pydicom.dcmwrite(path, file, implicit_vr=True)
    assert values_of(tmp_path).min() == stored[1:].min() - 1024


def test_value_that_is_not_the_padding_stays(tmp_path: Path) -> None:
    """A tag alone changes nothing, nor does a value below what padding is."""
    stored = RAMP - 1000
    stored[0, 0] = -32768
    for number in range(2):
        place = tmp_path / f"{number}.dcm", stored, 2.0 * number
        write_stored(*place, PixelRepresentation=1, PixelPaddingValue=-2000, RescaleIntercept=-1024)
    np.testing.assert_array_equal(values_of(tmp_path)[..., 0], stored - 1024)


def test_look_up_table_takes_the_place_of_slope_and_intercept(tmp_path: Path) -> None:
    """Stored k is 7 k here; SimpleITK would read k."""
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [1300, 0, 16], "US"
    table.LUTData = (np.arange(1300) * 7).astype("<u2").tobytes()
    for number in range(2):
        place = tmp_path / f"{number}.dcm", RAMP, 2.0 * number
        write_stored(*place, RescaleSlope=None, RescaleIntercept=None, ModalityLUTSequence=[table])
    np.testing.assert_array_equal(values_of(tmp_path)[..., 1], RAMP * 7)


@pytest.mark.parametrize(("tag", "dtype"), [("FloatPixelData", "<f4"), ("DoubleFloatPixelData", "<f8")])
def test_floating_point_pixels_are_read(tmp_path: Path, tag: str, dtype: str) -> None:
    """Quarters come back as they were written."""
    values = RAMP / 4 - 100
    bits = 8 * np.dtype(dtype).itemsize
    gone = ("PixelData", "BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept")
    for number in range(2):
        tags = {**dict.fromkeys(gone), "Modality": "MR", "BitsAllocated": bits, tag: values.T.astype(dtype).tobytes()}
        write_slice(tmp_path / f"{number}.dcm", RAMP, (0, 0, 2.0 * number), **tags)
    np.testing.assert_array_equal(values_of(tmp_path)[..., 1], values)


def real_world_map(slope: float, intercept: float) -> Dataset:
    """A real-world value map of a line."""
    made = Dataset()
    made.RealWorldValueSlope, made.RealWorldValueIntercept, made.LUTLabel = slope, intercept, "made up"
    made.RealWorldValueFirstValueMapped, made.RealWorldValueLastValueMapped = 0, 4095
    return made


def test_the_only_real_world_map_is_applied(tmp_path: Path) -> None:
    """Each slice's own; SimpleITK leaves it out."""
    for number in range(3):
        tags = {"Modality": "MR", "RescaleSlope": None, "RescaleIntercept": None}
        maps = [real_world_map(0.5 + number, -3)]
        write_stored(tmp_path / f"{number}.dcm", RAMP, 2.0 * number, RealWorldValueMappingSequence=maps, **tags)
    np.testing.assert_allclose(values_of(tmp_path)[..., 2], RAMP * 2.5 - 3)


def test_several_real_world_maps_need_a_rescaling(tmp_path: Path) -> None:
    """SUVs of several kinds beside a rescaling are left alone; without one nobody knows which is meant."""
    maps = [real_world_map(2, 0), real_world_map(3, 0)]
    for number in range(2):
        write_stored(tmp_path / f"{number}.dcm", RAMP, 2.0 * number, RealWorldValueMappingSequence=maps)
    np.testing.assert_array_equal(values_of(tmp_path)[..., 1], RAMP - 1024)
    plain = {"RescaleSlope": None, "RescaleIntercept": None}
    write_stored(tmp_path / "0.dcm", RAMP, 0, RealWorldValueMappingSequence=maps, **plain)
    _, (problem, *_) = find_sources(tmp_path)
    assert problem.problem == "a DICOM image with 2 real-world value maps and no rescaling"


def test_numbers_in_the_highest_bits_are_moved_to_the_lowest(tmp_path: Path) -> None:
    """Older files keep 12 bits in the upper of 16 (HighBit 15); where a header only says so, nothing is moved."""
    for number in range(3):
        tags = {"BitsStored": 12, "HighBit": 15, "RescaleIntercept": -1000}
        write_stored(tmp_path / "upper" / f"{number}.dcm", RAMP << 4, 2.0 * number, **tags)
        write_stored(tmp_path / "said" / f"{number}.dcm", RAMP, 2.0 * number, **tags)
        write_stored(
            tmp_path / "signed" / f"{number}.dcm", (RAMP - 600) << 4, 2.0 * number, PixelRepresentation=1, **tags
        )
    for name, moved in (("upper", 0), ("said", 0), ("signed", -600)):
        np.testing.assert_array_equal(values_of(tmp_path / name), np.stack([RAMP + moved - 1000] * 3, axis=-1))


def test_unit_that_is_not_hounsfields_is_noted(tmp_path: Path) -> None:
    """Dual-energy maps are CT too, of atomic numbers or mg/ml; the unit tells them from the HU of the same series."""
    for unit in ("HU", "MGML"):
        for number in range(3):
            path = tmp_path / f"{unit}{number}.dcm"
            write_stored(path, RAMP + 5 * len(unit), 2.0 * number, RescaleType=unit, RescaleIntercept=0)
    sources, problems = find_sources(tmp_path)
    notes = [" / ".join(read_volume(source).notes) for source in sources]
    assert (len(sources), problems) == (2, [])
    assert "told apart by RescaleType" in notes[0]
    assert "HU" not in notes[0]
    assert "a CT in units of 'MGML', no HU" in notes[1]
