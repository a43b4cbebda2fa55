"""From a folder of scans to a store: `genesis prepare SCANS STORE`."""

import functools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from modelsgenesis.core.cluster import Cluster, choose_cluster
from modelsgenesis.core.console import make_console, teller
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import remove_leftovers, sha256
from modelsgenesis.core.image_format import MAX_VOXELS
from modelsgenesis.core.lease import held
from modelsgenesis.core.process_pool import map_in_processes, usable_cores, work_through
from modelsgenesis.core.progress import with_progress
from modelsgenesis.core.provenance import write_provenance
from modelsgenesis.core.words import many, nouns
from modelsgenesis.data.archives import is_archive, unpack
from modelsgenesis.data.problems import Problem, UnreadableError, costs_one_source, died
from modelsgenesis.data.sources import Source, drop_duplicates
from modelsgenesis.data.store.arrays import is_current
from modelsgenesis.data.store.left_out import LeftOut, keep_out
from modelsgenesis.data.store.options import PrepareOptions
from modelsgenesis.data.store.parts import (
    LISTING,
    Refused,
    await_parts,
    forget_parts,
    read_refused,
    read_summed,
    still_refused,
)
from modelsgenesis.data.store.preparing import Settings, name_scan, prepare_scan, sources_in, wanted_of
from modelsgenesis.data.store.scan import Scan
from modelsgenesis.data.store.store import SCANS, scan_file
from modelsgenesis.data.store.writer import (
    PROBLEMS,
    begin_store,
    find_done,
    has_provenance,
    refuse_foreign,
    stored_ids,
    write_problems,
    write_summed_manifest,
)

UNPACKED = ".archive.part"


def prepare(source: Path, into: Path, options: PrepareOptions) -> Path:
    """Turn scans into a store; `commands.prepare` describes the arguments and errors."""
    check(source, into, options)
    console = make_console(quiet=options.quiet)
    tell = teller("prepare", console)
    with held(into, "prepare", after=LISTING, tell=tell):
        settings = begin(into, options)
        await_parts(into, tell)
        (into / SCANS).mkdir(exist_ok=True)
        folder, sources, problems = find_scans(source, into, into / UNPACKED, options, settings, console)
        root = folder if folder.is_dir() else folder.parent
        do = functools.partial(prepare_one, into=into, settings=settings, root=root)
        refused = read_refused(into, settings)
        results = counted(each(sources, into, settings, do, options, tell, refused), len(sources), console)
        scans, modalities = _sorted_out(results, problems, settings)
        orphans = _orphans(into, {scan.id for scan in scans}, problems)
        modalities.update(f"{scan.modality} without a source" for scan in orphans)
        scans += orphans
        _tell(into, problems, folder, source)
        remove_leftovers(into)
        if not scans:
            raise DataError(f"none of the scans in {source} could be prepared; {into / PROBLEMS} says why")
        manifest = write_summed_manifest(into, scans, summed=read_summed(into))
        _write_provenance(source, into, manifest, len(scans), options)
        forget_parts(into)
    last = _last_line(into, modalities, len(set(problems)), nouns(len(scans[0].size)).scan)
    console.print(last, soft_wrap=True, highlight=False)
    return into


def begin(into: Path, options: PrepareOptions) -> Settings:
    """Begin the store, held by this process, or see that it was begun with these options.

    Raises:
        DataError: it was not.
    """
    with_leave_out = {"leave_out": True if options.leave_out else None}
    secret = begin_store(into, {**_common(options), **_of_pictures(options), **with_leave_out}, options.salt)
    return Settings(
        secret, options.folds, options.spacing, options.modality or "", options.longest_side, options.voi,
        options.crop_borders, options.max_voxels,
    )  # fmt: skip


def find_scans(
    source: Path, into: Path, unpacked: Path, options: PrepareOptions, settings: Settings, console: Console
) -> tuple[Path, list[Source], list[Problem]]:
    """Find the scans that a store is made of, and delete from it what is left out now.

    Args:
        source: where they are.
        into: the store's folder, held by this process.
        unpacked: the folder to unpack an archive to.
        options: as they were given.
        settings: of the store.
        console: to tell of it.
    Returns:
        The folder or table where they were found, the scans in order, and what cannot be one.
    Raises:
        DataError: there is none.
    """
    tell, left_out = teller("prepare", console), LeftOut.read(options.leave_out)
    tell(f"looking for scans in {source}")
    folder, problems = _unpacked(source, unpacked)
    found = _find(folder, into, workers_of(options), problems, console)
    if not found:
        _tell(into, problems, folder, source)
        remove_leftovers(into)
        raise DataError(_no_scan(source, into, problems))
    if doubt := left_out.in_doubt():
        tell(doubt)
    sources = _without_copies(found, left_out, problems)
    if options.leave_out and (num := keep_out(into, left_out, sources, settings)):
        tell(f"{num} of the store's scans are left out now, and deleted")
    return folder, [one for one in sources if not left_out.holds(one)], problems


