"""What every reader owes whoever gives it a bad file: an error of ours that says so, and the others go on."""

import builtins
import errno
import io
import json
import multiprocessing
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console
from tests.data.scan_files import make_ct, make_image, write_ct, write_series
from tests.inference.runs import make_run
from tests.tasks.task_files import make_pairs

import modelsgenesis as mg
from modelsgenesis.commands.command_line import command
from modelsgenesis.core.errors import DataError, GenesisError, WeightsError
from modelsgenesis.core.files import read_json, write_json
from modelsgenesis.core.naming import describe, rebuild
from modelsgenesis.core.process_pool import work_through
from modelsgenesis.core.provenance import Provenance, read_provenance, write_provenance
from modelsgenesis.core.tables import read_rows, read_table
from modelsgenesis.data import source_table, sources
from modelsgenesis.data.formats import classify
from modelsgenesis.data.formats.nifti import Nifti
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity_statistics import PERCENTILES
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.store.arrays import StoredArray, write_array
from modelsgenesis.data.store.scan import Scan
from modelsgenesis.data.store.store import Store, find_salt
from modelsgenesis.data.store.verifying import damage_of
from modelsgenesis.data.store.writer import find_done
from modelsgenesis.inference.finetuned_networks import find_fine_tuned
from modelsgenesis.nets import UNet3D
from modelsgenesis.recipes import find_recipe
from modelsgenesis.reports import replay
from modelsgenesis.tasks import folder
from modelsgenesis.tasks.checks import check
from modelsgenesis.tasks.labelled_sets import read_sets
from modelsgenesis.tasks.reading import read_cases
from modelsgenesis.training.checkpoint import State, load_state, save_state
from modelsgenesis.training.logger import RunLogger, read_log
from modelsgenesis.weights.checkpoints import read_checkpoint
from modelsgenesis.weights.files import KEY, load_network, read_notes, save_network
from modelsgenesis.weights.loading import load_weights

MUTATIONS = int(os.environ.get("GENESIS_MUTATIONS", "1000"))  # of all readers together; more by hand
COMPILED = (".mha", ".nrrd", ".dcm")  # decoded by libraries that may end the process: in one of its own


class ReadHere(BaseException):
    """The test's own process was about to be ended."""


@dataclass(frozen=True)
class Deadly(Nifti):
    """Stands in for a decoder that ends its process on a damaged file."""

    may_die = True

    def read(self, place: Any, region: Any = None) -> Any:
        """Kill the process, as a fault in a library of C++ does."""
        if multiprocessing.parent_process() is None:
            raise ReadHere
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files called `bad` are read by a decoder that ends its process."""

    def classified(file: Path, *, pictures: bool = False) -> Any:
        found = classify(file, pictures=pictures)
        return Deadly() if found and file.name.startswith("bad") else found

    monkeypatch.setattr(sources, "classify", classified)
    monkeypatch.setattr(source_table, "classify", classified)


def three_scans(place: Path) -> Path:
    """Two good scans and one whose decoder dies."""
    for seed, name in enumerate(("a", "aa", "bad")):
        write_ct(place / f"{name}.nii.gz", seed)
    return place


@pytest.mark.usefixtures("deadly")
def test_prepare_predict_and_embed_lose_one_case_to_a_decoder_that_dies(tmp_path: Path) -> None:
    """Manifest, predictions and vectors are of the others; problems.csv and failures.csv say what became of the one."""
    scans = three_scans(tmp_path / "scans")
    mg.prepare(scans, tmp_path / "store", workers=1, quiet=True, salt="test")
    assert len(Store.open(tmp_path / "store").scans) == 2
    out = mg.predict(make_run(tmp_path / "run"), scans, tmp_path / "out", quiet=True, accelerator="cpu")
    assert [row["id"] for row in read_rows(out / "predictions.csv") if row["status"] == "predicted"] == ["a", "aa"]
    vectors = mg.embed("raw", scans, tmp_path / "vectors", quiet=True)
    assert [path.stem for path in sorted((vectors / "vectors").iterdir())] == ["a", "aa"]
    for table in (tmp_path / "store" / "problems.csv", out / "failures.csv", vectors / "failures.csv"):
        (line,) = read_rows(table)
        assert (Path(line["path"]).name, line["problem"]) == ("bad.nii.gz", "the process that read it died")


@pytest.mark.usefixtures("deadly")
def test_single_case_is_told_before_it_is_read_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read in this process, which is faster; whatever becomes of that, failures.csv is there before."""
    scan, out = write_ct(tmp_path / "bad.nii.gz"), tmp_path / "out"
    found: list[str] = []
    monkeypatch.setattr(Deadly, "read", lambda *_: found.append((out / "failures.csv").read_text()))
    with pytest.raises(DataError, match="could be predicted"):
        mg.predict(make_run(tmp_path / "run"), scan, out, quiet=True, accelerator="cpu")
    assert "the process that read it died" in found[0]
    (line,) = read_rows(out / "failures.csv")
    assert line["problem"].startswith("it cannot be read")


