"""The registry's facts are well formed, and names become paths."""

import re
from pathlib import Path

import pytest
import torch

import modelsgenesis as mg
from modelsgenesis.commands.weights import fetch
from modelsgenesis.core.errors import WeightsError
from modelsgenesis.nets import UNet3D
from modelsgenesis.weights import registry, save_network
from modelsgenesis.weights.registry import ENTRIES, find_entry, resolve


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_entry_says_all_that_a_user_must_know(entry: registry.Entry) -> None:
    """Licence and citation always; addresses encrypted; a checksum only whole, a size only exact."""
    assert re.fullmatch(r"[a-z0-9-]+", entry.name)
    assert entry.licence.name
    assert entry.licence.allows.endswith(".")
    assert entry.licence.url.startswith("https://")
    assert re.search(r"(19|20)\d\d", entry.citation)
    assert entry.data
    assert entry.fits
    assert entry.format
    places = ("https://huggingface.co/", "https://download.pytorch.org/models/", "https://zenodo.org/records/")
    assert not entry.url or (entry.url.startswith(places) and not entry.page)
    assert not entry.page or entry.page.startswith("https://")
    assert entry.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
    assert entry.size is None or entry.size > 1_000_000


def test_names_and_files_are_distinguished() -> None:
    """Several publishers call their file the same; here none overwrites another."""
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)
    assert len({entry.file for entry in ENTRIES}) == len(ENTRIES)
    assert find_entry("openmind-resencl-mae").file == "openmind-resencl-mae.pth"
    assert find_entry("genesis-luna16-nnunet").file == "genesis-luna16-nnunet.model"
    assert find_entry("genesis-small-ct").file == "genesis-small-ct.safetensors"


def test_the_authors_weights_are_never_called_free() -> None:
    """Whatever the hub's tag says, their licence is for non-commercial research."""
    official = [entry for entry in ENTRIES if entry.url and "genesis" in entry.name]
    assert len(official) == 4
    assert all("non-commercial" in entry.licence.allows for entry in official)


def test_what_is_given_to_people_alone_is_never_fetched(tmp_path: Path) -> None:
    """Gated files, those behind a page, and those without a licence: the address is shown, and nothing comes."""
    by_hand = {entry.name: entry for entry in ENTRIES if entry.page}
    assert by_hand.keys() == {"peac-swin", "ark5", "ark6", "ark-plus", "ace", "lamps"}
    assert {name for name, entry in by_hand.items() if "no licence file" in entry.licence.allows} == {"ace", "lamps"}
    for name, entry in by_hand.items():
        words = f"{name} is given to people alone, at {entry.page}: nothing is downloaded here"
        for attempt in (lambda: resolve(name), lambda: fetch(name, tmp_path, accept=True)):  # noqa: B023
            with pytest.raises(WeightsError, match=words):
                attempt()
    assert list(tmp_path.iterdir()) == []


def test_encoders_of_others_are_free_and_fetched() -> None:
    """RAD-DINO's and EVA-X's files are on the hub, under MIT, and their licence allows any use."""
    free = {entry.name: entry for entry in ENTRIES if entry.format.startswith("Vision Transformer")}
    assert free.keys() == {"rad-dino", "eva-x-tiny", "eva-x-small", "eva-x-base"}
    assert {entry.licence.name for entry in free.values()} == {"MIT"}
    assert free["rad-dino"].file == "rad-dino.safetensors"
    assert free["eva-x-base"].file == "eva-x-base.pt"


def test_unknown_name_offers_the_nearest() -> None:
    """A slip of the finger is named, nonsense gets the list."""
    with pytest.raises(WeightsError, match="no 'genesis-chest' in the registry; there are: genesis-chest-ct,"):
        find_entry("genesis-chest")
    with pytest.raises(WeightsError, match=r"genesis-small-ct, .*lamps; genesis weights list shows all"):
        find_entry("?")


def test_path_that_exists_wins_over_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder or file of the user's that is called like an entry is what he means."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "genesis-chest-ct").mkdir()
    assert resolve("genesis-chest-ct") == Path("genesis-chest-ct")
    assert resolve(tmp_path / "genesis-chest-ct") == tmp_path / "genesis-chest-ct"


def test_name_of_what_must_be_fetched_tells_how() -> None:
    """There is no hidden cache to look in."""
    words = "run genesis weights fetch genesis-chest-ct weights/ and give weights/genesis-chest-ct.pt in its place"
    with pytest.raises(WeightsError, match=words):
        resolve("genesis-chest-ct")
    with pytest.raises(WeightsError, match=words):
        mg.load("genesis-chest-ct")


def test_anything_else_stays_as_it_is() -> None:
    """Its reader says what is wrong with it."""
    assert resolve("runs/none") == Path("runs/none")


def test_box_is_known_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path is in the package; an installation that lacks it says so."""
    monkeypatch.setattr(registry, "BOX", tmp_path)
    with pytest.raises(WeightsError, match=r"this installation lacks genesis-small-ct\.safetensors"):
        resolve("genesis-small-ct")
    save_network(tmp_path / "genesis-small-ct.safetensors", UNet3D(width=2))
    assert resolve("genesis-small-ct") == tmp_path / "genesis-small-ct.safetensors"
    network = mg.load("genesis-small-ct")
    assert isinstance(network, UNet3D)
    assert network.width == 2


def test_model_in_the_box_is_small_and_restores() -> None:
    """At most 5 MB; it rebuilds by its name, and predicts in [0, 1]; its card lies beside it."""
    path = resolve("genesis-small-ct")
    assert path.stat().st_size < 5_000_000
    assert "Licence" in path.with_name("README.md").read_text()
    with torch.no_grad():
        prediction = mg.load("genesis-small-ct")(torch.rand(1, 1, 32, 32, 32))
    assert 0 <= float(prediction.min()) < float(prediction.max()) <= 1
