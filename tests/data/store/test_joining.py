"""Stores that are joined, and filtered: no voxel is copied, no scan is taken twice, no patient is in two folds."""

import csv
import json
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.conftest import write_blobs

import modelsgenesis as mg
from modelsgenesis.cli import main
from modelsgenesis.commands.command_line import command
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.provenance import lineage, read_provenance
from modelsgenesis.data.store import manifest
from modelsgenesis.data.store.manifest import MANIFEST, MAPPED, write_manifest
from modelsgenesis.data.store.scan import hashed
from modelsgenesis.data.store.slicing import Slicing, slicing_of
from modelsgenesis.data.store.store import Store, scan_file
from modelsgenesis.data.store.verifying import find_damage
from modelsgenesis.recipes import Recipe


def table(folder: Path, rows: list[tuple[str, str, str]]) -> Path:
    """Write a table of scans: image, patient, fold."""
    path = folder / "scans.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "patient", "fold"), *rows])
    return path


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hospitals' scans: both have ann's first scan, and a file a.nii.gz that is another one."""
    root = tmp_path_factory.mktemp("sites")
    for name, numbers in (("north", (0, 1)), ("south", (2, 3))):
        (root / name).mkdir()
        for letter, number in zip("ab", numbers, strict=True):
            write_blobs(root / name / f"{letter}.nii.gz", number, size=(24, 22 + number, 20))
    shutil.copy(root / "north" / "b.nii.gz", root / "south" / "copy.nii.gz")
    table(root / "north", [("a.nii.gz", "bob", "1"), ("b.nii.gz", "ann", "2")])
    table(root / "south", [("a.nii.gz", "cid", "3"), ("b.nii.gz", "ann", "4"), ("copy.nii.gz", "ann", "4")])
    return root


def prepared(sites: Path, name: str, into: Path, salt: str = "test", **more: object) -> Path:
    """Prepare the scans of a hospital."""
    scans = sites / name / "scans.csv"
    made: Path = mg.prepare(scans, into, modality="CT", workers=0, quiet=True, salt=salt, **more)  # type: ignore[arg-type]
    return made


@pytest.fixture(scope="module")
def stores(sites: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The stores of both, by one salt."""
    root = tmp_path_factory.mktemp("stores")
    return prepared(sites, "north", root / "north"), prepared(sites, "south", root / "south")


