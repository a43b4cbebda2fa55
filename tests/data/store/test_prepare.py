"""Preparing a folder: resumable, reproducible, without names, one failure at a time."""

import csv
import functools
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from tests.data.scan_files import make_ct, make_image, write_ct, write_series

from modelsgenesis.commands.inspect import inspect
from modelsgenesis.commands.prepare import prepare
from modelsgenesis.core.errors import DataError, ShapeError
from modelsgenesis.core.files import sha256
from modelsgenesis.core.provenance import read_provenance
from modelsgenesis.data import sources
from modelsgenesis.data.sampling.cubes import CubeSampler, CubeSpec
from modelsgenesis.data.store.store import Store

quietly = functools.partial(prepare, workers=0, quiet=True, salt="test")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Three files, a DICOM series and a file that is cut off."""
    folder = tmp_path / "scans"
    write_ct(folder / "a.nii.gz", 1)
    write_ct(folder / "deep" / "b.nrrd", 2)
    write_ct(folder / "c.mha", 3, size=(70, 66, 68))
    write_series(folder / "Doe_Jane", make_ct(4))
    path = write_ct(folder / "cut.nii", 5)
    path.write_bytes(path.read_bytes()[:-100])
    return folder


def contents(store: Path) -> dict[str, bytes]:
    """Every file of a store but the provenance, which holds a date."""
    files = (path for path in sorted(store.rglob("*")) if path.is_file() and path.name != "made.json")
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in files}


def manifest(store: Path) -> list[dict[str, str]]:
    """The rows of the manifest."""
    with open(store / "manifest.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_store_holds_what_the_files_hold(scans: Path, tmp_path: Path) -> None:
    """Values, spacing, range and percentiles of each scan come back from the store."""
    store = Store.open(quietly(scans, tmp_path / "store"))
    assert len(store.scans) == 4
    (scan,) = (scan for scan in store.scans if scan.size == (70, 66, 68))
    wanted = make_ct(3, (70, 66, 68))
    np.testing.assert_array_equal(store.read(scan, (0, 0, 0), scan.size)[0], wanted)
    np.testing.assert_array_equal(store.read(scan, (5, 60, 62), (60, 6, 6))[0], wanted[5:65, 60:, 62:])
    assert (scan.spacing_mm, scan.modality, scan.minimum) == ((2, 2, 3), "CT", wanted.min())
    foreground = wanted[wanted > scan.foreground]
    assert abs(scan.percentiles[50] - np.percentile(foreground, 50)) <= 1
    assert read_provenance(tmp_path / "store", "prepare").arguments["scans"] == 4


def test_any_number_of_workers_gives_the_same_bytes(scans: Path, tmp_path: Path) -> None:
    """In this process, in one and in two others."""
    first = contents(quietly(scans, tmp_path / "store0"))
    for workers in (1, 2):
        assert contents(quietly(scans, tmp_path / f"store{workers}", workers=workers)) == first


def test_second_run_does_nothing(scans: Path, tmp_path: Path) -> None:
    """What is done is skipped: no file of a scan is written again, and the provenance stays."""
    store = quietly(scans, tmp_path / "store")
    before = {path: path.stat().st_mtime_ns for path in (*(store / "scans").iterdir(), store / "made.json")}
    quietly(scans, store)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_unfinished_store_is_completed_to_the_same_bytes(scans: Path, tmp_path: Path) -> None:
    """Whatever is missing, damaged or half-written is made again."""
    whole = contents(quietly(scans, tmp_path / "store"))
    store = tmp_path / "store"
    first, second, *_ = sorted((store / "scans").iterdir())
    first.unlink()
    second.write_bytes(second.read_bytes()[:100])
    (store / "scans" / ".x.b2nd.part").write_bytes(b"half")
    (store / "manifest.csv").unlink()
    (store / "problems.csv").unlink()
    assert contents(quietly(scans, store)) == whole


def test_new_scans_move_no_patient(scans: Path, tmp_path: Path) -> None:
    """Folds follow from the salted id alone."""
    store = quietly(scans, tmp_path / "store")
    before = {row["id"]: row["fold"] for row in manifest(store)}
    for seed in range(10, 16):
        write_ct(scans / f"new{seed}.nii.gz", seed)
    quietly(scans, store)
    after = {row["id"]: row["fold"] for row in manifest(store)}
    assert len(after) == 10
    assert {id_: after[id_] for id_ in before} == before


def test_changed_source_is_prepared_anew(scans: Path, tmp_path: Path) -> None:
    """A file of another size under the same name is another scan."""
    store = quietly(scans, tmp_path / "store")
    write_ct(scans / "a.nii.gz", 9, size=(40, 40, 40))
    quietly(scans, store)
    assert "1 40 40 40" in {row["shape"] for row in manifest(store)}


def test_scan_without_a_source_stays_and_is_named(scans: Path, tmp_path: Path) -> None:
    """A source that went away takes nothing out of the store by itself."""
    store = quietly(scans, tmp_path / "store")
    (scans / "a.nii.gz").unlink()
    quietly(scans, store)
    assert len(manifest(store)) == 4
    assert "source is gone" in (store / "problems.csv").read_text()


def test_nothing_that_names_the_patient_is_in_the_store(scans: Path, tmp_path: Path) -> None:
    """Neither names, ids, dates, free text, UIDs nor file names; problems.csv alone names sources, for their owner."""
    store = quietly(scans, tmp_path / "store")
    (store / "problems.csv").unlink()
    (store / "made.json").unlink()  # names the folder that was given, and nothing in it
    words = [b"SECRET", b"Doe", b"Jane", b"19500101", b"20200202", b"private", b"1.2.826", b"a.nii", b"deep"]
    for name, data in contents(store).items():
        assert not [word for word in words if word in data or word.decode() in name]


def test_random_salt_is_kept_secret_and_used_again(scans: Path, tmp_path: Path) -> None:
    """Two stores have different ids; one store run twice has the same; only the owner may read its salt."""
    one = prepare(scans, tmp_path / "one", workers=0, quiet=True)
    two = prepare(scans, tmp_path / "two", workers=0, quiet=True)
    ids = {row["id"] for row in manifest(one)}
    assert not ids & {row["id"] for row in manifest(two)}
    assert stat.S_IMODE((one / "salt").stat().st_mode) == 0o600
    assert len((one / "salt").read_text()) == 32
    shutil.rmtree(one / "scans")
    prepare(scans, one, workers=0, quiet=True)
    assert {row["id"] for row in manifest(one)} == ids


def test_store_begun_otherwise_is_not_mixed(scans: Path, tmp_path: Path) -> None:
    """Other settings, another salt, a lost salt or a foreign folder are refused with advice."""
    store = quietly(scans, tmp_path / "store")
    with pytest.raises(DataError, match="begun with spacing_mm"):
        quietly(scans, store, spacing=(2.0, 2.0, 2.0))
    with pytest.raises(DataError, match="another salt"):
        quietly(scans, store, salt="other")
    (store / "salt").unlink()
    with pytest.raises(DataError, match="is gone"):
        prepare(scans, store, workers=0, quiet=True)
    with pytest.raises(DataError, match="no store"):
        quietly(scans, scans)


@pytest.mark.parametrize("left", [[".salt.part"], ["salt", ".settings.json.part"], ["salt"]])
def test_killed_before_it_was_begun_is_begun_again(scans: Path, tmp_path: Path, left: list[str]) -> None:
    """What a kill in the first milliseconds leaves is no other folder's content."""
    (tmp_path / "store").mkdir()
    for name in left:
        (tmp_path / "store" / name).write_text("half")
    store = quietly(scans, tmp_path / "store")
    assert contents(store) == contents(quietly(scans, tmp_path / "whole"))


