"""One self-contained page about a fine-tuned run: `genesis report RUN [PAGE]`."""

import math
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modelsgenesis.core.device import find_machine
from modelsgenesis.core.errors import DataError, GenesisError
from modelsgenesis.core.files import read_object
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.naming import rebuild
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.provenance import CommandLine, lineage, package_version
from modelsgenesis.core.table_target import TableTarget
from modelsgenesis.core.tables import read_rows
from modelsgenesis.core.target import Target
from modelsgenesis.core.words import duration, many, nouns, short_number
from modelsgenesis.data.case import Case
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.images import Reading
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.evaluation.case_pictures import case_picture, mask_picture
from modelsgenesis.evaluation.evaluate import LINES
from modelsgenesis.evaluation.matching import read_truth
from modelsgenesis.evaluation.page_parts import summary_table
from modelsgenesis.figures.curves import Log, draw_curves
from modelsgenesis.figures.overlay import Overlay, overlay_picture
from modelsgenesis.figures.page import Code, Folded, Headline, Page, Paragraph, Part, Table, pairs, picture
from modelsgenesis.finetuning.initialization import SCRATCH
from modelsgenesis.finetuning.run import LOADING
from modelsgenesis.inference.ensemble import Ensemble
from modelsgenesis.inference.finetuned_networks import FineTuned, find_fine_tuned
from modelsgenesis.inference.volume_prediction import plan_windows, predict_numbers, segment
from modelsgenesis.metrics.summary import Line
from modelsgenesis.metrics.titles import title_of
from modelsgenesis.nets.norms import uses_batch_statistics
from modelsgenesis.reports.model_card import reading_in_words
from modelsgenesis.reports.run_page import origins
from modelsgenesis.tasks import Task
from modelsgenesis.tasks.case_tables import CASES
from modelsgenesis.training.run_folder import BEST, SETTINGS
from modelsgenesis.weights.files import read_notes
from modelsgenesis.weights.loading import load
from modelsgenesis.weights.transfer import LoadingMap, Row

MOST_PICTURED = 4  # cases: each is predicted anew
SHOWN = ("val_dice", "val_balanced_accuracy", "val_accuracy", "val_mae", "val_total")  # the first that there is
HELD_OUT = "val.csv"


@dataclass(frozen=True)
class TunedNetwork:
    """One network of a fine-tuning, as its folder describes it.

    Attributes:
        folder: of the run, or of one of its folds.
        settings: that decided its weights.
        log: of its training.
        notes: of the weights that were kept; empty before the first are.
    """

    folder: Path
    settings: dict[str, Any]
    log: Log
    notes: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "TunedNetwork":
        """Read the folder of a run, or of one of its folds.

        Raises:
            DataError: it has not come to its first steps, or is no such folder.
        """
        notes = read_notes(folder / BEST) if (folder / BEST).is_file() else {}
        return cls(folder, read_object(folder / SETTINGS), Log.read(folder / "log.csv"), notes)

    @property
    def figure(self) -> tuple[str, float] | None:
        """The name and the value of the figure that says most, of the held-out cases at the step that was kept."""
        figures = self.notes.get("figures") or {}
        name = next((name for name in SHOWN if name in figures), None)
        return None if name is None else (called(name), float(figures[name]))


def called(figure: str) -> str:
    """What a figure of the validation is called on the page."""
    return "loss" if figure == "val_total" else title_of(figure.removeprefix("val_"))


def folders_of(run: Path) -> list[Path]:
    """The folders of the networks of a fine-tuned run: its own or its folds'; none if it is another kind of run."""
    folders = [run] if (run / SETTINGS).is_file() else _folds(run)
    tuned = [folder for folder in folders if "approach" in read_object(folder / SETTINGS)]
    begun = [folder for folder in tuned if (folder / "log.csv").is_file()]
    return begun or tuned


def _folds(run: Path) -> list[Path]:
    """The folders of the folds, in the order of their numbers."""
    return sorted(
        (path.parent for path in run.glob(f"fold-*/{SETTINGS}")), key=lambda path: (len(path.name), path.name)
    )


