"""What one may choose of a fine-tuning: the options of `genesis finetune`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from modelsgenesis.core.device import Accelerator, Precision
from modelsgenesis.core.errors import TrainingError
from modelsgenesis.core.target import Kind
from modelsgenesis.data.intensity import Intensity, MinMax, Percentiles, Window, ZScore
from modelsgenesis.finetuning.config import AXES
from modelsgenesis.finetuning.initialization import SCRATCH
from modelsgenesis.nets.norms import Norm
from modelsgenesis.training.plan import Optimizer, Schedule
from modelsgenesis.training.trackers import TrackerName
from modelsgenesis.weights.lifting import Slices
from modelsgenesis.weights.transfer import ChannelAdaptation

Modality = Literal["CT", "MR", "XR", "unknown"]
Scale = Literal["hu", "percentiles", "z-score", "min-max"]
Tune = Literal["full", "layer-decay", "probe", "head-first"]

SCALES: dict[Scale, Intensity] = {
    "hu": Window(), "percentiles": Percentiles(), "z-score": ZScore(), "min-max": MinMax()
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FineTuneOptions:
    """Everything that one may choose of a fine-tuning; None leaves a choice to the start, the task and the cases.

    Args:
        from_: The run or weights file to start from, of ours or of a known program, or scratch.
        trust: A file of another program that needs more than tensors is unpickled, in a process of its own; it may
            run whatever its author wanted.
        cases: How many labelled cases are used, for training and validation together; all by default.
        fraction: The share of the cases that are used, in place of their number.
        chosen: A table with the column id, such as that of genesis choose, whose cases are used, the first first, in
            place of a draw; with cases, so many of them.
        test: The share of the patients to hold out where the data declare no test cases; it is the same for every seed.
        rehearsal: The test cases are put away, and that share of the other patients (--test) is tested on in their
            place, so that settings may be chosen.
        val: How many of the cases used choose the best network; none of fewer than 30 and a tenth of more by default.
        folds: How many networks are trained, each validated on another part of the cases: cross-validation.
        seed: The seed decides the choice of cases, the patches and the first weights.
        task: The name of a published task, such as ncc; its settings are then the defaults of those below.
        kind: The kind of task, where a table's labels could mean two: segmentation, classification or regression.
        label: The column of a table that is the label, or several with commas between.
        classes: How a column is cut into classes, as in --classes benign "<3" malignant ">3".
        columns: What columns of a table are called, as in --columns image Path patient "Patient ID".
        modality: What all images are, where the data do not declare it; CT is read in Hounsfield units.
        intensity: How values become what the network sees: hu, percentiles, z-score or min-max; by default as the start
            was trained, but Hounsfield units only for CT.
        voi: Of DICOM radiographs, the window or look-up table that the header gives is applied; predict does the same.
        like: With scratch: the run or recipe whose kind of network is taken.
        backbone: With scratch: the kind of network, unet3d or residual-unet.
        width: With scratch: the channels of the network's first convolution.
        norm: With scratch, of unet3d: batch, batch_stats, instance or group.
        slices: How a 2D network takes volumes: on slices of a direction (axial, coronal, sagittal), on the three planes
            through a cube's centre (orthogonal; classes and numbers), or inflated to 3D; by default as it was
            pre-trained on a store of slices, else inflated, and a recipe of pictures on axial slices.
        neighbours: How many slices on either side a 2D network sees as further channels; by default as it was trained.
        widen: How a one-channel network is adapted to several input channels: mean, first or random.
        tune: What learns: full, layer-decay (earlier layers slower), probe (the head alone) or head-first (the encoder
            rests first).
        decay: With layer-decay: the factor of the learning rate from each stage to the one before it.
        rest: With head-first: the share of the steps in which the encoder rests.
        size: The size of the patches in voxels; pictures are shrunk or enlarged to it.
        spacing: The spacing in mm along X, Y and Z to resample to; by default the start's, or the middle one where
            cases differ.
        foreground: The share of the patches that are centred on a label.
        mirror: The axes that may be mirrored, such as xyz, yz or none.
        augment: Training patches are augmented; with --no-augment they stay as they are.
        steps: How many updates the optimiser makes; by default 100 a case, at least 1000.
        batch_size: How many patches there are a step, over all processes.
        accumulate: How many backward passes there are a step.
        optimizer: Which optimiser is used: adamw or sgd.
        lr: The peak learning rate.
        weight_decay: How strongly the convolutions' weights decay.
        schedule: How the learning rate changes: cosine, plateau, halving or constant.
        warmup_steps: How many steps the learning rate rises for; by default a tenth.
        clip_norm: The gradient's greatest norm.
        validate_every: How many steps lie between validations; by default a twentieth.
        val_cubes: How many held-out patches a segmentation is validated on.
        patience: How many validations without a better one stop the run.
        precision: How numbers are computed: auto, 32-true or bf16-mixed.
        compile: The network is compiled with torch.compile.
        workers: How many loader processes each process has.
        log: Where else the metrics go, beside log.csv and TensorBoard events, which are always written: wandb, offline
            unless WANDB_MODE says otherwise; mlflow, in the run's folder unless MLFLOW_TRACKING_URI names a server.
        accelerator: What computes: auto, cpu or gpu.
        devices: How many processes run on a machine.
        nodes: How many machines take part.
        shelf: The folder of the case cache, for what is read of the cases, which runs on the same data may share; by
            default in the run, until it is finished.
        quiet: Nothing is printed.
        dry_run: A few steps are measured and what would happen is printed; only the cases are read and kept.
    """

    from_: str | Path = SCRATCH
    trust: bool = False
    cases: int | None = None
    fraction: float | None = None
    chosen: Path | None = None
    test: float = 0.0
    rehearsal: bool = False
    val: int | None = None
    folds: int | None = None
    seed: int = 0
    task: str | None = None
    kind: Kind | None = None
    label: str | None = None
    classes: dict[str, str] | None = field(default=None, hash=False)
    columns: dict[str, str] | None = field(default=None, hash=False)
    modality: Modality | None = None
    intensity: Scale | None = None
    voi: bool = False
    like: str | None = None
    backbone: str | None = None
    width: int | None = None
    norm: Norm | None = None
    slices: Slices | None = None
    neighbours: int | None = None
    widen: ChannelAdaptation | None = None
    tune: Tune | None = None
    decay: float | None = None
    rest: float | None = None
    size: tuple[int, int, int] | tuple[int, int] | None = None
    spacing: tuple[float, float, float] | None = None
    foreground: float | None = None
    mirror: str | None = None
    augment: bool = True
    steps: int | None = None
    batch_size: int | None = None
    accumulate: int | None = None
    optimizer: Optimizer | None = None
    lr: float | None = None
    weight_decay: float | None = None
    schedule: Schedule | None = None
    warmup_steps: int | None = None
    clip_norm: float | None = None
    validate_every: int | None = None
    val_cubes: int | None = None
    patience: int | None = None
    precision: Precision | None = None
    compile: bool = False
    workers: int | None = None
    log: tuple[TrackerName, ...] = ()
    accelerator: Accelerator = "auto"
    devices: int = 1
    nodes: int = 1
    shelf: str | Path | None = None
    quiet: bool = False
    dry_run: bool = False

    def settings(self) -> dict[str, dict[str, Any]]:
        """The options by the part of the fine-tune config that they decide; None is left open.

        Raises:
            TrainingError: `mirror` names no axis.
        """
        plan = (
            "steps", "batch_size", "accumulate", "optimizer", "lr", "weight_decay", "schedule", "warmup_steps",
            "clip_norm", "validate_every", "val_cubes", "patience", "precision", "workers",
        )  # fmt: skip
        off = {} if self.augment else {"p_spatial": 0.0, "p_intensity": 0.0}
        hidden = 0 if self.tune == "probe" else None
        return {
            "reading": {
                "spacing_mm": self.spacing,
                "intensity": SCALES[self.intensity] if self.intensity else None,
                "voi": self.voi or None,
            },
            "plan": {
                **{name: getattr(self, name) for name in plan},
                "compile": self.compile or None,
                "log": self.log or None,
            },
            "layer_rates": {"how": self.tune and self.tune.replace("-", "_"), "decay": self.decay, "rest": self.rest},
            "augmentation": {"mirror": axes_of(self.mirror), **off},
            "config": {"size": self.size, "foreground": self.foreground, "widen": self.widen, "hidden": hidden},
        }


def axes_of(mirror: str | None) -> tuple[int, ...] | None:
    """The axes of letters such as XY; None leaves the choice open.

    Raises:
        TrainingError: a letter names no axis.
    """
    if mirror is None:
        return None
    letters = "" if mirror == "none" else mirror.lower()
    if not set(letters) <= set(AXES):
        raise TrainingError(f"--mirror takes axes such as xyz or yz, or none, got {mirror!r}")
    return tuple(sorted(AXES.index(letter) for letter in set(letters)))
