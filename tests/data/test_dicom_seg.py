"""A DICOM-SEG lies on the slices it refers to, as highdicom and SimpleITK read it."""

from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL.ImageColor import getrgb
from tests.data.formats.test_dicom_frames import write_frames
from tests.data.scan_files import make_ct, write_series
from tests.radiographs import write_radiograph

from modelsgenesis.core.labels import COLOURS
from modelsgenesis.data.dicom_seg import code_of, write_dicom_seg
from modelsgenesis.data.images import corners_mm
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.sources import find_sources
from modelsgenesis.data.volume import Geometry

SIZE = (20, 16, 6)
NAMES = ("liver", "nodule", "3")
REAL = Path(__file__).parents[3] / "shared" / "data" / "ct" / "chest_lungpetctdx_dicom" / "A0002_B40f"


def make_classes(size: tuple[int, ...]) -> np.ndarray:
    """Classes, (1, I, J, K) in the file's axes: two boxes that lie askew, and no third class."""
    classes = np.zeros((1, *size), np.uint8)
    classes[0, 3:9, 2:7, 1:3] = 1
    classes[0, 10:12, 8:13, 2:5] = 2
    return classes


def write(folder: Path, path: Path, classes: np.ndarray | None = None) -> tuple[np.ndarray, list[Path]]:
    """Write a SEG of the only series of a folder; its classes, and the slices' files in order."""
    (source,), _ = find_sources(folder)
    volume = read_volume(source)
    classes = make_classes(volume.geometry.size) if classes is None else classes
    assert source.dicom is not None
    write_dicom_seg(path, classes, volume.geometry, source, NAMES)
    return classes, list(source.dicom.files)


def frames_of(seg: hd.seg.Segmentation, files: list[Path]) -> np.ndarray:
    """What is segmented in each slice, by the UID that the SEG refers to: (slices, rows, columns, segments)."""
    uids = [pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID for file in files]
    return np.asarray(
        seg.get_pixels_by_source_instance(uids, ignore_spatial_locations=True, assert_missing_frames_are_empty=True)
    )


ORIENTATIONS = {
    "axial": ([1, 0, 0, 0, 1, 0], (0, 0, 2)),
    "from head to feet": ([1, 0, 0, 0, 1, 0], (0, 0, -2)),
    "sagittal": ([0, 1, 0, 0, 0, -1], (3, 0, 0)),
    "oblique": ([0.96, 0.28, 0, -0.28, 0.96, 0], (0, 0, 2)),
}


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_segments_lie_on_their_slices(tmp_path: Path, name: str) -> None:
    """Frame by frame the source instance it refers to, and voxel by voxel the place in the patient."""
    plane, step = ORIENTATIONS[name]
    write_series(tmp_path / "ct", make_ct(size=SIZE), step_mm=step, ImageOrientationPatient=plane)
    classes, files = write(tmp_path / "ct", tmp_path / "seg.dcm")
    seg = hd.seg.segread(tmp_path / "seg.dcm")
    wanted = np.stack([k == classes[0].T for k in (1, 2, 3)], axis=-1)
    np.testing.assert_array_equal(frames_of(seg, files), wanted)
    assert seg.number_of_segments == 3
    whole = seg.get_volume(combine_segments=True)
    image = sitk.ReadImage(str(tmp_path / "seg.dcm"))
    (source,), _ = find_sources(tmp_path / "ct")
    geometry = read_volume(source).geometry
    for k in (1, 2):  # the middle of each box, in the patient
        place = np.argwhere(classes[0] == k).mean(axis=0)
        frame = np.array(geometry.direction).reshape(3, 3) * geometry.spacing_mm
        there = np.array(geometry.origin_mm) + frame @ place
        found = np.argwhere(whole.array == k).mean(axis=0)
        np.testing.assert_allclose(whole.map_indices_to_reference(found[None])[0], there, atol=1e-3)
    np.testing.assert_allclose(sorted(image.GetSpacing()[:2]), sorted(geometry.spacing_mm[:2]))
    np.testing.assert_allclose(np.array(image.GetDirection()).reshape(3, 3)[:, :2].T.ravel(), plane, atol=1e-6)


