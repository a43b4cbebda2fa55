"""One scan from its source into the store."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from modelsgenesis.core.image_format import MAX_VOXELS, Mapper
from modelsgenesis.data.fingerprints import fingerprint_of
from modelsgenesis.data.intensity_statistics import (
    fill_missing,
    guess_modality,
    make_foreground_map,
    raw_ct_notes,
    refuse_labels,
    sample_of,
    summarise,
)
from modelsgenesis.data.medmnist import scans_of
from modelsgenesis.data.occupancy import occupancy_of
from modelsgenesis.data.problems import Problem
from modelsgenesis.data.reading import read_both, read_volume
from modelsgenesis.data.source_table import read_table
from modelsgenesis.data.sources import Source, find_of_one_kind
from modelsgenesis.data.store.arrays import ValuesAt, write_array
from modelsgenesis.data.store.scan import Scan, choose_encoding, fold_of, hashed
from modelsgenesis.data.store.store import scan_file
from modelsgenesis.data.volume import Volume

SAMPLED_CUBES = 256


@dataclass(frozen=True)
class Settings:
    """The settings by which all scans of a store are prepared.

    Attributes:
        salt: makes ids that nobody else can trace back.
        folds: how many patients are dealt to.
        spacing_mm: to resample to, along X, Y, Z; None keeps each scan's own.
        modality: of every scan; "" takes the table's, the header's, or a guess.
        longest_side: of pictures, in pixels; None keeps each picture's own.
        voi: of DICOM radiographs, the window or look-up table is applied.
        crop_borders: a picture's black and white borders are cut off.
        max_voxels: a scan of more is refused.
    """

    salt: str
    folds: int = 10
    spacing_mm: tuple[float, float, float] | None = None
    modality: str = ""
    longest_side: int | None = None
    voi: bool = False
    crop_borders: bool = False
    max_voxels: int = MAX_VOXELS


@dataclass(frozen=True)
class Names:
    """The names of a scan in the store, known before it is read."""

    id: str
    patient: str
    series: str
    fold: int


def sources_in(
    source: Path, into: Path, mapper: Mapper = map, tell: Callable[[int], None] = lambda number: None
) -> tuple[list[Source], list[Problem]]:
    """Find the scans in what a store is made of: a folder, a CSV or a .npz of MedMNIST.

    Args:
        source: where they are.
        into: the store, which is left out of the search.
        mapper: for reading DICOM headers in parallel.
        tell: called now and then with the number of files looked at.
    Returns:
        Sources, and what cannot be one.
    """
    if source.is_file() and source.suffix.lower() == ".csv":
        return read_table(source, mapper=mapper)
    if source.is_file() and source.suffix.lower() == ".npz":
        return scans_of(source), []
    return find_of_one_kind(source, skip=into, mapper=mapper, tell=tell)


def name_scan(source: Source, settings: Settings) -> Names:
    """Name a source by salted hashes of its series and patient; the fold is given or follows from the patient."""
    patient = hashed(settings.salt, "patient", source.patient)
    return Names(
        id=hashed(settings.salt, "scan", source.series),
        patient=patient,
        series=hashed(settings.salt, "series", source.series),
        fold=fold_of(patient, settings.folds) if source.fold is None else source.fold,
    )


def wanted_of(source: Source, settings: Settings) -> dict[str, Any]:
    """What the record of a source's scan would hold now, as far as is known without reading it."""
    names, modality = name_scan(source, settings), settings.modality or source.modality
    known = {"patient": names.patient, "fold": names.fold, "source_bytes": source.num_bytes}
    return known | ({"modality": modality} if modality else {})


def prepare_scan(source: Source, into: Path, settings: Settings, root: Path) -> Scan:
    """Read, describe and store one scan.

    Args:
        source: what to read.
        into: the store's folder.
        settings: of the store.
        root: of the search; names of folders above it do not decide whether a file is a label map.
    Returns:
        Scan: its record.
    Raises:
        UnreadableError: the source cannot be prepared; the others can.
        DataError: the store cannot be written.
    """
    if source.format.is_stack:
        return _prepare_stack(source, into, settings)
    own, volume = read_both(
        source, spacing_mm=settings.spacing_mm, longest_side=settings.longest_side, voi=settings.voi,
        crop_borders=settings.crop_borders, max_voxels=settings.max_voxels,
    )  # fmt: skip
    values, notes = fill_missing(volume.values)
    sample = sample_of(values)
    modality = settings.modality or volume.modality or guess_modality(sample)
    notes += raw_ct_notes(sample, settings.modality or volume.modality)
    statistics = summarise(values, sample, modality, volume.levels)
    if not source.forced:  # resampling would mix labels to more values, and round pictures to fewer
        as_read = sample if own is volume else sample_of(own.values)
        refuse_labels(as_read, source.path.relative_to(root) if source.path.is_relative_to(root) else source.path)
    own_fingerprint = fingerprint_of(values if own is volume else fill_missing(own.values)[0])
    del own  # it may be large
    spread = statistics.percentiles[95] - statistics.percentiles[5]
    picture_dtype = values.dtype.name if values.ndim == 3 else ""
    encoding = choose_encoding(modality, statistics.minimum, statistics.maximum, spread, picture_dtype=picture_dtype)
    scan = Scan(
        **vars(name_scan(source, settings)),
        modality=modality,
        shape=values.shape,
        spacing_mm=volume.spacing_mm,
        **vars(encoding),
        **vars(statistics),
        num_cubes=1,
        cubes_per_scan=1,
        source_bytes=source.num_bytes,
        sha256=source.format.content_hash(source),
        notes=(*volume.notes, *notes),
        fingerprint=str(own_fingerprint),
    )
    coarse = make_foreground_map(values[0], statistics.foreground)
    scan = replace(scan, occupancy=occupancy_of(coarse, scan.size))
    _write(scan, into, lambda at: encoding.encode(values[at[1:]])[np.newaxis], coarse.to_extras())
    return scan


def _prepare_stack(source: Source, into: Path, settings: Settings) -> Scan:
    """Store a file of many cubes as one array, a cube at a time, never whole in memory."""

    def cube(number: int) -> Volume:
        return read_volume(replace(source, index=number), max_voxels=settings.max_voxels)

    header = source.format.read_header(source)
    num, first = header.num_volumes, cube(0)
    some = np.concatenate([cube(number).values for number in range(0, num, max(1, num // SAMPLED_CUBES))])
    statistics = summarise(some, sample_of(some), first.modality)
    encoding = choose_encoding(first.modality, statistics.minimum, statistics.maximum)
    scan = Scan(
        **vars(name_scan(source, settings)),
        modality=first.modality,
        shape=first.values.shape,
        spacing_mm=first.spacing_mm,
        **vars(encoding),
        **vars(statistics),
        num_cubes=num,
        cubes_per_scan=source.cubes_per_scan,
        source_bytes=source.num_bytes,
        sha256=source.format.content_hash(source),
        notes=(*first.notes, "their range is that of a sample of cubes"),
    )
    _write(scan, into, lambda at: encoding.encode(cube(at[0].start).values[at[1:]])[np.newaxis], {})
    return scan


def _write(scan: Scan, into: Path, values_at: ValuesAt, extra: dict[str, bytes]) -> None:
    record = json.dumps(scan.to_json()).encode()
    shape = (scan.num_cubes, *scan.shape)
    write_array(scan_file(into, scan.id), shape, scan.dtype, values_at, lambda: {"scan": record, **extra})
