"""A benchmark's results as tables: for people, for programs, and for a paper."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from modelsgenesis.benchmarking.findings import Findings
from modelsgenesis.benchmarking.statistics.few_seeds import Estimate
from modelsgenesis.benchmarking.statistics.label_saving import LabelSaving
from modelsgenesis.core.words import mean_sd_words, number

Row = Sequence[str]

COMPARISON_HEAD = (
    "arm", "cases", "seeds", "difference", "95 % interval", "over patients too", "bootstrap", "t-test", "paired t",
    "paired t, Holm", "sign flip", "g", "g of pairs",
)  # fmt: skip


def score_table(found: Findings) -> tuple[list[Row], Row]:
    """Rows and head of the scores as papers print them: a row an arm, a column a budget."""
    head = ("arm", *(f"{budget} cases" for budget in found.table.budgets))
    return [(arm, *(_cell(values.tolist()) for values in found.table.of(arm))) for arm in found.table.arms], head


def _cell(values: Sequence[float]) -> str:
    """Mean and standard deviation, and of how many seeds where some are missing."""
    num = sum(map(math.isfinite, values))
    return mean_sd_words(values) + (f", {num} of {len(values)}" if 0 < num < len(values) else "")


def comparison_rows(found: Findings) -> list[Row]:
    """The rows of comparisons with the reference, one for each arm and budget."""
    return [
        (
            one.arm, str(one.cases), str(one.n), number(one.difference.value, signed=True), between(one.difference),
            between(one.over_patients) if one.over_patients else "-", between(one.percentile),
            number(one.independent_t.p, 3), number(one.paired_t.p, 3), number(one.paired_t.holm, 3),
            number(one.sign_flip.p, 3), number(one.g, 2, signed=True), number(one.g_z, 2, signed=True),
        )
        for one in found.comparisons
    ]  # fmt: skip


def saving_table(found: Findings) -> tuple[list[Row], Row]:
    """The rows and the head of the savings, for each arm and budget of the reference."""
    rows: list[Row] = [
        (
            one.arm,
            f"{one.cases} cases",
            _needed_words(one),
            "none"
            if one.bound == "at most" and one.saving.value <= 0
            else f"{one.bound} {one.saving.value:.0%}".strip(),
            between(one.saving, percent=True),
            one.claim,
        )
        for one in found.savings
    ]
    return rows, ("arm", f"{found.reference} with", "reached with", "saving", "95 % interval", "claim")


def _needed_words(one: LabelSaving) -> str:
    """The cases with which the arm is as good; of a bound, what is known of them."""
    if one.bound == "at least":
        return f"{one.needed:.0f} or fewer"
    return f"more than {one.cases * (1 - one.saving.value):.0f}" if one.bound else f"{one.needed:.1f}"


def published_table(found: Findings) -> tuple[list[Row], Row]:
    """Rows and head of the papers' scores, and ours with most cases beside those of the same start."""
    most = found.table.budgets[-1]
    ours = {arm: mean_sd_words(found.table.of(arm)[-1]) for arm in found.table.arms}
    rows: list[Row] = [
        (each["start"], _published_words(each), ours.pop(_same(each["start"], ours), "-"), each["source"])
        for each in found.published
    ]
    rows += [(arm, "-", words, "this benchmark") for arm, words in ours.items()]
    return rows, ("start", "published", f"ours, {most} cases", "source")


def _same(start: str, arms: Iterable[str]) -> str:
    """The arm that is called as a paper calls its start, but for capitals and what joins words."""

    def plain(name: str) -> str:
        return "".join(letter for letter in name.casefold() if letter.isalnum()).removeprefix("models")

    return next((arm for arm in arms if plain(arm) == plain(start)), "")


def _published_words(each: Mapping[str, Any]) -> str:
    return f"{each['mean']:.3f}" + (f" ± {each['sd']:.3f}" if each.get("sd") is not None else "")


def between(estimate: Estimate, *, percent: bool = False) -> str:
    """Write an interval in words."""
    if math.isnan(estimate.low95) or math.isnan(estimate.high95):
        return "-"
    words = [("none" if value < 0 else "all") if math.isinf(value) else
             f"{value:.0%}" if percent else f"{value:+.4f}" for value in (estimate.low95, estimate.high95)]  # fmt: skip
    return " to ".join(words)
