"""Train a pre-trained network on a task, from labelled cases."""

from pathlib import Path

from modelsgenesis.core.device import make_fabric
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import fit
from modelsgenesis.core.options import given_options
from modelsgenesis.core.tables import read_table
from modelsgenesis.finetuning.config import make_config
from modelsgenesis.finetuning.initialization import Initialization, choose_initialization
from modelsgenesis.finetuning.options import FineTuneOptions
from modelsgenesis.finetuning.run import OWN, Tuning
from modelsgenesis.tasks import Task, read
from modelsgenesis.tasks.assembly import of_modality
from modelsgenesis.tasks.correction import is_correction, take_back
from modelsgenesis.tasks.splitting import CaseSplit, cross_validation_splits, split_cases
from modelsgenesis.training.run_folder import check_own, held_run, refuse_run


def finetune(data: Task | str | Path, into: Path, options: FineTuneOptions) -> Path:
    """Fine-tune a network; `commands.finetune` describes the arguments and errors."""
    corrected = None if isinstance(data, Task) or not is_correction(Path(data)) else take_back(Path(data))
    labelled = read_task(data, options)
    divisions = splits_of(labelled, options)
    start = initialization_of(labelled, options)
    used = [*divisions[0].train, *divisions[0].val]
    config = make_config(labelled, start, used, validates=bool(divisions[0].val), options=options.settings())
    fabric = make_fabric(
        config.plan.precision, accelerator=options.accelerator, devices=options.devices, nodes=options.nodes
    )
    tuning = Tuning(
        labelled, start, config, into, options.seed, fabric, given_options(options),
        case_cache=options.shelf, quiet=options.quiet,
    )  # fmt: skip
    check_own(into, OWN)
    if corrected:
        tuning.announce(f"finetune: {corrected.words()}")
    with held_run(into, "finetune", fabric):
        if options.dry_run:
            return tuning.dry_run(divisions[0])
        made = tuning.run(divisions)
        if corrected and fabric.is_global_zero:
            corrected.write(into)
        return made


def read_task(data: Task | str | Path, options: FineTuneOptions) -> Task:
    """Read the labelled cases that the options name.

    Raises:
        DataError: there are no such data, or it is a run.
    """
    if not isinstance(data, Task):
        refuse_run(Path(data), f"the order is genesis finetune DATA RUN; to start from that run give --from {data}")
        data = read(
            data, task=options.task, kind=options.kind, label=options.label, classes=options.classes,
            columns=options.columns,
        )  # fmt: skip
    return of_modality(data, options.modality) if options.modality else data


def splits_of(task: Task, options: FineTuneOptions) -> list[CaseSplit]:
    """Deal the cases to training, validation and test: once, or once for each fold."""
    split = split_cases(
        task, cases=options.cases, fraction=options.fraction, test=options.test, val=options.val, seed=options.seed,
        rehearsal=options.rehearsal, chosen=chosen_ids(options.chosen) if options.chosen else (),
    )  # fmt: skip
    return cross_validation_splits(split, options.folds) if options.folds else [split]


def chosen_ids(table: Path) -> list[str]:
    """The ids of the cases that a table chooses, the first to be used first.

    Raises:
        DataError: it has no column id, or no row.
    """
    rows, columns = read_table(table)
    if "id" not in columns or not rows:
        raise DataError(f"{table}: chooses no case: it needs a column id and a row a case, as genesis choose writes")
    return [fit(row["id"]) for row in rows]


def initialization_of(task: Task, options: FineTuneOptions) -> Initialization:
    """Open the network that a fine-tuning begins with."""
    return choose_initialization(
        options.from_, task, like=options.like, backbone=options.backbone, width=options.width, norm=options.norm,
        trust=options.trust, slices=options.slices, neighbours=options.neighbours,
    )  # fmt: skip