def test_simpleitk_reads_the_segments_in_place(tmp_path: Path) -> None:
    """SimpleITK's image of a SEG of one label lies voxel for voxel on the series, empty slices and all."""
    write_series(tmp_path / "ct", make_ct(size=SIZE))
    (source,), _ = find_sources(tmp_path / "ct")
    volume = read_volume(source)
    classes = (np.random.default_rng(0).random((1, *volume.geometry.size)) > 0.5).astype(np.uint8)
    classes[..., [0, 3]] = 0
    assert source.dicom is not None
    write_dicom_seg(tmp_path / "seg.dcm", classes, volume.geometry, source, ["liver"])
    check_in_place(tmp_path / "seg.dcm", classes[0], volume.geometry)


RADIOGRAPHS = {
    "computed": {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12},
    "with a frame of reference": {"FrameOfReferenceUID": "1.2.3.4"},
    "spacing at the imager": {"PixelSpacing": None, "ImagerPixelSpacing": [0.2, 0.2]},
    "digital": {"SOPClassUID": pydicom.uid.DigitalXRayImageStorageForPresentation, "Modality": "DX"},
    "secondary capture": {"SOPClassUID": pydicom.uid.SecondaryCaptureImageStorage, "Modality": "OT"},
}


@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("name", RADIOGRAPHS)
def test_radiograph_has_its_segments(tmp_path: Path, name: str, *, overlapping: bool) -> None:
    """It lies nowhere; pixel for pixel what was predicted, by highdicom, and by the bits that the file holds."""
    write_radiograph(tmp_path / "chest.dcm", np.arange(22 * 30, dtype=np.uint16).reshape(22, 30), **RADIOGRAPHS[name])
    (source,), _ = find_sources(tmp_path / "chest.dcm", pictures=True)
    volume = read_volume(source)
    classes = make_classes((30, 22, 3))[..., 2]
    if overlapping:
        classes = np.stack([classes[0] == 1, classes[0] > 0, np.zeros_like(classes[0])]).astype(np.uint8)
    write_dicom_seg(tmp_path / "seg.dcm", classes, volume.geometry, source, NAMES)
    wanted = np.stack([part.T for part in (classes if overlapping else [classes[0] == k for k in (1, 2, 3)])])
    read, original = pydicom.dcmread(tmp_path / "seg.dcm"), pydicom.dcmread(tmp_path / "chest.dcm")
    found = np.unpackbits(np.frombuffer(read.PixelData, np.uint8), bitorder="little")[: read.NumberOfFrames * 22 * 30]
    shown = [
        frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber - 1
        for frame in read.PerFrameFunctionalGroupsSequence
    ]
    np.testing.assert_array_equal(found.reshape(-1, read.Rows, read.Columns), wanted[shown])
    assert not wanted[sorted({0, 1, 2} - set(shown))].any()
    (series,) = read.ReferencedSeriesSequence
    assert [one.ReferencedSOPInstanceUID for one in series.ReferencedInstanceSequence] == [original.SOPInstanceUID]
    assert (series.SeriesInstanceUID, read.StudyInstanceUID) == (original.SeriesInstanceUID, original.StudyInstanceUID)
    assert read.get("FrameOfReferenceUID") == original.get("FrameOfReferenceUID")
    np.testing.assert_array_equal(
        frames_of(hd.seg.segread(tmp_path / "seg.dcm"), [tmp_path / "chest.dcm"])[0], wanted.transpose(1, 2, 0)
    )


def test_segmentation_of_a_radiograph_is_no_picture(tmp_path: Path) -> None:
    """It has one frame that lies nowhere; it is read as labels, and refused as a picture."""
    write_radiograph(tmp_path / "chest.dcm", np.zeros((22, 30), np.uint16))
    (source,), _ = find_sources(tmp_path / "chest.dcm", pictures=True)
    write_dicom_seg(
        tmp_path / "seg.dcm", np.ones((1, 30, 22), np.uint8), read_volume(source).geometry, source, ["lung"]
    )
    (segmented,), _ = find_sources(tmp_path / "seg.dcm", pictures=True)
    assert read_volume(segmented, labels=True).values.all()
    with pytest.raises(UnreadableError, match=r"a segmentation \(DICOM-SEG\)"):
        read_volume(segmented)