def write_report(run: Path, into: Path, *, command: CommandLine, extra: Sequence[tuple[str, list[Part]]] = ()) -> Path:
    """Write the page of a fine-tuned run.

    Args:
        run: its folder; it need not be finished.
        into: the HTML file.
        command: What spells command lines.
        extra: further sections, such as a map of embeddings.
    Returns:
        `into`.
    Raises:
        DataError: the run has not come to its first steps.
    """
    networks = [TunedNetwork.read(folder) for folder in folders_of(run)]
    first, chain = networks[0], lineage(run)
    target = rebuild(first.settings["target"])
    if not isinstance(target, Target):
        raise DataError(f"{first.folder / SETTINGS}: describes no target of this version; fine-tune again")
    page = Page(f"{target.kind.capitalize()}, fine-tuned", lead(first, target))
    if not (run / PROVENANCE).is_file():
        page.section("This run is not finished", Paragraph(so_far(networks)))
    page.headline(headline(networks))
    page.section("How it learned", *each(networks, curves))
    most = max(1, MOST_PICTURED // len(networks))
    page.section("Cases held out to validate on", *each(networks, lambda one: validation(one, target, most)))
    page.section("Scores", *scores(run))
    page.section("Cases", *each(networks, lambda one: cases(one, target)))
    page.section("What it began with", *each(networks, loading))
    for heading, parts in extra:
        page.section(heading, *parts)
    page.section("The run in numbers", pairs(numbers(first)))
    page.section("Where it comes from", *origins(chain, command))
    page.section("Use it", Code(USE.format(run=run)))
    return page.write(into, f"Made by genesis report, modelsgenesis {package_version()}.")


USE = "genesis predict {run} SCANS OUT\ngenesis evaluate OUT LABELLED SCORES"


def each(networks: Sequence[TunedNetwork], parts_of: Callable[[TunedNetwork], list[Part]]) -> list[Part]:
    """The parts of one network as they are; of several folds, one folded under the other."""
    if len(networks) == 1:
        return parts_of(networks[0])
    return [Folded(one.folder.name, parts_of(one), unfolded=one is networks[0]) for one in networks]


def lead(one: TunedNetwork, target: Target) -> str:
    """Describe the run in two sentences."""
    start, counts = one.notes.get("from") or one.settings["start"].get("weights", SCRATCH), one.settings["cases"]
    began = "random weights" if start == SCRATCH or "network" in one.settings["start"] else f"{start}"
    chosen = f"; {counts['val']} more chose the weights" if counts["val"] else "; none was held out"
    return (
        f"{target.outputs_in_words} It began with {began} and was trained on {counts['train']} labelled cases{chosen}."
    )


def so_far(networks: Sequence[TunedNetwork]) -> str:
    """Describe how far an unfinished run has come."""
    steps = ", ".join(
        f"{int(one.log.columns['step'].max()):,} of {one.settings['approach']['plan']['steps']:,}" for one in networks
    )
    return f"It has come to step {steps}. The numbers below are those so far; the same command goes on from there."


def headline(networks: Sequence[TunedNetwork]) -> list[Headline]:
    """The large numbers at the top of the page."""
    first = networks[0]
    figures = [one.figure for one in networks if one.figure is not None]
    time_s = sum(float(one.log.points(("time_s",))[1][-1]) for one in networks)
    shown: list[Headline] = [(f"{first.settings['cases']['train']}", "labelled cases to learn from", "")]
    if figures:
        at = f"{many(first.settings['cases']['val'], 'held-out case')}, at step {first.notes['step']:,}"
        what = at if len(networks) == 1 else f"held-out cases, mean of {len(figures)} folds"
        mean = float(np.mean([value for _, value in figures]))
        shown.insert(
            0, (short_number(mean), f"{figures[0][0]} on {what}; it also chose that step, so expect worse", "")
        )
    if first.notes:
        count = sum(parameter.numel() for parameter in load(first.folder).parameters())
        shown.append((f"{count / 1e6:.1f} M", "parameters", ""))
    steps = sum(int(one.log.columns["step"].max()) for one in networks)
    return [*shown, (duration(time_s), f"of training, {steps:,} steps", "")]


def curves(one: TunedNetwork) -> list[Part]:
    """The losses, the learning rate and the speed."""
    with tempfile.TemporaryDirectory() as folder:
        drawn = draw_curves(one.log, Path(folder) / "curves.png", nouns(len(one.settings["approach"]["size"])).cube)
        return [picture(drawn, "losses, learning rate, speed", narrow=True)]


def validation(one: TunedNetwork, target: Target, most: int) -> list[Part]:
    """Pictures of the first held-out cases, with the truth and what the network that was kept predicts of them now."""
    if not (one.folder / HELD_OUT).is_file():
        return [Paragraph("None: no case was held out, so the last weights are those that are kept.", "caption")]
    if not one.notes:
        return [Paragraph("There was no validation yet.", "caption")]
    figures = {called(name): f"{value:.4g}" for name, value in (one.notes.get("figures") or {}).items()}
    parts: list[Part] = [pairs(figures)] if figures else []
    try:
        task = read_truth(one.folder / HELD_OUT, one.folder, target, kind=target.kind)
        rows = list(pictured(find_fine_tuned([one.folder / BEST]), task, most))
    except GenesisError as error:
        return [*parts, Paragraph(f"No case could be pictured: {error}", "caption")]
    words = f"The first {len(rows)} of {len(task.cases)}, predicted for this page by the network that was kept."
    words += " Filled: the prediction. Line: the truth." if target.dense else ""
    sheet = overlay_picture(rows, "held-out cases with truth and prediction", labels=target.names)
    return [*parts, Paragraph(words, "caption"), sheet]


def pictured(tuned: FineTuned, task: Task, most: int) -> list[Overlay]:
    """Predict the first cases of a task that can be read, and draw them with their truth.

    Raises:
        UnreadableError: none can be read.
    """
    ensemble = Ensemble(tuned.load(), tuned.target, find_machine("auto", "auto"))
    rows, refused = [], []
    for case in task.cases[:most]:
        try:
            rows.append(row_of(case, tuned, ensemble, task.target))
        except UnreadableError as error:
            refused.append(error)
    if not rows and refused:
        raise refused[0]
    return rows


def row_of(case: Case, tuned: FineTuned, ensemble: Ensemble, of_truth: Target) -> Overlay:
    """Predict a case and draw it with its truth.

    Raises:
        UnreadableError: it cannot be read.
    """
    target = tuned.target
    image = read_image(case.images, tuned.reading)
    everywhere = any(map(uses_batch_statistics, ensemble.networks))
    windows = plan_windows(image, target, tuned.patch, target.overlap, everywhere=everywhere)
    if isinstance(target, TableTarget) and isinstance(of_truth, TableTarget):
        predicted = predict_numbers(image, ensemble, target, windows).tolist()
        true = target.true_values(case.values, of_truth)
        return case_picture(case, f"{case.id}   {target.verdict(predicted, true)}", target, predicted, true)
    if not isinstance(target, MaskTarget):
        raise UnreadableError(f"a {target.kind} has neither masks nor numbers", "leave it out")
    classes = segment(image, ensemble, target, windows).classes
    return mask_picture(case, image.geometry.to_lps(classes), target, case.id)


def scores(run: Path) -> list[Part]:
    """The summaries of the evaluations beside the run, or of the working folder, whose predictions are of this run."""
    parts: list[Part] = []
    places = {path.parent.resolve() for near in (run.parent, Path()) for path in near.glob(f"*/{LINES}")}
    for folder in sorted(places):
        try:
            chain = lineage(folder)
            summary = read_object(folder / LINES)
            lines = [Line(**_numbers(line)) for line in summary["lines"]]
        except (GenesisError, TypeError, KeyError):
            continue
        if any(Path(place).resolve() == run.resolve() for place, _ in chain):
            truth = list(chain[0][1].inputs)[-1]
            words = f"{folder.name}: predictions compared with {truth}."
            shown = summary_table(lines, pictures=bool(summary.get("in_pixels")))
            parts += [Paragraph(words, "caption"), shown]
    if parts:
        return parts
    words = (
        "Not evaluated, or not beside the run. If genesis finetune held patients out (--test), "
        f"{run / 'test.csv'} is both SCANS and LABELLED of the commands below."
    )
    return [Paragraph(words, "caption")]


def _numbers(line: dict[str, Any]) -> dict[str, Any]:
    """A line of summary.json, in which what is undefined is null."""
    return {name: math.nan if value is None else value for name, value in line.items()}


def cases(one: TunedNetwork, target: Target) -> list[Part]:
    """How many cases had which role, and which."""
    rows = read_rows(one.folder / CASES)
    counts = Counter(row["role"] for row in rows)
    columns = ["id", "role", *(target.label_columns if isinstance(target, TableTarget) else ())]
    table = Table([[row[name] for name in columns] for row in rows], columns)
    return [pairs({role: str(num) for role, num in counts.items()}), Folded(f"all {len(rows)} cases", [table])]


def loading(one: TunedNetwork) -> list[Part]:
    """What became of each part of the network that the run started from."""
    found = read_object(one.folder / LOADING)
    parts: list[Part] = [Paragraph(f"{name}: {value}") for name, value in found.items() if isinstance(value, str)]
    for title, map_ in (("From its file to its own network", found.get("opened")), ("To the task's network", found)):
        if not map_ or "rows" not in map_:
            continue
        loaded = LoadingMap(tuple(Row(**row) for row in map_["rows"]), tuple(map_["unused"]))
        head, *rows = loaded.counts()
        parts += [Paragraph(f"{title}, in tensors:", "caption"), Table(rows, head)]
        parts += [Paragraph(line, "caption") for line in loaded.exceptions()]
    return parts


def numbers(one: TunedNetwork) -> dict[str, str]:
    """The table of settings."""
    approach, reading = one.settings["approach"], rebuild(one.settings["approach"]["reading"])
    plan, speed = approach["plan"], one.log.points(("cubes_per_s",))[1]
    return {
        "steps": f"{int(one.log.columns['step'].max()):,} of {plan['steps']:,}",
        "speed": f"{float(np.median(speed)):.1f} patches a second" if len(speed) else "unknown",
        "patches": f"{' x '.join(map(str, approach['size']))} {nouns(len(approach['size'])).voxel}s",
        "reading": reading_in_words(reading).removeprefix("Reading: ") if isinstance(reading, Reading) else "unknown",
        "optimiser": f"{plan['optimizer']}, learning rate {plan['lr']:g}, {plan['batch_size']} patches a step",
        "seed": str(one.settings["seed"]),
    }
