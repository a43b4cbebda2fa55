"""Exported folders go to a hub and come back, by the real huggingface_hub and a hub on this machine."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.weights.hub_server import COMMIT, TOKEN, Hub, serving

import modelsgenesis as mg
from modelsgenesis.core.errors import DataError, MissingExtraError, WeightsError
from modelsgenesis.core.provenance import write_provenance
from modelsgenesis.nets import UNet3D
from modelsgenesis.weights import hub, save_network

pytest.importorskip("huggingface_hub", reason="the hub's own library is not installed")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub is on this machine."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def there() -> Iterator[Hub]:
    """A hub on this machine."""
    with serving() as served:
        yield served


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A folder as `genesis export` leaves it."""
    folder = tmp_path / "exported"
    folder.mkdir()
    save_network(folder / "model.safetensors", UNet3D(width=2))
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A network\n")
    write_provenance(folder, "export", {}, inputs=[])
    return folder


def test_what_goes_up_comes_down_the_same(exported: Path, there: Hub, tmp_path: Path) -> None:
    """Card and weights; the provenance, which names paths of this machine, stays."""
    address = hub.push(exported, "lab/chest", endpoint=there.url, token=TOKEN)
    assert address == f"{there.url}/lab/chest/commit/1"
    assert set(there.repos["lab/chest"]) == {"README.md", "model.safetensors"}
    pulled = hub.pull("lab/chest", tmp_path / "pulled", endpoint=there.url, token=TOKEN)
    assert {path.name for path in pulled.iterdir()} == {"README.md", "model.safetensors"}
    cubes = torch.rand(1, 1, 16, 16, 16)
    assert torch.equal(mg.load(pulled)(cubes), mg.load(exported)(cubes))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_new_repository_is_private_unless_asked_otherwise(exported: Path, there: Hub) -> None:
    """What is public cannot be taken back."""
    hub.push(exported, "lab/mine", endpoint=there.url, token=TOKEN)
    hub.push(exported, "lab/ours", public=True, endpoint=there.url, token=TOKEN)
    assert there.private == {"lab/mine": True, "lab/ours": False}


def test_push_to_a_repository_that_is_there_adds_to_it(exported: Path, there: Hub) -> None:
    """The second push is another commit."""
    hub.push(exported, "lab/chest", endpoint=there.url, token=TOKEN)
    (exported / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A better card\n")
    hub.push(exported, "lab/chest", endpoint=there.url, token=TOKEN)
    assert b"better" in there.repos["lab/chest"]["README.md"]


def test_only_exports_are_pushed(exported: Path, there: Hub, tmp_path: Path) -> None:
    """A run holds tables that name the scans; an export without a card says nothing of its licence."""
    write_provenance(tmp_path / "run", "finetune", {}, inputs=[])
    with pytest.raises(DataError, match="a folder made by `genesis export` is needed"):
        hub.push(tmp_path / "run", "lab/chest", endpoint=there.url, token=TOKEN)
    (exported / "README.md").unlink()
    with pytest.raises(WeightsError, match=r"has no README\.md"):
        hub.push(exported, "lab/chest", endpoint=there.url, token=TOKEN)
    assert there.repos == {}


def test_pull_asks_for_a_revision(exported: Path, there: Hub, tmp_path: Path) -> None:
    """A commit is one; what is none is said."""
    hub.push(exported, "lab/chest", endpoint=there.url, token=TOKEN)
    hub.pull("lab/chest", tmp_path / "pulled", revision=COMMIT, endpoint=there.url, token=TOKEN)
    with pytest.raises(WeightsError, match="has no such revision"):
        hub.pull("lab/chest", tmp_path / "other", revision="v9", endpoint=there.url, token=TOKEN)


def test_pull_never_writes_over_a_folder(there: Hub, tmp_path: Path) -> None:
    """Whatever it holds."""
    (tmp_path / "mine").mkdir()
    with pytest.raises(WeightsError, match="is there already"):
        hub.pull("lab/chest", tmp_path / "mine", endpoint=there.url, token=TOKEN)


def test_refusals_of_the_hub_are_one_line(exported: Path, there: Hub, tmp_path: Path) -> None:
    """No account, no repository, a closed one, no name, no hub."""
    with pytest.raises(WeightsError, match="lab/chest: ") as refused:
        hub.push(exported, "lab/chest", endpoint=there.url, token="another-token")
    assert "\n" not in str(refused.value)
    with pytest.raises(WeightsError, match="there is none, or it is not for this account"):
        hub.pull("lab/none", tmp_path / "pulled", endpoint=there.url, token=TOKEN)
    there.repos["lab/closed"], there.gated = {}, {"lab/closed"}
    with pytest.raises(WeightsError, match="its owner lets in"):
        hub.pull("lab/closed", tmp_path / "pulled", endpoint=there.url, token=TOKEN)
    with pytest.raises(WeightsError, match="not the name of a repository"):
        hub.pull("a/b/c", tmp_path / "pulled", endpoint=there.url, token=TOKEN)
    assert not (tmp_path / "pulled").exists()


def test_no_hub_is_one_line(exported: Path, tmp_path: Path) -> None:
    """Nobody listens at the port."""
    with serving() as gone:
        url = gone.url
    for act in (
        lambda: hub.push(exported, "lab/chest", endpoint=url, token=TOKEN),
        lambda: hub.pull("lab/chest", tmp_path / "pulled", endpoint=url, token=TOKEN),
    ):
        with pytest.raises(WeightsError, match="cannot be reached") as refused:
            act()
        assert "\n" not in str(refused.value)


def test_missing_library_names_the_line_that_installs_it(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra is called hub."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"pip install -c constraints.txt '.\[hub\]'"):
        hub.pull("lab/chest", tmp_path / "pulled")
    with pytest.raises(MissingExtraError, match=r"pip install -c constraints.txt '.\[hub\]'"):
        hub.push(exported, "lab/chest")
