"""Enhanced multi-frame DICOM: one file, a slice a frame; its volumes told apart, what is none named."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    LegacyConvertedEnhancedCTImageStorage,
    generate_uid,
)  # fmt: skip
from tests.data.scan_files import compress_by_gdcm, make_ct, write_series, write_slice

from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.source_table import sources_at
from modelsgenesis.data.sources import find_sources
from modelsgenesis.inference.cases import name_cases

STORED = np.arange(6 * 20 * 24).reshape(6, 20, 24)  # (frames, rows, columns)
HEIGHTS_MM = [2.0 * number for number in range(6)]


def item(**tags: Any) -> list[Dataset]:
    """A sequence of one item."""
    made = Dataset()
    for name, value in tags.items():
        setattr(made, name, value)
    return [made]


def write_frames(
    path: Path,
    stored: np.ndarray,
    heights_mm: Sequence[float],
    *,
    scales: Sequence[tuple[float, float]] = ((1, -1024),),
    each: Callable[[int, Dataset], None] | None = None,
    **tags: Any,
) -> Path:
    """Write an enhanced CT, (frames, rows, columns) of stored numbers, one scale for all or one a frame."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, EnhancedCTImageStorage
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    shared, frames = Dataset(), []
    shared.PixelMeasuresSequence = item(PixelSpacing=[0.8, 0.7], SliceThickness=2)
    shared.PlaneOrientationSequence = item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    for number, height in enumerate(heights_mm):
        frame = Dataset()
        frame.PlanePositionSequence = item(ImagePositionPatient=[-10, -20, height])
        frame.FrameContentSequence = item(DimensionIndexValues=[1, number + 1])
        slope, intercept = scales[number % len(scales)]
        frame.PixelValueTransformationSequence = item(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="US")
        if each:
            each(number, frame)
        frames.append(frame)
    usual = {
        "SOPClassUID": EnhancedCTImageStorage, "SOPInstanceUID": generate_uid(), "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.4", "FrameOfReferenceUID": "1.2.3.5", "Modality": "CT", "PatientID": "made-up",
        "InstanceNumber": 1, "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], "Rows": stored.shape[1],
        "Columns": stored.shape[2], "NumberOfFrames": len(stored), "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15,
        "PixelRepresentation": 0, "SharedFunctionalGroupsSequence": [shared],
        "PerFrameFunctionalGroupsSequence": frames, "PixelData": stored.astype("<u2").tobytes(),
    }  # fmt: skip
    for name, value in {**usual, **tags}.items():
        if value is not None:
            setattr(file, name, value)
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = file.SOPClassUID, file.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, file, enforce_file_format=True)
    return path


@pytest.mark.parametrize("uid", [EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage])
def test_frames_are_a_volume(tmp_path: Path, uid: str) -> None:
    """Sorted by position, not by number, each by its own rescaling; as highdicom reads it too."""
    order = [3, 0, 5, 1, 4, 2]
    scales = [(1 + number, -1024 + number) for number in range(6)]
    heights = [HEIGHTS_MM[place] for place in order]
    path = write_frames(tmp_path / "a.dcm", STORED[order], heights, scales=[scales[k] for k in order], SOPClassUID=uid)
    (source,), problems = find_sources(tmp_path)
    volume = read_volume(source)
    wanted = [STORED[number] * slope + intercept for number, (slope, intercept) in enumerate(scales)]
    np.testing.assert_array_equal(volume.values[0], np.array(wanted).T)
    theirs = hd.imread(path).get_volume(apply_real_world_transform=False)
    rising = theirs.array if theirs.position[2] == 0 else theirs.array[::-1]
    np.testing.assert_array_equal(volume.values[0].T, rising)
    assert (volume.spacing_mm, volume.geometry.origin_mm) == ((0.7, 0.8, 2.0), (-10.0, -20.0, 0.0))
    assert (problems, volume.notes, volume.modality, source.patient, source.path) == ([], (), "CT", "made-up", path)


def test_table_names_a_file_of_frames(tmp_path: Path) -> None:
    """It holds the whole volume, and names its case; of an ordinary series, the folder is asked for."""
    write_frames(tmp_path / "a.dcm", STORED, HEIGHTS_MM)
    (source,), problems = sources_at(tmp_path / "a.dcm", tmp_path)
    assert (source.path, problems, list(name_cases([source], tmp_path))) == (tmp_path / "a.dcm", [], ["a"])
    write_series(tmp_path / "b", make_ct())
    with pytest.raises(UnreadableError, match=r"one slice of a DICOM series.*name the folder"):
        sources_at(tmp_path / "b" / "slice001.dcm", tmp_path)


