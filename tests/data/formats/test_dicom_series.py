"""DICOM series: put in order, repaired where it is safe, refused where it is not."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)
from tests.data.scan_files import compress_by_gdcm, make_ct, write_series, write_slice

from modelsgenesis.data.boxes import Box
from modelsgenesis.data.problems import Problem
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.sources import find_sources

SIZE = (32, 28, 12)
VALUES = make_ct(size=SIZE)


def only(folder: Path) -> tuple:
    """The volume of the only series of a folder, and its source."""
    (source,), problems = find_sources(folder)
    assert problems == []
    return read_volume(source), source


def only_problem(folder: Path) -> Problem:
    """The only problem of a folder without a scan."""
    sources, (problem,) = find_sources(folder)
    assert sources == []
    return problem


def test_series_is_read_in_hu_in_order(tmp_path: Path) -> None:
    """Slices are ordered by position, not by name; slope, intercept, spacing and modality are the header's."""
    write_series(tmp_path, VALUES)
    volume, source = only(tmp_path)
    np.testing.assert_array_equal(volume.values[0], VALUES)
    assert volume.spacing_mm == (0.5, 0.5, 2.0)
    assert (volume.modality, source.patient) == ("CT", "SECRET-ID-42")


def test_series_from_head_to_feet_is_turned(tmp_path: Path) -> None:
    """A stack whose positions fall gives the same LPS volume."""
    write_series(tmp_path, VALUES[:, :, ::-1], step_mm=(0, 0, -2))
    np.testing.assert_array_equal(only(tmp_path)[0].values[0], VALUES)


def test_sagittal_series_is_turned(tmp_path: Path) -> None:
    """Slices along x, rows along y and columns down: the volume is in LPS all the same."""
    values = VALUES.transpose(1, 2, 0)[:, ::-1]  # (y, from above down, x)
    plane = [0, 1, 0, 0, 0, -1]
    write_series(tmp_path, values, step_mm=(3, 0, 0), ImageOrientationPatient=plane)
    volume, _ = only(tmp_path)
    np.testing.assert_array_equal(volume.values[0], VALUES)
    assert volume.spacing_mm == (3, 0.5, 0.5)


def test_several_series_in_one_folder_are_apart(tmp_path: Path) -> None:
    """SeriesInstanceUID decides; names and folders do not matter."""
    other = make_ct(1, SIZE)
    write_series(tmp_path / "x", VALUES)
    write_series(tmp_path / "y", other, SeriesInstanceUID="1.2.3")
    for number, path in enumerate(sorted((tmp_path / "y").iterdir())):
        path.rename(tmp_path / "x" / f"IM{number}")
    (tmp_path / "y").rmdir()
    sources, problems = find_sources(tmp_path)
    assert problems == []
    volumes = {source.series: read_volume(source).values[0] for source in sources}
    np.testing.assert_array_equal(volumes["1.2.3"], other)
    assert len(volumes) == 2


def test_rescaling_is_honoured_slice_by_slice(tmp_path: Path) -> None:
    """Each slice has its own slope and intercept; fractions are kept."""
    stored = np.arange(100, 100 + 32 * 28).reshape(32, 28)
    wanted = []
    for number, (slope, intercept) in enumerate([(1, -1024), (2, 0), (0.25, -7.5)]):
        hu = stored * slope + intercept
        write_slice(
            tmp_path / f"{number}.dcm", hu, (0, 0, 2.0 * number), RescaleSlope=slope, RescaleIntercept=intercept
        )
        wanted.append(hu)
    np.testing.assert_allclose(only(tmp_path)[0].values[0], np.stack(wanted, axis=-1))


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_copies_read_the_same(tmp_path: Path, syntax: str) -> None:
    """RLE and JPEG 2000, written by pydicom."""
    for path in write_series(tmp_path, make_ct(size=(64, 64, 4))):
        file = pydicom.dcmread(path)
        file.compress(syntax, generate_instance_uid=False)
        file.save_as(path)
    np.testing.assert_array_equal(only(tmp_path)[0].values[0], make_ct(size=(64, 64, 4)))