def cluster_of(into: Path, options: PrepareOptions, tell: Callable[[str], None]) -> Cluster | None:
    """The cluster that prepares, if it is one."""
    return choose_cluster(into, options.cluster, options.slurm, tell, workers=options.workers)


def workers_of(options: PrepareOptions) -> int:
    """How many processes read."""
    return usable_cores() if options.workers is None else options.workers


def _common(options: PrepareOptions) -> dict[str, Any]:
    """The settings that all scans of a store have in common."""
    spacing_mm = list(options.spacing) if options.spacing else None
    return {"spacing_mm": spacing_mm, "modality": options.modality, "folds": options.folds}


def _of_pictures(options: PrepareOptions) -> dict[str, Any]:
    """And those of pictures; None where they are not asked for."""
    asked = {"voi": options.voi or None, "crop_borders": options.crop_borders or None}
    return {"longest_side": options.longest_side, **asked}


def _write_provenance(source: Path, into: Path, manifest: Path, num_scans: int, options: PrepareOptions) -> None:
    """Say what the store was made of and how, unless it says just that already."""
    arguments = {
        **_common(options),
        "leave_out": [str(table) for table in options.leave_out] or None,
        "max_voxels": options.max_voxels,
        **{name: value for name, value in _of_pictures(options).items() if value},
        "scans": num_scans,
        "manifest_sha256": sha256(manifest),
    }
    if not has_provenance(into, arguments):
        write_provenance(into, "prepare", arguments, inputs=[source])


def _unpacked(source: Path, into: Path) -> tuple[Path, list[Problem]]:
    """What scans are looked for in: an archive is unpacked first, to be deleted once it is read."""
    if not is_archive(source):
        return source, []
    return into, unpack(source, into)


def _tell(into: Path, problems: Iterable[Problem], folder: Path, source: Path) -> None:
    """Write the problems; those of what was unpacked as of the archive."""
    told = []
    for one in problems:
        path = source / one.path.relative_to(folder) if one.path.is_relative_to(folder) else one.path
        told.append(replace(one, path=path, problem=one.problem.replace(str(folder), str(source))))
    write_problems(into, told)


def check(source: Path, into: Path, options: PrepareOptions) -> None:
    """Refuse options that make no sense, and a folder that is something else, before anything is written there.

    Raises:
        DataError: one of them.
    """
    refuse_foreign(into)
    cluster_of(into, options, lambda line: None)
    if not source.exists():
        raise DataError(f"{source}: no such folder or CSV; is it spelled right?")
    if options.leave_out and is_archive(source):
        raise DataError(f"{source}: --leave-out names files, and an archive's have no place yet; unpack it first")
    spacing, workers = options.spacing, options.workers
    if spacing is not None and not all(math.isfinite(step) and step > 0 for step in spacing):
        raise DataError(f"spacing must be positive and finite, got {spacing}; it is in mm, along X, Y and Z")
    if options.longest_side is not None and options.longest_side < 2:
        raise DataError(f"longest_side must be 2 or more, got {options.longest_side}; it is in pixels of a picture")
    if options.folds < 1:
        raise DataError(f"there must be at least one fold, got {options.folds}; ten is usual")
    if workers is not None and workers < 0:
        raise DataError(f"workers cannot be negative, got {workers}; 0 works in this process")
    if options.max_voxels < 1:
        raise DataError(f"max_voxels must be 1 or more, got {options.max_voxels}; {MAX_VOXELS} is usual")


def _last_line(into: Path, modalities: Counter[str], num_problems: int, noun: str) -> str:
    """Say how many scans are in the store, of which modality by whose word, and where what is wrong is told."""
    each = ", ".join(f"{num} {what}" for what, num in modalities.most_common())
    line = f"prepare: {many(modalities.total(), noun)} in the store ({each})"
    if num_problems:
        line += f", {many(num_problems, 'problem')}: {into / PROBLEMS}"
    return line


def _find(folder: Path, into: Path, workers: int, problems: list[Problem], console: Console) -> list[Source]:
    """Find the scans, and say now and then how many files were looked at; what cannot be one becomes a problem."""

    def tell(number: int) -> None:
        console.print(f"prepare: {number} files looked at", highlight=False)

    sources, wrong = sources_in(folder, into, map_in_processes(workers), tell)
    problems += wrong
    return sources


def _no_scan(source: Path, into: Path, problems: list[Problem]) -> str:
    return (
        f"no scan in {source}; it takes NIfTI, NRRD, MetaImage, DICOM and .npy files, or pictures (PNG, JPEG, "
        "TIFF), a .zip or .tar of them, a CSV that names them, or a .npz of MedMNIST"
        + (f"; {into / PROBLEMS} says what is wrong with what is there" if problems else "")
    )


