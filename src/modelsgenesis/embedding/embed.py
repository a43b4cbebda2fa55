"""A vector a scan, from what a network knows without labels: `genesis embed NETWORK SCANS OUT`."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from modelsgenesis.core.cluster import Cluster, choose_cluster
from modelsgenesis.core.console import make_console, teller
from modelsgenesis.core.device import FloatEngineName, find_machine
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import read_json, sha256, write_json, written_aside
from modelsgenesis.core.lease import held
from modelsgenesis.core.locations import name_of
from modelsgenesis.core.naming import describe
from modelsgenesis.core.options import given_options
from modelsgenesis.core.provenance import GIVEN_OPTIONS, write_provenance
from modelsgenesis.data.case import Case
from modelsgenesis.data.entries import spell
from modelsgenesis.data.image_size import axes_of
from modelsgenesis.data.images import Image, Reading
from modelsgenesis.data.problems import Problem, write_problems
from modelsgenesis.data.sources import Source
from modelsgenesis.embedding.encoder import Encoder, make_encoder, open_network, place_of_network
from modelsgenesis.embedding.options import EmbedOptions
from modelsgenesis.embedding.reading import ForBaseline, ForNetwork, Seen
from modelsgenesis.embedding.table import RECORDS, VECTORS, write_embeddings
from modelsgenesis.embedding.vectors import (
    Vectors,
    embed_image,
    raw_vector,
    size_vector,
)
from modelsgenesis.inference.cases import find_cases
from modelsgenesis.inference.predict import (
    FAILURES,
    begin,
    engine_of,
    fingerprint,
    has_provenance,
    last_line,
    nothing_done,
    progress,
)
from modelsgenesis.inference.reading_ahead import costs_one_case, read_ahead, work_away
from modelsgenesis.tasks.case_finder import named_sources
from modelsgenesis.training.run_folder import refuse_run
from modelsgenesis.weights.files import network_file

RAW, SIZE = "raw", "size"  # the baselines that need no network
BASELINES: dict[str, Callable[[Image], Vectors]] = {RAW: raw_vector, SIZE: size_vector}

Tick = Callable[[int], None]  # called with the number of windows that were done


@dataclass(frozen=True)
class Work:
    """What is embedded, and how.

    Attributes:
        cases: the scans.
        problems: what cannot be one; what is found later is added.
        read: reads a case, in a process of its own.
        embed: gives the vectors of what was read, (regions, length).
        away: does both, and writes the vectors, in a process of a cluster.
        settings: that decide on them, as JSON.
        place: of the network, or the words that name it.
    """

    cases: list[Case]
    problems: list[Problem]
    read: ForNetwork | ForBaseline
    embed: Callable[[Seen, Tick], Vectors]
    away: "EmbedCase"
    settings: dict[str, Any]
    place: Path


def embed(network: str, scans: Path, into: Path, options: EmbedOptions) -> Path:
    """Embed scans by a network, or by a baseline; `commands.embed` describes the arguments and errors."""
    if not scans.exists():
        raise DataError(f"{scans}: no such folder, file or CSV; is it spelled right?")
    if not 0 <= options.overlap < 1:
        raise DataError(f"overlap must be in [0, 1), got {options.overlap:g}; 0.25 is usual")
    refuse_run(scans, "the order is genesis embed NETWORK SCANS OUT")
    console = make_console(quiet=options.quiet)
    cluster = choose_cluster(into, options.cluster, options.slurm, teller("embed", console))
    work = (
        _baseline(network, scans, into, options)
        if network in BASELINES
        else _by_network(network, scans, into, options, console)
    )
    begin(into, "embed", "embeddings", {**work.settings, "scans": name_of(scans.resolve())})
    with held(into, "embed"):
        try:
            records = _embed_each(work, into, console, cluster)
        finally:  # whatever happens, what is known of bad files is there
            write_problems(into / FAILURES, work.problems)
        if not records:
            raise DataError(nothing_done(scans, into, work.problems, "embedded"))
        write_embeddings(into, records)
        usual = EmbedOptions()
        of_this_machine = {name: getattr(usual, name) for name in ("quiet", "cluster", "slurm", "cache", "cache_gib")}
        arguments = {
            GIVEN_OPTIONS: given_options(replace(options, **of_this_machine)),
            **work.settings,
            "cases": len(records),
        }
        if not has_provenance(into, "embed", arguments):
            write_provenance(into, "embed", arguments, inputs=[work.place, scans], seed=options.seed or None)
    console.print(last_line("embed", into, len(records), work.problems), soft_wrap=True, highlight=False)
    return into


def _by_network(given: str, scans: Path, into: Path, options: EmbedOptions, console: Console) -> Work:
    """Open a network and find the scans for it."""
    opened = open_network(given, trust=options.trust)
    modality = options.modality or ""
    for channels in dict.fromkeys((opened.channels, 1)):  # a network of colours takes grey pictures too
        cases, problems = find_cases(scans, channels, into, pictures=opened.axes == 2, modality=modality)
        if cases:
            break
    axes = axes_of(cases[0].images[0]) if cases else opened.axes
    machine = find_machine(options.accelerator, options.precision)
    engine = engine_of(into, options.engine)
    options = replace(options, engine="torch" if engine == "openvino-int8" else engine)  # no vectors are in 8 bits
    encoder = make_encoder(opened, axes, channels, machine, options, say=teller("embed", console))
    masks = _named_masks(options.masks, problems) if options.masks else None

    read = ForNetwork(
        encoder.reading, encoder.own_units, axes, encoder.network.in_channels, options.foreground, masks, options.masks
    )

    chosen: FloatEngineName = "openvino" if encoder.engine_name == "openvino" else "torch"
    away = EmbedCase(read, given, axes, channels, replace(options, engine=chosen), into)
    settings = {
        "network": given, "networks": [] if opened.recipe else [sha256(network_file(given.removeprefix("like:")))],
        "features": options.features, "foreground": options.foreground, "size": list(encoder.size),
        "reading": describe(encoder.reading), "overlap": options.overlap, "precision": options.precision,
        "engine": encoder.engine_name,
        "slices": options.slices, "modality": modality, "masks": str(options.masks.resolve()) if options.masks else "",
        **({"weights_seed": options.seed} if opened.at_random else {}),
    }  # fmt: skip
    return Work(cases, problems, read, _by_encoder(encoder, options), away, settings, place_of_network(opened))


def _by_encoder(encoder: Encoder, options: EmbedOptions) -> Callable[[Seen, Tick], Vectors]:
    """What gives the vectors of what was read, by an encoder."""

    def vectors_of(seen: Seen, tick: Tick) -> Vectors:
        return embed_image(
            seen.image, seen.regions, encoder, overlap_share=options.overlap, batch_size=options.batch_size, tick=tick
        )

    return vectors_of


@dataclass(frozen=True)
class EmbedCase:
    """Reads and embeds a case, and writes its vectors, in a process of a cluster, which opens the network once.

    Attributes:
        read: reads a case.
        network: as it was given, or the name of a baseline.
        axes: of the images.
        channels: of them.
        options: of the verb, with the engine that was chosen.
        into: the folder of the embeddings.
    """

    read: ForNetwork | ForBaseline
    network: str
    axes: int
    channels: int
    options: EmbedOptions
    into: Path

    def __call__(self, case: Case) -> tuple[dict[str, Any] | None, list[Problem]]:
        """The case's record, or None, and what is wrong with it."""
        seen = self.read(case)
        if isinstance(seen, Problem):
            return None, [seen]
        embed = _opened(self.network, self.axes, self.channels, self.options)
        problems: list[Problem] = []
        record: dict[str, Any] | None = None
        with costs_one_case(case, problems):
            record = _write(case, self.read, seen.names, embed(seen, lambda _: None), self.into)
        return record, problems