@pytest.mark.usefixtures("deadly")
def test_inspect_and_finetune_lose_one_case_to_a_decoder_that_dies(tmp_path: Path) -> None:
    """`inspect` keeps the others; `finetune`, which takes no data set with holes, names the file and keeps them."""
    data = make_pairs(tmp_path / "data", cases=3)
    task = folder(data)
    images = replace(task.cases[2].images[0], format=Deadly())
    task = replace(task, cases=(*task.cases[:2], replace(task.cases[2], images=(images,))))
    found = check(task)
    assert [case.id for case in found.usable] == ["case0", "case1"]
    assert "the process that read it died" in [problem.problem for problem in found.problems]
    with pytest.raises(DataError, match=r"1 of 3 cases cannot be used: .*case2.*the process that read it died"):
        read_cases(task, task.cases, Reading(), tmp_path / "cases", Console(quiet=True))
    assert len(list((tmp_path / "cases").glob("*.image.b2nd"))) == 2


@pytest.mark.usefixtures("deadly")
def test_evaluate_loses_one_case_to_a_decoder_that_dies(tmp_path: Path) -> None:
    """The scores are of the others, and the table says what became of the one."""
    for place in ("truth", "predicted"):
        for name in ("a", "aa", "bad"):
            (tmp_path / place).mkdir(exist_ok=True)
            values = np.zeros((9, 9, 9), np.uint8)
            values[2:5, 2:5, 2:5] = 1
            sitk.WriteImage(make_image(values), str(tmp_path / place / f"{name}.nii.gz"))
    (tmp_path / "truth" / "labels.json").write_text('{"background": 0, "organ": 1}')
    scores = mg.evaluate(tmp_path / "predicted", tmp_path / "truth", tmp_path / "scores", quiet=True, resamples=10)
    rows = {row["id"]: row for row in read_rows(scores / "cases.csv")}
    assert (rows["a"]["status"], rows["aa"]["dice"]) == ("compared", "1.0")
    assert "the process that read it died" in rows["bad"]["note"]


UTF8 = pytest.mark.skipif(sys.getfilesystemencoding() != "utf-8", reason="this locale has no such letters")


@pytest.mark.parametrize("name", ["a" * 245, pytest.param("é" * 120, marks=UTF8)])
def test_name_as_long_as_the_disk_takes_is_predicted(tmp_path: Path, name: str) -> None:
    """Nothing can be written under it and an ending: the id ends in a hash, and another such name has another."""
    for last in ("x", "y"):
        write_ct(tmp_path / "short.nii.gz").rename(tmp_path / f"{name}{last}.nii.gz")
    out = mg.predict(make_run(tmp_path / "run"), tmp_path, tmp_path / "out", quiet=True, accelerator="cpu")
    ids = {row["id"] for row in read_rows(out / "predictions.csv") if row["status"] == "predicted"}
    assert len(ids) == 2
    assert all(len(one.encode()) <= 200 and one.startswith(name[:60]) for one in ids)


