"""One self-contained page about a run or a benchmark: `genesis report RUN [PAGE]`."""

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from modelsgenesis.benchmarking.run_tables import RUNS
from modelsgenesis.core.errors import DataError, GenesisError
from modelsgenesis.core.files import read_object, sha256
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.provenance import CommandLine, Provenance, lineage, package_version
from modelsgenesis.core.words import Nouns, duration, many, nouns
from modelsgenesis.data.store.store import Store
from modelsgenesis.embedding.encoder import LIKE
from modelsgenesis.embedding.table import is_embeddings, read_embeddings
from modelsgenesis.figures.curves import Log, draw_curves
from modelsgenesis.figures.page import Code, Folded, Page, Paragraph, Part, Table, pairs, picture, viewer_beside
from modelsgenesis.reports.replay import clearest_sample, recipe_of, settings_of
from modelsgenesis.reports.run_metrics import OF_GREYS, RunMetrics, headline, measure
from modelsgenesis.reports.sample_sheet import GENESIS, ShowOptions, method_words, show
from modelsgenesis.training.run_folder import SETTINGS

MOST_SHEETS = 4
PAPER = "Zhou et al., Models Genesis, Medical Image Analysis 67:101840, 2021"


def report(
    run: Path,
    into: Path | None,
    *,
    sample: int | None,
    command: CommandLine,
    mapped: tuple[Path | None, Path | None] = (None, None),
) -> Path:
    """Write the page of a run or benchmark; `commands.report` describes the rest, `command` spells command lines.

    `mapped` are the embeddings of a map on a run's page, and the table that colours it.
    """
    page, (embeddings, table) = page_of(into or run), mapped
    if is_embeddings(run) and not (run / SETTINGS).is_file():
        from modelsgenesis.reports.embedding_page import write_report as write_map  # here: it reads scans

        refuse_unused("a folder of embeddings", sample=sample, embeddings=embeddings)
        return write_map(run, page, table, command=command)
    if (run / RUNS).is_file():
        from modelsgenesis.reports.benchmark_page import write_report  # here, since it brings all that fine-tunes

        refuse_unused("a benchmark", sample=sample, embeddings=embeddings, table=table)
        return write_report(run, page, command=command)
    if is_tuned(run):
        from modelsgenesis.reports.tuned_page import write_report as write_tuned  # likewise

        refuse_unused("a fine-tuned run", sample=sample)
        return write_tuned(run, page, command=command, extra=map_of(run, embeddings, table))
    return write_pretrained(run, page, sample, command=command, extra=map_of(run, embeddings, table))


def page_of(into: Path) -> Path:
    """The file of a page that is wanted as a file, or in a folder.

    Raises:
        DataError: it is another kind of file.
    """
    if into.suffix.lower() == ".html":
        return into
    if into.suffix and not into.is_dir():
        raise DataError(f"the report is a page, so give a name that ends in .html or a folder, got {into.name}")
    return into / "report.html"


def refuse_unused(what: str, **options: object) -> None:
    """Refuse options that the page of such a folder makes no use of.

    Raises:
        DataError: one of them is given.
    """
    if given := [f"--{name}" for name, value in options.items() if value is not None]:
        raise DataError(f"the page of {what} makes no use of {' and '.join(given)}; leave that out")


def write_pretrained(
    run: Path, into: Path, sample: int | None, *, command: CommandLine, extra: list[tuple[str, list[Part]]]
) -> Path:
    """Write the page of a pre-training run.

    Args:
        run: its folder.
        into: the HTML file.
        sample: which sample of training the sheet shows; None is the one of the first with most to see.
        command: spells command lines.
        extra: more sections, {heading, parts}.
    """
    settings = settings_of(run)
    log = Log.read(run / "log.csv")
    chain = lineage(run)
    metrics = measure(run, log)
    method, said = settings["recipe"]["method"], nouns(len(settings["recipe"]["cubes"]["size"]))
    known = "labelled" if metrics.losses else "unlabelled"
    title = f"{method_words(method)}, pre-trained on {known} {said.scan}s"
    words = of_sets(settings) if metrics.losses else ""
    words = words or lead(settings["recipe"], store_of(run, settings, chain), classifies=metrics.classifies)
    page = Page(title, words)
    if not (run / PROVENANCE).is_file():
        page.section("This run is not finished", Paragraph(so_far(metrics, settings["recipe"]["plan"]["steps"])))
    page.headline(headline(metrics, said.cube))
    with tempfile.TemporaryDirectory() as folder:
        if metrics.restores:
            shown = sheet(run, settings, chain, sample, Path(folder))
            page.section("What the network sees, and what it makes of it", *shown, *viewer(run, settings, chain, into))
        curves = picture(
            draw_curves(log, Path(folder) / "curves.png", said.cube), "errors, learning rate, speed", narrow=True
        )
        words = (CURVES + (KNOWING_NOTHING if metrics.restores else "")).format(cube=said.cube)
        page.section("How it learned", Paragraph(words, "caption"), curves)
    if metrics.restores:
        page.section(f"Restorations of held-out {said.cube}s over time", *restorations(run, said))
    for heading, parts in extra:
        page.section(heading, *parts)
    page.section("The run in numbers", pairs(numbers(metrics, settings)))
    page.section("Where it comes from", *origins(chain, command))
    page.section("Use it", Code(use(run, settings, metrics)))
    source = f" Method: {PAPER}." if method == GENESIS else ""
    return page.write(into, f"Made by genesis report, modelsgenesis {package_version()}.{source}")


