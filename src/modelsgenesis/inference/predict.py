"""Masks, classes or numbers for new scans, by networks fine-tuned for them: `genesis predict RUN SCANS OUT`."""

import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from modelsgenesis.core.cluster import Cluster, choose_cluster
from modelsgenesis.core.console import make_console, teller
from modelsgenesis.core.device import EngineName, find_machine
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import bytes_of, is_leftover, read_json, read_object, write_json
from modelsgenesis.core.lease import held
from modelsgenesis.core.locations import name_of
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.naming import describe, updated
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.provenance import read_provenance, write_provenance
from modelsgenesis.core.tables import write_table
from modelsgenesis.core.words import many
from modelsgenesis.data.case import Case
from modelsgenesis.data.channels import read_unlabelled
from modelsgenesis.data.images import Image
from modelsgenesis.data.problems import Problem, write_problems
from modelsgenesis.inference.cases import find_cases
from modelsgenesis.inference.engines import make_engines, without_openvino
from modelsgenesis.inference.ensemble import Ensemble
from modelsgenesis.inference.finetuned_networks import FineTuned, find_fine_tuned
from modelsgenesis.inference.options import PredictOptions
from modelsgenesis.inference.outputs import RECORDS, WINDOWS, Wanted, enlarged, image_entry, predict_case
from modelsgenesis.inference.reading_ahead import costs_one_case, read_ahead, work_away
from modelsgenesis.nets.norms import uses_batch_statistics
from modelsgenesis.tasks import correction
from modelsgenesis.training.run_folder import refuse_run

FAILURES, PREDICTIONS = "failures.csv", "predictions.csv"
SETTINGS = "settings.json"
AT_FIRST = {"views": "whole", "engine": "torch", "everywhere": True}  # of settings that came later
LINE_EVERY = 10  # cases, where there is no terminal to draw a bar on


def predict(runs: Sequence[Path], scans: Path, into: Path, options: PredictOptions) -> Path:
    """Predict for scans, by an ensemble of all runs; `commands.predict` describes the arguments and errors."""
    runs = [*runs, *options.also]
    if not runs or not scans.exists():
        raise DataError(f"{scans}: no such folder, file or CSV; is it spelled right?" if runs else "name a run")
    refuse_run(scans, "the order is genesis predict RUN SCANS OUT")
    options = replace(options, everywhere=options.everywhere or _begun_everywhere(into))
    wanted = _wanted(runs, options)
    tuned = wanted.tuned
    console = make_console(quiet=options.quiet)
    tell = teller("predict", console)
    cluster = choose_cluster(into, options.cluster, options.slurm, tell)
    engine, ensemble, wanted = _make_ensemble(wanted, options, engine_of(into, options.engine), tell)
    settings = _settings(wanted, options, engine)
    begin(
        into,
        "predict",
        "predictions",
        {"networks": tuned.fingerprints(), "scans": name_of(scans.resolve()), **settings},
    )
    with held(into, "predict"):
        pictures = len(tuned.patch) == 2
        cases, problems = find_cases(scans, tuned.channels, into, pictures=pictures, modality=tuned.modality)
        root = scans if scans.is_dir() else scans.parent
        away = PredictCase(tuple(runs), replace(options, engine=engine), into, root)
        try:
            rows = _predict_each(cases, ensemble, wanted, into, root, problems, console, away, cluster)
        finally:  # whatever happens, what is known of bad files is there
            write_problems(into / FAILURES, problems)
        windows_column = (WINDOWS,) if isinstance(tuned.target, MaskTarget) else ()
        write_table(into / PREDICTIONS, ("id", "image", *tuned.target.columns, *windows_column), rows)
        done = sum(row.get("status", "predicted") == "predicted" for row in rows)
        if not done:
            raise DataError(nothing_done(scans, into, problems, "predicted"))
        if options.for_correction:
            ids = [row["id"] for row in rows if row["status"] == "predicted"]
            correction.write_description(into, ids, tuned.target.names, tuned.modality, tuned.channels)
        extras = {"probabilities": options.probabilities, "seg": options.seg, "pictures": options.pictures}
        extras |= {"for_correction": True} if options.for_correction else {}
        arguments = {"target": describe(tuned.target), **settings, **extras, "cases": done}
        if not has_provenance(into, "predict", arguments):
            write_provenance(into, "predict", arguments, inputs=[*runs, scans])
    if options.probabilities and not isinstance(tuned.target, MaskTarget):
        console.print(f"predict: --probabilities is of masks; those of a {tuned.target.kind} are in {PREDICTIONS}")
    line = last_line("predict", into, done, problems) + without_openvino(options.engine, ensemble.machine)
    console.print(line, soft_wrap=True, highlight=False)
    return into


