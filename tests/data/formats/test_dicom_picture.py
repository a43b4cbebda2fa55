"""DICOM radiographs and the bare files of JSRT give the grey levels that their makers meant."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image as Pillow
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from tests.data.scan_files import make_ct, write_series, write_slice
from tests.radiographs import write_radiograph

from modelsgenesis.commands.prepare import prepare
from modelsgenesis.core.errors import DataError
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.entries import one_source
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import BitDepth
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.sources import find_sources
from modelsgenesis.data.store.store import Scan, Store

LEVELS = np.random.default_rng(0).integers(0, 4096, (40, 50)).astype(np.uint16)  # (rows, columns)


def read(path: Path) -> np.ndarray:
    """The grey levels, (rows, columns)."""
    return read_volume(one_source(path, path.parent)).values[0].T


@pytest.mark.parametrize(
    "kind",
    [
        DigitalXRayImageStorageForPresentation,
        DigitalXRayImageStorageForProcessing,
        DigitalMammographyXRayImageStorageForPresentation,
    ],
    ids=["DX", "DX raw", "MG"],
)
def test_radiograph_is_a_picture_of_its_patient(kind: str, tmp_path: Path) -> None:
    """Found among pictures with the patient of its header, and what else is no picture is left to the others."""
    write_radiograph(tmp_path / "a.dcm", LEVELS, SOPClassUID=kind, PatientID="anna")
    write_radiograph(tmp_path / "b.dicom", LEVELS, SOPClassUID=kind, PatientID="anna")
    sources, problems = find_sources(tmp_path, pictures=True)
    assert [(source.path.name, source.patient, source.modality) for source in sources] == [
        ("a.dcm", "anna", "XR"), ("b.dicom", "anna", "XR")
    ]  # fmt: skip
    assert problems == []
    np.testing.assert_array_equal(read(tmp_path / "b.dicom"), LEVELS)


def test_radiograph_among_volumes_is_left_out_by_name(tmp_path: Path) -> None:
    """A folder of CT is prepared without it."""
    write_series(tmp_path / "ct", make_ct())
    write_radiograph(tmp_path / "ct" / "scout.dcm", LEVELS)
    sources, (problem,) = find_sources(tmp_path)
    assert len(sources) == 1
    assert (problem.path.name, problem.problem) == ("scout.dcm", "a 2D picture, not a volume")


@pytest.mark.parametrize(("dtype", "bits"), [(np.uint16, 12), (np.uint16, 16), (np.uint8, 8)])
def test_negative_is_turned_by_the_bits_stored(dtype: type, bits: int, tmp_path: Path) -> None:
    """MONOCHROME1 counts from white: level 0 is the brightest of the bits that are stored, not of the range."""
    levels = (LEVELS >> max(0, 12 - bits)).astype(dtype)
    write_radiograph(tmp_path / "a.dcm", levels, PhotometricInterpretation="MONOCHROME1", BitsStored=bits)
    np.testing.assert_array_equal(read(tmp_path / "a.dcm"), 2**bits - 1 - levels)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_without_loss_is_the_same(syntax: str, tmp_path: Path) -> None:
    """As VinDr-CXR gives them out."""
    write_radiograph(tmp_path / "a.dcm", LEVELS)
    file = pydicom.dcmread(tmp_path / "a.dcm")
    file.compress(syntax)
    file.save_as(tmp_path / "a.dcm")
    np.testing.assert_array_equal(read(tmp_path / "a.dcm"), LEVELS)


def test_jpeg_in_a_secondary_capture_is_read_as_pillow_reads_it(tmp_path: Path) -> None:
    """As RSNA gives them out: the class is no radiograph's, but the file lies nowhere."""
    packed = io.BytesIO()
    levels = np.linspace(0, 255, 40 * 50).reshape(40, 50).astype(np.uint8)
    Pillow.fromarray(levels).save(packed, "JPEG")
    file = write_radiograph(tmp_path / "a.dcm", levels, SOPClassUID=SecondaryCaptureImageStorage)
    file.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    file.PixelData = encapsulate([packed.getvalue()])
    file["PixelData"].VR = "OB"
    file.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    np.testing.assert_allclose(read(tmp_path / "a.dcm"), np.asarray(Pillow.open(packed)), atol=1)
    (source,), problems = find_sources(tmp_path, pictures=True)
    assert (source.patient, source.format.axes, problems) == ("a", 2, [])