def check_in_place(path: Path, mask: np.ndarray, geometry: Geometry) -> None:
    """SimpleITK's image of a SEG of one label holds the mask, at its place in the patient, whatever its slices' order.

    Args:
        path: of the SEG.
        mask: in the axes of the geometry.
        geometry: of the series as it was read.
    """
    image = sitk.ReadImage(str(path))
    read = Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    np.testing.assert_array_equal(read.to_lps(sitk.GetArrayFromImage(image).T) > 0, geometry.to_lps(mask) > 0)
    corners = [one.to_lps(corners_mm(one).T.reshape(3, 2, 2, 2)) for one in (read, geometry)]
    np.testing.assert_allclose(corners[0], corners[1], atol=1e-3)


def test_object_says_whose_it_is_and_who_made_it(tmp_path: Path) -> None:
    """Patient, study and frame of reference of the source; a series of its own; names, codes and the algorithm."""
    write_series(tmp_path / "ct", make_ct(size=SIZE))
    _, files = write(tmp_path / "ct", tmp_path / "seg.dcm")
    seg, source = hd.seg.segread(tmp_path / "seg.dcm"), pydicom.dcmread(files[0])
    for tag in ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert seg[tag].value == source[tag].value
    assert seg.SeriesInstanceUID != source.SeriesInstanceUID
    assert (seg.Modality, seg.Manufacturer, seg.SeriesDescription) == (
        "SEG", "modelsgenesis", "modelsgenesis segmentation",
    )  # fmt: skip
    first = seg.get_segment_description(1)
    assert first.segment_label == "liver"
    assert first.segmented_property_type.meaning == "Liver"
    assert first.algorithm_type == hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC
    assert first.tracking_id == "1 liver"
    assert "1 liver" in {name for name, _ in seg.get_tracking_ids()}
    uids = {seg.get_segment_description(number).tracking_uid for number in (1, 2, 3)}
    assert len(uids) == 3
    shown = [seg.get_segment_description(number).RecommendedDisplayCIELabValue for number in (1, 2, 3)]
    for value, wanted in zip(shown, COLOURS, strict=False):  # (86, 180, 233), sky blue, first: as in pictures
        assert hd.color.CIELabColor.from_dicom_value(list(value)).to_rgb(clip=True) == getrgb(wanted)
    referenced = {item.ReferencedSOPInstanceUID for item in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert referenced == {pydicom.dcmread(file).SOPInstanceUID for file in files}


def test_overlapping_labels_keep_both(tmp_path: Path) -> None:
    """A voxel may belong to two segments."""
    write_series(tmp_path / "ct", make_ct(size=SIZE))
    rng = np.random.default_rng(0)
    classes, files = write(tmp_path / "ct", tmp_path / "seg.dcm", (rng.random((3, *SIZE)) > 0.4).astype(np.uint8))
    seg = hd.seg.segread(tmp_path / "seg.dcm")
    np.testing.assert_array_equal(frames_of(seg, files), classes.transpose(3, 2, 1, 0))


def test_empty_mask_is_written_whole(tmp_path: Path) -> None:
    """Nothing found is a prediction too: every frame is there, and empty."""
    write_series(tmp_path / "ct", make_ct(size=SIZE))
    _, files = write(tmp_path / "ct", tmp_path / "seg.dcm", np.zeros((1, *SIZE), np.uint8))
    seg = hd.seg.segread(tmp_path / "seg.dcm")
    assert not frames_of(seg, files).any()
    assert seg.NumberOfFrames == 3 * SIZE[2]


def test_missing_optional_tags_are_no_matter(tmp_path: Path) -> None:
    """Anonymised series lack much."""
    gone = dict.fromkeys(
        (
            "PatientName",
            "PatientBirthDate",
            "StudyDate",
            "SeriesDescription",
            "FrameOfReferenceUID",
            "SliceThickness",
            "PatientID",
        )
    )
    write_series(tmp_path / "ct", make_ct(size=SIZE), **gone)
    classes, files = write(tmp_path / "ct", tmp_path / "seg.dcm")
    seg = hd.seg.segread(tmp_path / "seg.dcm")
    np.testing.assert_array_equal(frames_of(seg, files)[..., 0], classes[0].T == 1)


def test_slices_without_a_study_are_refused(tmp_path: Path) -> None:
    """What a reference needs cannot be made up."""
    write_series(tmp_path / "ct", make_ct(size=SIZE), StudyInstanceUID=None)
    with pytest.raises(UnreadableError, match=r"its headers make no DICOM-SEG \(.*StudyInstanceUID"):
        write(tmp_path / "ct", tmp_path / "seg.dcm")
    assert not (tmp_path / "seg.dcm").exists()


def test_uneven_slices_keep_their_own_places(tmp_path: Path) -> None:
    """The SEG follows the slices, not the mean step."""
    paths = write_series(tmp_path / "ct", make_ct(size=SIZE))
    for path, z in zip(paths, (0, 2, 4, 6.5, 8.5, 10.5), strict=True):
        slice_ = pydicom.dcmread(path)
        slice_.ImagePositionPatient = [0, 0, z]
        slice_.save_as(path)
    classes, files = write(tmp_path / "ct", tmp_path / "seg.dcm")
    seg = hd.seg.segread(tmp_path / "seg.dcm")
    np.testing.assert_array_equal(frames_of(seg, files)[..., 1], classes[0].T == 2)


def test_straightened_series_is_refused(tmp_path: Path) -> None:
    """The voxels of a tilted gantry's volume are not the slices' pixels."""
    write_series(tmp_path / "ct", make_ct(size=SIZE), step_mm=(0, 0.7, 2))
    with pytest.raises(UnreadableError, match="its slices were straightened"):
        write(tmp_path / "ct", tmp_path / "seg.dcm")
    assert not (tmp_path / "seg.dcm").exists()


@pytest.mark.parametrize(
    ("name", "meaning", "category"),
    [
        ("liver", "Liver", "Anatomical Structure"),
        ("left_lung", "Lung", "Anatomical Structure"),
        ("Hippocampus", "Hippocampus", "Anatomical Structure"),
        ("lung nodule", "Nodule", "Morphologically Abnormal Structure"),
        ("brain tumour", "Neoplasm", "Morphologically Abnormal Structure"),
        ("7", "Tissue", "Tissue"),
        ("", "Tissue", "Tissue"),
    ],
)
def test_labels_are_coded_by_their_names(name: str, meaning: str, category: str) -> None:
    """DICOM's own lists know organs and lesions; all else is a tissue."""
    found = code_of(name)
    assert (found[1].meaning, found[0].meaning) == (meaning, category)
    assert all(code.scheme_designator == "SCT" for code in found)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real DICOM series is not beside the repository (../shared/data)")
def test_real_series(tmp_path: Path) -> None:
    """A scanner's series of 30 slices: what the mask holds lies where it lies in the patient."""
    (source,), _ = find_sources(REAL)
    volume = read_volume(source)
    lung = np.asarray((volume.values < -500), np.uint8)
    assert source.dicom is not None
    write_dicom_seg(tmp_path / "seg.dcm", volume.geometry.from_lps(lung), volume.geometry, source, ["lung"])
    seg = hd.seg.segread(tmp_path / "seg.dcm")
    np.testing.assert_array_equal(frames_of(seg, list(source.dicom.files))[..., 0].T, volume.geometry.from_lps(lung)[0])
    check_in_place(tmp_path / "seg.dcm", volume.geometry.from_lps(lung)[0], volume.geometry)


def test_frames_of_one_file_get_their_segments(tmp_path: Path) -> None:
    """An enhanced CT whose frames stand in another order than they lie; highdicom finds the mask at each place."""
    order = [3, 0, 5, 1, 4, 2]
    write_frames(tmp_path / "ct" / "a.dcm", np.zeros((6, 20, 24)), [2.0 * place for place in order])
    (source,), _ = find_sources(tmp_path / "ct")
    volume = read_volume(source)
    classes = (np.random.default_rng(0).random((1, *volume.geometry.size)) > 0.5).astype(np.uint8)
    assert source.dicom is not None
    write_dicom_seg(tmp_path / "seg.dcm", classes, volume.geometry, source, ["liver"])
    check_in_place(tmp_path / "seg.dcm", classes[0], volume.geometry)