def map_of(run: Path, embeddings: Path | None, table: Path | None) -> list[tuple[str, list[Part]]]:
    """The section with the map of a network's embeddings; none where they were not given.

    Raises:
        DataError: there is a table, and no embeddings that it could colour; or they are by another network.
    """
    if embeddings is None:
        if table is not None:
            raise DataError("--table colours a map of embeddings; name their folder by --embeddings")
        return []
    from modelsgenesis.reports.embedding_page import HEADING, map_parts  # here: it reads scans

    found = read_embeddings(embeddings)
    own = {sha256(path) for place in ("", "fold-*/") for path in run.glob(f"{place}*.safetensors")}
    if found.network.startswith(LIKE) or not own & set(found.made.arguments.get("networks", own)):
        raise DataError(
            f"{embeddings}: its vectors are by {found.network}, and not by the network of {run}; embed the scans by "
            f"that, or draw their map alone: genesis report {embeddings}"
        )
    return [(HEADING, map_parts(found, table))]


def is_tuned(run: Path) -> bool:
    """Whether a folder is of a fine-tuning: its settings say so, or it holds folds."""
    if (run / SETTINGS).is_file():
        return "approach" in read_object(run / SETTINGS)
    return any(run.glob(f"fold-*/{SETTINGS}"))


BY_CELLS = {"popar": "", "peac": ", and to find one place alike in two views of it, as a whole and cell by cell"}
VIEWS = {
    "popar": "One sample of training: a view and what the network was given.",
    "peac": "Both views of one sample of training: what bears one number must get one vector.",
}
CURVES = (
    "Validation is on patients the network never trained on, with the same {cube}s, deformed or turned in the same "
    "way every time."
)
KNOWING_NOTHING = (
    " The dashed line is the error of handing the deformed {cube} back unchanged, what "
    "a network that learned nothing could always do; the dotted line that of one grey value, each {cube}'s own mean. "
    "Errors are mean squares of grey values in [0, 1]."
)
USE = """import modelsgenesis as mg

network = mg.load("{run}")  # in evaluation mode; the file describes its own network
features = network.encode({cube}s)  # float32 (B, {axes}) in [0, 1] -> features, finest first"""
RESTORED = "\nrestored = network({cube}s)"


def use(run: Path, settings: dict[str, Any], metrics: RunMetrics) -> str:
    """The lines of Python that load the network."""
    size = settings["recipe"]["cubes"]["size"]
    axes = ", ".join(("C", *"XYZ"[: len(size)]))
    called = USE.replace("mg.load(", "mg.weights.load_backbone(") if metrics.losses else USE
    lines = called + (RESTORED if metrics.restores and settings["recipe"]["method"] not in BY_CELLS else "")
    return lines.format(run=run, cube=nouns(len(size)).cube, axes=axes)


def of_sets(settings: dict[str, Any]) -> str:
    """Describe a run on labelled sets in two sentences."""
    sets, axes = settings["sets"], len(settings["recipe"]["cubes"]["size"])
    named = ", ".join(f"{name} ({many(one['train'], 'case')})" for name, one in sets.items())
    return (
        f"A {axes}D network pre-trained on the labels of {many(len(sets), 'set')} in turn, with a head for each: "
        f"{named} (recipe {settings['recipe']['name']}). Its encoder can now start a task that has few labels, and "
        "each head predicts by itself; the decoder was not trained."
    )


