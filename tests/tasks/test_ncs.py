"""LIDC-IDRI's nodules, in the collection's own layout."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.data.scan_files import make_ct, write_series, write_slice

import modelsgenesis as mg
from modelsgenesis.core.errors import DataError
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.entries import one_source
from modelsgenesis.data.formats.lidc_xml import LidcXml
from modelsgenesis.data.images import Reading
from modelsgenesis.data.masks import read_mask
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.tasks import Task, folder, read
from modelsgenesis.tasks.checks import check
from modelsgenesis.tasks.splitting import split_cases

SIZE, STEP_MM = (80, 72, 14), (0.5, 0.5, 2.0)  # write_series has pixels of 0.5 mm
Cuboid = tuple[slice, slice, slice]
A: Cuboid = (slice(20, 30), slice(30, 38), slice(4, 8))
B: Cuboid = (slice(50, 56), slice(20, 28), slice(9, 11))


def moved(cuboid: Cuboid, x: int) -> Cuboid:
    """The same further along X."""
    return slice(cuboid[0].start + x, cuboid[0].stop + x), cuboid[1], cuboid[2]


def edges(columns: slice, rows: slice) -> str:
    """The pixels just outside of a rectangle, one after another."""
    left, right, top, bottom = columns.start - 1, columns.stop, rows.start - 1, rows.stop
    ring = [
        *((x, top) for x in range(left, right)), *((right, y) for y in range(top, bottom)),
        *((x, bottom) for x in range(right, left, -1)), *((left, y) for y in range(bottom, top - 1, -1)),
    ]  # fmt: skip
    return "".join(f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in ring)


def roi(z: float, inside: str, inclusion: str = "TRUE") -> str:
    """One contour on one slice."""
    place = f"<imageZposition>{z * STEP_MM[2]:.6f}</imageZposition><imageSOP_UID>1.2.{z}</imageSOP_UID>"
    return f"<roi>{place}<inclusion>{inclusion}</inclusion>{inside}</roi>"


def nodule(cuboid: Cuboid, *more: str) -> str:
    """A reader's nodule."""
    planes = "".join(roi(z, edges(cuboid[0], cuboid[1])) for z in range(cuboid[2].start, cuboid[2].stop))
    return f"<unblindedReadNodule><noduleID>Nodule 001</noduleID>{planes}{''.join(more)}</unblindedReadNodule>"


POINT = "<edgeMap><xCoord>9</xCoord><yCoord>9</yCoord></edgeMap>"
SMALL = f"<unblindedReadNodule><noduleID>2</noduleID>{roi(2, POINT)}</unblindedReadNodule>"


def xml(uid: str, sessions: Sequence[str], root: str = "LidcReadMessage") -> str:
    """The readings of one scan."""
    read_by = "".join(
        f"<readingSession><annotationVersion>3</annotationVersion>{one}</readingSession>" for one in sessions
    )
    header = f"<ResponseHeader><Version>1.8.1</Version><SeriesInstanceUid>{uid}</SeriesInstanceUid></ResponseHeader>"
    begin = '<?xml version="1.0" encoding="UTF-8"?>'
    return f'{begin}<{root} uid="1.3" xmlns="http://www.nih.gov">{header}{read_by}</{root}>'


def make_patient(root: Path, number: int, sessions: Sequence[str]) -> Path:
    """A series, and its XML beside; the folder of the series."""
    name, uid = f"LIDC-IDRI-{number:04d}", f"1.3.6.1.4.1.14519.5.2.1.{100_000 + number}"
    home = root / name / f"1.3.{number}" / uid
    write_series(home, make_ct(number, SIZE), SeriesInstanceUID=uid, PatientID=name)
    (home / f"{number:03d}.xml").write_text(xml(uid, sessions))
    return home


@pytest.fixture(scope="module")
def lidc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four patients: one in each split, and one without a nodule."""
    root = tmp_path_factory.mktemp("data") / "LIDC-IDRI"
    make_patient(root, 1, [nodule(A), nodule(moved(A, 2)) + SMALL, nodule(moved(A, 4)) + nodule(B), ""])
    make_patient(root, 2, [SMALL, "", "", ""])
    make_patient(root, 600, [nodule(A), nodule(A), nodule(A), nodule(B)])
    make_patient(root, 1012, [nodule(A)] * 4)
    return root


def mask_of(task: Task, number: int) -> np.ndarray:
    """The mask of a case on its cube's own grid."""
    case = task.cases[number]
    image = read_image(case.images, Reading())
    return read_mask(case, task.target.label_map, image, Reading())[0]


def whole_mask(task: Task, number: int) -> np.ndarray:
    """The mask of a case as it lies in the whole scan."""
    case = task.cases[number]
    geometry = read_image(case.images, Reading()).geometry
    lower = np.rint(np.array(geometry.origin_mm) / STEP_MM).astype(int)
    scan = np.zeros(SIZE, np.uint8)
    mask = mask_of(task, number)
    places = np.argwhere(mask) + lower
    scan[tuple(places.T)] = 1
    return scan


