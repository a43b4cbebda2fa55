"""Scans and stores in an object store: each file comes once and whole, whatever the server does."""

import csv
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import write_blobs
from tests.inference.runs import make_run
from tests.object_server import ObjectServer, object_server

import modelsgenesis as mg
from modelsgenesis.benchmarking.leakage_audit import audit
from modelsgenesis.core import remote, transfers
from modelsgenesis.core.errors import AwayError, DataError
from modelsgenesis.core.files import open_regular, sha256
from modelsgenesis.core.locations import name_of, parse
from modelsgenesis.core.provenance import write_provenance
from modelsgenesis.core.remote import Cache, here, is_here, make_room
from modelsgenesis.core.transfers import Patience
from modelsgenesis.data.store.store import SALT, Store
from modelsgenesis.inference.cases import find_cases
from modelsgenesis.recipes import Recipe

pytest.importorskip("obstore", reason="obstore is not installed: pip install -c constraints.txt '.[cloud]'")

SECRET = "fq3Secret"
STORE = "s3://scans/prepared/store"


@pytest.fixture(scope="module", params=["memory", "moto"])
def server(request: pytest.FixtureRequest) -> Iterator[ObjectServer]:
    """A store of four scans in a bucket, and the scans themselves below raw/."""
    with object_server(request.param) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in {"ENDPOINT_URL": server.url, "ACCESS_KEY_ID": "id", "SECRET_ACCESS_KEY": SECRET,
                            "REGION": "us-east-1"}.items():  # fmt: skip
            patch.setenv(f"AWS_{name}", value)
        patch.setattr(transfers, "PATIENCE", Patience(tries=3, pause_s=0.01, stall_s=STALL_S))
        yield server


STALL_S = 0.3


