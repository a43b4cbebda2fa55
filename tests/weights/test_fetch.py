"""Weights of the registry on disk, with the record by which they are known again."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.weights.servers import CONTENT, SHA256, Server, serving

from modelsgenesis.core.errors import WeightsError
from modelsgenesis.weights import registry
from modelsgenesis.weights.download import Patience
from modelsgenesis.weights.fetch import fetch, is_accepted, record_beside, record_of
from modelsgenesis.weights.registry import Entry, Licence

HASTE = Patience(tries=2, stall_s=5.0, pause_s=0.0)


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
    """Weights whose publisher states no checksum."""
    licence = Licence("MIT", "Any use.", "https://example.org/licence")
    return Entry("some-net", "A net", server.url, "torch", "U-Net", licence, "Somebody 2024", "scans")


def test_first_download_is_recorded_beside_the_file(entry: Entry, tmp_path: Path) -> None:
    """Where from, what it is, which licence was accepted; that nobody else stated the checksum."""
    path = fetch(entry, tmp_path / "weights", patience=HASTE)
    assert path == tmp_path / "weights" / "some-net.pt"
    assert path.read_bytes() == CONTENT
    note = json.loads((tmp_path / "weights" / "some-net.json").read_text())
    assert note["fetched"].endswith("+00:00")
    assert {name: note[name] for name in ("url", "sha256", "size", "checked", "licence", "citation")} == {
        "url": entry.url,
        "sha256": SHA256,
        "size": len(CONTENT),
        "checked": False,
        "licence": "MIT",
        "citation": "Somebody 2024",
    }


def test_second_fetch_checks_and_downloads_nothing(server: Server, entry: Entry, tmp_path: Path) -> None:
    """The record stays as it was."""
    fetch(entry, tmp_path, patience=HASTE)
    record = (tmp_path / "some-net.json").read_bytes()
    fetch(entry, tmp_path, patience=HASTE)
    assert len(server.asked) == 1
    assert (tmp_path / "some-net.json").read_bytes() == record


def test_file_that_changed_on_disk_is_found(entry: Entry, tmp_path: Path) -> None:
    """By the record, or by the registry; it is left for its owner to remove."""
    path = fetch(entry, tmp_path, patience=HASTE)
    path.write_bytes(CONTENT[:-1] + b"?")
    with pytest.raises(WeightsError, match=r"its record of 20.* says .*; it was changed"):
        fetch(entry, tmp_path, patience=HASTE)
    with pytest.raises(WeightsError, match="the registry says"):
        fetch(replace(entry, sha256=SHA256), tmp_path, patience=HASTE)
    assert path.exists()


def test_file_that_changed_at_its_source_is_refused(server: Server, entry: Entry, tmp_path: Path) -> None:
    """Fetched once, the recorded checksum counts for ever, also when the file itself is gone."""
    fetch(entry, tmp_path, patience=HASTE).unlink()
    server.content = CONTENT[::-1]
    with pytest.raises(WeightsError, match=f"but must be {SHA256}"):
        fetch(entry, tmp_path, patience=HASTE)
    assert not (tmp_path / "some-net.pt").exists()


def test_stated_checksum_and_size_are_checked(server: Server, entry: Entry, tmp_path: Path) -> None:
    """The record then says that they were."""
    known = replace(entry, sha256=SHA256, size=len(CONTENT))
    fetch(known, tmp_path, patience=HASTE)
    record = record_of(known, tmp_path)
    assert record is not None
    assert record.checked
    with pytest.raises(WeightsError, match="but must be 0000"):
        fetch(replace(entry, sha256="0" * 64), tmp_path / "wrong", patience=HASTE)
    with pytest.raises(WeightsError, match="but the file must have 5"):
        fetch(replace(entry, size=5), tmp_path / "wrong", patience=HASTE)
    assert not list((tmp_path / "wrong").iterdir())


def test_copied_file_is_taken_where_its_checksum_is_known(server: Server, entry: Entry, tmp_path: Path) -> None:
    """From a machine with a line to one without, alone where the registry knows it, else with its record."""
    (tmp_path / "some-net.pt").write_bytes(CONTENT)
    with pytest.raises(WeightsError, match="nothing says where from"):
        fetch(entry, tmp_path, patience=HASTE)
    fetch(replace(entry, sha256=SHA256), tmp_path, patience=HASTE)
    assert record_of(entry, tmp_path) is not None
    assert server.asked == []


def test_licence_is_accepted_once_a_folder(entry: Entry, tmp_path: Path) -> None:
    """Another licence, or another folder, asks again; what the package carries never does."""
    assert not is_accepted(entry, tmp_path)
    fetch(entry, tmp_path, patience=HASTE)
    assert is_accepted(entry, tmp_path)
    assert not is_accepted(entry, tmp_path / "other")
    assert not is_accepted(replace(entry, licence=replace(entry.licence, name="GPL")), tmp_path)
    assert is_accepted(replace(entry, url=""), tmp_path)


def test_weights_in_the_package_are_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their own path comes back, and nothing is written."""
    monkeypatch.setattr(registry, "BOX", tmp_path / "box")
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "genesis-small-ct.safetensors").write_bytes(b"weights")
    path = fetch(registry.find_entry("genesis-small-ct"), tmp_path / "weights", patience=HASTE)
    assert path == tmp_path / "box" / "genesis-small-ct.safetensors"
    assert not (tmp_path / "weights").exists()


def test_record_follows_the_file_it_lies_beside(entry: Entry, tmp_path: Path) -> None:
    """Any other file has none, whatever lies beside it."""
    path = fetch(entry, tmp_path, patience=HASTE)
    record = record_beside(path)
    assert record is not None
    assert (record.licence, record.citation) == ("MIT", "Somebody 2024")
    path.rename(tmp_path / "renamed.pt")
    (tmp_path / "renamed.json").write_bytes((tmp_path / "some-net.json").read_bytes())
    assert record_beside(tmp_path / "renamed.pt") is None
    assert record_beside(tmp_path / "none.pt") is None
    (tmp_path / "none.json").write_text("[1]")
    assert record_beside(tmp_path / "none.pt") is None


@pytest.mark.parametrize("broken", ["{", "[]", '{"name": "some-net"}', '{"sha256": 3, "more": 4}'])
def test_broken_record_is_refused(entry: Entry, tmp_path: Path, broken: str) -> None:
    """The error names it and the way out."""
    (tmp_path / "some-net.json").write_text(broken)
    with pytest.raises(WeightsError, match=r"some-net\.json: not the record of a download .* remove it"):
        fetch(entry, tmp_path, patience=HASTE)