def _make_ensemble(
    wanted: Wanted, options: PredictOptions, engine: EngineName, tell: Callable[[str], None]
) -> tuple[EngineName, Ensemble, Wanted]:
    """Load the networks; return the engine that computes them, the ensemble, and what it can do of what is wanted."""
    tuned = wanted.tuned
    machine = find_machine(options.accelerator, options.precision)
    mirror = tuned.mirror if options.mirror else (0,) if wanted.ten_crop else ()
    networks = tuned.load()
    if any(map(uses_batch_statistics, networks)):  # then which windows are computed together decides on each
        wanted = replace(wanted, everywhere=True)
    name, engines = make_engines(
        networks, (tuned.channels, *tuned.patch), machine, engine,
        folders=[file.parent for file in tuned.files], say=tell,
    )  # fmt: skip
    return name, Ensemble(networks, tuned.target, machine, mirror=mirror, engines=engines), wanted


@dataclass(frozen=True)
class PredictCase:
    """Reads and predicts a case, and writes its files, in a process of a cluster, which opens the networks once.

    Attributes:
        runs: the networks.
        options: of the verb, with the engine that was chosen.
        into: the folder of the predictions.
        root: of the scans.
    """

    runs: tuple[Path, ...]
    options: PredictOptions
    into: Path
    root: Path

    def __call__(self, case: Case) -> tuple[dict[str, Any] | None, list[Problem]]:
        """The case's record, or None, and what is wrong with it."""
        wanted, ensemble = _opened(self.runs, self.options)
        image = _reader(wanted, self.root)(case)
        if isinstance(image, Problem):
            return None, [image]
        problems: list[Problem] = []
        return _predict_one(case, image, ensemble, wanted, self.into, lambda *_: None, problems), problems


@functools.lru_cache(maxsize=1)
def _opened(runs: tuple[Path, ...], options: PredictOptions) -> tuple[Wanted, Ensemble]:
    _, ensemble, wanted = _make_ensemble(_wanted(runs, options), options, options.engine, lambda line: None)
    return wanted, ensemble


def _reader(wanted: Wanted, root: Path) -> Callable[[Case], Image | Problem]:
    """What reads a case as the networks see it, in whatever process."""
    tuned = wanted.tuned
    return functools.partial(
        read_unlabelled, reading=tuned.reading, axes=len(tuned.patch), channels=tuned.channels, root=root
    )


def _wanted(runs: Sequence[Path], options: PredictOptions) -> Wanted:
    """Say what to predict with and what to write.

    Raises:
        DataError: an option is out of range, or asks for what the networks were not trained for.
        WeightsError: there is no fine-tuned network, or the networks do not go together.
    """
    if options.batch_size is not None and options.batch_size < 1:
        raise DataError(f"batch_size must be 1 or more, got {options.batch_size}; leave it out for a sensible one")
    tuned = find_fine_tuned(runs, options.head)
    overlap = tuned.target.overlap if options.overlap is None else options.overlap
    if not 0 <= overlap < 1:
        raise DataError(f"overlap must be in [0, 1), got {overlap:g}; 0.5 is usual")
    if options.mirror and not tuned.mirror:
        raise DataError("the networks were trained without mirrored patches; leave --mirror out")
    ten_crop = options.views == "ten-crop"
    if ten_crop:
        _check_ten_crop(tuned)
        tuned = replace(tuned, reading=enlarged(tuned))
    if options.for_correction and (why := correction.refusal(tuned.target, len(tuned.patch))):
        raise DataError(why)
    return Wanted(
        tuned, overlap, options.batch_size, options.format,
        seg=options.seg, probabilities=options.probabilities, pictures=options.pictures,
        everywhere=options.everywhere, ten_crop=ten_crop, correction=options.for_correction,
    )  # fmt: skip


