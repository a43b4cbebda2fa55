"""From a folder of scans to a store: `genesis prepare SCANS STORE`."""

import csv
from pathlib import Path
from typing import Literal

from modelsgenesis.core.files import written_aside
from modelsgenesis.core.made import certify
from modelsgenesis.data.preparing import prepare_scan
from modelsgenesis.data.scan import COLUMNS
from modelsgenesis.data.sources import find_sources
from modelsgenesis.data.store import MANIFEST


def prepare(
    source: Path,
    into: Path,
    *,
    spacing: tuple[float, float, float] | None = None,
    modality: Literal["CT", "MR", "XR", "unknown"] | None = None,
    workers: int | None = None,
    folds: int = 10,
    salt: str | None = None,
) -> Path:
    """Prepare scans."""
    source, into = Path(source), Path(into)
    (into / "scans").mkdir(parents=True, exist_ok=True)
    scans = [prepare_scan(one, into, salt=salt or "salt", folds=folds) for one in find_sources(source)]
    with written_aside(into / MANIFEST) as aside, open(aside, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(scan.to_row() for scan in sorted(scans, key=lambda scan: scan.id))
    certify(into, "prepare", {"folds": folds}, inputs=[source])
    return into