def test_slice_frames_and_colour_are_refused(tmp_path: Path) -> None:
    """For what they are."""
    write_series(tmp_path / "ct", make_ct())
    with pytest.raises(UnreadableError, match="one slice of a DICOM series"):
        one_source(tmp_path / "ct" / "slice001.dcm", tmp_path)
    write_radiograph(tmp_path / "frames.dcm", np.concatenate([LEVELS, LEVELS]), Rows=40, NumberOfFrames=2)
    with pytest.raises(UnreadableError, match="2 frames in one file"):
        read(tmp_path / "frames.dcm")
    colours = np.zeros((20, 90), np.uint8)
    tags = {"Columns": 30, "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    write_radiograph(tmp_path / "colour.dcm", colours, **tags)
    with pytest.raises(UnreadableError, match="in colour"):
        read(tmp_path / "colour.dcm")


def test_jsrt_is_turned_and_checked(tmp_path: Path) -> None:
    """The high byte comes first, bone is low; another size and more than 12 bits are refused."""
    stored = np.random.default_rng(0).integers(0, 4096, (2048, 2048)).astype(">u2")
    stored.tofile(tmp_path / "JPCNN001.IMG")
    np.testing.assert_array_equal(read(tmp_path / "JPCNN001.IMG"), 4095 - stored.astype(int))
    stored.astype("<u2").tofile(tmp_path / "JPCNN001.IMG")
    with pytest.raises(UnreadableError, match="12 bits end at 4095"):
        read(tmp_path / "JPCNN001.IMG")
    stored[:-1].tofile(tmp_path / "JPCNN001.IMG")
    with pytest.raises(UnreadableError, match="it has 8384512 bytes"):
        read(tmp_path / "JPCNN001.IMG")


@pytest.mark.parametrize(
    ("tags", "dtype", "expected"),
    [
        ({"BitsStored": 12}, np.uint16, (0, 4095)),
        ({"BitsStored": 15}, np.uint16, (0, 32767)),
        ({"BitsStored": 12, "PhotometricInterpretation": "MONOCHROME1"}, np.uint16, (0, 4095)),
        ({"BitsStored": 12, "PixelRepresentation": 1}, np.int16, (-2048, 2047)),
        (
            {"BitsStored": 12, "PixelRepresentation": 1, "PhotometricInterpretation": "MONOCHROME1"},
            np.int16,
            (-2048, 2047),
        ),
        ({"BitsStored": 12, "RescaleSlope": 2, "RescaleIntercept": -100}, np.uint16, (-100, 8090)),
        ({"BitsStored": 12, "RescaleSlope": -1, "RescaleIntercept": 4095}, np.uint16, (0, 4095)),
        ({"BitsStored": 12, "RescaleSlope": 0.5, "RescaleIntercept": 0}, np.uint16, (0, 2047.5)),
    ],
    ids=["12", "15", "negative", "signed", "signed negative", "rescaled", "falling", "halves"],
)
def test_black_and_white_are_those_of_the_bits_stored(
    tags: dict[str, object], dtype: type, expected: tuple[float, float], tmp_path: Path
) -> None:
    """Not of the greatest value there is: a dim radiograph stays dim; signed and rescaled ones have such ends too."""
    dim = (LEVELS >> 4).astype(dtype)
    write_radiograph(tmp_path / "a.dcm", dim, **tags)
    values = dim * float(tags.get("RescaleSlope", 1)) + float(tags.get("RescaleIntercept", 0))
    if tags.get("PhotometricInterpretation") == "MONOCHROME1":
        values = sum(expected) - values
    volume = read_volume(one_source(tmp_path / "a.dcm", tmp_path))
    assert volume.levels == expected
    np.testing.assert_array_equal(volume.values[0].T, values)
    seen = read_image([one_source(tmp_path / "a.dcm", tmp_path)], Reading(BitDepth())).scaled()[0].T
    np.testing.assert_allclose(seen, (values - expected[0]) / (expected[1] - expected[0]), atol=1e-6)
    prepare(tmp_path, tmp_path / "store", workers=0, quiet=True)
    store = Store.open(tmp_path / "store")
    (scan,) = store.scans
    of_file = replace(scan, stored_sha256="")  # which the file cannot hold
    assert (scan.levels, Scan.from_row(scan.to_row()), Scan.from_json(scan.to_json())) == (expected, scan, of_file)
    stored = store.read_scaled(scan, (0, 0), (50, 40), BitDepth())[0].T
    np.testing.assert_allclose(stored, seen, atol=1e-3 if values.dtype.kind == "f" and 0.5 in values % 1 else 1e-6)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"PixelSpacing": [0.2, 0.1]}, (0.1, 0.2)),
        ({"PixelSpacing": None, "ImagerPixelSpacing": [0.2, 0.1]}, (0.1, 0.2)),
        ({"PixelSpacing": [0.2, 0.1], "ImagerPixelSpacing": [0.3, 0.3]}, (0.1, 0.2)),
        (
            {
                "PixelSpacing": [0.2, 0.1],
                "ImagerPixelSpacing": [0.3, 0.3],
                "PixelSpacingCalibrationType": "FIDUCIAL",
                "EstimatedRadiographicMagnificationFactor": 2,
            },
            (0.1, 0.2),
        ),
        (
            {
                "PixelSpacing": None,
                "ImagerPixelSpacing": [0.2, 0.1],
                "EstimatedRadiographicMagnificationFactor": 2,
            },
            (0.05, 0.1),
        ),
        ({"PixelSpacing": None, "NominalScannedPixelSpacing": [0.2, 0.1]}, (0.1, 0.2)),
        ({"PixelSpacing": None}, None),
        ({"PixelSpacing": [0, 0.1]}, None),
    ],
    ids=["patient", "detector", "both", "calibrated", "magnified", "film", "none", "zero"],
)
def test_spacing_is_that_of_the_header(
    tags: dict[str, object], expected: tuple[float, float] | None, tmp_path: Path
) -> None:
    """Columns lie the second number apart, along X; shrinking makes it greater; what is not known counts as 1 mm."""
    write_radiograph(tmp_path / "a.dcm", LEVELS, **tags)
    volume = read_volume(one_source(tmp_path / "a.dcm", tmp_path))
    assert (volume.spacing_mm, volume.geometry.spaced) == (expected or (1, 1), expected is not None)
    assert len(volume.notes) == (tags["PixelSpacing"] is not None and 0 in tags["PixelSpacing"])
    prepare(tmp_path, tmp_path / "store", workers=0, quiet=True, longest_side=25)
    (scan,) = Store.open(tmp_path / "store").scans
    assert scan.size == (25, 20)
    assert scan.spacing_mm == pytest.approx([2 * step for step in expected or (1, 1)])


