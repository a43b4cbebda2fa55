"""A vector a scan, from what a network knows without labels: `genesis embed NETWORK SCANS OUT`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from modelsgenesis.core.console import make_console
from modelsgenesis.core.device import find_machine
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import held, read_json, sha256, write_json, written_aside
from modelsgenesis.core.labels import Label
from modelsgenesis.core.naming import describe
from modelsgenesis.core.options import given_options
from modelsgenesis.core.provenance import GIVEN_OPTIONS, write_provenance
from modelsgenesis.core.tables import write_table
from modelsgenesis.data.case import Case
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.entries import spell
from modelsgenesis.data.image_size import axes_of
from modelsgenesis.data.images import Image, Reading
from modelsgenesis.data.intensity import BitDepth, Window
from modelsgenesis.data.masks import count_values, read_mask, read_on_grid
from modelsgenesis.data.problems import COLUMNS, Problem, UnreadableError
from modelsgenesis.data.sources import Source
from modelsgenesis.embedding.encoder import Encoder, make_encoder, open_network, place_of_network
from modelsgenesis.embedding.options import EmbedOptions
from modelsgenesis.embedding.table import RECORDS, VECTORS, write_embeddings
from modelsgenesis.embedding.vectors import (
    Regions,
    Vectors,
    check_regions,
    embed_image,
    foreground_of,
    raw_vector,
    size_vector,
)
from modelsgenesis.inference.cases import find_cases
from modelsgenesis.inference.predict import (
    FAILURES,
    SETTINGS,
    begin,
    clear_unfinished,
    fingerprint,
    has_provenance,
    last_line,
    nothing_done,
    progress,
)
from modelsgenesis.recipes import find_recipe
from modelsgenesis.targets.segmentation import Segmentation
from modelsgenesis.tasks.case_finder import named_sources, names_of
from modelsgenesis.training.run_folder import refuse_run
from modelsgenesis.weights.files import network_file

RAW, SIZE = "raw", "size"  # the baselines that need no network
BASELINES: dict[str, Callable[[Image], Vectors]] = {RAW: raw_vector, SIZE: size_vector}

Embed = Callable[[Case, Callable[[int, int], None]], tuple[list[str], Vectors]]  # the regions' names and their vectors


@dataclass(frozen=True)
class Work:
    """What is embedded, and how.

    Attributes:
        cases: the scans.
        problems: what cannot be one; what is found later is added.
        embed: gives a case's regions and vectors.
        settings: that decide on them, as JSON.
        place: of the network, or the words that name it.
    """

    cases: list[Case]
    problems: list[Problem]
    embed: Embed
    settings: dict[str, Any]
    place: Path


def embed(network: str, scans: Path, into: Path, options: EmbedOptions) -> Path:
    """Embed scans by a network, or by a baseline; `commands.embed` describes the arguments and errors."""
    if not scans.exists():
        raise DataError(f"{scans}: no such folder, file or CSV; is it spelled right?")
    if not 0 <= options.overlap < 1:
        raise DataError(f"overlap must be in [0, 1), got {options.overlap:g}; 0.25 is usual")
    refuse_run(scans, "the order is genesis embed NETWORK SCANS OUT")
    work = (
        _baseline(network, scans, into, options) if network in BASELINES else _by_network(network, scans, into, options)
    )
    begin(into, "embed", "embeddings", {**work.settings, "scans": str(scans.resolve())})
    console = make_console(quiet=options.quiet)
    with held(into / SETTINGS, "embed"):
        clear_unfinished(into)
        records = _embed_each(work, into, console)
        write_table(into / FAILURES, COLUMNS, [problem.to_row() for problem in sorted(set(work.problems))])
        if not records:
            raise DataError(nothing_done(scans, into, work.problems, "embedded"))
        write_embeddings(into, records)
        arguments = {
            GIVEN_OPTIONS: given_options(replace(options, quiet=False)),
            **work.settings,
            "cases": len(records),
        }
        if not has_provenance(into, "embed", arguments):
            write_provenance(into, "embed", arguments, inputs=[work.place, scans], seed=options.seed or None)
    console.print(last_line("embed", into, len(records), work.problems), soft_wrap=True, highlight=False)
    return into


def _by_network(given: str, scans: Path, into: Path, options: EmbedOptions) -> Work:
    """Open a network and find the scans for it."""
    opened = open_network(given, trust=options.trust)
    modality = options.modality or ""
    for channels in dict.fromkeys((opened.channels, 1)):  # a network of colours takes grey pictures too
        cases, problems = find_cases(scans, channels, into, pictures=opened.axes == 2, modality=modality)
        if cases:
            break
    axes = axes_of(cases[0].images[0]) if cases else opened.axes
    encoder = make_encoder(opened, axes, channels, find_machine(options.accelerator, options.precision), options)
    masks = _named_masks(options.masks, problems) if options.masks else None

    def of_case(case: Case, tick: Callable[[int, int], None]) -> tuple[list[str], Vectors]:
        image = encoder.read(case)
        names, regions = _regions(case, image, encoder.reading, masks, options)
        check_regions(regions, case)
        return names, _swept(image, regions, encoder, options, tick)

    settings = {
        "network": given, "networks": [] if opened.recipe else [sha256(network_file(given.removeprefix("like:")))],
        "features": options.features, "foreground": options.foreground, "size": list(encoder.size),
        "reading": describe(encoder.reading), "overlap": options.overlap, "precision": options.precision,
        "slices": options.slices, "modality": modality, "masks": str(options.masks.resolve()) if options.masks else "",
        **({"weights_seed": options.seed} if opened.at_random else {}),
    }  # fmt: skip
    return Work(cases, problems, of_case, settings, place_of_network(opened))


def _swept(
    image: Image, regions: Regions, encoder: Encoder, options: EmbedOptions, tick: Callable[[int, int], None]
) -> Vectors:
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        tick(done, 0)

    return embed_image(
        image, regions, encoder, overlap_share=options.overlap, batch_size=options.batch_size, tick=count
    )


def _baseline(name: str, scans: Path, into: Path, options: EmbedOptions) -> Work:
    """Find scans of any kind for a baseline without a network."""
    if options.masks:
        raise DataError(f"--masks is of networks, and {name} has none; leave it out")
    cases, problems = find_cases(scans, 1, into, pictures=True, modality=options.modality or "")
    most = axes_of(cases[0].images[0]) if cases else 0
    reading = Reading(spacing_mm=options.spacing)

    def of_case(case: Case, tick: Callable[[int, int], None]) -> tuple[list[str], Vectors]:
        if axes_of(case.images[0]) != most:
            raise UnreadableError(f"it has {axes_of(case.images[0])} axes, and the first {most}", "embed them apart")
        return [""], BASELINES[name](_read_any(case, reading))

    settings = {"network": name, "networks": [], "spacing": options.spacing and list(options.spacing),
                "modality": options.modality or ""}  # fmt: skip
    return Work(cases, problems, of_case, settings, Path(name))


def _read_any(case: Case, reading: Reading) -> Image:
    """Read CT in Hounsfield units, pictures by their bit depth and anything else by its percentiles."""
    first = case.images[0]
    if axes_of(first) == 2:
        return read_image(case.images, Reading(BitDepth()))
    if first.modality in ("", "CT"):
        try:
            return read_image(case.images, replace(reading, intensity=Window()))
        except UnreadableError:  # it is no CT, or cannot be read, which is said then
            pass
    return read_image(case.images, replace(reading, intensity=find_recipe("any").cubes.intensity))


def _named_masks(folder: Path, problems: list[Problem]) -> dict[str, Source]:
    if not folder.is_dir():
        raise DataError(f"--masks {folder}: no such folder; is it spelled right?")
    if not (named := named_sources(folder, problems)):
        raise DataError(f"--masks {folder}: holds no label map; name them as the scans")
    return named


def _regions(
    case: Case, image: Image, reading: Reading, masks: dict[str, Source] | None, options: EmbedOptions
) -> tuple[list[str], Regions]:
    """The names and the voxels of what a case's vectors are means over."""
    if masks is None:
        if options.foreground:
            return [""], foreground_of(image, case.images[0].modality)
        return [""], np.ones((1, *image.size), np.bool_)
    source = next((masks[name] for name in names_of(case) if name in masks), None)
    if source is None:
        raise UnreadableError(f"it has no mask in {options.masks}", f"name it as the scan, such as {case.id}.nii.gz")
    values = [value for value in count_values(read_on_grid(source, image.geometry, "mask and image")) if value]
    if not values:
        raise UnreadableError("its mask is empty", "leave the scan out, or label it")
    target = Segmentation(tuple(Label(str(value), (value,)) for value in values))
    classes = read_mask(replace(case, masks=(source,)), target.label_map, image, reading)[0]
    found = [(str(value), classes == number) for number, value in enumerate(values, start=1)]
    there = [(name, region) for name, region in found if region.any()]  # the smallest may vanish by resampling
    return [name for name, _ in there], np.stack([region for _, region in there]) if there else np.zeros(
        (0, *image.size), np.bool_
    )


