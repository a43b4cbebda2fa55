"""A store made in parts is that of one process, byte for byte, whatever their order and whoever is killed."""

import functools
import itertools
import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from tests.core.test_lease import write_lease
from tests.data.scan_files import make_ct, make_image, write_ct, write_series
from tests.data.store.test_prepare import contents

from modelsgenesis.commands.prepare import prepare
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.lease import held
from modelsgenesis.data.sources import find_sources
from modelsgenesis.data.store.options import Part, PrepareOptions
from modelsgenesis.data.store.parts import FOLDER, LIST, REFUSED, read_list, write_list

quietly = functools.partial(prepare, workers=0, quiet=True, salt="test")
PROGRAM = """
import sys
from modelsgenesis.commands.prepare import prepare
prepare(sys.argv[1], sys.argv[2], salt="test", quiet=True, workers=0, part=sys.argv[3])
"""


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven scans, one of them a DICOM series; a copy, a label map and a file that is cut off."""
    folder = tmp_path_factory.mktemp("parts") / "scans"
    for seed in range(6):
        write_ct(folder / f"{seed}.nii.gz", seed, size=(40, 40, 30))
    write_series(folder / "Doe_Jane", make_ct(7))
    shutil.copy(folder / "0.nii.gz", folder / "copy.nii.gz")
    sitk.WriteImage(make_image((make_ct(8) > -500).astype(np.uint8)), str(folder / "mask.nii.gz"))
    path = write_ct(folder / "cut.nii", 9)
    path.write_bytes(path.read_bytes()[:-100])
    return folder


@pytest.fixture(scope="module")
def whole(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The store of one process."""
    return contents(quietly(scans, tmp_path_factory.mktemp("whole") / "store"))


def start(scans: Path, store: Path, part: str) -> "subprocess.Popen[bytes]":
    """Begin a part in a process group of its own."""
    command = [sys.executable, "-c", PROGRAM, str(scans), str(store), part]
    return subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)


