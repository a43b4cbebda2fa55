"""`genesis weights`: the registry, licences that somebody accepts, and recalibration from the command line."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.weights.formats.official import Official, scrambled, with_optimizer
from tests.weights.servers import CONTENT, SHA256, Server, serving

import modelsgenesis as mg
from modelsgenesis.cli import main
from modelsgenesis.commands.command_line import command
from modelsgenesis.commands.weights import fetch, recalibrate
from modelsgenesis.core.errors import DataError, WeightsError
from modelsgenesis.core.provenance import lineage
from modelsgenesis.nets import Classifier, UNet3D
from modelsgenesis.recipes import Recipe
from modelsgenesis.weights import save_network
from modelsgenesis.weights.files import read_notes
from modelsgenesis.weights.registry import ENTRIES, Entry, Licence

LICENCE = Licence("House rules", "Take off your shoes.", "https://example.org/rules")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is on this machine."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on this machine."""
    with serving() as served:
        yield served


@pytest.fixture
def entry(server: Server) -> Entry:
    """Weights on that server."""
    return Entry("a-net", "A net", server.url, "torch", "U-Net", LICENCE, "Somebody 2024", "scans", sha256=SHA256)


def test_list_names_every_entry_with_its_licence(capsys: pytest.CaptureFixture[str]) -> None:
    """On stdout, so that it can be searched."""
    assert main(["weights", "list"]) == 0
    printed = capsys.readouterr().out
    assert all(entry.name in printed for entry in ENTRIES)
    assert "CC BY-NC-ND 4.0" in printed
    assert "153 MB" in printed


def test_show_tells_licence_citation_and_checksum(capsys: pytest.CaptureFixture[str]) -> None:
    """All that one needs before fetching; where no checksum is known, what happens instead."""
    assert main(["weights", "show", "genesis-chest-ct"]) == 0
    printed = capsys.readouterr().out
    for words in ("Academic and other non-commercial research", "Zhou et al.", "62de21a05236d6a8", "LUNA16"):
        assert words in printed
    assert main(["weights", "show", "medicalnet-resnet18"]) == 0
    assert "recorded on the first download, checked after" in capsys.readouterr().out


def test_unknown_entry_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With what there is."""
    assert main(["weights", "show", "genesis-chest"]) == 1
    assert capsys.readouterr().err.startswith(
        "weights: no 'genesis-chest' in the registry; there are: genesis-chest-ct"
    )


def test_help_tells_the_actions(capsys: pytest.CaptureFixture[str]) -> None:
    """One line each, and one page an action."""
    with pytest.raises(SystemExit):
        main(["weights", "--help"])
    printed = capsys.readouterr().out
    assert all(action in printed for action in ("list", "show", "fetch", "recalibrate", "push", "pull"))
    with pytest.raises(SystemExit):
        main(["weights", "recalibrate", "--help"])
    assert "SOURCE STORE INTO" in capsys.readouterr().out


def test_accepted_licence_lets_the_file_through(
    server: Server, entry: Entry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The licence is shown all the same; the second fetch neither shows nor asks."""
    path = fetch(entry, tmp_path / "weights", accept=True)
    assert path.read_bytes() == CONTENT
    assert "House rules: Take off your shoes." in capsys.readouterr().err
    assert fetch(entry, tmp_path / "weights") == path
    assert capsys.readouterr().err == ""
    assert len(server.asked) == 1