def lead(recipe: dict[str, Any], store: Store | None, *, classifies: bool) -> str:
    """Describe the run in two sentences."""
    axes = len(recipe["cubes"]["size"])
    said = nouns(axes)
    scans = many(store.scans.num_images, f"unlabelled {said.scan}") if store else f"unlabelled {said.scan}s"
    if classifies:
        return (
            f"A {axes}D network pre-trained without labels on {scans}: {said.cube}s were cut, and its encoder learned "
            f"to predict what was done to them (recipe {recipe['name']}). It can now start a task that has few labels; "
            "the decoder was not trained."
        )
    if more := BY_CELLS.get(recipe["method"]):
        return (
            f"A {axes}D network pre-trained without labels on {scans}: {said.cube}s were deformed, or their cells put "
            f"out of order, and its encoder learned to restore them and to tell the order{more} "
            f"(recipe {recipe['name']}). It can now start a task that has few labels; the decoder was not trained."
        )
    return (
        f"A {axes}D network pre-trained without labels on {scans}: {said.cube}s were cut and deformed, and it learned "
        f"to restore them (recipe {recipe['name']}). Its encoder and decoder can now start a task that has few labels."
    )


def sheet(
    run: Path, settings: dict[str, Any], chain: list[tuple[str, Provenance]], sample: int | None, folder: Path
) -> list[Part]:
    """The sheet of one sample of training with what the network makes of it now."""
    store = store_of(run, settings, chain)
    if store is None:
        where = "no longer where the run found it" if places(settings, chain) else "not named by this unfinished run"
        return [Paragraph(f"The store is {where}, so no sample can be drawn.", "caption")]
    network = run if (run / "model.safetensors").is_file() else None
    if settings["recipe"]["method"] in BY_CELLS:
        return views_of(run, settings, store, sample or 0, folder, network)
    try:
        recipe = recipe_of(run)
        number = clearest_sample(recipe, store.path, run=run) if sample is None else sample
        drawn = show(
            recipe, store.path, folder / "sheet.png", ShowOptions(run=network, sample=number, seed=settings["seed"])
        )
    except GenesisError as error:
        return [Paragraph(f"No sample could be drawn: {error}", "caption")]
    planes = (
        "as the file has it"
        if store.axes == 2
        else "in three planes, as a radiologist looks at them: the patient's right on the picture's left"
    )
    words = f"One sample of training {planes}. Each deformation alone, what the network was given" + (
        ", and what the trained network makes of it." if network else "; there is no trained network yet."
    )
    return [
        Paragraph(words, "caption"),
        picture(drawn, "original, deformations, restoration and error" + " in three planes" * (store.axes == 3)),
    ]


def viewer(run: Path, settings: dict[str, Any], chain: list[tuple[str, Provenance]], page: Path) -> list[Part]:
    """Where samples of the run can be scrolled through; nowhere once the store has moved away, or without a network."""
    store = store_of(run, settings, chain)
    if store is None or not (run / "model.safetensors").is_file():
        return []
    return [viewer_beside(page, store.path, "--run", os.path.relpath(run, page.parent))]


def views_of(
    run: Path, settings: dict[str, Any], store: Store, sample: int, folder: Path, network: Path | None
) -> list[Part]:
    """The two views of a sample of training, and places of a held-out patient that the network finds in others."""
    parts: list[Part] = []
    for name, of, words in (
        ("views", None, VIEWS[settings["recipe"]["method"]]),
        ("places", network, "Places of a patient the network never trained on, found again in others."),
    ):
        if name == "places" and network is None:
            continue
        options = ShowOptions(run=of, sample=sample, seed=settings["seed"])
        try:
            drawn = show(recipe_of(run), store.path, folder / f"{name}.png", options)
        except GenesisError as error:
            parts.append(Paragraph(f"Not drawn: {error}", "caption"))
            continue
        parts += [Paragraph(words, "caption"), picture(drawn, words)]
    return parts


def so_far(metrics: RunMetrics, steps: int) -> str:
    """Describe how far an unfinished run has come."""
    return (
        f"It has come to step {metrics.steps:,} of {steps:,}, after {duration(metrics.time_s)} of training. "
        "The numbers below are those so far; the same genesis pretrain command goes on from there."
    )


def places(settings: dict[str, Any], chain: list[tuple[str, Provenance]]) -> list[Path]:
    """The places that a run names for its store: in its provenance, or its settings while it has none."""
    inputs = [path for _, made in chain[:1] if made.verb == "pretrain" for path in made.inputs]
    return [Path(path) for path in (*inputs, settings.get("from")) if isinstance(path, str)]


