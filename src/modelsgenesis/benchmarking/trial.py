"""One run of a benchmark: trained, predicted, scored, in a folder that can be opened alone."""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from modelsgenesis.core.errors import DataError, GenesisError, blamed_on
from modelsgenesis.core.files import read_json
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.tables import read_rows
from modelsgenesis.evaluation.evaluate import evaluate
from modelsgenesis.evaluation.options import EvaluateOptions
from modelsgenesis.finetuning.finetune import finetune
from modelsgenesis.finetuning.initialization import SCRATCH
from modelsgenesis.finetuning.options import FineTuneOptions
from modelsgenesis.inference.options import PredictOptions, Views
from modelsgenesis.inference.predict import predict
from modelsgenesis.metrics.summary import MEAN

TEST, SCORES = "test.csv", "scores"
ALL = "all"


@dataclass(frozen=True)
class Trial:
    """The settings that decide one run.

    Attributes:
        arm: its name.
        cases: labelled cases; None is all.
        seed: of everything random.
        data: the task's data.
        into: the folder.
        start: a run, a weights file, or "scratch".
        like: of scratch: the kind of network.
        case_cache: where what is read of the cases is kept, for all runs.
        metric: to read off the scores.
        options: those of the fine-tuning that all runs share, with this one's updates.
        views: of pictures that are predicted.
        threads: of the processor; the same for every run, so that results do not hang on how many run at once.
    """

    arm: str
    cases: int | None
    seed: int
    data: Path
    into: Path
    start: str
    like: str | None
    case_cache: Path
    metric: str
    options: FineTuneOptions = field(default=FineTuneOptions(), hash=False)
    views: Views = "whole"
    threads: int = 1

    def tuning(self) -> FineTuneOptions:
        """The options of the run's fine-tuning."""
        like = self.like if self.start == SCRATCH else None
        return replace(
            self.options, from_=self.start, like=like, cases=self.cases, seed=self.seed, shelf=self.case_cache,
            quiet=True,
        )  # fmt: skip


@dataclass(frozen=True)
class Result:
    """The scores of a run, or why there are none.

    Attributes:
        value: of the metric over the test cases; NaN while it is not done.
        by_case: the metric of each test case, if it is a mean over cases: (case, patient, value), NaN where it is
            undefined, as Dice is of a label that is neither there nor found.
        time_s: spent training.
        why: it failed; empty if it did not.
    """

    value: float
    by_case: tuple[tuple[str, str, float], ...] = ()
    time_s: float = 0.0
    why: str = ""


def folder_of(into: Path, arm: str, cases: int | None, seed: int) -> Path:
    """The folder of a run.

    Args:
        into: of the benchmark.
        arm: its name.
        cases: None is all.
        seed: of the run.
    """
    return into / "runs" / arm.replace(":", "-") / f"cases-{ALL if cases is None else cases}" / f"seed-{seed}"


def do_trial(trial: Trial) -> Result:
    """Train, predict and score; finished steps are not done again.

    A run that was stopped is not done, and gives NaN without a reason.
    """
    torch.set_num_threads(trial.threads)
    run, predictions, scores = (trial.into / name for name in ("run", "predictions", SCORES))
    try:
        finetune(trial.data, run, trial.tuning())
        if not (run / PROVENANCE).is_file():
            return Result(math.nan)
        if not (scores / PROVENANCE).is_file():
            predict([run], run / TEST, predictions, PredictOptions(views=trial.views, quiet=True))
            evaluate(predictions, run / TEST, scores, EvaluateOptions(resamples=1, worst=0, workers=0, quiet=True))
    except GenesisError as error:
        return Result(math.nan, why=str(error))
    return read_result(trial)


def read_result(trial: Trial) -> Result:
    """Read the scores of a finished run."""
    scores = trial.into / SCORES
    with blamed_on(scores / "summary.json", DataError, "holds no scores; delete the folder and run again"):
        lines = [line for line in read_json(scores / "summary.json")["lines"] if line["metric"] == trial.metric]
    if not lines:
        return Result(math.nan, why=f"there is no metric {trial.metric} of this kind of task")
    whole = next((line for line in lines if line["label"] == MEAN), lines[0])
    value = math.nan if whole["value"] is None else float(whole["value"])
    by_case = _by_case(scores / "cases.csv", trial.metric)
    if known := [each for _, _, each in by_case if not math.isnan(each)]:
        value = sum(known) / len(known)  # the mean of the labels' means is another where cases lack labels
    if math.isnan(value):
        return Result(math.nan, why=f"{trial.metric} is undefined on these test cases; choose another --metric")
    time_s = max(float(row["time_s"]) for row in read_rows(trial.into / "run" / "log.csv"))
    return Result(value, by_case, time_s)


def _by_case(path: Path, metric: str) -> tuple[tuple[str, str, float], ...]:
    """Mean over a case's labels that have one, or NaN; nothing where the metric is one of all cases together."""
    found: dict[tuple[str, str], list[float]] = {}
    for row in read_rows(path):
        if metric in row:
            values = found.setdefault((row["id"], row["patient"]), [])
            values += [float(row[metric])] if row[metric] else []
    return tuple((*key, sum(values) / len(values) if values else math.nan) for key, values in found.items())