def test_provenance_always_belongs_to_the_manifest(scans: Path, tmp_path: Path) -> None:
    """Killed between the two, copied from elsewhere or broken, it is written anew; a right one stays."""
    store = quietly(scans, tmp_path / "store")
    stale = (store / "made.json").read_text()
    write_ct(scans / "new.nii.gz", 11)
    quietly(scans, store)
    for text in (stale, stale.replace('"prepare"', '"pretrain"'), "{"):
        (store / "made.json").write_text(text)
        arguments = read_provenance(quietly(scans, store), "prepare").arguments
        assert arguments["scans"] == 5
        assert arguments["manifest_sha256"] == sha256(store / "manifest.csv")


IMPOSSIBLE: list[dict[str, object]] = [
    {"folds": 0},
    {"workers": -1},
    {"spacing": (0.0, 1.0, 1.0)},
    {"spacing": (float("inf"), 1.0, 1.0)},
    {"spacing": (1.0, float("nan"), 1.0)},
    {"max_voxels": 0},
    {"salt": ""},
]


@pytest.mark.parametrize("options", IMPOSSIBLE, ids=str)
def test_impossible_arguments_are_refused(scans: Path, tmp_path: Path, options: dict[str, object]) -> None:
    """Before anything is written."""
    with pytest.raises(DataError):
        quietly(scans, tmp_path / "store", **options)
    assert not (tmp_path / "store" / "settings.json").exists()


