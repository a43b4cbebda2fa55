"""Scroll through scans, predictions and samples in a browser: `genesis view WHAT [PAGE]`."""

from dataclasses import dataclass
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.provenance import lineage, package_version
from modelsgenesis.core.words import many
from modelsgenesis.figures.viewer import Scene, write_viewer
from modelsgenesis.reports.viewing.cases import benchmark_scenes, evaluation_scenes
from modelsgenesis.reports.viewing.samples import sample_scenes
from modelsgenesis.reports.viewing.scans import prediction_scenes, scan_scenes
from modelsgenesis.reports.viewing.server import serve

PAGE = "view.html"
KINDS = {"prepare": "store", "predict": "predictions", "evaluate": "evaluation", "benchmark": "benchmark"}
LEAD = {
    "scan": "A scan as its file has it.",
    "store": "What a network saw in training, and what it made of it.",
    "predictions": "What was predicted, on the scans it was predicted for.",
    "evaluation": "Truth, prediction and difference, the worst cases first.",
    "benchmark": "Test cases, the worst first: the truth, and what each arm made of it.",
}


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """The options of genesis view.

    Args:
        labels: Of a scan: a label map that lies on it, such as a mask drawn by hand.
        sample: Of a store: the sample's number, as of show; by default the one of the first sixteen with most to see.
        run: Of a store: the run, made by pretrain, whose network restores the sample; of popar and peac, finds places
            again in other patients.
        recipe: Of a store without a run: the recipe whose samples are wanted, such as chest-ct.
        seed: Of a store: the seed of the run; by default the run's own, or 0.
        cases: At most so many scans or cases are in the page, the first or the worst.
        serve: Whatever its size, the scan is shown whole: no page is written, but one is served to this machine alone,
            until Ctrl-C.
    """

    labels: str | Path | None = None
    sample: int | None = None
    run: str | Path | None = None
    recipe: str | None = None
    seed: int | None = None
    cases: int = 8
    serve: bool = False


def view(what: Path, into: Path | None, options: ViewOptions) -> Path | str:
    """Write a page to scroll in, or serve it; `commands.view` describes the arguments and errors."""
    if not what.exists() and "#" not in what.name and "@" not in what.name:
        raise DataError(f"{what}: no such folder or file; is it spelled right?")
    if options.cases < 1:
        raise DataError(f"cases must be 1 or more, got {options.cases}; 8 is usual")
    page = None if options.serve else page_of(what, into)
    kind = kind_of(what)
    _check(kind, options)
    scenes, num = scenes_of(what, kind, options)
    title, lead = what.resolve().name, LEAD[kind] + _missing(len(scenes), num, options.cases)
    footer = f"Made by genesis view, modelsgenesis {package_version()}. Not for diagnosis."
    if page is None:
        return serve(title, lead, scenes, footer)
    return write_viewer(page, title, lead, scenes, footer=footer)


def _missing(shown: int, num: int, most: int) -> str:
    """Say how many of the cases are shown, and why not all; nothing where all are."""
    if shown >= num:
        return ""
    why = ": --cases shows more." if shown == most else "; the others cannot be read."
    return f" {shown} of {many(num, 'case')}{why}"


def scenes_of(what: Path, kind: str, options: ViewOptions) -> tuple[list[Scene], int]:
    """The scenes of whatever is to be seen, and how many there would be."""
    if kind == "store":
        run = None if options.run is None else Path(options.run)
        return sample_scenes(what, recipe=options.recipe, run=run, sample=options.sample, seed=options.seed)
    if kind == "predictions":
        only = what if what.is_file() else None
        return prediction_scenes(what.parent if only else what, only, options.cases)
    if kind == "evaluation":
        return evaluation_scenes(what, options.cases)
    if kind == "benchmark":
        return benchmark_scenes(what, options.cases)
    return scan_scenes(what, None if options.labels is None else Path(options.labels), options.cases)


def kind_of(what: Path) -> str:
    """What there is to see: a store, predictions, an evaluation, a benchmark, or a scan or a folder of scans.

    Raises:
        DataError: a folder of ours that holds nothing to see.
    """
    if what.is_file():
        return "predictions" if verb_of(what.parent) == "predict" else "scan"
    verb = verb_of(what)
    if verb in ("pretrain", "finetune"):
        raise DataError(f"{what} is a run; genesis report shows it, and --run of genesis view STORE what it restores")
    if verb in ("probe", "embed"):
        instead = f"its page is {what / 'report.html'}" if verb == "probe" else "genesis report draws a map of them"
        raise DataError(f"{what} holds the vectors of scans, or what a probe found in them, and no scans; {instead}")
    if not verb and (what / "runs.csv").is_file():
        return "benchmark"
    return KINDS.get(verb, "scan")


def verb_of(folder: Path) -> str:
    """The verb that made a folder; "" of other folders."""
    chain = lineage(folder)
    return chain[0][1].verb if chain else ""


def page_of(what: Path, into: Path | None) -> Path:
    """Where the page goes: by default view.html in a folder of ours; of scans NAME.view.html in the current folder.

    Raises:
        DataError: it has another ending.
    """
    if into is None:
        return what / PAGE if what.is_dir() and kind_of(what) != "scan" else Path(f"{what.resolve().name}.{PAGE}")
    if into.is_dir():
        return into / PAGE
    if into.suffix.lower() not in (".html", ".htm"):
        raise DataError(f"{into}: the page is HTML; give it a name that ends in .html, or a folder")
    return into


def _check(kind: str, options: ViewOptions) -> None:
    """Refuse options that are of something else."""
    of_store = {name: getattr(options, name) for name in ("sample", "run", "recipe", "seed")}
    given = [name for name, value in of_store.items() if value is not None]
    if given and kind != "store":
        raise DataError(f"--{given[0]} is of a store; leave it out")
    if options.labels is not None and kind != "scan":
        raise DataError("--labels lies on a scan; leave it out")