def _settings(wanted: Wanted, options: PredictOptions, engine: EngineName) -> dict[str, Any]:
    """What decides on all of a folder, beside networks and scans."""
    settings = {
        "overlap": wanted.overlap, "mirror": options.mirror, "precision": options.precision, "format": options.format,
        "views": options.views, "engine": engine, "everywhere": not wanted.skips,
    }  # fmt: skip
    return {**settings, "head": options.head} if options.head else settings


def _check_ten_crop(tuned: FineTuned) -> None:
    """Refuse ten crops for networks that would make no one prediction of them, or know no mirror images."""
    if tuned.target.dense:
        raise DataError(f"--views ten-crop is of classes and numbers, and this is a {tuned.target.kind}; leave it out")
    if len(tuned.patch) != 2:
        raise DataError("--views ten-crop is of pictures, and the networks are of volumes; leave it out")
    if 0 not in tuned.mirror:
        raise DataError("--views ten-crop mirrors pictures, and the networks were trained without; leave it out")


def last_line(verb: str, into: Path, done: int, problems: Sequence[Problem]) -> str:
    """Say how many cases were done, how many were not, and where that is told."""
    left, warned = (len({one.path for one in problems if one.severity == what}) for what in ("error", "warning"))
    line = f"{verb}: {many(done, 'case')} in {into}"
    line += f", {left} not" if left else ""
    line += f", {warned} with warnings" if warned else ""
    return line + (f": {into / FAILURES}" if left or warned else "")


def begin(into: Path, verb: str, holds: str, settings: dict[str, Any]) -> None:
    """Make the folder, or check that it was begun for the same scans, with the same networks and settings.

    Args:
        into: the folder.
        verb: that fills it.
        holds: what it holds then, in the plural.
        settings: that decide on all of it.
    Raises:
        DataError: there is something else.
    """
    if (into / PROVENANCE).exists():
        read_provenance(into, verb)
    if not (into / SETTINGS).is_file():
        if into.exists() and (not into.is_dir() or any(not is_leftover(path, SETTINGS) for path in into.iterdir())):
            raise DataError(f"{into} is there already and holds no {holds}; choose a new folder or an empty one")
        write_json(into / SETTINGS, settings)
    before = read_object(into / SETTINGS)
    before = {**_at_first(settings), **before}
    changed = [name for name in {**before, **settings} if before.get(name) != settings.get(name)]
    if "networks" in changed:
        raise DataError(f"{into} holds {holds} of other networks, or of other weights; choose another folder")
    if changed:
        changes = "; ".join(f"{name} is {before.get(name)} there, {settings.get(name)} now" for name in changed)
        raise DataError(f"{into} holds other {holds}: {changes}. Use those, or another folder")


def _at_first(settings: dict[str, Any]) -> dict[str, Any]:
    """Those of the settings that earlier versions did not write down, as these versions had them."""
    return {name: value for name, value in AT_FIRST.items() if name in settings}


def engine_of(into: Path, wanted: EngineName) -> EngineName:
    """The engine to use: "auto" goes on with that which a folder was begun with."""
    if wanted != "auto" or not (into / SETTINGS).is_file():
        return wanted
    begun: dict[Any, EngineName] = {name: name for name in ("openvino", "openvino-int8")}
    return begun.get(read_object(into / SETTINGS).get("engine"), "torch")


def _begun_everywhere(into: Path) -> bool:
    """Whether a folder was begun before there was a choice: then it goes on as it was begun."""
    return (into / SETTINGS).is_file() and "everywhere" not in read_object(into / SETTINGS)


def _predict_each(
    cases: Sequence[Case],
    ensemble: Ensemble,
    wanted: Wanted,
    into: Path,
    root: Path,
    problems: list[Problem],
    console: Console,
    away: PredictCase,
    cluster: Cluster | None,
) -> list[dict[str, str]]:
    """Predict what is not there yet; the rows of the table, in the order of the cases."""
    records = {case.id: _recorded(case, wanted, into) for case in cases}
    undone = [case for case in cases if records[case.id] is None]
    read = _reader(wanted, root)
    with progress("predict", "predicted", len(cases), console) as (tick, count):
        for _ in range(len(cases) - len(undone)):
            count(True)
        if cluster:
            for case, record in work_away(away, undone, cluster, problems):
                records[case.id] = record
                count(record is not None)
        else:
            for case, image in read_ahead(undone, read, lambda one: write_problems(into / FAILURES, [*problems, one])):
                if isinstance(image, Problem):
                    problems.append(image)
                else:
                    records[case.id] = _predict_one(case, image, ensemble, wanted, into, tick, problems)
                count(records[case.id] is not None)
    return [row for case in cases if (row := _row(case, records[case.id], ensemble, problems))]