# Readers of files that anybody may have changed.


def tiny_row() -> dict[str, str]:
    """A row of a manifest."""
    numbers = dict.fromkeys(("slope", "intercept", "minimum", "maximum", "foreground", "mean", "std"), 1.0)
    scan = Scan(
        "0" * 16, "1" * 16, "2" * 16, "CT", 0, (1, 4, 4, 4), (1.0, 1.0, 1.0), "int16", **numbers,
        percentiles=dict.fromkeys(PERCENTILES, 1.0), num_cubes=1, cubes_per_scan=1, source_bytes=1,
        sha256="0" * 64,
    )  # fmt: skip
    return scan.to_row()


def read_scan(path: Path) -> None:
    """Find what there is at a place, and read it."""
    found, _ = sources.find_sources(path, pictures=True)
    for source in found:
        read_volume(source)


def make_files(place: Path) -> dict[str, tuple[Path, Callable[[Path], object]]]:
    """One whole file of each kind, and what reads it, by a name."""
    place.mkdir(parents=True)
    run = make_run(place / "run")
    save_state(place, State(3, [0.5]), {"a": torch.ones(2)}, {"state": {}})
    with RunLogger(place, 3, start=0, console=Console(quiet=True)) as log:
        log.write(1, {"loss": 0.5})
    np.save(place / "a.npy", make_ct())
    np.save(place / "bat_32_8x8x8_0.npy", np.random.default_rng(0).random((4, 8, 8, 8)))
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 20), np.uint8))
    for ending in ("png", "jpg", "tif"):
        picture.save(place / f"a.{ending}")
    for name in ("a.nii", "b.nii.gz", "a.hdr", "a.mha", "a.nrrd"):
        write_ct(place / name)
    slices = write_series(place / "series", make_ct(size=(16, 16, 4)))
    store = mg.prepare(write_ct(place / "scans" / "a.nii.gz").parent, place / "store", workers=0, quiet=True, salt="t")
    scans = {one.name: (one, read_scan) for one in place.glob("*.*") if classify(one, pictures=True)}
    return scans | {
        "slice.dcm": (slices[1], lambda path: read_scan(path.parent)),
        "manifest.csv": (store / "manifest.csv", lambda path: Store.open(path.parent)),
        "table.csv": (store / "problems.csv", read_table),
        "made.json": (store / "made.json", lambda path: read_provenance(path.parent, "prepare")),
        "settings.json": (store / "settings.json", read_json),
        "log.csv": (place / "log.csv", read_log),
        "resume.pt": (place / "resume.pt", lambda path: load_state(path.parent)),
        "model.safetensors": (run / "model.safetensors", lambda path: (load_network(path), find_fine_tuned([path]))),
    }  # fmt: skip


def scans_of(store: Path) -> tuple[Scan, ...]:
    """The scans of a store."""
    return tuple(Store.open(store).scans)


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes changed, most of them in the head, some taken out or put in, or the end cut off."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(0, min(len(changed), 2 ** int(rng.integers(3, 20))) or 1))
        kind = rng.integers(0, 8)
        if kind < 4:
            changed[at : at + 1] = rng.integers(0, 256, 1, np.uint8).tobytes()
        elif kind == 4:
            changed[at : at + 8] = bytes([int(rng.choice([0, 255, 127, 128]))]) * int(rng.integers(1, 9))
        elif kind == 5:
            changed[at:at] = rng.choice(
                [b"9" * 5000, b"[" * 2000, b"1e400", b"\\ud800", b"\xff", b"-", b'"', b",", b"\n"]
            )
        elif kind == 6:
            del changed[at : at + int(rng.integers(1, 65))]
        else:
            del changed[at:]
    return bytes(changed)


def wrong_with(name: str, seeds: range, place: Path) -> str:
    """Read a file in that many changed forms; the first trace of an error that is none of ours, or nothing."""
    path, read = make_files(place)[name]
    whole = path.read_bytes()
    for seed in seeds:
        path.write_bytes(mutated(whole, np.random.default_rng(seed)))
        try:
            read(path)
        except GenesisError:
            continue
        except Exception:  # noqa: BLE001 that is the question
            return f"{name}, seed {seed}: {traceback.format_exc()}"
    return ""


