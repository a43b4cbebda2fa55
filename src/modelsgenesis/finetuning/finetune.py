"""Teach a pre-trained network a task, from labelled cases."""

from pathlib import Path
from typing import Any, Literal

from modelsgenesis.core.device import Accelerator, make_fabric
from modelsgenesis.core.errors import TrainingError
from modelsgenesis.core.target import Kind
from modelsgenesis.finetuning.config import AXES, SCRATCH, choose_initialization, make_config
from modelsgenesis.finetuning.run import Tuning
from modelsgenesis.nets.norms import Norm
from modelsgenesis.reports.command_line import given_options
from modelsgenesis.tasks import Task, read
from modelsgenesis.tasks.assembly import of_modality
from modelsgenesis.tasks.splitting import cross_validation_splits, split_cases
from modelsgenesis.training.plan import Optimizer, Precision, Schedule
from modelsgenesis.training.run_folder import refuse_run
from modelsgenesis.weights.transfer import ChannelAdaptation


def finetune(
    data: Task | str | Path,
    into: str | Path,
    *,
    from_: str | Path = SCRATCH,
    trust: bool = False,
    cases: int | None = None,
    fraction: float | None = None,
    test: float = 0.0,
    val: int | None = None,
    folds: int | None = None,
    seed: int = 0,
    task: str | None = None,
    kind: Kind | None = None,
    label: str | None = None,
    classes: dict[str, str] | None = None,
    modality: Literal["CT", "MR", "XR", "unknown"] | None = None,
    like: str | None = None,
    backbone: str | None = None,
    width: int | None = None,
    norm: Norm | None = None,
    widen: ChannelAdaptation | None = None,
    tune: Literal["full", "layer-decay", "probe", "head-first"] | None = None,
    decay: float | None = None,
    rest: float | None = None,
    size: tuple[int, int, int] | tuple[int, int] | None = None,
    spacing: tuple[float, float, float] | None = None,
    foreground: float | None = None,
    mirror: str | None = None,
    augment: bool = True,
    steps: int | None = None,
    batch_size: int | None = None,
    accumulate: int | None = None,
    optimizer: Optimizer | None = None,
    lr: float | None = None,
    weight_decay: float | None = None,
    schedule: Schedule | None = None,
    warmup_steps: int | None = None,
    clip_norm: float | None = None,
    validate_every: int | None = None,
    val_cubes: int | None = None,
    patience: int | None = None,
    precision: Precision | None = None,
    compile: bool = False,
    workers: int | None = None,
    accelerator: Accelerator = "auto",
    devices: int = 1,
    nodes: int = 1,
    shelf: str | Path | None = None,
    quiet: bool = False,
    dry_run: bool = False,
) -> Path:
    """Teach a network a task from labelled cases; run again, it goes on where it stopped.

    Args:
        data: labelled cases: a folder of nnU-Net or the Medical Segmentation Decathlon, one with images/ and labels/, a
            CSV, a .npz of MedMNIST, or a Task.
        into: the run's folder: model.safetensors, last.safetensors, loading.json, log.csv, cases.csv; and
            val.csv, test.csv and unused.csv, the cases that it was not taught on.
        from_: a run or weights file to start from, of ours or of a known program, or scratch.
        trust: let a file of another program that asks for more than tensors be unpickled, in a process of its own; it
            may run whatever its author wanted.
        cases: labelled cases to use, for training and validation together; all by default.
        fraction: of the cases that may be used, in place of their number.
        test: share of the patients to hold out where the data declare no test cases; the same for every seed.
        val: cases among those used that choose the best network; none of fewer than 30 and a tenth of more by default.
        folds: networks to train, each validated on another part of the cases: cross-validation.
        seed: of the choice of cases, the patches and the first weights.
        task: of a published one its name, such as ncc; its settings are then the defaults of those below.
        kind: of the task, where a table's labels could mean two: segmentation, classification or regression.
        label: the column of a table that is the label.
        classes: of a column that must be cut, as in --classes benign "<3" malignant ">3".
        modality: of all images, where the data do not declare one; CT is read in Hounsfield units.
        like: with scratch: the run or recipe whose kind of network is taken.
        backbone: with scratch: unet3d or residual-unet.
        width: with scratch: of the network's first convolution.
        norm: with scratch, of unet3d: batch, batch_stats, instance or group.
        widen: a one-channel network to several channels: mean, first or random.
        tune: full, layer-decay (earlier layers slower), probe (the head alone) or head-first (the encoder rests first).
        decay: of layer-decay, from each stage to the one before it.
        rest: of head-first, the share of the steps.
        size: of the patches in voxels; pictures are shrunk or enlarged to it.
        spacing: in mm along X, Y and Z, to resample to; by default the start's, or the middle one where cases differ.
        foreground: share of the patches that are centred on a label.
        mirror: axes that may be mirrored, such as xyz, yz or none.
        augment: leave the training patches as they are with --no-augment.
        steps: of the optimiser; by default 100 a case, at least 1000.
        batch_size: patches a step, over all processes.
        accumulate: backward passes a step.
        optimizer: adamw or sgd.
        lr: peak learning rate.
        weight_decay: of the convolutions' weights.
        schedule: of the learning rate: cosine, plateau, halving or constant.
        warmup_steps: over which it rises; by default a tenth.
        clip_norm: the gradient's greatest norm.
        validate_every: steps between validations; by default a twentieth.
        val_cubes: held-out patches of segmentation.
        patience: validations without a better one before the run stops.
        precision: auto, 32-true or bf16-mixed.
        compile: the network with torch.compile.
        workers: loader processes a process.
        accelerator: auto, cpu or gpu.
        devices: processes a machine.
        nodes: machines.
        shelf: folder for what is read of the cases, which runs on the same data may share; in the run by default.
        quiet: say nothing.
        dry_run: measure a few steps, say what would happen; only the cases are read and kept.
    Returns:
        The run's folder.
    Raises:
        DataError: no such data, cases that cannot be read, or too few of them.
        WeightsError: there are no such weights, or they are not the network's.
        ShapeError: the patches do not fit the network.
        TrainingError: the folder holds another run, or the training failed.
    """
    options = given_options(finetune, locals())
    if not isinstance(data, Task):
        refuse_run(Path(data), f"the order is genesis finetune DATA RUN; to start from that run say --from {data}")
    labelled = data if isinstance(data, Task) else read(data, task=task, kind=kind, label=label, classes=classes)
    labelled = of_modality(labelled, modality) if modality else labelled
    division = split_cases(labelled, cases=cases, fraction=fraction, test=test, val=val, seed=seed)
    divisions = cross_validation_splits(division, folds) if folds else [division]
    start = choose_initialization(from_, labelled, like=like, backbone=backbone, width=width, norm=norm, trust=trust)
    settings: dict[str, dict[str, Any]] = {
        "reading": {"spacing_mm": spacing},
        "plan": {
            "steps": steps, "batch_size": batch_size, "accumulate": accumulate, "optimizer": optimizer, "lr": lr,
            "weight_decay": weight_decay, "schedule": schedule, "warmup_steps": warmup_steps, "clip_norm": clip_norm,
            "validate_every": validate_every, "val_cubes": val_cubes, "patience": patience, "precision": precision,
            "compile": compile or None, "workers": workers,
        },
        "layer_rates": {"how": tune.replace("-", "_") if tune else None, "decay": decay, "rest": rest},
        "augmentation": {"mirror": axes_of(mirror), **({} if augment else {"p_spatial": 0.0, "p_intensity": 0.0})},
        "approach": {"size": size, "foreground": foreground, "widen": widen, "hidden": 0 if tune == "probe" else None},
    }  # fmt: skip
    used = [*divisions[0].train, *divisions[0].val]
    config = make_config(labelled, start, used, validates=bool(divisions[0].val), options=settings)
    fabric = make_fabric(config.plan.precision, accelerator=accelerator, devices=devices, nodes=nodes)
    tuning = Tuning(labelled, start, config, Path(into), seed, fabric, options, case_cache=shelf, quiet=quiet)
    return tuning.dry_run(divisions[0]) if dry_run else tuning.run(divisions)


def axes_of(mirror: str | None) -> tuple[int, ...] | None:
    """The axes that letters name; None leaves the choice open.

    Raises:
        TrainingError: a letter that names none.
    """
    if mirror is None:
        return None
    letters = "" if mirror == "none" else mirror.lower()
    if not set(letters) <= set(AXES):
        raise TrainingError(f"--mirror takes axes such as xyz or yz, or none, got {mirror!r}")
    return tuple(sorted(AXES.index(letter) for letter in set(letters)))