def test_jpeg_lossless_copies_read_the_same(tmp_path: Path) -> None:
    """JPEG lossless, what most scanners' archives hold, written by GDCM."""
    values = make_ct(size=(64, 64, 4))
    for path in write_series(tmp_path, values):
        compress_by_gdcm(path)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_array_equal(only(tmp_path)[0].values[0], values)


def test_missing_slice_is_refused(tmp_path: Path) -> None:
    """A gap would squeeze the patient."""
    write_series(tmp_path, VALUES)[5].unlink()
    problem = only_problem(tmp_path)
    assert "about 1 slices are missing: a gap of 4.00 mm" in problem.problem


@pytest.mark.parametrize("steps_mm", [(8, 16), (16, 8), (8, 16, 16), (5, 5, 10, 10)])
def test_missing_slice_is_refused_in_short_series_too(tmp_path: Path, steps_mm: tuple[int, ...]) -> None:
    """A gap does not pass as the usual step because there are few others."""
    for number, z in enumerate(np.cumsum((0, *steps_mm))):
        write_slice(tmp_path / f"{number}.dcm", VALUES[..., number], (0, 0, float(z)))
    assert "slices are missing" in only_problem(tmp_path).problem


@pytest.mark.parametrize("spacing_mm", [[0, 0], [0.5, 0], [-0.5, 0.5]])
def test_impossible_pixel_spacing_is_refused(tmp_path: Path, spacing_mm: list[float]) -> None:
    """SimpleITK would read 1 mm; it is one line a series."""
    write_series(tmp_path, VALUES[..., :4], PixelSpacing=spacing_mm)
    assert "zero, negative or not a number" in only_problem(tmp_path).problem


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize("tag", ["PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope"])
def test_numbers_that_are_none_are_a_damaged_header(tmp_path: Path, tag: str) -> None:
    """NaN compares with nothing, so it would pass every later check."""
    path = write_series(tmp_path, VALUES[..., :4])[0]
    file = pydicom.dcmread(path)
    with pydicom.config.disable_value_validation():
        file[tag].value = "nan" if tag == "RescaleSlope" else ["nan"] * len(file[tag].value)
        file.save_as(path)
    _, (problem,) = find_sources(tmp_path)
    assert (problem.path, problem.problem) == (path, "a DICOM file whose header is damaged")


def test_ct_without_rescaling_is_noted(tmp_path: Path) -> None:
    """Its stored values may be no HU; nobody can know, so a note says it."""
    write_series(tmp_path, VALUES + 1024, RescaleSlope=None, RescaleIntercept=None)
    volume, _ = only(tmp_path)
    assert volume.notes == ("a CT without rescale slope and intercept: its values are taken for HU as they are",)
    np.testing.assert_array_equal(volume.values[0], VALUES + 1024)


def test_duplicate_slices_are_left_out_with_a_note(tmp_path: Path) -> None:
    """Copies of files change nothing."""
    paths = write_series(tmp_path, VALUES)
    for path in paths[2:4]:
        (tmp_path / f"copy_of_{path.name}").write_bytes(path.read_bytes())
    volume, _ = only(tmp_path)
    np.testing.assert_array_equal(volume.values[0], VALUES)
    assert volume.notes == ("2 duplicate slices were left out",)


def test_same_pixels_under_other_instances_are_duplicates(tmp_path: Path) -> None:
    """A series that was sent twice, each image with a new SOPInstanceUID."""
    write_series(tmp_path / "a", VALUES)
    write_series(tmp_path / "b", VALUES)
    volume, _ = only(tmp_path)
    np.testing.assert_array_equal(volume.values[0], VALUES)
    assert volume.notes == ("12 duplicate slices were left out",)


