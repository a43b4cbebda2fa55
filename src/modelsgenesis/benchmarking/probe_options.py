"""What one may choose of a probe: the options of `genesis probe`."""

from dataclasses import dataclass, field

from modelsgenesis.benchmarking.probe_heads import Head
from modelsgenesis.benchmarking.trial import ALL
from modelsgenesis.core.target import Kind
from modelsgenesis.finetuning.options import FineTuneOptions, Modality

BUDGETS = ("10", "30", "100", ALL)
TASK = ("task", "kind", "label", "classes", "columns", "modality")


@dataclass(frozen=True, kw_only=True)
class ProbeOptions:
    """Everything that one may choose of a probe.

    Args:
        with_: Further arms, as NAME=EMBEDDINGS: folders of genesis embed by other networks, at random, raw or size.
        head: What is learned on the vectors: linear, knn, or few-shot, the nearest class mean; several are arms each.
        cases: The budgets of labelled cases, and all; by default those of 10 30 100 for which there are cases, and all.
        choose: Ways to choose the training cases, held against random from the same start: random typiclust k-centre
            uncertainty; each of them is an arm.
        seeds: How many draws of training cases each budget has, with seeds 0, 1, 2 ...; all cases are one draw.
        test: The share of the patients to test on, where the data declare no test cases.
        allow: The arms to probe though they may have seen test cases, or though nobody can know.
        reference: The arm that the others are held against; by default a network at random, else raw, else size, else
            the last.
        region: Of embeddings by region: whose vectors are taken.
        groups: Columns of the table of labels, such as sex or site: the metric within each of their values too.
        task: The name of a published task, such as ncc, by which the labels are read.
        kind: The kind of task, where a table's labels could mean two.
        label: The column of a table that is the label, or several with commas between.
        classes: How a column is cut into classes, as in --classes benign "<3" malignant ">3".
        columns: What columns of a table are called, as in --columns image Path patient "Patient ID".
        modality: What all images are, where the data do not declare it.
        metric: The metric to compare by; auc or mae by the kind of task, or another that evaluate gives.
    """

    with_: tuple[str, ...] = ()
    head: tuple[Head, ...] = ("linear",)
    cases: tuple[str, ...] = BUDGETS
    choose: tuple[str, ...] = ()
    seeds: int = 50
    test: float = 0.2
    allow: tuple[str, ...] = ()
    reference: str | None = None
    region: str | None = None
    groups: tuple[str, ...] = ()
    task: str | None = None
    kind: Kind | None = None
    label: str | None = None
    classes: dict[str, str] | None = field(default=None, hash=False)
    columns: dict[str, str] | None = field(default=None, hash=False)
    modality: Modality | None = None
    metric: str | None = None

    def of_the_task(self) -> FineTuneOptions:
        """The options by which the labels are read."""
        return FineTuneOptions(**{name: getattr(self, name) for name in TASK})
