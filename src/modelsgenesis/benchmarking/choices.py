"""Cases that are chosen rather than drawn: in rounds, each budget's beside those of the smaller ones."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.benchmarking.trial import ALL, Trial, folder_of
from modelsgenesis.choosing.answers import Asked
from modelsgenesis.choosing.strategies.random import Random
from modelsgenesis.choosing.strategy import Answers, Choice, Pool, Strategy, choose_from, comparable, find_strategy
from modelsgenesis.core.device import Accelerator, find_machine
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.core.tables import read_rows, write_table
from modelsgenesis.data.case import Case
from modelsgenesis.data.problems import Problem
from modelsgenesis.embedding.table import Embeddings
from modelsgenesis.inference.finetuned_networks import find_fine_tuned
from modelsgenesis.tasks.case_finder import sure_names

RANDOM = "random"
CHOICES = "choices"  # the folder of the tables of what was chosen
COLUMNS = ("rank", "id", "cases", "score", "cluster", "why")

Row = dict[str, Any]
Said = Iterator[tuple[int, Iterator[Answers]]]


@dataclass(frozen=True)
class Choosing:
    """Cases to choose from, and what was chosen of them so far, for one arm and seed.

    Attributes:
        strategy: that chooses.
        ids: of the cases.
        vectors: (cases, length), `comparable`.
        seed: of the draws; the same ones for every strategy, so that those that begin by chance begin alike.
        rows: what was chosen; grows.
    """

    strategy: Strategy
    ids: Sequence[str]
    vectors: NDArray[np.float64]
    seed: int
    rows: list[Row]

    def up_to(self, budget: int, answers: Callable[[Sequence[int]], Said]) -> list[str]:
        """Choose as many more as the budget allows, and return the ids of all.

        Args:
            budget: of labelled cases.
            answers: gives what the network that was trained on those before says of cases, by their numbers.
        Raises:
            DataError: there are not so many cases.
        """
        done = [str(row["id"]) for row in self.rows]
        if len(done) < budget:
            labelled = np.isin(np.asarray(self.ids), done)
            pool = Pool(self.vectors, labelled, lambda: answers(np.flatnonzero(~labelled).tolist()))
            blind = self.strategy.needs in ("answer", "patches") and not done
            strategy = Random() if blind else self.strategy
            rng = generator_for(self.seed, len(done), "choose")
            chosen = choose_from(strategy, pool, budget - len(done), rng)
            self.rows.extend(self._row(len(done) + k, budget, one) for k, one in enumerate(chosen, start=1))
        return [str(row["id"]) for row in self.rows[:budget]]

    def _row(self, rank: int, budget: int, one: Choice) -> Row:
        told = {"score": f"{one.score:.6g}", "cluster": one.cluster, "why": one.why}
        return {"rank": rank, "id": self.ids[one.case], "cases": budget, **told}


def strategies_of(names: Sequence[str], cases: Sequence[str]) -> dict[str, Strategy]:
    """Make the strategies that are compared.

    Args:
        names: of them.
        cases: the budgets, as they were given.
    Raises:
        DataError: random is not among them, one comes twice, or all cases are a budget: then nothing is chosen.
        GenesisError: there is no such strategy.
    """
    if RANDOM not in names or len(set(names)) < max(2, len(names)):
        raise DataError(f"--choose compares with {RANDOM}, each way once: write --choose {RANDOM} typiclust")
    if ALL in cases:
        raise DataError(f"--choose compares ways to choose some cases, and {ALL} are no choice; leave {ALL} out")
    return {name: find_strategy(name) for name in names}


def vectors_of(embeddings: Embeddings, cases: Sequence[Case]) -> dict[str, NDArray[np.float32]]:
    """The vector of each case: by its image's file, or else by its names, where these leave no doubt."""
    by_id = dict(zip(embeddings.ids, embeddings.vectors, strict=True))
    names = sure_names(cases, list(zip(embeddings.images, embeddings.ids, strict=True)))
    found = {case.id: next((name for name in names[case.id] if name in by_id), None) for case in cases}
    return {id_: by_id[name] for id_, name in found.items() if name is not None}


def begin(
    strategy: Strategy, cases: Sequence[Case], vectors: Mapping[str, NDArray[np.float32]], seed: int, file: Path | None
) -> Choosing:
    """Begin to choose, or go on with what a file holds.

    Args:
        strategy: that chooses.
        cases: to choose from.
        vectors: by case; none where no strategy looks at them.
        seed: of the draws.
        file: of what was chosen before, which need not be there.
    """
    rows = [dict(row) for row in read_rows(file)] if file is not None and file.is_file() else []
    stacked = np.array([vectors[case.id] for case in cases]) if vectors else np.zeros((len(cases), 0))
    return Choosing(strategy, [case.id for case in cases], comparable(stacked), seed, rows)


def file_of(into: Path, arm: str, seed: int) -> Path:
    """The table of what an arm chose with a seed, the first first."""
    return into / CHOICES / arm.replace(":", "-") / f"seed-{seed}.csv"


@dataclass(frozen=True)
class Choices:
    """What chooses the cases of the arms of a benchmark, from its training cases.

    Attributes:
        strategies: by the name of their arm.
        cases: to choose from.
        vectors: by case; none where no strategy looks at them.
        accelerator: that asks the networks.
    """

    strategies: Mapping[str, Strategy]
    cases: tuple[Case, ...]
    vectors: Mapping[str, NDArray[np.float32]]
    accelerator: Accelerator

    @classmethod
    def of(
        cls, strategies: Mapping[str, Strategy], cases: tuple[Case, ...], found: Embeddings | None,
        accelerator: Accelerator,
    ) -> "Choices":  # fmt: skip
        """Put together what chooses.

        Raises:
            DataError: a strategy looks at vectors, and some are missing.
        """
        looking = next((name for name, strategy in strategies.items() if strategy.needs == "vectors"), None)
        vectors = vectors_of(found, cases) if found and looking else {}
        if looking and len(vectors) < len(cases):
            lacking = next(case.id for case in cases if case.id not in vectors)
            raise DataError(
                f"--choose {looking} looks at vectors, and there is none of {lacking}; embed all cases and "
                "name their folder by --embeddings"
            )
        return cls(strategies, cases, vectors, accelerator)

    def choose(self, trial: Trial, into: Path) -> bool:
        """Choose the cases of a run, unless they were chosen before, and write them down; return whether it chose."""
        file = file_of(into, trial.arm, trial.seed)
        choosing = begin(self.strategies[trial.arm], self.cases, self.vectors, trial.seed, file)
        if len(choosing.rows) >= (trial.cases or 0):
            return False
        before = max((int(row["cases"]) for row in choosing.rows), default=0)
        run = folder_of(into, trial.arm, before, trial.seed) / "run"
        choosing.up_to(trial.cases or 0, lambda asked: self._said(run, asked))
        write_choices(file, choosing)
        return True

    def _said(self, run: Path, asked: Sequence[int]) -> Said:
        """What the network of the round before says of cases."""
        problems: list[Problem] = []
        networks = Asked(find_fine_tuned([run]), find_machine(self.accelerator))
        cases = [self.cases[number] for number in asked]
        number_of = {case.id: number for number, case in zip(asked, cases, strict=True)}
        for id_, said in networks.each(cases, Path(), problems.append):
            yield number_of[id_], said
        if problems:
            raise DataError(f"{problems[0].path}: {problems[0].problem}; {problems[0].remedy}")


def write_choices(file: Path, choosing: Choosing) -> None:
    """Write what was chosen, a row a case."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_table(file, COLUMNS, choosing.rows)