@pytest.mark.parametrize("missing", [None, 0, 5])
def test_two_volumes_without_a_tag_are_refused(tmp_path: Path, missing: int | None) -> None:
    """Phases or echoes at the same places cannot be distinguished safely, even when a slice of one is missing."""
    write_series(tmp_path / "a", VALUES)
    paths = write_series(tmp_path / "b", make_ct(1, SIZE))
    if missing is not None:
        paths[missing].unlink()
    assert "2 volumes under one DICOM series" in only_problem(tmp_path).problem


@pytest.mark.parametrize(
    ("tag", "values"),
    [
        ("AcquisitionNumber", (1, 2)),
        ("EchoTime", (4.6, 10.5)),
        ("TemporalPositionIdentifier", (1, 2)),
        ("DiffusionBValue", (0.0, 1000.0)),
    ],
)
def test_two_volumes_are_told_apart_by_a_tag(tmp_path: Path, tag: str, values: tuple[float, float]) -> None:
    """Each becomes a scan of its own, with a line that says so; a last slice that one lacks makes no difference."""
    write_series(tmp_path / "a", VALUES, **{tag: values[0]})
    write_series(tmp_path / "b", make_ct(1, SIZE), **{tag: values[1]})[-1].unlink()
    sources, problems = find_sources(tmp_path)
    assert (problems, len({source.series for source in sources})) == ([], 2)
    first, second = (read_volume(source) for source in sources)
    np.testing.assert_array_equal(first.values[0], VALUES)
    np.testing.assert_array_equal(second.values[0], make_ct(1, SIZE)[..., :-1])
    assert second.notes == (f"volume 2 of 2 volumes under one DICOM series, told apart by {tag}",)


def test_volume_of_two_that_lacks_a_slice_is_refused_by_name(tmp_path: Path) -> None:
    """The other one is kept."""
    write_series(tmp_path / "a", VALUES, AcquisitionNumber=1)
    write_series(tmp_path / "b", make_ct(1, SIZE), AcquisitionNumber=2)[5].unlink()
    (source,), (problem,) = find_sources(tmp_path)
    np.testing.assert_array_equal(read_volume(source).values[0], VALUES)
    assert problem.problem.startswith("volume 2 of 2 volumes under one DICOM series, told apart by AcquisitionNumber")
    assert "about 1 slices are missing" in problem.problem


@pytest.mark.parametrize("at_mm", [10.02, 9.98, 10.4, -0.1, 22.3])
def test_slice_much_nearer_than_half_a_step_is_a_duplicate(tmp_path: Path, at_mm: float) -> None:
    """The slices whose steps are even are kept."""
    write_series(tmp_path, VALUES)
    write_slice(tmp_path / "more.dcm", VALUES[..., 0] + 7, (0, 0, at_mm), InstanceNumber=99)
    volume, _ = only(tmp_path)
    np.testing.assert_array_equal(volume.values[0], VALUES)
    assert volume.notes == ("1 duplicate slice was left out",)


def test_slices_of_a_micro_ct_are_no_duplicates(tmp_path: Path) -> None:
    """Nine micrometres from one to the next."""
    write_series(tmp_path, VALUES, step_mm=(0, 0, 0.009), PixelSpacing=[0.009, 0.009])
    volume, _ = only(tmp_path)
    np.testing.assert_array_equal(volume.values[0], VALUES)
    assert (volume.spacing_mm, volume.notes) == (pytest.approx((0.009, 0.009, 0.009)), ())