def test_values_of_interest_are_those_of_pydicom(tmp_path: Path) -> None:
    """A modality's table, then a VOI table or the first window; a negative is turned after; without asking, neither."""
    pydicom_values, sources = {}, {}
    for name, tags in INTEREST.items():
        write_radiograph(tmp_path / f"{name}.dcm", LEVELS, **tags)
        file = pydicom.dcmread(tmp_path / f"{name}.dcm")
        values = apply_voi_lut(apply_modality_lut(file.pixel_array, file), file).astype(float)
        if name == "bytes":  # pydicom counts the places of such a table in bytes
            values = (np.linspace(0, 1, 4096) ** 2 * 255).astype(np.uint8)[LEVELS].astype(float)
        white = {"bytes": 255, "table": 1023, "modality": 65535}.get(name, 4095)
        pydicom_values[name] = white - values if name == "negative" else values
        sources[name] = one_source(tmp_path / f"{name}.dcm", tmp_path)
        asked = read_volume(sources[name], voi=True)
        assert asked.levels == (0, white)
        np.testing.assert_allclose(asked.values[0].T, pydicom_values[name], atol=0.5)
        plain = read_volume(sources[name])
        np.testing.assert_array_equal(plain.values[0].T, 4095 - LEVELS if name == "negative" else LEVELS)
    assert "neither window" in read_volume(sources["nothing"], voi=True).notes[0]
    assert not np.array_equal(pydicom_values["window"], LEVELS)
    prepare(tmp_path, tmp_path / "store", workers=0, quiet=True, voi=True)
    store = Store.open(tmp_path / "store")
    brightest = sorted(float(store.read(scan, (0, 0), (50, 40)).sum()) for scan in store.scans)
    assert brightest == sorted(float(np.rint(values).sum()) for values in pydicom_values.values())
    write_radiograph(tmp_path / "odd.dcm", LEVELS, WindowCenter=5, WindowWidth=0)
    with pytest.raises(UnreadableError, match="window or look-up table"):
        read_volume(one_source(tmp_path / "odd.dcm", tmp_path), voi=True)
    with pytest.raises(DataError, match="begun with voi = True"):
        prepare(tmp_path, tmp_path / "store", workers=0, quiet=True)


