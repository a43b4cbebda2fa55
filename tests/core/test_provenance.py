"""Every folder says how it came to be."""

from pathlib import Path

import pytest

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.provenance import lineage, read_provenance, write_provenance


def test_lineage_leads_back_to_the_source(tmp_path: Path) -> None:
    """Run from store from scans; folders that are gone end the chain without an error."""
    write_provenance(tmp_path / "store", "prepare", {"folds": 10}, inputs=[tmp_path / "scans"])
    write_provenance(tmp_path / "run", "pretrain", {}, inputs=[tmp_path / "store"], seed=3)
    assert [(Path(place).name, made.verb) for place, made in lineage(tmp_path / "run")] == [
        ("run", "pretrain"),
        ("store", "prepare"),
    ]
    made = read_provenance(tmp_path / "run", "pretrain")
    assert made.seed == 3
    assert len(made.inputs[str(tmp_path / "store")]) == 64


def test_unfinished_or_wrong_folder_is_refused(tmp_path: Path) -> None:
    """The error says which command makes the folder."""
    with pytest.raises(DataError, match="run genesis prepare first"):
        read_provenance(tmp_path, "prepare")
    write_provenance(tmp_path, "pretrain", {}, inputs=[])
    with pytest.raises(DataError, match="made by `genesis pretrain`, but a folder made by `genesis prepare`"):
        read_provenance(tmp_path, "prepare")
    (tmp_path / "made.json").write_text('{"other": 1}')
    with pytest.raises(DataError, match="not a provenance file"):
        read_provenance(tmp_path, "pretrain")
