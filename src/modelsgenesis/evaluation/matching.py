"""What belongs to what: the cases of the truth, and the predictions made for them, by us or by others."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelsgenesis.core.errors import DataError, blamed_on
from modelsgenesis.core.files import fit, read_json
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.naming import rebuild
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.provenance import read_provenance
from modelsgenesis.core.tables import read_table
from modelsgenesis.core.target import Kind, Target
from modelsgenesis.data.case import Case
from modelsgenesis.data.entries import one_source
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.data.sources import Source
from modelsgenesis.tasks.case_finder import case_id, named_sources, sure_names
from modelsgenesis.tasks.datasets import FILE as DATASET
from modelsgenesis.tasks.folder import folder, published_set
from modelsgenesis.tasks.labels import FILE as LABELS
from modelsgenesis.tasks.labels import declared_labels
from modelsgenesis.tasks.pairs import find_pair, labels_of
from modelsgenesis.tasks.task import Task

TABLE, RECORDS = "predictions.csv", "records"  # as genesis predict leaves them


@dataclass(frozen=True)
class Predictions:
    """A folder of predicted masks.

    Attributes:
        named: one source a file, by its path below the folder without its ending.
        broken: why a file of that name cannot be one.
        images: the file of the image and the id of each case that was predicted, where a table says so.
    """

    named: Mapping[str, Source]
    broken: Mapping[str, str] = field(default_factory=dict)
    images: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Pair:
    """A case and what was predicted for it.

    Attributes:
        case: with its truth.
        masks: predicted: one map of all labels, or one binary mask a label; none when there is no prediction.
        binary: which of the two.
        why: there is none, in words.
    """

    case: Case
    masks: tuple[Source, ...] = ()
    binary: bool = False
    why: str = ""


def predicted_target(predictions: Path) -> Target | None:
    """The target of the network that made a folder of predictions, as its provenance says; None for others'.

    Raises:
        DataError: `genesis predict` has not finished the folder, or another stage made it.
    """
    if not (predictions / PROVENANCE).is_file():
        if (predictions / RECORDS).is_dir():
            raise DataError(f"{predictions}: genesis predict has not finished it; run the same command again first")
        return None
    described = read_provenance(predictions, "predict").arguments.get("target")
    with blamed_on(predictions / PROVENANCE, DataError, "its target is none of this version; predict again"):
        target = rebuild(described) if described else None
    return target if isinstance(target, Target) else None


def read_truth(
    path: Path,
    predictions: Path,
    of_network: Target | None,
    *,
    kind: Kind | None = None,
    label: str | None = None,
    classes: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
) -> Task:
    """Read the truth: any task, or a bare folder of masks.

    Args:
        path: of the truth.
        predictions: whose `dataset.json`, as nnU-Net leaves one, names the labels of a bare folder that does not.
        of_network: its target, if known; its labels are then meant.
        kind: as `tasks.folder`.
        label: as `tasks.folder`.
        classes: as `tasks.folder`.
        columns: as `tasks.folder`.
    Raises:
        DataError: there is none, or it is of another kind than the network's target.
    """
    task = (
        _masks_alone(path, predictions, of_network)
        if is_bare(path)
        else folder(path, kind=kind, label=label, classes=classes, columns=columns)
    )
    return task if of_network is None else _in_words_of(of_network, task, path)


def is_bare(path: Path) -> bool:
    """Whether a folder declares no task but may hold masks."""
    if not path.is_dir() or (path / DATASET).is_file() or find_pair(path) or published_set(path):
        return False
    return not any(each.suffix.lower() in (".csv", ".npz") for each in path.iterdir() if not each.name.startswith("."))


def _masks_alone(path: Path, predictions: Path, of_network: Target | None) -> Task:
    problems: list[Problem] = []
    cases = [Case(name, (), (mask,), patient=name) for name, mask in named_sources(path, problems).items()]
    if not cases:
        raise DataError(f"{path}: holds no mask; give a folder of masks, a CSV of cases, or a data set")
    target = of_network
    for place in (path / LABELS, path.parent / DATASET, predictions / DATASET):
        if target is None and place.is_file():
            declared = read_json(place)
            target = declared_labels(declared if place.name == LABELS else declared.get("labels"), place).target
    if target is None:
        found, cases = labels_of(cases, None, path, problems)
        target = found.target
    return Task(path.resolve().name, target, tuple(cases), problems=tuple(problems))


def _in_words_of(target: Target, task: Task, path: Path) -> Task:
    """The task in the words of the network's target: its labels, and their order."""
    own = task.target
    if own.kind != target.kind:
        raise DataError(f"{path}: is a task of {own.kind}, but the predictions are of {target.kind}")
    if _of_one_map(own) and _of_one_map(target):
        _check_values(own, target, path)
        return replace(task, target=target)
    strange = [name for name in own.names if name not in target.names]
    if strange:
        raise DataError(
            f"{path}: knows {', '.join(strange)}, but the network was trained on {', '.join(target.names)}; "
            "give its labels the same names"
        )
    return task