def _predict_one(
    case: Case,
    image: Image,
    ensemble: Ensemble,
    wanted: Wanted,
    into: Path,
    tick: Callable[[str, int, int], None],
    problems: list[Problem],
) -> dict[str, Any] | None:
    """Predict a case that was read; its record, or None and a problem."""
    record: dict[str, Any] | None = None
    with costs_one_case(case, problems):
        record = predict_case(case, image, ensemble, wanted, into, tick)
        write_json(into / RECORDS / f"{case.id}.json", {**record, "source": fingerprint(case)})
    return record


def _row(
    case: Case, record: dict[str, Any] | None, ensemble: Ensemble, problems: list[Problem]
) -> dict[str, str] | None:
    """The row of a case in the table; its notes are added to the problems."""
    if record is not None:
        problems += [Problem(case.images[0].path, what, do, "warning") for what, do in record["notes"]]
        return dict(record["row"])
    failed = ensemble.target.failed_row
    return {"id": case.id, "image": image_entry(case), **failed} if failed else None


def _recorded(case: Case, wanted: Wanted, into: Path) -> dict[str, Any] | None:
    """The record of a case that was predicted with these very settings and files; None if there is none."""
    try:
        record = read_json(into / RECORDS / f"{case.id}.json")
        there = all((into / name).is_file() for name in record["files"])
        current = record["source"] == fingerprint(case) and set(wanted.extras(case)) <= set(record["extras"])
        return dict(record) if there and current else None
    except (DataError, KeyError, TypeError, AttributeError, ValueError, OSError):
        return None


def fingerprint(case: Case) -> str:
    """The identity of a case beside its id, without reading it: where its files lie, their sizes and times."""
    digest = hashlib.sha256()
    for source in case.images:
        digest.update(bytes_of(f"{source.path}|{source.series}|{source.index}|{source.modality}"))
        for file in source.files:
            digest.update(f"|{file.stat().st_size}|{file.stat().st_mtime_ns}".encode())
    return digest.hexdigest()


def has_provenance(into: Path, verb: str, arguments: dict[str, Any]) -> bool:
    """Whether the folder was finished with these arguments already."""
    try:
        recorded = updated(read_provenance(into, verb).arguments)
        return bool({**_at_first(arguments), **recorded} == arguments)
    except DataError:  # none, or damaged: to be made again
        return False


def nothing_done(scans: Path, into: Path, problems: Sequence[Problem], done: str) -> str:
    """Say why nothing was done, in words for an error."""
    if not problems:
        kinds = "NIfTI, NRRD, MetaImage, DICOM and .npy files, or PNG and JPEG for networks of pictures"
        return f"no scan in {scans}; it takes {kinds}, a CSV that names them, or a .npz of MedMNIST"
    return f"none of the scans in {scans} could be {done}; {into / FAILURES} says why"


@contextlib.contextmanager
def progress(
    verb: str, what: str, total: int, console: Console
) -> Iterator[tuple[Callable[[str, int, int], None], Callable[[bool], None]]]:
    """Show which case is under way and how far; on a terminal a bar, elsewhere a line now and then."""
    columns = (
        TextColumn("{task.fields[number]} of {task.fields[total_cases]}: {task.description}", markup=False),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[wrong]}"),
    )
    done = failed = 0
    with Progress(*columns, console=console, disable=console.quiet or not console.is_terminal) as bars:
        bar: TaskID = bars.add_task("", total=None, number=0, total_cases=total, wrong="")

        def tick(case: str, so_far: int, windows: int) -> None:
            bars.update(bar, description=case, completed=so_far, total=windows, number=done + 1)

        def count(well: bool) -> None:
            nonlocal done, failed
            done, failed = done + 1, failed + (not well)
            bars.update(bar, wrong=f"{failed} not {what}" if failed else "")
            if not console.is_terminal and done % LINE_EVERY == 0:
                console.print(f"{verb}: {done} of {many(total, 'case')}, {failed} not {what}", highlight=False)

        yield tick, count