def test_empty_word_is_not_the_current_folder(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unset variable of a shell script must not scatter a store over the folder it runs in."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for source, into in (("", "store"), (str(scans), "")):
        with pytest.raises(DataError, match="empty"):
            quietly(source, into)
    assert list((tmp_path / "here").iterdir()) == []


def test_store_inside_the_source_does_not_feed_itself(scans: Path) -> None:
    """The store may lie in the folder of scans."""
    store = quietly(scans, scans / "store")
    first = contents(store)
    assert contents(quietly(scans, store)) == first


def test_table_decides_patient_modality_and_fold(scans: Path, tmp_path: Path) -> None:
    """A CSV's columns go before header and guess, and one patient's scans share a fold."""
    table = tmp_path / "scans.csv"
    table.write_text(
        "image,patient,modality,fold,remark\n"
        "scans/a.nii.gz,P1,MR,3,x\nscans/c.mha,P1,,3,y\nscans/Doe_Jane,P2,,0,z\nscans/nowhere.nii,P3,,,\n"
        "scans/deep/b.nrrd,P2,,1,\nscans/deep/b.nrrd,P4,PET,,\n"
    )
    store = quietly(table, tmp_path / "store")
    rows = manifest(store)
    assert sorted((row["fold"], row["modality"]) for row in rows) == [("0", "CT"), ("3", "CT"), ("3", "MR")]
    assert len({row["patient"] for row in rows}) == 2
    problems = (store / "problems.csv").read_text()
    for words in ("it is not there", "is in fold 0 in one row and in fold 1", "its modality is 'PET'"):
        assert words in problems


def test_table_without_images_is_refused(tmp_path: Path) -> None:
    """The message names the columns that are there."""
    (tmp_path / "scans.csv").write_text("file,patient\na,b\n")
    with pytest.raises(DataError, match="no column `image`; its columns are file, patient"):
        quietly(tmp_path / "scans.csv", tmp_path / "store")


def test_lists_of_the_field_are_understood(tmp_path: Path) -> None:
    """LUNA16 subsets are folds, BIDS subjects are patients."""
    write_ct(tmp_path / "scans" / "subset7" / "a.mhd", 1)
    write_ct(tmp_path / "scans" / "sub-01" / "ses-1" / "b.nii.gz", 2)
    write_ct(tmp_path / "scans" / "sub-01" / "ses-2" / "c.nii.gz", 3)
    rows = manifest(quietly(tmp_path / "scans", tmp_path / "store"))
    assert "7" in {row["fold"] for row in rows}
    assert len({row["patient"] for row in rows}) == 2


def test_channels_of_a_case_of_nnunet_are_of_one_patient(tmp_path: Path) -> None:
    """In its folders, so that none is trained on while another validates; numbers elsewhere are patients."""
    for number, name in enumerate(("a_0000", "a_0001", "b_0000", "b_0001")):
        for folder in ("raw/imagesTr", "others"):
            write_ct(tmp_path / folder / f"{name}.nii.gz", number)
    (tmp_path / "raw" / "dataset.json").write_text("{}")
    for given, patients in (("raw", [2, 2]), ("raw/imagesTr", [2, 2]), ("others", [1, 1, 1, 1])):
        rows = manifest(quietly(tmp_path / given, tmp_path / f"store-{Path(given).name}"))
        assert sorted(Counter(row["patient"] for row in rows).values()) == patients
        assert len({(row["patient"], row["fold"]) for row in rows}) == len(patients)


def test_last_line_counts_every_problem(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused while looking or while reading; without a problem the table is not mentioned."""
    monkeypatch.setenv("COLUMNS", "40")  # a narrow terminal does not break the path
    (scans / "empty.nii").touch()
    prepare(scans, tmp_path / "store", workers=0)
    last = capsys.readouterr().err.splitlines()[-1]
    counted = "prepare: 4 scans in the store (3 CT guessed, 1 CT by header)"
    assert last == f"{counted}, 2 problems: {tmp_path / 'store' / 'problems.csv'}"
    (scans / "empty.nii").unlink()
    (scans / "cut.nii").unlink()
    prepare(scans, tmp_path / "store", workers=0)
    assert capsys.readouterr().err.splitlines()[-1] == counted


def raw_ct(shift: float) -> np.ndarray:
    """Air, lungs and a body of fat and muscle with some bone, so much above HU; nothing below 0."""
    rng = np.random.default_rng(0)
    hu = np.full((40, 36, 32), -1000.0)
    hu[8:34, 8:30] = rng.choice([-90, 50], (26, 22, 32))
    hu[12:20, 12:20, 4:28], hu[24:26, 24:26] = -850, 700
    return np.maximum(hu + rng.normal(0, 20, hu.shape) + shift, 0).astype(np.int16)


def test_modalities_are_counted_by_whose_word_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Header, table, --modality or a guess; a scan without a source keeps its modality."""
    write_series(tmp_path / "scans" / "series", make_ct(4))
    mr = np.random.default_rng(0).integers(0, 900, (24, 20, 18)).astype(np.int16)
    sitk.WriteImage(make_image(mr), tmp_path / "scans" / "mr.nii.gz")
    (tmp_path / "list.csv").write_text("image,modality\nscans/mr.nii.gz,MR\n")
    for name, source, options, expected in (
        ("plain", "scans", {}, "2 scans in the store (1 MR guessed, 1 CT by header)"),
        ("said", "scans", {"modality": "MR"}, "2 scans in the store (2 MR by --modality)"),
        ("table", "list.csv", {}, "1 scan in the store (1 MR by table or header)"),
    ):
        prepare(tmp_path / source, tmp_path / name, workers=0, salt="test", **options)
        assert capsys.readouterr().err.splitlines()[-1] == f"prepare: {expected}"
    (tmp_path / "scans" / "mr.nii.gz").unlink()
    prepare(tmp_path / "scans", tmp_path / "plain", workers=0, salt="test")
    assert "(1 CT by header, 1 MR without a source), 1 problem" in capsys.readouterr().err


@pytest.mark.parametrize("shift", [1000, 1024])
def test_ct_in_raw_units_is_noticed(tmp_path: Path, shift: int) -> None:
    """Whether it is guessed or declared to be a CT; not in HU, not as MRI, and not an MRI of broad tissues."""
    scans = tmp_path / "scans"
    scans.mkdir()
    values = raw_ct(shift)
    sitk.WriteImage(make_image(values), scans / "raw.nii.gz")
    sitk.WriteImage(make_image(values - np.int16(shift)), scans / "hu.nii.gz")
    broad = np.random.default_rng(1).normal(1000, 300, (30, 30, 30)).clip(0)
    broad[:8] = 0
    sitk.WriteImage(make_image(broad.astype(np.int16)), scans / "mr.nii.gz")
    for modality, expected in ((None, ["raw.nii.gz"]), ("CT", ["raw.nii.gz"]), ("MR", [])):
        store = quietly(scans, tmp_path / f"store-{modality}", modality=modality)
        with open(store / "problems.csv", newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if "CT in raw units" in row["problem"]]
        assert [Path(row["path"]).name for row in rows] == expected
        assert all(row["severity"] == "warning" and "subtract 1024" in row["problem"] for row in rows)


def test_errors_name_the_file_of_a_scan_while_the_salt_is_there(scans: Path, tmp_path: Path) -> None:
    """Of a file and of a DICOM series; once the salt is gone nobody can tell."""
    path = quietly(scans, tmp_path / "store")
    store = Store.open(path)
    names = {store.source_of(scan.id) for scan in store.scans}
    assert names == {f" (of {scans / name})" for name in ("a.nii.gz", "deep/b.nrrd", "c.mha", "Doe_Jane")}
    scan = next(one for one in store.scans if "a.nii.gz" in store.source_of(one.id))
    with pytest.raises(ShapeError, match=rf"leaves scan {scan.id}.*\(of .*a.nii.gz\)"):
        store.read(scan, (0, 0, 0), (99, 1, 1))
    with pytest.raises(DataError, match=r"\(of .*\): it has"):
        CubeSampler(store, CubeSpec((512, 512, 512)))
    (path / "scans" / f"{scan.id}.b2nd").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"missing or damaged.*\(of .*a.nii.gz\)"):
        Store.open(path).read(scan, (0, 0, 0), (1, 1, 1))
    (path / "salt").unlink()
    with pytest.raises(DataError, match=r"missing or damaged; delete it and run genesis prepare again") as found:
        Store.open(path).read(scan, (0, 0, 0), (1, 1, 1))
    assert "(of " not in str(found.value)


def test_short_script_needs_no_main_guard(scans: Path, tmp_path: Path) -> None:
    """Five lines in a file work although the workers are spawned."""
    script = tmp_path / "script.py"
    script.write_text(
        "import modelsgenesis.commands.prepare as p\nfrom pathlib import Path\n"
        f"p.prepare(Path({str(scans)!r}), Path({str(tmp_path / 'store')!r}), workers=2)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    problems = tmp_path / "store" / "problems.csv"
    assert (
        done.stderr.splitlines()[-1]
        == f"prepare: 4 scans in the store (3 CT guessed, 1 CT by header), 1 problem: {problems}"
    )
    assert len(manifest(tmp_path / "store")) == 4


def test_scans_and_patients_that_a_table_names_stay_out(scans: Path, tmp_path: Path) -> None:
    """By their files, boxes and volumes of them too, and by their patients; a store goes on as it was begun."""
    (tmp_path / "test.csv").write_text("image,patient\nscans/a.nii.gz,\nelsewhere.nii.gz,deep/b.nrrd\n")
    whole = quietly(scans, tmp_path / "whole")
    part = quietly(scans, tmp_path / "part", leave_out=(tmp_path / "test.csv",))
    shas = {row["sha256"] for row in manifest(part)}
    left = {row["sha256"] for row in manifest(whole)} - shas
    assert left == {sha256(scans / "a.nii.gz"), sha256(scans / "deep" / "b.nrrd")}
    (tmp_path / "boxes.csv").write_text('image\n"scans/a.nii.gz@-1.5,2.0,3.0@8x8x8"\nscans/deep/b.nrrd#0\n')
    boxes = quietly(scans, tmp_path / "boxes", leave_out=(tmp_path / "boxes.csv",))
    assert {row["sha256"] for row in manifest(boxes)} == shas
    with pytest.raises(DataError, match="was begun with leave_out"):
        quietly(scans, part)
    with pytest.raises(DataError, match="was begun with leave_out"):
        quietly(scans, whole, leave_out=(tmp_path / "test.csv",))
    (tmp_path / "names.csv").write_text("name\na\n")
    with pytest.raises(DataError, match="has no column `image` or `patient`"):
        quietly(scans, tmp_path / "other", leave_out=(tmp_path / "names.csv",))


def test_scan_that_a_table_names_later_leaves_the_store(scans: Path, tmp_path: Path) -> None:
    """By its file or patient, its array too, also where its source went elsewhere; what no table names stays."""
    table, store = tmp_path / "test.csv", tmp_path / "store"
    table.write_text("image,patient\nscans/a.nii.gz,\n")
    quietly(scans, store, leave_out=(table,))
    shas = {name: sha256(scans / name) for name in ("a.nii.gz", "deep/b.nrrd", "c.mha")}
    write_ct(scans / "d.nii.gz", 6)
    quietly(scans, store, leave_out=(table,))
    assert len(manifest(store)) == 4
    (scans / "c.mha").rename(tmp_path / "moved.mha")
    (scans / "d.nii.gz").unlink()
    table.write_text("image,patient\nscans/a.nii.gz,\n,deep/b.nrrd\nmoved.mha,\n")
    for _ in range(2):
        quietly(scans, store, leave_out=(table,))
        kept = {row["sha256"]: row["id"] for row in manifest(store)}
        assert len(kept) == 2  # the series, and the file that is gone but named nowhere
        assert not kept.keys() & set(shas.values())
        assert {path.stem for path in (store / "scans").iterdir()} == set(kept.values())
        assert (store / "problems.csv").read_text().count("source is gone") == 1
    assert len(Store.open(store).scans) == 2


def test_store_knows_what_was_left_out_and_not_by_which_table(scans: Path, tmp_path: Path) -> None:
    """The same table elsewhere goes on, in an old store too; one that names less lets a case in, and is refused."""
    table, moved, store = tmp_path / "test.csv", tmp_path / "deep" / "moved.csv", tmp_path / "store"
    table.write_text("patient\na.nii.gz\ndeep/b.nrrd\n")
    before = contents(quietly(scans, store, leave_out=(table,)))
    moved.parent.mkdir()
    table.rename(moved)
    assert contents(quietly(scans, store, leave_out=(moved,))) == before
    settings = json.loads((store / "settings.json").read_text(encoding="utf-8"))
    settings["leave_out"] = [str(table)]  # as earlier versions wrote it
    (store / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    assert manifest(quietly(scans, store, leave_out=(moved,))) == manifest(store)
    before = contents(store)
    moved.write_text("patient\na.nii.gz\n")
    with pytest.raises(DataError, match=r"1 scan that it left out before .*moved\.csv"):
        quietly(scans, store, leave_out=(moved,))
    assert contents(store) == before


def test_copy_of_a_scan_that_is_left_out_stays_out_too(scans: Path, tmp_path: Path) -> None:
    """Whichever of the two a table names."""
    shutil.copy(scans / "c.mha", scans / "0-copy.mha")
    shutil.copy(scans / "a.nii.gz", scans / "z-copy.nii.gz")
    (tmp_path / "test.csv").write_text("image\nscans/a.nii.gz\nscans/c.mha\n")
    store = quietly(scans, tmp_path / "store", leave_out=(tmp_path / "test.csv",))
    assert not {row["sha256"] for row in manifest(store)} & {sha256(scans / "a.nii.gz"), sha256(scans / "c.mha")}


def test_rows_of_an_archive_are_scans(tmp_path: Path) -> None:
    """Each row once, without those that a table names by array and number, or by patient; later runs go on."""
    volumes = np.random.default_rng(0).integers(0, 256, (5, 8, 10, 12), np.uint8)
    volumes[4] = volumes[3]
    path = tmp_path / "organs.npz"
    np.savez_compressed(path, train_images=volumes, train_labels=np.zeros((5, 1), np.uint8))
    shas = [hashlib.sha256(volume.tobytes()).hexdigest() for volume in volumes]
    store = quietly(path, tmp_path / "store", spacing=(2.0, 2.0, 2.0))
    assert {(row["sha256"], row["shape"]) for row in manifest(store)} == {(sha, "1 4 5 6") for sha in shas}
    assert "byte for byte the same" in (store / "problems.csv").read_text()
    before = {file.name: file.stat().st_mtime_ns for file in (store / "scans").iterdir()}
    quietly(path, store, spacing=(2.0, 2.0, 2.0))
    assert {file.name: file.stat().st_mtime_ns for file in (store / "scans").iterdir()} == before
    (tmp_path / "test.csv").write_text(f"image,patient\n{path}#train_images:1,\nelsewhere.nii.gz,organs.npz/train_0\n")
    part = quietly(path, tmp_path / "part", leave_out=(tmp_path / "test.csv",))
    assert {row["sha256"] for row in manifest(part)} == {shas[2], shas[3]}


def test_archive_of_pictures_is_prepared(tmp_path: Path) -> None:
    """Each row is a picture and a patient of its own; X runs along its columns."""
    path = tmp_path / "pictures.npz"
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 10)).astype(np.uint8)
    np.savez(path, train_images=images, train_labels=np.zeros((3, 1), np.uint8))
    store = Store.open(quietly(path, tmp_path / "store"))
    read = {store.read(scan, (0, 0), (10, 8))[0].T.astype(np.uint8).tobytes() for scan in store.scans}
    assert read == {image.tobytes() for image in images}


def test_first_line_comes_before_files_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder of ten million names takes long to list: it is told before, and then how many were looked at."""
    folder = tmp_path / "names"
    folder.mkdir()
    for number in range(7):
        (folder / f"{number}.txt").touch()
    before: list[str] = []
    walk = os.walk

    def listing(*given: object, **how: object) -> object:
        before.append(capsys.readouterr().err)
        return walk(*given, **how)

    monkeypatch.setattr(os, "walk", listing)
    monkeypatch.setattr(sources, "TOLD_EVERY", 3)
    with pytest.raises(DataError, match="no scan in"):
        prepare(folder, tmp_path / "store", workers=0)
    assert before[0] == f"prepare: looking for scans in {folder}\n"
    assert before[1] + capsys.readouterr().err == 2 * "prepare: 3 files looked at\nprepare: 6 files looked at\n"


def test_ids_are_looked_up_both_ways_while_the_salt_is_there(scans: Path, tmp_path: Path) -> None:
    """From an id to its file, from a file's name or path to its id, from a patient to all of hers; nothing else."""
    store = quietly(scans, tmp_path / "store", modality="CT")
    opened = Store.open(store)
    number = next(scan.id for scan in opened.scans if scan.size == (70, 66, 68))
    text = inspect(store, id=(number,))
    assert "c.mha" in text
    assert text.count(number) == 1
    assert "b.nrrd" not in text
    assert number in inspect(store, id=("c.mha",))
    assert number in inspect(store, id=(str(scans / "c.mha"),))
    patient = next(scan.patient for scan in opened.scans if scan.id == number)
    assert number in inspect(store, id=(patient,))
    with pytest.raises(DataError, match="no id of it, no patient and no file"):
        inspect(store, id=("d.mha",))
    with pytest.raises(DataError, match="which no page should hold"):
        inspect(store, id=(number,), into=tmp_path / "page.html")
    (store / "salt").unlink()
    with pytest.raises(DataError, match="nothing leads from its ids to files: its salt is gone"):
        inspect(store, id=(number,))