def test_a_joined_store_has_the_scans_of_all_once_and_none_of_their_bytes_again(
    stores: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As the command line has it; files of one name stay two scans, the copy is one, and ann keeps her first fold."""
    north, south = map(str, stores)
    into = tmp_path / "joined"
    assert main(["prepare", "--join", north, south, str(into)]) == 0
    said = capfd.readouterr().err
    assert "4 scans of 2 stores, by hard links, which outlive the stores they come from; 1 that several" in said
    assert "1 patient of several folds" in said
    joined, apart = Store.open(into), [Store.open(one) for one in stores]
    assert sorted(scan.shape for scan in joined.scans) == [(1, 24, side, 20) for side in (22, 23, 24, 25)]
    ann, bob, cid = (hashed("test", "patient", name) for name in ("ann", "bob", "cid"))
    assert sorted((scan.patient, scan.fold) for scan in joined.scans) == sorted(
        [(ann, 2), (ann, 2), (bob, 1), (cid, 3)]
    )
    assert len({scan.id for scan in joined.scans}) == 4
    assert all(scan_file(into, scan.id).stat().st_nlink > 1 for scan in joined.scans)
    by_content = {scan.sha256: (store, scan) for store in reversed(apart) for scan in store.scans}
    for scan in joined.scans:
        store, own = by_content[scan.sha256]
        assert os.path.samefile(scan_file(into, scan.id), scan_file(store.path, own.id))
        np.testing.assert_array_equal(joined.read(scan, (0, 0, 0), scan.size), store.read(own, (0, 0, 0), own.size))
    assert not find_damage(joined, workers=0)
    with open(into / "problems.csv", encoding="utf-8") as file:
        (copy,) = csv.DictReader(file)
    assert copy["problem"] == f"the same scan is in {north}"
    assert copy["severity"] == "warning"


@pytest.mark.parametrize(
    "words",
    [
        "--join NORTH SOUTH INTO --where ALL --quiet",
        "--where ALL --join NORTH SOUTH INTO",
        "NORTH SOUTH INTO --join --where ALL",
        "NORTH --join SOUTH INTO --where ALL",
        "--quiet NORTH SOUTH INTO --where ALL --join",
        "INNER INTO --where ALL --join",
        "INNER --where ALL INTO --join",
    ],
)
def test_words_and_flags_come_in_any_order(words: str, stores: tuple[Path, Path], tmp_path: Path) -> None:
    """The last word is the new store; an option's own words stay its own."""
    inner = mg.prepare(stores, tmp_path / "inner", join=True, quiet=True)
    places = {"NORTH": stores[0], "SOUTH": stores[1], "INNER": inner, "INTO": tmp_path / "into", "ALL": "fold < 9"}
    assert main(["prepare", *(str(places.get(word, word)) for word in words.split())]) == 0
    assert len(Store.open(tmp_path / "into").scans) == 4


def test_provenance_names_the_stores_and_gives_the_command_back(stores: tuple[Path, Path], tmp_path: Path) -> None:
    """From the joined store one gets to its stores, and by the command to the same store."""
    into = mg.prepare(stores, tmp_path / "joined", join=True, where="size_y > 23", quiet=True)
    chain = lineage(into)
    assert {place for place, _ in chain} >= {str(into), *map(str, stores)}
    line = command(str(into), read_provenance(into, "prepare"))
    assert line == f"genesis prepare {stores[0]} {stores[1]} {into} --join --where 'size_y > 23'"


def test_joined_again_it_goes_on_and_what_grew_is_there(sites: Path, tmp_path: Path) -> None:
    """The bytes of a store that did not change are the same; a scan more is a link more; one that is gone goes."""
    scans = tmp_path / "scans"
    shutil.copytree(sites, scans)
    north, south = (prepared(scans, name, tmp_path / name) for name in ("north", "south"))
    into = mg.prepare((north, south), tmp_path / "joined", join=True, quiet=True)
    made = {name: (into / name).read_bytes() for name in ("made.json", "manifest.csv", "settings.json")}
    mg.prepare((north, south), into, join=True, quiet=True)
    assert {name: (into / name).read_bytes() for name in made} == made
    write_blobs(scans / "south" / "new.nii.gz", 9, size=(24, 30, 20))
    table(scans / "south", [("a.nii.gz", "cid", "3"), ("new.nii.gz", "dot", "5")])
    prepared(scans, "south", south)
    (south / "scans" / f"{hashed('test', 'scan', 'b.nii.gz')}.b2nd").unlink()
    prepared(scans, "south", south)
    mg.prepare((north, south), into, join=True, quiet=True)
    assert sorted(scan.size[1] for scan in Store.open(into).scans) == [22, 23, 24, 30]
    with pytest.raises(DataError, match=f"joined from {south} too"):
        mg.prepare(north, into, join=True, quiet=True)
    with pytest.raises(DataError, match="was begun with where = None, not fold == 1"):
        mg.prepare((north, south), into, join=True, where="fold == 1", quiet=True)


def test_hard_links_outlive_their_store_and_symbolic_ones_name_what_is_gone(
    sites: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that leads nowhere is an error of its own words, in training and in --verify."""
    north = prepared(sites, "north", tmp_path / "north")
    hard = mg.prepare(north, tmp_path / "hard", join=True, quiet=True)

    def refused(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refused)
    soft = mg.prepare(north, tmp_path / "soft", join=True, quiet=True)
    assert all(scan_file(soft, scan.id).is_symlink() for scan in Store.open(soft).scans)
    assert not find_damage(Store.open(soft), workers=0)
    shutil.rmtree(north)
    for store in map(Store.open, (hard, soft)):
        scan = store.scans[0]
        if store.path == hard:
            assert store.read(scan, (0, 0, 0), scan.size).shape == scan.shape
            assert not find_damage(store, workers=0)
        else:
            with pytest.raises(DataError, match=rf"leads to {north}/scans/.*\.b2nd, which is gone; put the store"):
                store.read(scan, (0, 0, 0), scan.size)
            assert all("which is gone" in line for line in find_damage(store, workers=0))


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="there is no second file system")
def test_between_file_systems_links_are_symbolic(stores: tuple[Path, Path], tmp_path: Path) -> None:
    """As the system itself refuses a hard link."""
    if Path("/dev/shm").stat().st_dev == stores[0].stat().st_dev:
        pytest.skip("/dev/shm is the same file system")
    into = Path("/dev/shm") / f"genesis-joined-{os.getpid()}"
    try:
        mg.prepare(stores, into, join=True, quiet=True)
        links = sorted((into / "scans").iterdir())
        assert len(links) == 4
        assert all(os.readlink(link).startswith(str(stores[0].parent)) for link in links)
        assert not find_damage(Store.open(into), workers=0)
    finally:
        shutil.rmtree(into, ignore_errors=True)


def test_stores_of_two_salts_are_joined_in_so_many_words(
    sites: Path, stores: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ann's two names are one, shown by the scan that both hold; the joined store has no salt."""
    south = prepared(sites, "south", tmp_path / "south", salt="other")
    into = tmp_path / "joined"
    assert main(["prepare", "--join", str(stores[0]), str(south), str(into)]) == 0
    assert "the stores have 2 salts: a patient who is in two of them may go by two names" in capfd.readouterr().err
    joined = Store.open(into)
    ann, cid = hashed("test", "patient", "ann"), hashed("other", "patient", "cid")
    assert [scan.fold for scan in joined.scans if scan.patient == ann] == [2, 2]
    assert [scan.fold for scan in joined.scans if scan.patient == cid] == [3]
    assert not (into / "salt").exists()
    mg.prepare((stores[0], south), into, join=True, quiet=True)  # goes on without it
    assert Store.open(into).scans[0].site


def test_what_does_not_fit_together_is_refused(sites: Path, stores: tuple[Path, Path], tmp_path: Path) -> None:
    """Other voxels, pictures, a store twice, itself, a foreign folder, options of scans: in words, and no folder."""
    north, _ = stores
    coarse = prepared(sites, "south", tmp_path / "coarse", spacing=(3, 3, 3))
    slices = mg.prepare(north, tmp_path / "slices", slices="axial", quiet=True)
    wrong = {
        r"north was prepared with spacing_mm = None and .*coarse with \[3(\.0)?, 3(\.0)?, 3(\.0)?\]": [north, coarse],
        "north holds volumes and .*slices pictures, which do not join": [north, slices],
        "is named twice": [north, north],
    }
    for words, given in wrong.items():
        with pytest.raises(DataError, match=words):
            mg.prepare(tuple(given), tmp_path / "new", join=True)
    with pytest.raises(DataError, match="cannot be joined to itself"):
        mg.prepare((north, coarse), coarse, join=True)
    with pytest.raises(DataError, match="--folds, --salt cannot be given with --join"):
        mg.prepare(north, tmp_path / "new", join=True, folds=3, salt="x")
    with pytest.raises(DataError, match="several stores, and --where, are for --join"):
        mg.prepare(north, tmp_path / "new", where="fold == 1")
    with pytest.raises(DataError, match="holds for none of the 2 scans"):
        mg.prepare(north, tmp_path / "none", join=True, where="fold > 8")
    assert not (tmp_path / "new").exists()


def test_a_mapped_manifest_joins_as_a_csv_does(
    stores: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same scans, their sites too, from columns that nobody parsed; a store of no site has no such column."""
    as_csv = mg.prepare(stores, tmp_path / "csv", join=True, quiet=True)
    expected = list(Store.open(as_csv).scans)
    heads = [path.read_text(encoding="utf-8").splitlines()[0] for path in (as_csv / MANIFEST, stores[0] / MANIFEST)]
    assert ["site" in head.split(",") for head in heads] == [True, False]
    monkeypatch.setattr(manifest, "MOST_IN_CSV", 1)
    for store in stores:
        shutil.copytree(store, tmp_path / store.name)
        write_manifest(tmp_path / store.name, list(Store.open(store).scans))
        names = pa.ipc.open_file(tmp_path / store.name / MAPPED).schema.names
        assert "site" not in names
    monkeypatch.chdir(tmp_path)
    mapped = mg.prepare((Path("north"), Path("south")), tmp_path / "mapped", join=True, quiet=True)
    assert "site" in pa.ipc.open_file(mapped / MAPPED).schema.names
    sites = {str(store): hashed("", "site", name) for store, name in zip(stores, ("north", "south"), strict=True)}
    named = {hashed("", "site", store): site for store, site in sites.items()}
    assert list(Store.open(mapped).scans) == [replace(scan, site=named[scan.site]) for scan in expected]
    assert pickle.loads(pickle.dumps(Store.open(mapped))).scans[0] == Store.open(mapped).scans[0]


def test_slices_join_and_stay_slices(stores: tuple[Path, Path], tmp_path: Path) -> None:
    """How they were cut is known of the joined store too, and how many there are."""
    cut = [mg.prepare(one, tmp_path / one.name, slices="axial", every=5, quiet=True) for one in stores]
    into = Store.open(mg.prepare(tuple(cut), tmp_path / "joined", join=True, quiet=True))
    assert slicing_of(into) == Slicing("axial", every=5)
    assert into.scans.num_images == 4 * 4
    assert json.loads((into.path / "settings.json").read_text(encoding="utf-8"))["slices_every"] == 5


def test_a_joined_store_pretrains_and_is_joined_again(
    stores: tuple[Path, Path], tmp_path: Path, tiny_recipe: Recipe, capfd: pytest.CaptureFixture[str]
) -> None:
    """A store of stores: sites stay those of the first joining, and the run is finished by the usual command."""
    north, south = stores
    into = mg.prepare((north, south), tmp_path / "joined", join=True, quiet=True)
    again = Store.open(mg.prepare(into, tmp_path / "again", join=True, where="fold in (1, 2)", quiet=True))
    assert {scan.site for scan in again.scans} == {hashed("", "site", str(one)) for one in stores}
    assert {scan.fold for scan in again.scans} == {1, 2}
    with pytest.raises(DataError, match="does not say from which site"):
        mg.pretrain(tiny_recipe, north, tmp_path / "of-one", balance="site", val_folds=(1,))
    run = mg.pretrain(tiny_recipe, into, tmp_path / "run", balance="site", val_folds=(3,), train_folds=(1, 2))
    assert read_provenance(run, "pretrain").arguments["recipe"]["cubes"]["balance"] == "site"
    assert "each site is as likely: there are 2 to train on" in capfd.readouterr().err
    assert "--balance site" in command(str(run), read_provenance(run, "pretrain"))