@functools.lru_cache(maxsize=1)
def _opened(network: str, axes: int, channels: int, options: EmbedOptions) -> Callable[[Seen, Tick], Vectors]:
    if network in BASELINES:
        return _by_baseline(network)
    opened = open_network(network, trust=options.trust)
    machine = find_machine(options.accelerator, options.precision)
    return _by_encoder(make_encoder(opened, axes, channels, machine, options, say=lambda line: None), options)


def _by_baseline(name: str) -> Callable[[Seen, Tick], Vectors]:
    """What gives the vectors of what was read, by a baseline."""
    return lambda seen, tick: BASELINES[name](seen.image)


def _baseline(name: str, scans: Path, into: Path, options: EmbedOptions) -> Work:
    """Find scans of any kind for a baseline without a network."""
    if options.masks:
        raise DataError(f"--masks is of networks, and {name} has none; leave it out")
    cases, problems = find_cases(scans, 1, into, pictures=True, modality=options.modality or "")
    settings = {"network": name, "networks": [], "spacing": options.spacing and list(options.spacing),
                "modality": options.modality or ""}  # fmt: skip
    read = ForBaseline(Reading(spacing_mm=options.spacing), axes_of(cases[0].images[0]) if cases else 0)
    away = EmbedCase(read, name, read.axes, 1, options, into)
    return Work(cases, problems, read, _by_baseline(name), away, settings, Path(name))