@pytest.mark.parametrize("seed", range(4))
def test_tags_that_differ_in_the_last_digits_are_the_same(tmp_path: Path, seed: int) -> None:
    """By up to two millionths, about a number whose fourth digit rounds apart."""
    rng = np.random.default_rng(seed)
    sine = 0.12345 + rng.uniform(-2e-6, 2e-6, SIZE[2]) * (seed > 0) + 1e-6 * (-1) ** np.arange(SIZE[2]) * (seed == 0)
    normal = np.array([0, -0.12345, np.sqrt(1 - 0.12345**2)])
    for number in range(SIZE[2]):
        plane = ["1", "0", "0", "0", f"{np.sqrt(1 - sine[number] ** 2):.8f}", f"{sine[number]:.8f}"]
        tags = {"ImageOrientationPatient": plane, "PixelSpacing": [f"{0.70005 + 1e-6 * (-1) ** number:.7f}", "0.7"]}
        place = tuple(round(float(at), 6) for at in 2 * number * normal)
        write_slice(tmp_path / f"{number}.dcm", VALUES[..., number], place, **tags)
    volume, _ = only(tmp_path)
    np.testing.assert_array_equal(volume.values[0], VALUES)
    assert (volume.notes, volume.spacing_mm) == ((), pytest.approx((0.7, 0.70005, 2), rel=1e-5))


@pytest.mark.parametrize("digits", [4, 6])
@pytest.mark.parametrize("seed", range(10))
def test_oblique_series_is_not_called_tilted(tmp_path: Path, seed: int, digits: int) -> None:
    """Cosines that are written with few digits are not quite of length 1; the slices lie above each other all the same.

    The voxels lie where the positions of the slices say.
    """
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(np.eye(3) + rng.uniform(-0.4, 0.4, (3, 3)))[0]
    axes *= np.sign(np.diag(axes))
    normal = np.cross(axes[:, 0], axes[:, 1])
    plane = [f"{cosine:.{digits}f}" for cosine in (*axes[:, 0], *axes[:, 1])]
    for number in range(SIZE[2]):
        place = tuple(round(float(at), 4) for at in 3 * number * normal)
        write_slice(tmp_path / f"{number}.dcm", VALUES[..., number], place, ImageOrientationPatient=plane)
    volume, _ = only(tmp_path)
    assert not [note for note in volume.notes if "tilted" in note]
    assert volume.geometry.size == SIZE
    last = np.array(volume.geometry.origin_mm) + volume.geometry.frame @ [0, 0, 3 * (SIZE[2] - 1)]
    np.testing.assert_allclose(last, 3 * (SIZE[2] - 1) * normal, atol=0.02)


@pytest.mark.parametrize("aside_mm", [[0.0] * 6 + [8.0] * 6, [0.0, 8.0] * 6, [0.0] * 11 + [8.0]])
def test_slices_shifted_in_the_plane_are_refused(tmp_path: Path, aside_mm: list[float]) -> None:
    """They are no tilt: a straight line does not go through them."""
    for number, aside in enumerate(aside_mm):
        write_slice(tmp_path / f"{number}.dcm", VALUES[..., number], (aside, 0, 2.0 * number))
    assert "shifted against each other in their plane, by 8.0 mm" in only_problem(tmp_path).problem


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize(
    ("steps_mm", "words"),
    [
        ([2.5] * 6 + [7.5] * 5, "two steps between its slices, 2.5 and 7.5 mm"),
        ([7.5] * 5 + [2.5] * 6, "two steps between its slices, 2.5 and 7.5 mm"),
        ([5.0] * 6 + [10.0] * 5, "two steps between its slices, 5 and 10 mm"),
        ([2.5] * 5 + [5.0] + [7.5] * 5, "two steps between its slices, 2.5 and 7.5 mm"),
        ([3.0] * 3 + [6.0] * 3 + [9.0] * 5, "3 steps between its slices, 3, 6 and 9 mm"),
    ],
)
def test_two_steps_are_resampled_to_the_finer(
    tmp_path: Path, steps_mm: list[float], words: str, numbered: bool
) -> None:
    """A value that grows with the height does so evenly; a box of the volume is the same."""
    heights = np.cumsum([0.0, *steps_mm])
    for number, z in enumerate(heights):
        values = np.full((12, 10), round(10 * z)) + np.arange(12)[:, None]
        write_slice(tmp_path / f"{number}.dcm", values, (0, 0, float(z)), InstanceNumber=number + 1 if numbered else 1)
    volume, source = only(tmp_path)
    fine = min(steps_mm)
    num = round(heights[-1] / fine) + 1
    wanted = np.rint(np.arange(num) * fine * 10) + np.arange(12)[:, None, None] + np.zeros((12, 10, 1))
    np.testing.assert_array_equal(volume.values[0], wanted)
    assert volume.spacing_mm == pytest.approx((0.5, 0.5, fine))
    assert volume.notes == (f"{words}; resampled to the finest",)
    assert source.format.read_header(source).size == (12, 10, num)
    boxed = read_volume(source.within(Box((2.0, 2.0, 4 * fine), (4, 4, 3))))
    np.testing.assert_array_equal(boxed.values[0], wanted[2:6, 2:6, 3:6])


