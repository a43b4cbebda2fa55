"""DICOM radiographs and the bare files of JSRT give the grey levels that their makers meant."""

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image as Pillow
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from tests.data.scan_files import make_ct, write_series
from tests.radiographs import write_radiograph

from modelsgenesis.data.entries import one_source
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.sources import find_sources

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