def table(white: int, first: int = 0) -> list[pydicom.Dataset]:
    """A look-up table of 4096 entries that rise to a level, as the square."""
    item = pydicom.Dataset()
    item.LUTDescriptor = [4096, first, int(white).bit_length()]
    item["LUTDescriptor"].VR = "US"
    item.LUTData = (np.linspace(0, 1, 4096) ** 2 * white).astype(np.uint16).tobytes()
    item["LUTData"].VR = "OW"
    return [item]


WINDOW = {"WindowCenter": [1000, 3000], "WindowWidth": [800, 100], "BitsStored": 12}
INTEREST = {
    "window": WINDOW,
    "sigmoid": {**WINDOW, "VOILUTFunction": "SIGMOID"},
    "negative": {**WINDOW, "PhotometricInterpretation": "MONOCHROME1"},
    "table": {**WINDOW, "VOILUTSequence": table(1023)},
    "bytes": {**WINDOW, "VOILUTSequence": table(255)},
    "modality": {**WINDOW, "ModalityLUTSequence": table(65535)},
    "nothing": {"BitsStored": 12},
}


def test_numbers_of_colours_are_colour(tmp_path: Path) -> None:
    """A capture in a palette holds the numbers of colours; it is neither grey nor damaged."""
    tags: dict[str, Any] = dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"))
    palette = {"RedPaletteColorLookupTableDescriptor": [256, 0, 8], "RedPaletteColorLookupTableData": bytes(256)}
    tags |= {"PhotometricInterpretation": "PALETTE COLOR", "Modality": "OT", **palette}
    write_slice(tmp_path / "capture.dcm", make_ct()[..., 0], (0, 0, 0), **tags)
    (source,), _ = find_sources(tmp_path, pictures=True)
    with pytest.raises(UnreadableError, match="a DICOM picture in colour"):
        read_volume(source)


@pytest.mark.parametrize("sign", [0, 1])
def test_numbers_in_the_highest_bits_are_moved_to_the_lowest(tmp_path: Path, sign: int) -> None:
    """Film scanners of old keep 12 bits in the upper of 16."""
    stored = np.arange(24 * 20).reshape(24, 20) - 100 * sign
    tags: dict[str, Any] = dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope"))
    tags |= {"RescaleIntercept": None, "Modality": "CR", "HighBit": 15, "PixelRepresentation": sign}
    pixels = (stored << 4).T.astype("<i2" if sign else "<u2").tobytes()
    write_slice(tmp_path / "film.dcm", stored * 0, (0, 0, 0), PixelData=pixels, **tags)
    (source,), _ = find_sources(tmp_path, pictures=True)
    np.testing.assert_array_equal(read_volume(source).values[0], stored)