def test_parts_in_any_order_and_twice_give_the_bytes_of_one_process(
    scans: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    """The list is made once, its raw names are its owner's, and nothing of it stays; no part is done anew."""
    store = tmp_path / "store"
    listed = store / FOLDER / LIST
    inodes = set()
    for part in ("3/3", "1/3", "3/3", "2/3", "1/3"):
        quietly(scans, store, part=part)
        inodes.add(listed.stat().st_ino)
    assert len(inodes) == 1
    assert stat.S_IMODE(listed.stat().st_mode) == 0o600
    assert not (store / "manifest.csv").exists()
    times = {path: path.stat().st_mtime_ns for path in (store / "scans").iterdir()}
    assert len(times) == 7
    quietly(scans, store)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert contents(store) == whole
    assert not (store / FOLDER).exists()


def test_what_no_part_did_is_done_at_the_end(scans: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    """A part of another division, or none but the list, and then one process."""
    quietly(scans, tmp_path / "one", part="2/5")
    quietly(scans, tmp_path / "two", list=True)
    for store in (tmp_path / "one", tmp_path / "two"):
        assert contents(quietly(scans, store)) == whole


def test_parts_at_once_give_the_bytes_of_one_process(scans: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    """Two halves and one of them again, all begun before there is a salt or a list; all end well."""
    store = tmp_path / "store"
    started = [start(scans, store, part) for part in ("1/2", "2/2", "2/2")]
    for process in started:
        assert process.wait(timeout=120) == 0, process.communicate()
        process.communicate()
    assert contents(quietly(scans, store)) == whole


def kill_parts(scans: Path, store: Path, moments: list[float]) -> int:
    """Begin a part as often as there are moments, and kill it then; return how often it was still alive."""
    kills = 0
    for number, moment_s in enumerate(moments):
        process = start(scans, store, f"{number % 2 + 1}/2")
        deadline = time.monotonic() + 60
        while process.poll() is None and not (store / ".lease").exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(moment_s)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
    return kills


def test_killed_parts_cost_nothing(scans: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    """While it begins the store, and while it prepares."""
    store = tmp_path / "store"
    assert kill_parts(scans, store, [0.0, 0.15]) >= 1
    assert contents(quietly(scans, store)) == whole


@pytest.mark.slow
def test_parts_killed_at_any_moment_cost_nothing(scans: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    """Twenty kills at random moments, a store each five."""
    rng = np.random.default_rng(0)
    for number in range(4):
        store = tmp_path / f"store{number}"
        assert kill_parts(scans, store, list(rng.uniform(0, 0.6, 5))) >= 1
        assert contents(quietly(scans, store)) == whole


def test_finishing_waits_for_no_part_that_lives(scans: Path, tmp_path: Path) -> None:
    """The error names the part; and a part is refused while the store is being finished."""
    store = quietly(scans, tmp_path / "store", part="1/2")
    with (
        held(store / FOLDER / "2-of-2.x", "prepare --part 2/2"),
        pytest.raises(DataError, match=r"part 2/2 .* at work"),
    ):
        quietly(scans, store)
    with held(store, "prepare"), pytest.raises(DataError, match="another genesis prepare works on"):
        quietly(scans, store, part="2/2")


def test_parts_that_died_on_another_machine_leave_nothing(scans: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    """What they had begun to write is deleted at once, not in an hour."""
    store = quietly(scans, tmp_path / "store", part="1/2")
    write_lease(store / FOLDER / "2-of-2.00000000-1-1", "00000000-1-1", age_s=1000)
    (store / "scans" / ".0123456789abcdef.b2nd.00000000-2-1.part").write_bytes(b"half")
    assert contents(quietly(scans, store)) == whole


def test_two_machines_share_a_store(scans: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    """Each in namespaces of its own, where neither sees the other's processes, names or network."""
    alone = ["unshare", "--net", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces are to be had here")
    store = tmp_path / "store"
    command = [*alone, sys.executable, "-c", PROGRAM, str(scans), str(store)]
    both = [subprocess.Popen([*command, part], stderr=subprocess.PIPE) for part in ("1/2", "2/2")]
    for process in both:
        assert process.wait(timeout=120) == 0, process.communicate()
        process.communicate()
    assert len(list((store / "scans").glob("*.b2nd"))) == 7
    assert contents(quietly(scans, store)) == whole


def test_scans_may_lie_elsewhere_on_another_machine(scans: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    """The list is seen from the folder of scans; a folder that holds none of them is refused."""
    there = shutil.copytree(scans, tmp_path / "mount" / "there")
    store = quietly(scans, tmp_path / "store", part="1/2")
    quietly(there, store, part="2/2")
    assert len(list((store / "scans").iterdir())) == 7
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds none of the scans of this part, such as .*; is it the folder that was"):
        quietly(tmp_path / "empty", store, part="1/2")
    assert contents(quietly(scans, store)) == whole


def test_archive_is_unpacked_once_for_all_parts(scans: Path, tmp_path: Path) -> None:
    """And what is wrong in it is told by its name."""
    with tarfile.open(tmp_path / "scans.tar", "w") as tar:
        tar.add(scans, "scans")
    whole = contents(quietly(tmp_path / "scans.tar", tmp_path / "whole"))
    store = tmp_path / "store"
    for part in ("2/2", "1/2"):
        quietly(tmp_path / "scans.tar", store, part=part)
    assert len(list((store / "scans").iterdir())) == 7
    assert contents(quietly(tmp_path / "scans.tar", store)) == whole
    assert b"scans.tar/scans/cut.nii" in whole["problems.csv"]


def test_options_of_the_store_go_with_parts(scans: Path, tmp_path: Path) -> None:
    """Resampled, of few folds, without what a table leaves out."""
    table = tmp_path / "out.csv"
    table.write_text(f"image\n{scans / '1.nii.gz'}\n", encoding="utf-8")
    options = {"spacing": (3.0, 3.0, 3.0), "folds": 3, "leave_out": (table,), "modality": "CT"}
    whole = contents(quietly(scans, tmp_path / "whole", **options))
    for part in ("2/2", "1/2"):
        quietly(scans, tmp_path / "store", part=part, **options)
    assert contents(quietly(scans, tmp_path / "store", **options)) == whole
    assert len([name for name in whole if name.startswith("scans/")]) == 6


def test_parts_with_other_options_are_refused(scans: Path, tmp_path: Path) -> None:
    """Those that the store holds, those that only the list does, another salt; and parts that there are not."""
    store = quietly(scans, tmp_path / "store", part="1/2")
    with pytest.raises(DataError, match="begun with folds = 10, not 5"):
        quietly(scans, store, part="2/2", folds=5)
    with pytest.raises(DataError, match=r"listed with max_voxels = .*, not 1000; give all parts the same options"):
        quietly(scans, store, part="2/2", max_voxels=1000)
    with pytest.raises(DataError, match="begun with another salt"):
        quietly(scans, store, part="2/2", salt="other")
    for spelled in ("0/2", "3/2", "2", "-1/2", "1/2/3", "a/b"):
        with pytest.raises(DataError, match="K/N with K from 1 to N"):
            quietly(scans, store, part=spelled)
    with pytest.raises(DataError, match="give one of the two"):
        quietly(scans, store, part="1/2", list=True)
    with pytest.raises(DataError, match="cannot be given with --slices"):
        quietly(scans, store, part="1/2", salt=None, slices="axial")


def test_what_a_part_refused_is_not_tried_again_until_it_is_changed(scans: Path, tmp_path: Path) -> None:
    """Its own words stand; those of a machine that could not, or of a file that was changed since, do not."""
    folder = shutil.copytree(scans, tmp_path / "scans")
    store = quietly(folder, tmp_path / "store", part="1/1")
    (table,) = (store / FOLDER).glob(f"*/{REFUSED}")
    text = table.read_text(encoding="utf-8")
    assert text.count("\n") == 3
    table.write_text(text.replace("only 2", "as the part said, only 2"), encoding="utf-8")
    shutil.copytree(store, tmp_path / "again")
    assert "as the part said" in (quietly(folder, store) / "problems.csv").read_text(encoding="utf-8")
    write_ct(folder / "cut.nii", 9)
    after = quietly(folder, tmp_path / "again")
    assert "cut.nii" not in (after / "problems.csv").read_text(encoding="utf-8")
    assert len(list((after / "scans").iterdir())) == 8


def test_scan_that_was_away_is_tried_again(scans: Path, tmp_path: Path) -> None:
    """As when a disk is not mounted on one machine: what a part could not see is no fault of the file."""
    folder = shutil.copytree(scans, tmp_path / "scans")
    store = quietly(folder, tmp_path / "store", list=True)
    (folder / "1.nii.gz").rename(tmp_path / "away.nii.gz")
    quietly(folder, store, part="1/1")
    (table,) = (store / FOLDER).glob(f"*/{REFUSED}")
    assert table.read_text(encoding="utf-8").count("\n") == 3
    (tmp_path / "away.nii.gz").rename(folder / "1.nii.gz")
    quietly(folder, store)
    assert contents(store) == contents(quietly(folder, tmp_path / "whole"))
    assert len(list((store / "scans").iterdir())) == 7


def test_list_gives_back_every_source(scans: Path, tmp_path: Path) -> None:
    """To the last number of a DICOM header, and each to one part."""
    sources, _ = find_sources(scans)
    sources = [*sources, replace(sources[0], index=3, array="images", patient="caf\udce9 \u00e9\n")]
    options = PrepareOptions()
    write_list(tmp_path, sources, scans, options)
    read = [read_list(tmp_path, Part(number, 3), scans, options)[0] for number in (1, 2, 3)]
    assert [one for some in itertools.zip_longest(*read) for one in some if one] == sources
    assert str(scans) not in (tmp_path / FOLDER / LIST).read_text(encoding="utf-8")