def test_cases_are_nodules_of_their_patients_splits(lidc: Path) -> None:
    """By the numbers of the patients; a patient without a nodule of 3 mm is in none."""
    task = mg.tasks.ncs(lidc)
    assert (task.name, task.modality, task.target.names) == ("ncs", "CT", ("nodule",))
    assert [(case.patient[-4:], case.split) for case in task.cases] == [
        ("0001", "train"), ("0001", "train"), ("0600", "val"), ("0600", "val"), ("1012", "test")
    ]  # fmt: skip
    division = split_cases(task)
    assert [len(some) for some in (division.train, division.val, division.test)] == [2, 2, 1]
    checked = check(task, workers=0)
    assert not checked.problems
    assert {finding.size for finding in checked.findings} == {(128, 128, 16)}  # 64 x 64 x 32 mm
    assert task.published is not None
    image = read_image(task.cases[0].images, Reading(spacing_mm=task.published.spacing_mm))
    assert image.size == (64, 64, 32)


def test_half_of_the_readers_decide(lidc: Path) -> None:
    """Of three who are shifted, two agree; of a nodule's readers, not of the scan's."""
    task = mg.tasks.ncs(lidc)
    expected = np.zeros(SIZE, np.uint8)
    expected[22:32, A[1], A[2]] = 1
    expected[B] = 1
    np.testing.assert_array_equal(whole_mask(task, 0), expected)
    np.testing.assert_array_equal(whole_mask(task, 1), expected)
    centre = task.cases[0].images[0].box
    assert centre is not None
    np.testing.assert_allclose(centre.centre_mm, [26.5 * 0.5, 33.5 * 0.5, 5.5 * 2])


def test_cube_lies_on_the_scan(lidc: Path) -> None:
    """Image and mask are cut at the same place."""
    task = mg.tasks.ncs(lidc)
    values = read_image(task.cases[4].images, Reading()).values[0]
    scan = make_ct(1012, SIZE)
    assert sorted(values[mask_of(task, 4) > 0]) == sorted(scan[A].ravel())


def test_readers_can_be_asked_for(lidc: Path) -> None:
    """With three, what one alone saw is no case, though its neighbours' masks have it."""
    assert len(mg.tasks.ncs(lidc).cases) == 5
    assert len(read(lidc, task="ncs,readers=3").cases) == 3
    assert len(mg.tasks.ncs(lidc, readers=4).cases) == 1
    with pytest.raises(DataError, match="four readers, got readers 5"):
        mg.tasks.ncs(lidc, readers=5)


def test_holes_are_left_out(tmp_path: Path) -> None:
    """A contour with inclusion FALSE goes around what is no nodule."""
    hole = roi(5, edges(slice(23, 26), slice(32, 35)), "FALSE")
    make_patient(tmp_path, 1, [nodule(A, hole)])
    expected = np.zeros(SIZE, np.uint8)
    expected[A] = 1
    expected[23:26, 32:35, 5] = 0
    np.testing.assert_array_equal(whole_mask(mg.tasks.ncs(tmp_path), 0), expected)


def test_xmls_in_a_folder_of_their_own(lidc: Path, tmp_path: Path) -> None:
    """As the collection is given out today, radiographs and their readings among it."""
    root = tmp_path / "LIDC-IDRI"
    shutil.copytree(lidc, root)
    readings = root / "tcia-lidc-xml" / "157"
    readings.mkdir(parents=True)
    for path in sorted(root.glob("LIDC*/*/*/*.xml")):
        path.rename(readings / path.name)
    tags = {"Modality": "DX", "SeriesInstanceUID": "1.9"}
    write_slice(root / "LIDC-IDRI-0001" / "cr" / "a.dcm", make_ct()[..., 0], (0, 0, 0), **tags)
    (readings / "900.xml").write_text(xml("1.9", [nodule(A)], "IdriReadMessage"))
    task = mg.tasks.ncs(root)
    assert [case.id for case in task.cases] == [case.id for case in mg.tasks.ncs(lidc).cases]
    assert not task.problems
    assert mask_of(task, 0).sum() > 0