@pytest.mark.parametrize("heights_mm", [[0, 3, 6, 7.5, *range(9, 40, 3)], [0, 1.5, *range(3, 40, 3)]])
def test_slice_too_many_does_not_move_the_others(tmp_path: Path, heights_mm: list[float]) -> None:
    """Halfway between two: no duplicate, and nothing is missing; a mean step would move all above it."""
    for number, z in enumerate(heights_mm):
        write_slice(tmp_path / f"{number}.dcm", np.full((12, 10), round(10 * z)), (0, 0, float(z)))
    volume, _ = only(tmp_path)
    assert volume.values[0, 0, 0].tolist() == [30 * number for number in range(round(heights_mm[-1] / 3) + 1)]
    assert volume.notes == ("slices are uneven, 1.50 to 3.00 mm apart; resampled to 3 mm",)


def test_every_other_slice_missing_above_is_no_second_step(tmp_path: Path) -> None:
    """The numbers of the slices say so."""
    for number in [*range(6), 7, 9, 11, 13]:
        write_slice(tmp_path / f"{number}.dcm", VALUES[..., 0], (0, 0, 2.0 * number), InstanceNumber=number + 1)
    assert "slices are missing" in only_problem(tmp_path).problem


def test_localizer_in_the_series_is_left_out_with_a_note(tmp_path: Path) -> None:
    """A scout of another plane does not spoil the volume."""
    write_series(tmp_path, VALUES)
    write_slice(tmp_path / "scout.dcm", VALUES[..., 0], (0, 0, 0), ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    volume, _ = only(tmp_path)
    np.testing.assert_array_equal(volume.values[0], VALUES)
    assert "another size or orientation" in volume.notes[0]


def test_stacks_of_several_orientations_are_scans_of_their_own(tmp_path: Path) -> None:
    """As through the discs of a spine, or three directions; a scout stays out, and a stack with a gap costs itself."""
    write_series(tmp_path / "a", VALUES)
    coronal = {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1], "InstanceNumber": 50}
    for number in range(8):
        write_slice(tmp_path / f"b{number}.dcm", VALUES[..., number], (0, 3.0 * number, 60), **coronal)
    for number in (0, 1, 2, 3, 4, 8, 9):
        place = (4.0 * number, 0.0, 60.0)
        write_slice(tmp_path / f"c{number}.dcm", VALUES[..., 0], place, ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    write_slice(tmp_path / "scout.dcm", VALUES[..., 0], (0, 0, 0), ImageOrientationPatient=[0.6, 0.8, 0, 0, 0, -1])
    sources, (problem,) = find_sources(tmp_path)
    assert "of 3 of different sizes or orientations in one DICOM series: about 3 slices are missing" in problem.problem
    axial, other = sorted((read_volume(source) for source in sources), key=lambda volume: -volume.values.shape[-1])[
        ::-1
    ]
    np.testing.assert_array_equal(axial.values[0], VALUES)
    np.testing.assert_array_equal(other.values[0], VALUES[..., :8].transpose(0, 2, 1)[..., ::-1])
    assert (axial.spacing_mm, other.spacing_mm) == ((0.5, 0.5, 2.0), (0.5, 3.0, 0.5))
    for number, volume in enumerate((axial, other)):
        assert volume.notes[0] == "1 slices of another size or orientation were left out"
        assert "of 3 of different sizes or orientations in one DICOM series" in volume.notes[1], number


def test_tilted_gantry_is_straightened(tmp_path: Path) -> None:
    """A rod that is upright in the patient is upright in the volume, although slices were shifted."""
    tilt = np.radians(20)
    slices, step = 12, 2.0
    drift = step * np.tan(tilt)  # of a slice against the one below, along y
    rod = np.full((32, 64, slices), -1000, np.int16)
    for number in range(slices):
        at = round(16 + (20 - number * drift) / 0.5)
        rod[14:18, at - 1 : at + 2, number] = 500
    write_series(tmp_path, rod, step_mm=(0, drift, step))
    volume, _ = only(tmp_path)
    assert "tilted by 20.0 degrees" in volume.notes[0]
    assert volume.spacing_mm == pytest.approx((0.5, 0.5, 2.0))
    centres = [np.average(np.arange(plane.shape[1]), weights=plane.sum(axis=0) + 1e-6)
               for plane in (volume.values[0] > 0).transpose(2, 0, 1).astype(float)]  # fmt: skip
    assert np.ptp(centres) <= 1.0
    assert volume.values.min() == -1000


def test_uneven_steps_are_noted(tmp_path: Path) -> None:
    """Steps that differ by more than a tenth, without a gap, are averaged, with a note."""
    for number, z in enumerate([0, 2, 4, 6.5, 8.5, 10.5]):
        write_slice(tmp_path / f"{number}.dcm", VALUES[..., number], (0, 0, z))
    volume, _ = only(tmp_path)
    assert "uneven" in volume.notes[0]
    assert volume.spacing_mm[2] == pytest.approx(2.1)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"SamplesPerPixel": 3}, "colour"),
        ({"NumberOfFrames": 5}, "several frames"),
        ({"Modality": "SR"}, "without an image to learn from"),
        ({"Modality": "SEG"}, "a segmentation (DICOM-SEG), no scan"),
        ({"Modality": "RTSTRUCT"}, "contours of structures (RTSTRUCT), no scan"),
        ({"ImagePositionPatient": None}, "2D"),
    ],
)
def test_other_dicom_is_refused(tmp_path: Path, tags: dict[str, object], words: str) -> None:
    """What is no grey volume is refused as such."""
    for path in write_series(tmp_path, VALUES[..., :3], **tags):
        assert path.exists()
    sources, problems = find_sources(tmp_path)
    assert sources == []
    assert all(words in problem.problem for problem in problems)
    assert problems