def _named_masks(folder: Path, problems: list[Problem]) -> dict[str, Source]:
    if not folder.is_dir():
        raise DataError(f"--masks {folder}: no such folder; is it spelled right?")
    if not (named := named_sources(folder, problems)):
        raise DataError(f"--masks {folder}: holds no label map; name them as the scans")
    return named


def _embed_each(work: Work, into: Path, console: Console, cluster: Cluster | None) -> list[dict[str, Any]]:
    """Embed what is not there yet; a record a case, in their order."""
    records = {case.id: _recorded(case, work.read, into) for case in work.cases}
    undone = [case for case in work.cases if records[case.id] is None]
    with progress("embed", "embedded", len(work.cases), console) as (tick, count):
        for _ in range(len(work.cases) - len(undone)):
            count(True)
        for case, record in work_away(work.away, undone, cluster, work.problems) if cluster else ():
            records[case.id] = record
            count(record is not None)
        for case, seen in (
            ()
            if cluster
            else read_ahead(undone, work.read, lambda one: write_problems(into / FAILURES, [*work.problems, one]))
        ):
            if isinstance(seen, Problem):
                work.problems.append(seen)
            else:
                with costs_one_case(case, work.problems):
                    records[case.id] = _embed_one(case, seen, work, into, functools.partial(tick, case.id))
            count(records[case.id] is not None)
    return [record for case in work.cases if (record := records[case.id])]


def _embed_one(case: Case, seen: Seen, work: Work, into: Path, tick: Callable[[int, int], None]) -> dict[str, Any]:
    """Embed a case that was read; its record."""
    num = 0

    def count(more: int) -> None:
        nonlocal num
        num += more
        tick(num, 0)

    return _write(case, work.read, seen.names, work.embed(seen, count), into)


def _write(
    case: Case, read: ForNetwork | ForBaseline, names: Sequence[str], vectors: Vectors, into: Path
) -> dict[str, Any]:
    """Write a case's vectors, then its record, which says that they are whole."""
    with written_aside(into / VECTORS / f"{case.id}.npy") as aside, open(aside, "wb") as file:
        np.save(file, vectors if len(names) > 1 or names[0] else vectors[0])
    record = {"id": case.id, "image": spell(case.images[0]), "regions": list(names), "source": _identity(case, read)}
    write_json(into / RECORDS / f"{case.id}.json", record)
    return record


def _recorded(case: Case, read: ForNetwork | ForBaseline, into: Path) -> dict[str, Any] | None:
    """The record of a case that was embedded from these very files; None if there is none."""
    try:
        record = read_json(into / RECORDS / f"{case.id}.json")
        there = (into / VECTORS / f"{case.id}.npy").is_file()
        return dict(record) if there and record["source"] == _identity(case, read) else None
    except (DataError, KeyError, TypeError, OSError):
        return None


def _identity(case: Case, read: ForNetwork | ForBaseline) -> str:
    """Which files the vectors of a case come from: its scan, and its label map if they are of regions."""
    mask = read.mask_of(case) if isinstance(read, ForNetwork) else None
    return fingerprint(replace(case, images=(*case.images, mask)) if mask else case)
