"""What one may choose of a benchmark: the options of `genesis benchmark`."""

from dataclasses import dataclass, field
from pathlib import Path

from modelsgenesis.benchmarking.trial import ALL
from modelsgenesis.core.device import Accelerator, Precision
from modelsgenesis.core.target import Kind
from modelsgenesis.finetuning.initialization import SCRATCH
from modelsgenesis.finetuning.options import FineTuneOptions, Modality, Tune
from modelsgenesis.inference.options import Views

BUDGETS = ("3", "6", "12", "25", "50", ALL)
TASK = ("task", "kind", "label", "classes", "columns", "modality")
PLAN = ("batch_size", "warmup_steps", "weight_decay", "precision")


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """Everything that one may choose of a benchmark; None leaves a choice to the task, the starts and the cases.

    Args:
        from_: The arms: scratch, scratch:3x (three times the updates), runs or weights files, NAME=RUN, NAME:3x=RUN;
            NAME=like:RECIPE is scratch by another network, and NAME=axial:RUN and NAME=like:axial:RECIPE say how a 2D
            network takes volumes, as --slices of finetune does.
        cases: The budgets of labelled cases, and all; by default those of 3 6 12 25 50 for which there are cases, and
            all.
        choose: Ways to choose which cases have labels, held against random from the same start: random typiclust
            k-centre uncertainty spread; each of them is an arm, of the one start that --from names.
        embeddings: With typiclust and k-centre: a folder of genesis embed with the vectors of the cases.
        seeds: How many runs each arm and budget has, with seeds 0, 1, 2 ...
        test: The share of the patients to test on, where the data declare no test cases.
        allow: The arms to run though they may have seen test cases, or though nobody can know.
        like: With scratch: the run or recipe whose kind of network is taken; by default the first arm's that has one.
        task: The name of a published task, such as ncc; its settings are the defaults of those below, and the paper's
            scores go into the report.
        kind: The kind of task, where a table's labels could mean two.
        label: The column of a table that is the label, or several with commas between.
        classes: How a column is cut into classes, as in --classes benign "<3" malignant ">3".
        columns: What columns of a table are called, as in --columns image Path patient "Patient ID".
        modality: What all images are, where the data do not declare it; CT is read in Hounsfield units.
        metric: The metric to compare by; dice, auc or mae by the kind of task, or another that evaluate gives of which
            more or less is better.
        steps: How many updates the optimiser makes, for every arm alike; by default 100 a case, at least 1000.
        batch_size: How many patches there are a step.
        lr: The peak learning rate; of several, every arm takes the one that serves it best on training patients.
        warmup_steps: How many steps the learning rate rises for.
        weight_decay: How strongly the convolutions' weights decay.
        tune: What learns: full, layer-decay, probe or head-first.
        size: The size of the patches in voxels; pictures are shrunk or enlarged to it.
        spacing: The spacing in mm along X, Y and Z to resample to.
        mirror: The axes that may be mirrored, such as xyz, yz or none.
        augment: Training patches are augmented; with --no-augment they stay as they are.
        views: What of a test picture is seen for its class or numbers: whole; or ten-crop, as by predict.
        precision: How numbers are computed: auto, 32-true or bf16-mixed.
        accelerator: What computes: auto, cpu or gpu.
        workers: How many runs go on at once, in processes of their own, to which the GPUs are dealt in turn; 0 is one
            after another in this one.
        threads: How many threads of the processor a run has.
        cluster: Where the work is done instead of here: the address of a scheduler of Dask, such as
            tcp://HOST:8786, its file, or local:4.
        slurm: The work is done by jobs of Slurm with these settings, such as "partition=cpu,time=60", in minutes.
        cache: The folder on a local disk where files of an object store are kept, for the audit of arms that were
            pre-trained on a store at a URL.
        cache_gib: How many GiB the cache may fill; what was not used for longest goes.
        dry_run: The plan is printed with its hours, and nothing is trained.
    """

    from_: tuple[str, ...] = (SCRATCH,)
    cases: tuple[str, ...] = BUDGETS
    choose: tuple[str, ...] = ()
    embeddings: Path | None = None
    seeds: int = 5
    test: float = 0.2
    allow: tuple[str, ...] = ()
    like: str | None = None
    task: str | None = None
    kind: Kind | None = None
    label: str | None = None
    classes: dict[str, str] | None = field(default=None, hash=False)
    columns: dict[str, str] | None = field(default=None, hash=False)
    modality: Modality | None = None
    metric: str | None = None
    steps: int | None = None
    batch_size: int | None = None
    lr: float | tuple[float, ...] | None = None
    warmup_steps: int | None = None
    weight_decay: float | None = None
    tune: Tune | None = None
    size: tuple[int, int, int] | tuple[int, int] | None = None
    spacing: tuple[float, float, float] | None = None
    mirror: str | None = None
    augment: bool = True
    views: Views = "whole"
    precision: Precision | None = None
    accelerator: Accelerator = "auto"
    workers: int = 0
    threads: int = 1
    cluster: str | None = None
    slurm: str | None = None
    cache: Path | None = None
    cache_gib: float = 500.0
    dry_run: bool = False

    @property
    def rates(self) -> tuple[float, ...]:
        """The learning rates to choose from; none where there is no choice."""
        return self.lr if isinstance(self.lr, tuple) and len(self.lr) > 1 else ()

    def of_every_run(self) -> FineTuneOptions:
        """The options that all fine-tunings of the benchmark share: no case chooses the best network."""
        shared = (*TASK, *PLAN, "tune", "test", "steps", "size", "spacing", "mirror", "augment", "accelerator")
        rate = None if self.rates else next(iter(self.lr), None) if isinstance(self.lr, tuple) else self.lr
        return FineTuneOptions(**{name: getattr(self, name) for name in shared}, lr=rate, val=0)