def test_without_yes_nothing_is_downloaded(
    server: Server, entry: Entry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nobody sits at a terminal, nobody has accepted; the shell says how."""
    with pytest.raises(WeightsError, match=r"was not accepted, and nothing was downloaded; read it at https"):
        fetch(entry, tmp_path / "weights")
    assert main(["weights", "fetch", "genesis-chest-ct", str(tmp_path / "weights")]) == 1
    assert "give --accept" in capsys.readouterr().err
    assert server.asked == []
    assert not (tmp_path / "weights").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_terminal_is_asked(server: Server, tmp_path: Path) -> None:
    """Only the whole word is a yes, in any case; anything else downloads nothing."""
    code = (
        "from modelsgenesis.commands.weights import *\nfrom modelsgenesis.weights.registry import *\n"
        "licence = Licence('House rules', 'Take off your shoes.', 'https://example.org')\n"
        f"entry = Entry('a-net', 'A net', {server.url!r}, 'torch', 'any', licence, '2024', 'scans')\n"
        "for folder in ('y', 'nothing', 'yes', 'Yes'):\n"
        "    try:\n        fetch(entry, folder)\n    except WeightsError as error:\n        print(folder, error)\n"
    )
    outside, inside = os.openpty()
    os.write(outside, b"y\n\nyes\nYes \n")
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, stdin=inside, capture_output=True, encoding="utf-8", check=True)
    os.close(inside)
    os.close(outside)
    assert done.stderr.count("Do you accept this licence? Type yes") == 4
    assert done.stdout.count("was not accepted, and nothing was downloaded") == 2
    assert {path.name for path in tmp_path.iterdir()} == {"yes", "Yes"}
    assert len(server.asked) == 2


@pytest.fixture(scope="module")
def statistical_run(small_store: Path, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run with the authors' norm."""
    recipe = tiny_recipe.but(backbone_args={"norm": "batch_stats"})
    return mg.pretrain(recipe, small_store, tmp_path_factory.mktemp("statistical") / "run", seed=0)


def test_recalibration_from_the_command_line(
    statistical_run: Path, small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints what it changed, and leaves a network, a report and a provenance file that leads to run and store."""
    asked = ["weights", "recalibrate", str(statistical_run), str(small_store), str(tmp_path / "new")]
    assert main([*asked, "--batches", "4", "--batch-size", "4"]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path / 'new'}\n"
    assert "for a cube alone and in a batch of 4" in printed.err
    report = json.loads((tmp_path / "new" / "recalibration.json").read_text())
    assert report["before"]["largest"] > 100 * report["after"]["largest"]
    assert report["after"]["largest"] < 1e-5
    assert 0 < report["moved"]["mean"] <= report["moved"]["largest"] <= 1
    network = mg.load(tmp_path / "new")
    assert isinstance(network, UNet3D)
    assert network.norm == "batch"
    cubes = torch.rand(3, 1, 16, 16, 16)
    torch.testing.assert_close(network(cubes)[:1], network(cubes[:1]), atol=1e-5, rtol=0)
    chain = lineage(tmp_path / "new")
    assert [made.verb for _, made in chain] == ["weights recalibrate", "pretrain", "prepare"]
    assert command(*chain[0]) == shlex.join(["genesis", *asked, "--batches", "4", "--batch-size", "4"])


def test_recalibrated_network_is_known_as_what_it_was(statistical_run: Path, small_store: Path, tmp_path: Path) -> None:
    """Its recipe stays in its notes, so that fine-tuning reads images as before; the same seed gives the same bytes."""
    settings = {"batches": 2, "batch_size": 2, "quiet": True}
    one, other = (recalibrate(statistical_run, small_store, tmp_path / name, **settings) for name in ("one", "other"))
    file = "model.safetensors"
    assert (one / file).read_bytes() == (other / file).read_bytes()
    notes, before = read_notes(one / file), read_notes(statistical_run / file)
    assert notes["recipe"] == before["recipe"]
    assert notes["recalibrated"]["batches"] == 2
    another = recalibrate(statistical_run, small_store, tmp_path / "another", seed=1, **settings)
    assert (another / file).read_bytes() != (one / file).read_bytes()


def test_the_authors_file_is_recalibrated_with_its_licence(server: Server, small_store: Path, tmp_path: Path) -> None:
    """As published, fetched with its licence: the new file says whose weights these are and how images are read."""
    torch.save(with_optimizer(scrambled(Official(width=2))), tmp_path / "official.pt")
    server.content = (tmp_path / "official.pt").read_bytes()
    entry = Entry("a-net", "A net", server.url, "official PyTorch", "U-Net", LICENCE, "Somebody 2024", "scans")
    file = fetch(entry, tmp_path / "weights", accept=True, quiet=True)
    made = recalibrate(file, small_store, tmp_path / "new", recipe="small", batches=2, batch_size=2, quiet=True)
    notes = read_notes(made / "model.safetensors")
    assert notes["origin"]["licence"] == "House rules"
    assert notes["reading"]["intensity"]["high_hu"] == 1000
    assert notes["epoch"] == 620
    assert json.loads((made / "recalibration.json").read_text())["after"]["largest"] < 1e-5


def test_file_that_does_not_say_its_cubes_needs_a_recipe(small_store: Path, tmp_path: Path) -> None:
    """The recipe named decides size and scale."""
    save_network(tmp_path / "net.safetensors", UNet3D(width=2, norm="batch_stats"))
    with pytest.raises(WeightsError, match="does not say which cubes it was trained on; name a recipe"):
        recalibrate(tmp_path / "net.safetensors", small_store, tmp_path / "new")
    made = recalibrate(
        tmp_path / "net.safetensors", small_store, tmp_path / "new", recipe="small", batches=1, batch_size=2, quiet=True
    )
    assert json.loads((made / "recalibration.json").read_text())["cubes"]["size"] == [32, 32, 32]


def test_classifier_is_refused(small_store: Path, tmp_path: Path) -> None:
    """Its head was trained on features that would no longer be the same."""
    target = {"class": "modelsgenesis.core.target:Target", "kind": "classification"}
    labels = [{"class": "modelsgenesis.core.target:Label", "name": name, "values": [k]} for k, name in enumerate("ab")]
    notes = {"target": {**target, "labels": labels, "exclusive": True}}
    save_network(tmp_path / "net.safetensors", Classifier(UNet3D(width=2, norm="batch_stats"), 2), notes)
    with pytest.raises(WeightsError, match="is a classification network; recalibrate the one it started from"):
        recalibrate(tmp_path / "net.safetensors", small_store, tmp_path / "new")


@pytest.mark.parametrize("wrong", [{"batches": 0}, {"batch_size": 1}, {"seed": -1}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, int], small_store: Path, tmp_path: Path) -> None:
    """Before anything is read."""
    with pytest.raises(DataError, match="at least 1 batch of 2 cubes"):
        recalibrate("none", small_store, tmp_path / "new", **wrong)


def test_folder_of_another_stage_is_kept(statistical_run: Path, small_store: Path) -> None:
    """A run is never written over."""
    with pytest.raises(DataError, match="was made by `genesis pretrain`"):
        recalibrate(statistical_run, small_store, statistical_run, batches=1)