def _of_one_map(target: Target) -> bool:
    """Whether the masks of a case are one map of values."""
    return isinstance(target, MaskTarget) and target.label_map.one_file


def _check_values(of_truth: Target, of_network: Target, path: Path) -> None:
    """Refuse maps in which a label's name stands for other values than in the network's."""
    known = {label.name: label.values for label in of_network.labels}
    for label in of_truth.labels:
        if known.get(label.name, label.values) != label.values:
            here, there = (" and ".join(map(str, values)) for values in (label.values, known[label.name]))
            raise DataError(
                f"{path}: {label.name} is {here}, but the network was trained on masks in which it is {there}; "
                "give the masks of the truth the values that the network knows"
            )


def find_predictions(path: Path) -> Predictions:
    """Find every mask in a folder, and every file that should be one but cannot be."""
    problems: list[Problem] = []
    rows, columns = read_table(path / TABLE) if (path / TABLE).is_file() else ([], [])
    if "prediction" in columns:  # then what else lies there, such as probabilities, is no mask
        files = [path / file for row in rows for file in row["prediction"].split(";") if file]
        named = _named(files, path, problems)
    else:
        named = named_sources(path, problems)
    broken = {case_id(each.path, path): f"{each.problem}; {each.remedy}" for each in problems}
    images = [(row["image"], row["id"]) for row in rows if row.get("image") and row.get("id")]
    return Predictions(named, broken, images)


def _named(files: Sequence[Path], root: Path, problems: list[Problem]) -> dict[str, Source]:
    """The masks that a table names and that are there, {id: source}; what cannot be one becomes a problem."""
    named = {}
    for file in files:
        try:
            if file.exists():
                named[case_id(file, root)] = one_source(file, root)
        except UnreadableError as error:
            problems.append(error.at(file))
    return named


def match(cases: Iterable[Case], predictions: Predictions, target: MaskTarget) -> tuple[list[Pair], list[str]]:
    """Give each case its prediction, by its image's file, its id, or else the name of its mask or image file.

    Args:
        cases: of the truth.
        predictions: found.
        target: whose labels' names end the names of binary masks, `ID__LABEL`.
    Returns:
        One pair a case, in order, and the names of the predictions that are of no case.
    """
    cases = list(cases)
    names = sure_names(cases, predictions.images)
    stems = {name: fit(_bare_name(source.path)) for name, source in predictions.named.items()}
    rare = Counter(stems.values())
    by_stem = {stem: name for name, stem in stems.items() if rare[stem] == 1}
    used: set[str] = set()
    pairs = []
    for case in cases:
        candidates = names[case.id]
        pair = next((found for name in candidates if (found := _at(case, name, predictions, by_stem, target))), None)
        broken = next((predictions.broken[name] for name in candidates if name in predictions.broken), "")
        pairs.append(pair or Pair(case, why=broken))
        used |= {source.series for source in pairs[-1].masks}
    return pairs, sorted(name for name, source in predictions.named.items() if source.series not in used)


def _at(case: Case, name: str, predictions: Predictions, by_stem: Mapping[str, str], target: MaskTarget) -> Pair | None:
    """The pair made of a map called so, or of binary masks whose names begin so."""

    def source(called: str) -> Source | None:
        return predictions.named.get(called) or predictions.named.get(by_stem.get(called, ""))

    whole = source(name)
    if whole and target.label_map.has_background:
        return Pair(case, (whole,))
    parts = [source(fit(f"{name}__{label}")) for label in target.names]
    if not any(parts):
        return Pair(case, (whole,)) if whole else None
    lacking = [label for label, part in zip(target.names, parts, strict=True) if part is None]
    if lacking:
        return Pair(case, why=f"no mask of {', '.join(lacking)}; one is needed for each label")
    return Pair(case, tuple(part for part in parts if part), binary=True)


def _bare_name(path: Path) -> str:
    return case_id(path, path.parent)