def test_compressed_frames_are_read(tmp_path: Path) -> None:
    """JPEG 2000."""
    path = write_frames(tmp_path / "a.dcm", np.tile(STORED, (1, 3, 3)), HEIGHTS_MM)
    file = pydicom.dcmread(path)
    file.compress(JPEG2000Lossless, generate_instance_uid=False)
    file.save_as(path)
    np.testing.assert_array_equal(
        read_volume(find_sources(tmp_path)[0][0]).values[0], np.tile(STORED, (1, 3, 3)).T - 1024
    )


@pytest.mark.parametrize("shown", ["MONOCHROME1", "MONOCHROME2"])
def test_frames_without_a_decoder_are_read_by_gdcm(tmp_path: Path, shown: str) -> None:
    """JPEG lossless, each frame by its own rescaling, never inverted."""
    values, parts = make_ct(size=(64, 64, 3)), []
    for slice_path in write_series(tmp_path / "slices", values):
        compress_by_gdcm(slice_path)
        one = pydicom.dcmread(slice_path)
        parts.append(next(generate_frames(one.PixelData, number_of_frames=1)))
    tags = {"PhotometricInterpretation": shown, "PixelRepresentation": one.PixelRepresentation}
    path = write_frames(tmp_path / "frames" / "a.dcm", values.T, [0, 2, 4], scales=[(1, 7), (1, 8), (1, 9)], **tags)
    file = pydicom.dcmread(path)
    file.file_meta.TransferSyntaxUID = one.file_meta.TransferSyntaxUID
    file.PixelData = encapsulate(parts)
    file["PixelData"].is_undefined_length = True
    file.save_as(path)
    (source,), _ = find_sources(path.parent)
    stored = values - int(one.RescaleIntercept)
    np.testing.assert_array_equal(read_volume(source).values[0], stored + np.array([7, 8, 9]))


def test_echoes_in_one_file_are_told_apart(tmp_path: Path) -> None:
    """Two volumes with a name each, in the order of their frames; not taken for copies of one file."""

    def echo(number: int, frame: Dataset) -> None:
        frame.MREchoSequence = item(EffectiveEchoTime=10.5 if number % 2 else 4.6)

    tags = {"SOPClassUID": EnhancedMRImageStorage, "Modality": "MR"}
    write_frames(tmp_path / "a.dcm", STORED, [0, 0, 2, 2, 4, 4], each=echo, scales=[(1, 0)], **tags)
    sources, problems = find_sources(tmp_path)
    assert (problems, [source.series for source in sources]) == ([], ["1.2.3.4#1", "1.2.3.4#2"])
    for number, source in enumerate(sources):
        volume = read_volume(source)
        np.testing.assert_array_equal(volume.values[0], STORED[number::2].T)
        assert volume.notes == (
            f"volume {number + 1} of 2 volumes under one DICOM series, told apart by EffectiveEchoTime",
        )
    assert len({source.format.content_hash(source) for source in sources}) == 2


def test_two_files_of_frames_are_two_volumes(tmp_path: Path) -> None:
    """One series, a file a phase."""
    for name, more in (("a", 0), ("b", 500)):
        write_frames(tmp_path / f"{name}.dcm", STORED + more, HEIGHTS_MM)
    sources, problems = find_sources(tmp_path)
    least = sorted(int(read_volume(source).values.min()) for source in sources)
    assert (problems, least) == ([], [-1024, -524])


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"PerFrameFunctionalGroupsSequence": None, "Modality": "US"}, r"several frames without a position.*\(US\)"),
        ({"NumberOfFrames": 7}, "7 frames that describes 6"),
        ({"SamplesPerPixel": 3}, "in colour"),
    ],
)
def test_other_frames_are_refused_for_what_they_are(tmp_path: Path, tags: dict[str, Any], words: str) -> None:
    """Never as 2D."""
    write_frames(tmp_path / "a.dcm", STORED, HEIGHTS_MM, **tags)
    sources, (problem,) = find_sources(tmp_path)
    assert sources == []
    assert re.search(words, problem.problem)


@pytest.mark.parametrize("modality", ["CR", "DX", "MG"])
def test_radiograph_is_called_a_picture(tmp_path: Path, modality: str) -> None:
    """Not a slice of a series, in a folder as in a table."""
    gone = dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"))
    write_slice(tmp_path / "a.dcm", make_ct()[..., 0], (0, 0, 0), **{**gone, "Modality": modality})
    _, (problem,) = find_sources(tmp_path)
    assert problem.problem == f"a radiograph in DICOM ({modality}): a picture (2D), which a later version reads"
    with pytest.raises(UnreadableError, match="a radiograph in DICOM"):
        sources_at(tmp_path / "a.dcm", tmp_path)
