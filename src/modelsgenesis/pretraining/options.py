"""What one may choose of a pre-training: the options of `genesis pretrain`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from modelsgenesis.core.device import Accelerator, Precision
from modelsgenesis.nets.norms import Norm
from modelsgenesis.recipes import Recipe
from modelsgenesis.training.plan import Optimizer, Plan, Schedule, Where
from modelsgenesis.training.trackers import TrackerName

FEWEST_VALIDATIONS = 20  # of a run that is cut short, if the recipe has that many


@dataclass(frozen=True, kw_only=True)
class PretrainOptions:
    """Everything that one may choose of a pre-training; None leaves a choice to the recipe.

    Args:
        from_: The run or weights file whose weights the pre-training goes on from, of ours or of a known program; it
            decides the network.
        trust: With from, a pickled weights file may do as it likes, in a process of its own.
        plans: The plans of nnU-Net v2 (nnUNetPlans.json): their network, patch, batch and normalisation take the
            recipe's place, so that `export --to nnunet` gives what nnUNetv2_train starts from; the store must be at the
            plans' spacing.
        configuration: Which configuration of the plans is followed.
        seed: The seed decides the cubes, the deformations and the first weights.
        size: The size of the cubes in voxels, in place of the recipe's; so with every setting that follows.
        rule: The crop rule says where cubes may lie: lung, not_mostly_air or anywhere.
        balance: Every modality is as likely, or every site: the stores that a store was joined from. By default every
            scan is as likely. It holds for training and for validation.
        backbone: The kind of network: unet3d, residual-unet, resnet, segresnet, convnext, swin or vit (pictures),
            primus (volumes), or package.module:Class.
        width: The channels of the network's first convolution.
        blocks: How many blocks each layer of resnet, segresnet or convnext has: 3 4 6 3 is a ResNet-34's encoder.
        bottleneck: The blocks of resnet have three convolutions: with 3 4 6 3, a ResNet-50.
        norm: The norm of unet3d: batch, batch_stats (the authors' PyTorch network), instance or group.
        method: What is learned: genesis, or a rival: mae, popar, peac, context-restoration, denoising,
            rubiks-cube, rotation, relative-position, ark on labelled sets, or package.module:Class.
        arm: With the method genesis: all (Models Genesis), none (auto-encoder), one deformation alone, or without_ and
            its name (painting is one) all others.
        drop_skips: With the method genesis: how often each skip of the network is shut while it learns, 0 to 1.
        block: With the method mae: the side of what is hidden, in voxels; 8 suits cubes of 32 and more.
        cell: With the methods popar and peac: the side of a cell in voxels; by default what the network shrinks to one
            position.
        spare: With popar and peac: how many cells longer a cube is than the views that are cut within it.
        steps: How many updates the optimiser makes; of fewer than the recipe's, the warm-up and the steps between
            validations shrink alike.
        batch_size: How many cubes there are a step, over all processes.
        accumulate: How many backward passes there are a step.
        optimizer: Which optimiser is used: adamw or sgd.
        lr: The peak learning rate.
        weight_decay: How strongly the convolutions' weights decay.
        schedule: How the learning rate changes: cosine, plateau, halving or constant.
        warmup_steps: How many steps the learning rate rises for.
        clip_norm: The gradient's greatest norm.
        validate_every: How many steps lie between validations.
        val_cubes: How many held-out cubes the network is validated on.
        patience: How many validations without a better one stop the run.
        precision: How numbers are computed: auto, 32-true or bf16-mixed.
        compile: The network is compiled with torch.compile.
        workers: How many loader processes each process has.
        views: Where cubes are deformed: in the loader's workers, or on the device, where a worker would not keep up.
        train_folds: The folds of the store to train on.
        val_folds: The folds of the store that are held out.
        log: Where else the metrics go, beside log.csv and TensorBoard events, which are always written: wandb, offline
            unless WANDB_MODE says otherwise; mlflow, in the run's folder unless MLFLOW_TRACKING_URI names a server.
        accelerator: What computes: auto, cpu or gpu.
        devices: How many processes run on a machine; torchrun's and SLURM's own launch are noticed.
        nodes: How many machines take part.
        dry_run: A few steps are measured, what would happen is printed, and nothing is written.
        cache: The folder on a local disk where files of an object store are kept, where a URL is given (s3://, gs://).
        cache_gib: How many GiB the cache may fill; what was not used for longest goes.
    """

    from_: str | Path | None = None
    trust: bool = False
    plans: str | Path | None = None
    configuration: str = "3d_fullres"
    seed: int = 0
    size: tuple[int, ...] | None = None
    rule: str | None = None
    balance: Literal["modality", "site"] | None = None
    backbone: str | None = None
    width: int | None = None
    blocks: tuple[int, ...] | None = None
    bottleneck: bool = False
    norm: Norm | None = None
    method: str | None = None
    arm: str | None = None
    drop_skips: float | None = None
    block: int | None = None
    cell: int | None = None
    spare: int | None = None
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
    views: Where | None = None
    train_folds: tuple[int, ...] | None = None
    val_folds: tuple[int, ...] | None = None
    log: tuple[TrackerName, ...] = ()
    accelerator: Accelerator = "auto"
    devices: int = 1
    nodes: int = 1
    dry_run: bool = False
    cache: Path | None = None
    cache_gib: float = 500.0

    @property
    def network_settings(self) -> dict[str, Any]:
        """The settings of the network by name; None where none is given."""
        return {
            "width": self.width, "blocks": self.blocks, "bottleneck": self.bottleneck or None, "norm": self.norm,
        }  # fmt: skip

    def network_flags(self) -> list[str]:
        """The options given that decide the network, as the command line spells them."""
        given = {"backbone": self.backbone, **self.network_settings}
        return [f"--{name}" for name, value in given.items() if value is not None]

    def applied_to(self, recipe: Recipe) -> Recipe:
        """Put the options that were given in place of the recipe's settings.

        Raises:
            GenesisError: a setting that the recipe's network or method does not have.
        """
        plan = (
            "steps", "batch_size", "accumulate", "optimizer", "lr", "weight_decay", "schedule", "warmup_steps",
            "clip_norm", "validate_every", "val_cubes", "patience", "precision", "workers", "views",
        )  # fmt: skip
        given = {name: getattr(self, name) for name in plan if getattr(self, name) is not None}
        return recipe.but(
            cubes={"size": self.size, "rule": self.rule, "balance": self.balance},
            plan={
                **shortened(recipe.plan, self.steps),
                **given,
                "compile": self.compile or None,
                "log": self.log or None,
            },
            backbone=self.backbone,
            backbone_args=self.network_settings,
            method=self.method and self.method.replace("-", "_"),
            method_args={
                "arm": self.arm and self.arm.replace("-", "_"),
                "drop_skips": self.drop_skips,
                "block": self.block,
                "cell": self.cell,
                "spare": self.spare,
            },
            folds={"train_folds": self.train_folds, "val_folds": self.val_folds},
        )


def shortened(plan: Plan, steps: int | None) -> dict[str, int]:
    """The warm-up, and the steps from one validation to the next, of a run of fewer steps than the recipe's.

    Both shrink with the steps; there are at least FEWEST_VALIDATIONS, or as many as the recipe has, and not many more.
    """
    if steps is None or not 0 < steps < plan.steps:
        return {}
    share = steps / plan.steps
    found = {"warmup_steps": round(plan.warmup_steps * share)}
    if plan.validate_every is None:
        return found
    every = max(1, round(plan.validate_every * share), steps // FEWEST_VALIDATIONS)
    return {**found, "validate_every": min(plan.validate_every, every)}