def wrong_with_all(task: tuple[tuple[str, ...], range, Path]) -> list[str]:
    """The same of several files."""
    names, seeds, place = task
    return [wrong for name in names if (wrong := wrong_with(name, seeds, place / name))]


@pytest.mark.filterwarnings("ignore")
def test_changed_files_are_read_or_refused_by_an_error_of_ours(tmp_path: Path) -> None:
    """A thousand changes, the same in each run; files that compiled libraries decode are read in another process."""
    names = tuple(make_files(tmp_path / "names"))
    seeds = range(-(-MUTATIONS // len(names)))
    compiled = tuple(name for name in names if name.endswith(COMPILED))
    here = tuple(name for name in names if name not in compiled)
    wrong = wrong_with_all((here, seeds, tmp_path))
    for _, found in work_through(wrong_with_all, [((name,), seeds, tmp_path / "compiled") for name in compiled], 1):
        wrong += found or []  # one that died costs its file, as promised
    assert not wrong, "\n\n".join(wrong)


NOTES = ("target", "reading", "patch", "channels", "taught_mm", "approach", "targets")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(derandomize=True, deadline=None, max_examples=max(40, MUTATIONS // 10), database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(name=st.sampled_from(NOTES), value=ANYTHING)
def test_notes_of_any_shape_are_refused_with_the_name_of_their_file(tmp_path: Path, name: str, value: Any) -> None:
    """What a fine-tuned file says of itself may be anything: it is taken, or a WeightsError names the file."""
    from safetensors.torch import save

    run = tmp_path / "run" if (tmp_path / "run").exists() else make_run(tmp_path / "run")
    notes = {**read_notes(run / "model.safetensors"), name: value}
    path = tmp_path / "changed.safetensors"
    path.write_bytes(save({}, metadata={KEY: json.dumps({"notes": notes})}))
    try:
        find_fine_tuned([path])
    except WeightsError as error:
        assert str(path) in str(error)  # noqa: PT017 it may be taken too


def test_json_nested_without_end_and_numbers_without_end_name_their_file(tmp_path: Path) -> None:
    """Python gives up on both in ways of its own."""
    for text in ("[" * 100_000, "9" * 5000, '{"a": 1e400', "\ud800"):
        (tmp_path / "a.json").write_bytes(text.encode(errors="surrogatepass"))
        with pytest.raises(DataError, match=r"a\.json"):
            read_json(tmp_path / "a.json")


def test_checkpoint_of_the_right_form_and_empty_content_names_itself(tmp_path: Path) -> None:
    """Nothing of a learner, no step, no mapping: each is a line."""
    empty: dict[str, Any] = {"state": {}, "learner": {}, "optimizer": {}}
    for content in ({**empty, "learner": 3}, {**empty, "state": {"step": "x"}}, []):
        torch.save(content, tmp_path / "resume.pt")
        with pytest.raises(GenesisError, match=r"resume\.pt: a broken checkpoint; delete it"):
            load_state(tmp_path)


def test_stored_file_that_blosc2_opens_as_no_array_is_damaged(tmp_path: Path) -> None:
    """Where the shape is lost, it opens the bytes alone, which know no regions."""
    import blosc2

    path = tmp_path / "a.b2nd"
    blosc2.SChunk(data=b"0" * 64, contiguous=True, urlpath=str(path))
    with pytest.raises(DataError, match=r"a\.b2nd: missing or damaged; delete it"):
        StoredArray(path)


def test_scan_of_no_cube_is_no_scan() -> None:
    """A manifest of cubes_per_scan 0 would be divided by."""
    for name in ("cubes_per_scan", "num_cubes"):
        with pytest.raises(DataError, match="broken"):
            Scan.from_row({**tiny_row(), name: "0"})
    assert Scan.from_row(tiny_row()).cubes_per_scan == 1


def test_weights_that_are_a_pipe_are_not_opened(tmp_path: Path) -> None:
    """As a file, within a run, and within a store: nothing waits for anybody to write."""
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="no such file"):
        mg.load(tmp_path / "model.safetensors")
    with pytest.raises(WeightsError):
        read_notes(tmp_path / "model.safetensors")
    store = mg.prepare(write_ct(tmp_path / "scans" / "a.nii.gz").parent, tmp_path / "store", workers=0, quiet=True)
    for name in ("manifest.csv", "salt", "made.json", f"scans/{scans_of(store)[0].id}.b2nd"):
        kept = (store / name).read_bytes()
        scan = scans_of(store)[0]
        (store / name).unlink()
        os.mkfifo(store / name)
        with pytest.raises(DataError):
            mg.prepare(tmp_path / "scans", store, workers=0, quiet=True) if name == "salt" else Store.open(store).read(
                scan, (0, 0, 0), (2, 2, 2)
            )
        (store / name).unlink()
        (store / name).write_bytes(kept)


# What somebody else's folder says.

STRANGE = {
    "id": ("../../../etc/x", "0" * 15, "G" * 16), "patient": ("Jane Doe",), "series": ("",), "slope": ("nan", "0.0"),
    "spacing_mm": ("1.0 0.0 1.0", "1.0 inf 1.0", "1.0 1.0"), "shape": ("1 4 4 0", "4", "1 1 4 4 4 4"),
    "minimum": ("nan",), "p50": ("inf",), "dtype": ("object", "U4", "x"), "modality": ("<b>",), "fold": ("-1",),
}  # fmt: skip


@pytest.mark.parametrize(("column", "text"), [(name, text) for name, some in STRANGE.items() for text in some])
def test_row_of_a_manifest_that_cannot_be_is_refused(column: str, text: str) -> None:
    """An id becomes the name of a file, and numbers scale images."""
    assert tiny_row()[column] != text
    with pytest.raises(DataError, match="broken"):
        Scan.from_row({**tiny_row(), column: text})


def test_array_of_another_shape_than_its_record_is_refused(tmp_path: Path) -> None:
    """Before a region of it is cut by the manifest's size."""
    write_ct(tmp_path / "scans" / "a.nii.gz")
    store = Store.open(mg.prepare(tmp_path / "scans", tmp_path / "store", workers=0, quiet=True))
    (scan,) = store.scans
    assert store.read(scan, (0, 0, 0), (2, 2, 2)).shape == (1, 2, 2, 2)
    for strange in (replace(scan, shape=(1, 8, 8, 8)), replace(scan, num_cubes=2), replace(scan, dtype="uint8")):
        with pytest.raises(DataError, match="as is written of it"):
            Store(store.path, [strange]).read(strange, (0, 0, 0), (2, 2, 2))


def test_no_module_is_imported_because_a_file_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe.json, a made.json or a table of sets; the command line may name it, and then the file may too."""
    (tmp_path / "foreign_code.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    recipe = find_recipe("small").but(method="foreign_code:Method")
    write_json(tmp_path / "recipe.json", {"recipe": describe(recipe), "seed": 0})
    made = Provenance("pretrain", {"recipe": {"name": "foreign_code:recipe"}}, {}, "1", None, 0, "")
    write_provenance(tmp_path, "pretrain", {"recipe": {"name": "foreign_code:recipe"}}, inputs=[])
    (tmp_path / "sets.csv").write_text("name,data,task\na,.,foreign_code:read\n")
    with pytest.raises(GenesisError, match="names foreign_code:Method, and no module is imported"):
        replay.recipe_of(tmp_path)
    with pytest.raises(GenesisError, match="names foreign_code:read, and no module is imported"):
        read_sets(tmp_path / "sets.csv", 2, 0)
    assert command("run", made).startswith("genesis pretrain foreign_code:recipe")
    assert not (tmp_path / "ran").exists()
    own, _ = replay.settings(recipe, tmp_path, None)
    assert (own.method, (tmp_path / "ran").exists()) == ("foreign_code:Method", True)


def test_number_without_end_in_a_description_is_refused() -> None:
    """NaN and Infinity, which Python's JSON takes."""
    described = describe(find_recipe("small"))
    for value in (float("nan"), float("inf")):
        with pytest.raises(GenesisError, match="no finite number"):
            rebuild({**described, "plan": {**described["plan"], "lr": value}})


@pytest.mark.parametrize("changes", [{"verb": 3}, {"inputs": {"a": 1}}, {"seed": "1"}, {"outputs": {"a": None}}])
def test_provenance_of_another_shape_names_its_file(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Its words become commands and paths."""
    write_provenance(tmp_path, "pretrain", {}, inputs=[])
    write_json(tmp_path / "made.json", {**read_json(tmp_path / "made.json"), **changes})
    with pytest.raises(DataError, match=r"made\.json: not a provenance file"):
        read_provenance(tmp_path, "pretrain")


# The reason given is the true one.


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Let the system refuse to open files whose name ends so, as it does for whoever is not root."""

    def refuse(ending: str, number: int) -> None:
        opened = builtins.open

        def guarded(file: Any, *args: Any, **how: Any) -> Any:
            if str(file).endswith(ending):
                raise OSError(number, os.strerror(number), str(file))
            return opened(file, *args, **how)

        monkeypatch.setattr(builtins, "open", guarded)
        monkeypatch.setattr(io, "open", guarded)

    return refuse


REASONS = {
    errno.EACCES: "no permission to read", errno.EMFILE: "too many files are open", errno.EIO: "the disk or the network"
}  # fmt: skip


@pytest.mark.parametrize("number", REASONS)
def test_file_that_the_system_refuses_is_not_damaged(
    tmp_path: Path, refusing: Callable[[str, int], None], number: int
) -> None:
    """Whoever reads it: a table, JSON, weights, a checkpoint, a stored array, a scan's checksum, the salt."""
    write_ct(tmp_path / "scans" / "a.nii.gz")
    store = Store.open(mg.prepare(tmp_path / "scans", tmp_path / "store", workers=0, quiet=True))
    (scan,) = store.scans
    stored = next((store.path / "scans").iterdir())
    save_network(tmp_path / "x.safetensors", UNet3D(width=1))
    torch.save({}, tmp_path / "x.pt")
    for ending in ("manifest.csv", "made.json", ".safetensors", ".pt", ".b2nd", "salt"):
        refusing(ending, number)
    readers: list[Callable[[], Any]] = [
        lambda: read_rows(store.path / "manifest.csv"),
        lambda: Store.open(store.path),
        lambda: load_weights(tmp_path / "x.safetensors"),
        lambda: read_checkpoint(tmp_path / "x.pt"),
        lambda: StoredArray(stored),
        lambda: find_done(store.path, scan.id),
        lambda: mg.prepare(tmp_path / "scans", store.path, workers=0, quiet=True),
    ]
    for read in readers:
        with pytest.raises(GenesisError) as found:
            read()
        assert REASONS[number] in str(found.value)
        assert not re.search("damaged|cut off|gone|not there|delete it", str(found.value)), found.value
    assert REASONS[number] in damage_of(scan, store)
    assert REASONS[number] in find_salt(store.path)[1]


def test_full_disk_is_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blosc2 says only that it could not; the system is asked why."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("Error while storing the array")

    monkeypatch.setattr(blosc2.NDArray, "save", fails)
    values = np.zeros((1, 1, 4, 4, 4), np.int16)
    with pytest.raises(DataError, match="Blosc2 could not write it"):
        write_array(tmp_path / "a.b2nd", values.shape, "int16", lambda at: values[at], dict)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError, match="the disk is full; free some space"):
        write_array(tmp_path / "a.b2nd", values.shape, "int16", lambda at: values[at], dict)
    assert list(tmp_path.iterdir()) == []