@pytest.fixture(scope="module")
def filled(server: ObjectServer, small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> ObjectServer:
    """The server with the files of the small store, and scans below raw/."""
    folder = tmp_path_factory.mktemp("raw")
    write_blobs(folder / "one.nii.gz", 1)
    write_blobs(folder / "two.nii.gz", 2)
    files = {f"raw/{path.name}": path for path in folder.iterdir()}
    names = [
        "made.json",
        "manifest.csv",
        "settings.json",
        *(f"scans/{p.name}" for p in (small_store / "scans").iterdir()),
    ]
    files |= {f"prepared/store/{name}": small_store / name for name in names}
    list(remote.upload(parse("s3://scans"), files))
    return server


@pytest.fixture
def asked(filled: ObjectServer) -> ObjectServer:
    """The filled server, which has counted nothing yet and behaves."""
    filled.asked.clear()
    filled.manners.clear()
    return filled


def test_training_fetches_each_file_once_and_whole(
    asked: ObjectServer, small_store: Path, tiny_recipe: Recipe, tiny_run: Path, tmp_path: Path
) -> None:
    """The weights are those of the local store; a second run on the machine fetches no scan again."""
    cache = tmp_path / "cache"
    run = mg.pretrain(tiny_recipe, STORE, tmp_path / "run", seed=3, cache=cache)
    num_scans = len(Store.open(small_store).scans)
    assert asked.count(".b2nd") == num_scans == len({one.key for one in asked.asked if one.key.endswith(".b2nd")})
    assert (asked.count("made.json"), asked.count("manifest.csv")) == (1, 1)
    assert not [one for one in asked.asked if one.range]
    sizes = sum(path.stat().st_size for path in (small_store / "scans").iterdir())
    assert sum(one.num_bytes for one in asked.asked if one.key.endswith(".b2nd")) == sizes
    assert sha256(run / "last.safetensors") == sha256(tiny_run / "last.safetensors")
    asked.asked.clear()
    store = Store.open(here(STORE, Cache(cache, 500)))
    assert all(store.read(scan, (0, 0, 0), (8, 8, 8)).any() for scan in store.scans)
    assert [one for one in asked.asked if not one.key.startswith("?")] == []


def _read_all(store: Store) -> int:
    return len([store.read(scan, (0, 0, 0), (8, 8, 8)) for scan in store.scans])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_loader_workers_fetch(asked: ObjectServer, tmp_path: Path) -> None:
    """The library hangs in a process forked from one that used it; a worker has a helper of its own."""
    store = Store.open(here(STORE, Cache(tmp_path, 1)))
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(_read_all, (store,)).get(timeout=30) == 4
    assert asked.count(".b2nd") == 4


def test_url_with_credentials_leaves_none_in_any_file(
    asked: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """made.json names the URL without them; they are in the environment alone."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    transfers.helper_of(os.getpid()).close()  # it would have the environment of before
    url = f"s3://id:{SECRET}@scans/raw/?endpoint={asked.url}&region=us-east-1"
    store = mg.prepare(url, tmp_path / "store", cache=tmp_path / "cache", workers=0, quiet=True, modality="CT")
    made = json.loads((Path(store) / "made.json").read_text(encoding="utf-8"))
    assert list(made["inputs"]) == ["s3://scans/raw"]
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 8
    assert not [path for path in written if SECRET.encode() in path.read_bytes() or b"endpoint=" in path.read_bytes()]


def _file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _content(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read()


@pytest.mark.parametrize("manners", [["503"], ["cut"], ["stall"], ["503", "cut"]])
def test_bad_manners_are_survived(asked: ObjectServer, tmp_path: Path, manners: list[str]) -> None:
    """A file that comes at last is the file."""
    folder = here("s3://scans/raw", Cache(tmp_path, 1))
    asked.manners.extend(manners)
    assert _content(folder / "one.nii.gz") == asked.objects["raw/one.nii.gz"]
    assert asked.count("one.nii.gz") == len(manners) + 1


@pytest.mark.parametrize("manner", ["503", "cut", "stall"])
def test_server_that_stays_bad_ends_in_one_line(asked: ObjectServer, tmp_path: Path, manner: str) -> None:
    """After the last try, within bounds, and with no half file left."""
    folder = here("s3://scans/raw", Cache(tmp_path, 1))
    asked.manners.extend([manner] * 3)
    begun = time.monotonic()
    with pytest.raises(AwayError, match=r"s3://scans/raw/one.nii.gz: given up after 3 tries .*; try again"):
        _content(folder / "one.nii.gz")
    assert time.monotonic() - begun < 3 * STALL_S + 3
    assert not is_here(folder / "one.nii.gz")
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize(("manner", "words"), [("404", "is not there; was it deleted"), ("403", "no permission")])
def test_lost_object_is_asked_for_once(asked: ObjectServer, tmp_path: Path, manner: str, words: str) -> None:
    """What another try cannot mend is told at once."""
    folder = here("s3://scans/raw", Cache(tmp_path, 1))
    asked.manners.append(manner)
    with pytest.raises(AwayError, match=f"s3://scans/raw/one.nii.gz:? ?{words}"):
        _content(folder / "one.nii.gz")
    assert asked.count("one.nii.gz") == 1


def test_scan_that_is_not_what_was_written_is_refused(asked: ObjectServer, tmp_path: Path) -> None:
    """A scan is compared with the manifest's checksum when it comes."""
    store = Store.open(here(STORE, Cache(tmp_path, 1)))
    scan = store.scans[0]
    key = f"prepared/store/scans/{scan.id}.b2nd"
    whole = asked.objects[key]
    try:
        list(remote.upload(parse(STORE), {f"scans/{scan.id}.b2nd": _file(tmp_path / "other", whole[:-1] + b"?")}))
        with pytest.raises(DataError, match="is not what was written"):
            store.read(scan, (0, 0, 0), (4, 4, 4))
    finally:
        list(remote.upload(parse(STORE), {f"scans/{scan.id}.b2nd": _file(tmp_path / "other", whole)}))
    assert store.read(scan, (0, 0, 0), (4, 4, 4)).shape == (1, 4, 4, 4)


def test_least_recently_used_goes_and_comes_again(
    asked: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store larger than the cache is read through; open handles go on."""
    monkeypatch.setattr(remote, "SPARED_S", 0.0)
    store = Store.open(here(STORE, Cache(tmp_path, 500)))
    first, second, *_ = store.scans
    corner = store.read(first, (0, 0, 0), (4, 4, 4))
    store.read(second, (0, 0, 0), (4, 4, 4))
    files = [store.path / "scans" / f"{scan.id}.b2nd" for scan in (first, second)]
    make_room(tmp_path, files[1].stat().st_size + 20_000)  # with the manifest
    assert [is_here(file) for file in files] == [False, True]
    assert files[0].stat().st_blocks * 512 < 8192 < files[0].stat().st_size
    np.testing.assert_array_equal(store.read(first, (0, 0, 0), (4, 4, 4)), corner)
    assert asked.count(f"{first.id}.b2nd") == 2


def test_what_was_just_used_stays(asked: ObjectServer, tmp_path: Path) -> None:
    """Somebody may be about to open it."""
    folder = here("s3://scans/raw", Cache(tmp_path, 1))
    open_regular(folder / "one.nii.gz").close()
    make_room(tmp_path, 0)
    assert is_here(folder / "one.nii.gz")


def _opening(folder: Path, **settings: Any) -> "subprocess.Popen[bytes]":
    """A process that opens a file, and says how long it is."""
    script = f"""if True:
        from modelsgenesis.core.files import Path, open_regular
        with open_regular(Path({str(folder / "one.nii.gz")!r})) as file:
            print(len(file.read()), end="")
    """
    return subprocess.Popen([sys.executable, "-c", script], **settings)


def test_processes_share_a_cache(asked: ObjectServer, tmp_path: Path) -> None:
    """Three that want a file at once fetch it once."""
    folder = here("s3://scans/raw", Cache(tmp_path, 1))
    processes = [_opening(folder, stdout=subprocess.PIPE) for _ in range(3)]
    whole = str(len(asked.objects["raw/one.nii.gz"])).encode()
    assert [process.communicate(timeout=60)[0] for process in processes] == [whole] * 3
    assert asked.count("one.nii.gz") == 1


def test_killed_process_holds_nothing(asked: ObjectServer, tmp_path: Path) -> None:
    """What it left half is deleted, and another fetches at once."""
    folder = here("s3://scans/raw", Cache(tmp_path, 1))
    asked.manners.append("stall")
    process = _opening(folder)
    while not asked.count("one.nii.gz"):
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert len(_content(folder / "one.nii.gz")) == len(asked.objects["raw/one.nii.gz"])
    _file(folder / ".one.nii.gz.999999-0.part", b"half")
    make_room(tmp_path, 10**9)
    assert not list(folder.glob(".*"))


def test_store_is_uploaded_whole_and_once(asked: ObjectServer, tmp_path: Path) -> None:
    """prepare URL URL: no salt and no names of sources leave; the same again sends nothing, a new scan one file."""
    into, cache = "s3://scans/new", tmp_path / "cache"
    assert mg.prepare("s3://scans/raw", into, cache=cache, workers=0, quiet=True, modality="CT") == into
    assert (asked.count("one.nii.gz"), asked.count("two.nii.gz")) == (1, 1)
    sent = {one.key.removeprefix("new/") for one in asked.asked if one.method == "PUT"}
    assert {name.split("/")[0] for name in sent} == {"scans", "settings.json", "manifest.csv", "made.json"}
    spool = next(cache.glob("spool=*"))
    salt = (spool / SALT).read_bytes()
    assert not [key for key, content in asked.objects.items() if salt in content]
    assert [one.key for one in asked.asked if one.method == "PUT"][-1] == "new/made.json"
    asked.asked.clear()
    mg.prepare("s3://scans/raw", into, cache=cache, workers=0, quiet=True, modality="CT")
    assert asked.count("", "PUT") == 0
    assert asked.count(".nii.gz") == 0
    assert mg.inspect(into, cache=tmp_path / "other", verify=True)
    with pytest.raises(DataError, match="was begun elsewhere, and its salt"):
        mg.prepare("s3://scans/raw", into, cache=tmp_path / "third", workers=0, quiet=True)


def test_broken_upload_goes_on(asked: ObjectServer, tmp_path: Path) -> None:
    """There is no made.json until all is there; the same command sends what is missing."""
    write_blobs(tmp_path / "one.nii.gz", 7)
    settings = {"cache": tmp_path / "cache", "workers": 0, "quiet": True, "salt": "s"}
    asked.manners.extend(["403"])
    with pytest.raises(DataError, match="no permission"):
        mg.prepare(tmp_path / "one.nii.gz", "s3://scans/broken", **settings)
    assert "broken/made.json" not in asked.objects
    mg.prepare(tmp_path / "one.nii.gz", "s3://scans/broken", **settings)
    assert "broken/made.json" in asked.objects


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://", "no URL of a bucket"),
        ("s3://scans/a?token=fq3Secret", "may have endpoint and region"),
        ("gs://id:fq3Secret@scans/a", "only s3:// may have"),
        ("s3://scans/a/../b", r"\.\. leads nowhere"),
        ("file://elsewhere/a", "three slashes"),
        ("s3://scans/nothing/there", "nothing is there"),
    ],
)
def test_odd_urls_are_refused(asked: ObjectServer, tmp_path: Path, url: str, words: str) -> None:
    """In a line that does not repeat a secret."""
    with pytest.raises(DataError, match=words) as caught:
        here(url, Cache(tmp_path, 1))
    assert SECRET not in str(caught.value)


def test_url_without_a_cache_names_the_flag() -> None:
    """There are no hidden caches."""
    with pytest.raises(DataError, match="--cache FOLDER"):
        here("s3://scans/raw", Cache(None, 1))


def test_file_url_is_its_path(tmp_path: Path) -> None:
    """And a path is itself; neither needs a cache, and nothing of a library is loaded."""
    assert here(f"file://{tmp_path}/a%20b", Cache(None, 1)) == tmp_path / "a b"
    assert here(str(tmp_path), Cache(None, 1)) == tmp_path
    assert name_of(tmp_path) == str(tmp_path)
    script = "import modelsgenesis.core.remote, sys; assert 'obstore' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_embed_reads_a_folder_file_by_file(asked: ObjectServer, tmp_path: Path) -> None:
    """Each scan once, by whoever reads it; the tables name URLs, and the same command again fetches nothing."""
    settings = {"cache": tmp_path / "cache", "quiet": True}
    into = mg.embed("size", "s3://scans/raw", tmp_path / "out", **settings)
    assert (asked.count("one.nii.gz"), asked.count("two.nii.gz")) == (1, 1)
    made = json.loads((into / "made.json").read_text(encoding="utf-8"))
    assert "s3://scans/raw" in made["inputs"]
    assert "url=" not in json.dumps(made)
    mg.embed("size", "s3://scans/raw", tmp_path / "out", **settings)
    assert asked.count(".nii.gz") == 2


def test_folder_that_changes_is_seen(asked: ObjectServer, tmp_path: Path) -> None:
    """A file that is another, and one that is gone, are found out by the next listing."""
    path = _file(tmp_path / "a", b"before")
    list(remote.upload(parse("s3://scans/changing"), {"a.npy": path, "b.npy": path}))
    folder = here("s3://scans/changing", Cache(tmp_path / "cache", 1))
    assert _content(folder / "a.npy") == b"before"
    list(remote.upload(parse("s3://scans/changing"), {"a.npy": _file(path, b"after it")}))
    remote.delete(parse("s3://scans/changing"), ["b.npy"])
    assert here("s3://scans/changing", Cache(tmp_path / "cache", 1)) == folder
    assert _content(folder / "a.npy") == b"after it"
    assert not (folder / "b.npy").exists()


def test_table_names_scans_beside_it(asked: ObjectServer, tmp_path: Path) -> None:
    """A CSV in a bucket, whose rows are relative to it."""
    table = _file(tmp_path / "table.csv", b"image,patient\none.nii.gz,p1\n")
    list(remote.upload(parse("s3://scans/raw"), {"table.csv": table}))
    try:
        mg.prepare("s3://scans/raw/table.csv", tmp_path / "store", cache=tmp_path / "cache", workers=0, quiet=True)
    finally:
        remote.delete(parse("s3://scans/raw"), ["table.csv"])
    assert len(Store.open(tmp_path / "store").scans) == 1
    assert asked.count("two.nii.gz") == 0


def test_lost_scan_costs_itself_alone(asked: ObjectServer, tmp_path: Path) -> None:
    """The other is embedded; a row of failures.csv names the URL and why, and the same command takes it then."""
    settings = {"cache": tmp_path / "cache", "quiet": True}
    asked.manners.extend(["404", "404"])  # one of them when the first is asked for its axes
    into = mg.embed("size", "s3://scans/raw", tmp_path / "out", **settings)
    with open(into / "failures.csv", encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["path"] in ("s3://scans/raw/one.nii.gz", "s3://scans/raw/two.nii.gz")
    assert (row["problem"], row["remedy"]) == (f"{row['path']} is not there", "was it deleted?")
    mg.embed("size", "s3://scans/raw", into, **settings)
    assert len((into / "failures.csv").read_text(encoding="utf-8").splitlines()) == 1


def test_store_that_is_another_is_forgotten(asked: ObjectServer, tmp_path: Path) -> None:
    """Its scans may have the same names."""
    store = Store.open(here(STORE, Cache(tmp_path / "cache", 1)))
    store.read(store.scans[0], (0, 0, 0), (4, 4, 4))
    file = store.path / "scans" / f"{store.scans[0].id}.b2nd"
    assert here(STORE, Cache(tmp_path / "cache", 1)) == store.path
    assert is_here(file)
    made = asked.objects["prepared/store/made.json"]
    try:
        list(remote.upload(parse(STORE), {"made.json": _file(tmp_path / "made.json", made + b"\n")}))
        here(STORE, Cache(tmp_path / "cache", 1))
        assert not is_here(file)
    finally:
        list(remote.upload(parse(STORE), {"made.json": _file(tmp_path / "made.json", made)}))


def test_audit_looks_into_a_store_at_a_url(asked: ObjectServer, tmp_path: Path) -> None:
    """A run names its store by URL; a test case that it saw is found, and without a cache that it cannot be known."""
    cache = Cache(tmp_path / "cache", 1)
    (tmp_path / "run").mkdir()
    write_provenance(tmp_path / "run", "pretrain", {}, inputs=[here(STORE, cache)])
    (tmp_path / "test").mkdir()
    write_blobs(tmp_path / "test" / "seen.nii.gz", 2)
    write_blobs(tmp_path / "test" / "new.nii.gz", 9)
    cases, _ = find_cases(tmp_path / "test", 1, tmp_path / "out")
    assert "seen" in {hit.case for hit in audit("arm", tmp_path / "run", cases, cache)}
    assert "new" not in {hit.case for hit in audit("arm", tmp_path / "run", cases, cache)}
    assert any("--cache FOLDER" in hit.why for hit in audit("arm", tmp_path / "run", cases))
    assert asked.count(".b2nd") == 0


def test_predict_reads_a_folder_file_by_file(asked: ObjectServer, tmp_path: Path) -> None:
    """The masks are those of the same folder on this machine, byte for byte; the table names URLs."""
    run = make_run(tmp_path / "run")
    (tmp_path / "raw").mkdir()
    for name in ("one.nii.gz", "two.nii.gz"):
        _file(tmp_path / "raw" / name, asked.objects[f"raw/{name}"])
    away = mg.predict(run, "s3://scans/raw", tmp_path / "away", cache=tmp_path / "cache", quiet=True)
    local = mg.predict(run, tmp_path / "raw", tmp_path / "local", quiet=True)
    assert (asked.count("one.nii.gz"), asked.count("two.nii.gz")) == (1, 1)
    assert sorted(path.name for path in local.glob("*.nii.gz")) == ["one.nii.gz", "two.nii.gz"]
    assert [sha256(path) for path in sorted(local.glob("*.nii.gz"))] == [
        sha256(path) for path in sorted(away.glob("*.nii.gz"))
    ]
    assert "s3://scans/raw/one.nii.gz" in (away / "predictions.csv").read_text(encoding="utf-8")