def test_single_slice_and_damaged_header_are_refused(tmp_path: Path) -> None:
    """One position is no volume; a header that breaks off is called damaged."""
    write_slice(tmp_path / "one.dcm", VALUES[..., 0], (0, 0, 0))
    assert "single position" in only_problem(tmp_path).problem
    path = tmp_path / "one.dcm"
    path.write_bytes(path.read_bytes()[:300])
    assert "damaged" in only_problem(tmp_path).problem


def test_pixels_fewer_than_the_header_claims_are_refused(tmp_path: Path) -> None:
    """A file that is cut off, and rows that are not there, spoil the series when its headers are read, clearly."""
    path = write_series(tmp_path, VALUES)[3]
    path.write_bytes(path.read_bytes()[:-600])
    assert "cut off" in only_problem(tmp_path).problem
    path = write_series(tmp_path, VALUES, Rows=60000)[0]
    assert "60000 x" in only_problem(tmp_path).problem
    with pytest.raises(ValueError, match="pixel data"):
        _ = pydicom.dcmread(path).pixel_array


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("little", [False, True])
def test_whole_pixels_of_every_byte_order_are_told_whole(tmp_path: Path, implicit: bool, little: bool) -> None:
    """The length of the pixels stands elsewhere in each; a byte of padding behind them is none too few."""
    if implicit and not little:
        pytest.skip("DICOM knows no such syntax")
    for path in write_series(tmp_path, VALUES[:5, :5]):
        file = pydicom.dcmread(path)
        file.PixelData = file.pixel_array.astype("<u2" if little else ">u2").tobytes()
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        file.file_meta.TransferSyntaxUID = syntax
        file["PixelData"].VR = "OW"
        pydicom.dcmwrite(path, file, implicit_vr=implicit, little_endian=little)
    (source,), problems = find_sources(tmp_path)
    assert not problems
    np.testing.assert_array_equal(read_volume(source).values[0], VALUES[:5, :5])
    path.write_bytes(path.read_bytes()[:-2])
    assert "cut off" in only_problem(tmp_path).problem


