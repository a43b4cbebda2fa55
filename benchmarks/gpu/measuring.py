"""What the steps of a visit share: their settings, their results, clocks, stores and networks."""

import dataclasses
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import torch
from benchmarks.gpu.stores import made_up, recode

from modelsgenesis.core.learner import Learner
from modelsgenesis.recipes import Recipe, find_recipe
from modelsgenesis.recipes.recipe import make_learner


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a step is given.

    Attributes:
        into: where its results go.
        work: for files that stay on the machine.
        pack: what was carried: stores/, commit.
        official: the authors' clone, or None.
        tiny: a rehearsal on the CPU.
        seconds: until it is killed.
    """

    into: Path
    work: Path
    pack: Path
    official: Path | None
    tiny: bool
    seconds: float

    @classmethod
    def given(cls) -> Self:
        """From the command line, as `words` writes them."""
        given = json.loads(sys.argv[1])
        paths = {name: Path(given[name]) if given[name] else None for name in ("into", "work", "pack", "official")}
        return cls(**{**given, **paths})

    def words(self) -> str:
        """For the command line of a step."""
        return json.dumps(dataclasses.asdict(self), default=str)

    @property
    def device(self) -> str:
        """Where it computes."""
        return "cpu" if self.tiny else "cuda"

    @property
    def accelerator(self) -> Any:
        """The same in the words of `genesis`."""
        return "cpu" if self.tiny else "gpu"


class Results:
    """The rows of one step, written whole after each, so that a step that is killed keeps what it found."""

    def __init__(self, settings: Settings, step: str) -> None:
        self.path, self.rows = settings.into / "steps" / f"{step}.json", list[dict[str, Any]]()

    def add(
        self, what: str, value: float | str, unit: str = "", *, least: float | None = None, most: float | None = None
    ) -> None:
        """Keep a row; with a goal, it says whether that is met."""
        row: dict[str, Any] = {"what": what, "value": value, "unit": unit}
        if isinstance(value, (int, float)) and (least is not None or most is not None):
            row["goal"] = f"at least {least:g}" if least is not None else f"at most {most:g}"
            row["met"] = value >= least if least is not None else value <= (most or 0.0)
        self.rows.append(row)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_suffix(".part")
        aside.write_text(json.dumps(self.rows, indent=1), encoding="utf-8")
        os.replace(aside, self.path)
        print(f"{what}: {value} {unit}", flush=True)

    def tried(self, what: str, measure: Callable[[], object]) -> None:
        """Measure; what fails, for want of memory or else, is a row, and the next goes on."""
        try:
            measure()
        except Exception as error:  # noqa: BLE001  # whatever it is, the visit is short
            self.add(what, f"failed: {type(error).__name__}: {str(error).splitlines()[0][:120] if str(error) else ''}")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def seconds(action: Callable[[], object], *, repeats: int = 5, warm: int = 2) -> float:
    """Median time of an action with all that it started on the device."""
    taken = []
    for turn in range(warm + repeats):
        wait()
        begin = time.perf_counter()
        action()
        wait()
        if turn >= warm:
            taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def wait() -> None:
    """Until the device is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def copy_bandwidth(device: str, num_bytes: int) -> float:
    """Bytes a second read and written by a mere copy."""
    source = torch.ones(num_bytes // 4, device=device)
    there = torch.empty_like(source)
    return 2 * num_bytes / seconds(lambda: there.copy_(source))


def matmul_peak(device: str, side: int) -> float:
    """FLOP a second of a bf16 product of two square matrices."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / seconds(lambda: a @ b)


def store(settings: Settings, name: str) -> Path:
    """One of the stores that were carried, compressed as `genesis prepare` does it; made up where none was."""
    there, carried = settings.work / "stores" / name, settings.pack / "stores" / name
    if not there.is_dir():
        aside = there.with_name(f"{name}.part")
        shutil.rmtree(aside, ignore_errors=True)
        aside.parent.mkdir(parents=True, exist_ok=True)
        if carried.is_dir():
            shutil.copytree(carried, aside)
            recode(aside, dense=False)
        else:
            made_up(aside)
        aside.rename(there)
    return there


def recipe_for(settings: Settings, name: str, **backbone_args: Any) -> Recipe:
    """A recipe, at a rehearsal with a small network and small cubes; cubes wherever there is something to see."""
    tiny: dict[str, Any] = {"width": 4} if settings.tiny else {}
    cubes = {"rule": "not_mostly_air", "size": (32, 32, 32) if settings.tiny else None}
    return find_recipe(name).but(backbone_args={**backbone_args, **tiny}, cubes=cubes)


def learner_of(recipe: Recipe, kind: type, **arguments: Any) -> Learner:
    """A learner of the recipe's method and another network, with the weights of seed 0."""
    torch.manual_seed(0)
    return make_learner(recipe, kind(**arguments))