def test_hostile_collections(tmp_path: Path) -> None:
    """A broken XML, a series that is gone, one with slices missing, contours beyond the scan; the rest goes on."""
    for number in range(1, 6):
        make_patient(tmp_path, number, [nodule(A)])
    homes = {number: next(tmp_path.glob(f"LIDC-IDRI-{number:04d}/*/*")) for number in range(1, 6)}
    (homes[2] / "002.xml").write_text("<LidcReadMessage><Response")
    for file in homes[3].glob("*.dcm"):
        file.unlink()
    for number in (6, 7):
        (homes[4] / f"slice{number:03d}.dcm").unlink()
    uid = homes[5].name
    (homes[5] / "005.xml").write_text(xml(uid, [nodule((A[0], A[1], slice(40, 42)))]))
    task = mg.tasks.ncs(tmp_path)
    assert [case.patient for case in task.cases] == ["LIDC-IDRI-0001"]
    problems = {problem.path.name: problem.problem for problem in task.problems}
    assert "cannot be read" in problems["002.xml"]
    assert problems["003.xml"] == f"its series {homes[3].name} is not there"
    assert "slices are missing" in problems[homes[4].name]
    assert "z = 80 mm lies beyond the scan" in problems["005.xml"]
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds no XML of readings"):
        mg.tasks.ncs(tmp_path / "none")


def test_contours_need_upright_axial_slices(tmp_path: Path) -> None:
    """Of a tilted gantry they would lie elsewhere once it is straightened."""
    home = make_patient(tmp_path, 1, [nodule(A)])
    make_patient(tmp_path, 2, [nodule(A)])
    for file in home.glob("*.dcm"):
        file.unlink()
    tags = {"SeriesInstanceUID": home.name, "PatientID": "LIDC-IDRI-0001"}
    write_series(home, make_ct(1, SIZE), step_mm=(0, 0.5, 2), **tags)
    task = mg.tasks.ncs(tmp_path)
    assert [case.patient for case in task.cases] == ["LIDC-IDRI-0002"]
    assert "tilted" in task.problems[0].problem


@pytest.mark.parametrize(("steps_mm", "degrees"), [((2.0, 2.6), 0.0), ((2.0, 2.0), 7.0)])
def test_contours_find_their_slices(tmp_path: Path, steps_mm: tuple[float, float], degrees: float) -> None:
    """By where each slice lies: the mean step, or the height above tilted slices, misses those at the end."""
    home = make_patient(tmp_path, 1, [""])
    for file in home.glob("*.dcm"):
        file.unlink()
    heights = np.cumsum([0.0, *np.repeat(steps_mm, 30)])
    column = (0.0, np.cos(np.radians(degrees)), np.sin(np.radians(degrees)))
    places = np.outer(heights, np.cross((1.0, 0.0, 0.0), column))
    values = np.full((*SIZE[:2], len(places)), -900, np.int16)
    values[A[0], A[1], 50:53] = 100
    tags = {"SeriesInstanceUID": home.name, "PatientID": "LIDC-IDRI-0001"}
    tags["ImageOrientationPatient"] = [1.0, 0.0, 0.0, *column]
    for number, place in enumerate(places):
        write_slice(home / f"{number}.dcm", values[..., number], tuple(place), InstanceNumber=number + 1, **tags)
    outlined = "".join(roi(z, edges(A[0], A[1])) for z in places[50:53, 2] / STEP_MM[2])
    (home / "001.xml").write_text(xml(home.name, [f"<unblindedReadNodule>{outlined}</unblindedReadNodule>"]))
    task = mg.tasks.ncs(tmp_path)
    image = read_image(task.cases[0].images, Reading()).values[0]
    np.testing.assert_array_equal(mask_of(task, 0), image > 0)
    assert mask_of(task, 0).sum() == 3 * 10 * 8


def test_contours_of_another_scan_are_refused(lidc: Path) -> None:
    """A table that names the XML of another series, or none."""
    first, last = (next(lidc.glob(f"LIDC-IDRI-{number}/*/*")) for number in ("0001", "1012"))
    wrong = one_source(Path(f"{first}#{last / '1012.xml'}"), lidc)
    with pytest.raises(UnreadableError, match="contours of another scan"):
        read_volume(wrong)
    with pytest.raises(UnreadableError, match="is not there, or not of a DICOM series"):
        one_source(Path(f"{first}#{first / 'gone.xml'}"), lidc)


def test_network_is_trained_and_scored(lidc: Path, tmp_path: Path) -> None:
    """One step; the test table names series and XML, and the cubes are predicted and scored from there."""
    run = mg.finetune(
        lidc, tmp_path / "run", task="ncs", cases=2, like="any", width=2, steps=1, batch_size=1, size=(32, 32, 32),
        precision="32-true", quiet=True,
    )  # fmt: skip
    test = folder(run / "test.csv")
    (case,) = test.cases
    assert case.masks[0].format == LidcXml()
    np.testing.assert_array_equal(mask_of(test, 0), mask_of(mg.tasks.ncs(lidc), 4))
    made = mg.predict(run, run / "test.csv", tmp_path / "out", quiet=True)
    scores = mg.evaluate(made, run / "test.csv", tmp_path / "scores", resamples=1, worst=0, workers=0, quiet=True)
    assert '"metric": "iou"' in (scores / "summary.json").read_text()
    assert not list(made.glob("*.dcm"))