@pytest.mark.parametrize(
    ("tag", "value"),
    [("ImagePositionPatient", [1, 2]), ("ImageOrientationPatient", [1, 0, 0, 1]), ("PixelSpacing", [1, 1, 1])],
)
def test_place_of_too_few_or_many_numbers_is_a_line(tmp_path: Path, tag: str, value: list[float]) -> None:
    """The message says which tag has how many."""
    write_slice(tmp_path / "a.dcm", VALUES[..., 0], (0, 0, 0), **{tag: value})
    assert f"its {tag} has {len(value)} numbers, not" in only_problem(tmp_path).problem


def test_series_of_two_patients_is_two_scans(tmp_path: Path) -> None:
    """Programs that hide names may give one UID to all: one patient's slices above another's are no volume."""
    write_series(tmp_path / "a", VALUES, PatientID="A")
    for number in range(SIZE[2]):
        place = (0.0, 0.0, 2.0 * (SIZE[2] + number))
        write_slice(tmp_path / "b" / f"{number}.dcm", VALUES[..., number] + 7, place, PatientID="B")
    sources, problems = find_sources(tmp_path)
    assert ([source.patient for source in sources], problems) == (["A", "B"], [])
    assert len({source.series for source in sources}) == 2
    for source, more in zip(sources, (0, 7), strict=True):
        volume = read_volume(source)
        np.testing.assert_array_equal(volume.values[0], VALUES + more)
        assert volume.notes == ("2 patients share its SeriesInstanceUID: a scan of each is made",)


def test_numbers_of_colours_are_colour(tmp_path: Path) -> None:
    """A perfusion map in a palette holds the numbers of colours, not values."""
    palette = {"RedPaletteColorLookupTableDescriptor": [256, 0, 8], "RedPaletteColorLookupTableData": bytes(256)}
    write_series(tmp_path, VALUES[..., :3], PhotometricInterpretation="PALETTE COLOR", **palette)
    assert only_problem(tmp_path).problem == "a DICOM series in colour"


@pytest.mark.parametrize("kind", ["whole", "explicit", "implicit"])
def test_dicom_without_its_first_bytes_is_named(tmp_path: Path, kind: str) -> None:
    """Old archives keep data sets that are no files; without an ending to their name, none would be missed."""
    write_slice(tmp_path / "whole.dcm", VALUES[..., 0], (0, 0, 0))
    bare = tmp_path / "IM0001"
    bare.write_bytes((tmp_path / "whole.dcm").read_bytes()[132:])
    if kind != "whole":
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, kind == "implicit"
        write_dataset(buffer, pydicom.dcmread(tmp_path / "whole.dcm"))
        bare.write_bytes(buffer.getvalue())
    (tmp_path / "whole.dcm").unlink()
    assert only_problem(tmp_path).problem == "DICOM without the 128 bytes and DICM that begin a file"