def _embed_each(work: Work, into: Path, console: Console) -> list[dict[str, Any]]:
    """Embed what is not there yet; a record a case, in their order."""
    records = []
    with progress("embed", "embedded", len(work.cases), console) as (tick, count):
        for case in work.cases:
            record = _recorded(case, into)
            if record is None:
                try:
                    tick(case.id, 0, 1)
                    names, vectors = work.embed(case, lambda done, of, id_=case.id: tick(id_, done, of))  # type: ignore[misc]
                    record = _write(case, names, vectors, into)
                except UnreadableError as error:
                    work.problems.append(error.at(case.images[0].path))
                except (MemoryError, torch.OutOfMemoryError):
                    remedy = "try --batch-size 1, or --accelerator cpu, or a machine with more"
                    work.problems.append(Problem(case.images[0].path, "it does not fit into memory", remedy))
            records += [record] if record else []
            count(record is not None)
    return records


def _write(case: Case, names: Sequence[str], vectors: Vectors, into: Path) -> dict[str, Any]:
    """Write a case's vectors, then its record, which says that they are whole."""
    with written_aside(into / VECTORS / f"{case.id}.npy") as aside, open(aside, "wb") as file:
        np.save(file, vectors if len(names) > 1 or names[0] else vectors[0])
    record = {"id": case.id, "image": spell(case.images[0]), "regions": list(names), "source": fingerprint(case)}
    write_json(into / RECORDS / f"{case.id}.json", record)
    return record


def _recorded(case: Case, into: Path) -> dict[str, Any] | None:
    """The record of a case that was embedded from these very files; None if there is none."""
    try:
        record = read_json(into / RECORDS / f"{case.id}.json")
        there = (into / VECTORS / f"{case.id}.npy").is_file()
        return dict(record) if there and record["source"] == fingerprint(case) else None
    except (DataError, KeyError, TypeError, OSError):
        return None
