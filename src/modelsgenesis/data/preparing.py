"""One scan from its source into the store."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelsgenesis.core.files import sha256
from modelsgenesis.data.arrays import chunks_of, write_array
from modelsgenesis.data.encoding import choose_encoding
from modelsgenesis.data.identity import fold_of, hashed
from modelsgenesis.data.occupancy import map_occupancy
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.scan import Scan
from modelsgenesis.data.sources import Source
from modelsgenesis.data.store import SCANS
from modelsgenesis.data.values import summarise


def prepare_scan(source: Source, into: Path, *, salt: str, folds: int) -> Scan:
    """Read, describe and store one scan."""
    volume = read_volume(source)
    summary = summarise(volume.values)
    encoding = choose_encoding(volume.modality, summary.minimum, summary.maximum)
    patient = hashed(salt, "patient", source.patient)
    scan = Scan(
        id=hashed(salt, "scan", source.series),
        patient=patient,
        series=hashed(salt, "series", source.series),
        modality=volume.modality,
        fold=fold_of(patient, folds) if source.fold is None else source.fold,
        shape=volume.values.shape,
        spacing_mm=volume.spacing_mm,
        **vars(encoding),
        **vars(summary),
        num_cubes=1,
        cubes_per_scan=1,
        sha256=sha256(source.path),
        notes=volume.notes,
    )
    occupancy = map_occupancy(volume.values[0], summary.foreground)
    shape = (1, *scan.shape)

    def parts() -> Iterator[Any]:
        for slices in chunks_of(shape):
            yield slices, encoding.encode(volume.values[slices[1:]])[None]

    extra = {"scan": json.dumps(scan.to_json()).encode(), "occupancy": occupancy.to_bytes()}
    write_array(into / SCANS / f"{scan.id}.b2nd", shape, encoding.dtype, parts(), extra)
    return scan