def store_of(run: Path, settings: dict[str, Any], chain: list[tuple[str, Provenance]]) -> Store | None:
    """The store a run learned from, where the run names it or beside the run; None when it has moved away."""
    named = places(settings, chain)
    for folder in (*named, *(run.parent / path.name for path in named)):
        try:
            return Store.open(folder)
        except DataError:
            continue
    return None


def restorations(run: Path, said: Nouns) -> list[Part]:
    """The sheets that training left, the first and the last among them, the last one open."""
    sheets = sorted((run / "sheets").glob("*.png"))
    if not sheets:
        return [Paragraph("There was no validation yet.", "caption")]
    chosen = sorted({round(at) for at in np.linspace(0, len(sheets) - 1, MOST_SHEETS)})
    words = f"The same {said.cube}s at every validation, from patients the network never trained on."
    parts: list[Part] = [Paragraph(words, "caption")]
    for number in reversed(chosen):
        words = step_of(sheets[number])
        parts.append(
            Folded(words, [picture(sheets[number], words, narrow=True)], unfolded=number in (chosen[0], chosen[-1]))
        )
    return parts


def step_of(sheet: Path) -> str:
    """Turn the name of a sheet into words."""
    digits = "".join(letter for letter in sheet.stem if letter.isdigit())
    return f"after {int(digits):,} steps" if digits else sheet.stem


def numbers(metrics: RunMetrics, settings: dict[str, Any]) -> dict[str, str]:
    """The table of results and settings."""
    recipe = settings["recipe"]
    plan, cubes = recipe["plan"], recipe["cubes"]
    said = nouns(len(cubes["size"]))
    arguments = {name: value for name, value in recipe["backbone_args"].items() if name != "architecture"}
    network = ", ".join(f"{name} {value}" for name, value in arguments.items())
    intensity = {name: value for name, value in cubes["intensity"].items() if name != "class"}
    achieved = {
        "error on held-out patients": f"{metrics.error:.5f} {OF_GREYS}, at step {metrics.best_step:,}",
        f"error of the deformed {said.cube}s left as they are": f"{metrics.identity_baseline:.5f}",
        f"error of each {said.cube}'s own mean, everywhere": f"{metrics.mean_baseline:.5f}",
        "ratio to the better of the two": f"{metrics.ratio:.3f}",
        "ratio to one grey value": f"{metrics.ratio_to_grey:.3f}",
    }
    if metrics.classifies:
        achieved = {
            "loss on held-out patients": f"{metrics.error:.5f}, at step {metrics.best_step:,}",
            "accuracy on them": f"{metrics.accuracy:.3f}, where guessing gets {metrics.chance:.3f}",
        }
    if metrics.losses:
        achieved = {f"loss of {name}": f"{loss:.5f}" for name, loss in metrics.losses.items()}
    facts = {
        **achieved,
        "parameters": f"{metrics.parameters:,}",
        "steps and time": f"{metrics.steps:,} of {plan['steps']:,} steps, {duration(metrics.time_s)}",
        "speed": f"{metrics.cubes_per_s:.1f} {said.cube}s a second",
        "recipe": recipe["name"],
        "network": f"{recipe['backbone']} ({network})" if network else recipe["backbone"],
        "method": recipe["method"],
        f"{said.cube}s": " x ".join(str(side) for side in cubes["size"]) + f" {said.voxel}s, rule {cubes['rule']}",
        "intensities": ", ".join(f"{name} {value:g}" for name, value in intensity.items()),
        "optimiser": f"{plan['optimizer']}, learning rate {plan['lr']:g}, {plan['batch_size']} {said.cube}s a step",
        "seed": str(settings["seed"]),
    }
    return {name: value.replace("nan", "unknown") for name, value in facts.items()}


def origins(chain: list[tuple[str, Provenance]], command: CommandLine) -> list[Part]:
    """The lineage from the run back to its sources, and the commands in the order they were given."""
    if not chain:
        return [Paragraph("The run is not finished, so it has no provenance yet.", "caption")]
    rows = []
    for folder, made in chain:
        sources = ", ".join(f"{path} ({seal[:12]})" if seal else path for path, seal in made.inputs.items())
        code_version = made.version + (f" at {made.commit[:10]}" if made.commit else "")
        rows.append((folder, f"genesis {made.verb}", sources, made.finished, code_version))
    head = ("folder", "made by", "from (SHA-256 of its provenance)", "finished (UTC)", "version")
    commands = "\n".join(command(folder, made) for folder, made in reversed(chain))
    return [Table(rows, head), Paragraph("The commands that made it:", "caption"), Code(commands)]