def _without_copies(sources: list[Source], left_out: LeftOut, problems: list[Problem]) -> list[Source]:
    """The sources without copies; where something is left out, its copies are, too."""
    if left_out:
        sources = sorted(sources, key=left_out.holds, reverse=True)  # or a copy would stay in
    sources, duplicates = drop_duplicates(sources)
    problems += duplicates
    if left_out and all(map(left_out.holds, sources)):
        raise DataError(f"all {len(sources)} scans are left out by {left_out}; is it the right table?")
    return sources


def each(
    sources: list[Source],
    into: Path,
    settings: Settings,
    do: Callable[[Source], Scan | Problem],
    options: PrepareOptions,
    tell: Callable[[str], None],
    refused: Mapping[str, Refused],
) -> Iterator[tuple[Source, Scan | Problem]]:
    """Yield each source with its scan, from the store where it is there already, or with its problem.

    Args:
        sources: to prepare.
        into: the store's folder.
        settings: of the store.
        do: prepares one, in another process.
        options: that say which processes.
        tell: called with lines for the user.
        refused: what parts could not prepare, by id.
    """
    undone = []
    for source in sources:
        if (scan := _find_unchanged(source, into, settings)) is not None:
            yield source, scan
        elif (problem := still_refused(source, refused.get(name_scan(source, settings).id))) is not None:
            yield source, problem
        else:
            undone.append(source)
    for source, result in work_through(do, undone, workers_of(options), cluster=cluster_of(into, options, tell)):
        yield source, died(source.path) if result is None else result


def _find_unchanged(source: Source, into: Path, settings: Settings) -> Scan | None:
    """The scan of a source in the store that was written after the source was."""
    scan = _find_current(source, into, settings)
    try:
        unchanged = scan is not None and source.last_changed <= scan_file(into, scan.id).stat().st_mtime_ns
    except OSError:  # one of its files is gone since: that is told when it is read
        return None
    return scan if unchanged else None


def _find_current(source: Source, into: Path, settings: Settings) -> Scan | None:
    """The scan of a source in the store, unless the source has another size, patient, fold or modality now."""
    scan = find_done(into, name_scan(source, settings).id)
    try:
        return scan if scan is not None and is_current(scan, wanted_of(source, settings)) else None
    except OSError:  # its file is gone or locked: that is told when it is read
        return None


def prepare_one(source: Source, into: Path, settings: Settings, root: Path) -> Scan | Problem:
    """Prepare a source, unless another process did so meanwhile, or it was changed back; or say what is wrong."""
    try:
        with costs_one_source():
            if scan := _find_unchanged(source, into, settings):
                return scan
            if (scan := _find_current(source, into, settings)) and source.format.content_hash(source) == scan.sha256:
                scan_file(into, scan.id).touch()  # as new as its source: the source is not hashed again
                return scan
            scan = prepare_scan(source, into, settings, root)
            return replace(scan, stored_sha256=sha256(scan_file(into, scan.id)))  # here, in a process of its own
    except UnreadableError as error:
        return error.at(source.path)


def _sorted_out(
    results: Iterable[tuple[Source, Scan | Problem]], problems: list[Problem], settings: Settings
) -> tuple[list[Scan], Counter[str]]:
    """The scans among the results, and how many are of each modality by whose word.

    What is wrong with the others, and the scans' notes, are added to the problems.
    """
    scans: list[Scan] = []
    modalities: Counter[str] = Counter()
    for source, result in results:
        if isinstance(result, Scan):
            scans.append(result)
            modalities[_modality_in_words(result, source, settings)] += 1
            problems += [Problem(source.path, note, "have a look at the scan", "warning") for note in result.notes]
        else:
            problems.append(result)
    return scans, modalities


def _modality_in_words(scan: Scan, source: Source, settings: Settings) -> str:
    """The modality of a scan, and by whose word it is."""
    if settings.modality:
        return f"{scan.modality} by --modality"
    if scan.modality == "unknown":
        return "of unknown modality"
    if source.modality:
        return f"{scan.modality} by {'table or header' if source.forced else 'header'}"
    return f"{scan.modality} guessed"


def _orphans(into: Path, known: set[str], problems: list[Problem]) -> list[Scan]:
    """The scans of the store whose sources are no longer there; they stay, and are named."""
    scans = []
    for id_ in stored_ids(into):
        scan = None if id_ in known else find_done(into, id_)
        if scan is not None:
            scans.append(scan)
            what = "a scan in the store whose source is gone or cannot be prepared any more"
            remedy = "keep it, or delete this file and run again"
            problems.append(Problem(scan_file(into, id_), what, remedy, "warning"))
    return scans


def counted(
    results: Iterable[tuple[Source, Scan | Problem]], total: int, console: Console
) -> Iterator[tuple[Source, Scan | Problem]]:
    """Pass results on and show how many there are."""
    return with_progress(
        results, total, console, verb="prepare", unit="scan", wrong="not prepared",
        is_wrong=lambda one: isinstance(one[1], Problem),
    )  # fmt: skip
