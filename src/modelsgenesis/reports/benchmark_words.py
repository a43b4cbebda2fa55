"""What the report of a benchmark says in sentences."""

import math
from collections.abc import Collection, Sequence
from pathlib import Path

from modelsgenesis.benchmarking.findings import Findings, has_more_updates, is_longer
from modelsgenesis.benchmarking.run_record import Ran, place_of
from modelsgenesis.benchmarking.statistics.comparison import gain_from_labels
from modelsgenesis.benchmarking.trial import TEST
from modelsgenesis.core.tables import read_rows
from modelsgenesis.core.words import many
from modelsgenesis.figures.page import Headline

FEW_SEEDS = 10  # that are named one by one
BY_CHANCE = 0.025  # of lines without any effect are claimed: the interval's lower end is wrong so often
HOW = (
    "Every arm is trained on the same cases for as many updates (scratch:3x for three times as many), and scored on "
    "the same test patients, who were used for no choice; a seed chooses cases, patches and first weights for all arms "
    "alike. Differences are paired by seed, with Student's 95 % interval over seeds, for these test cases "
    "only; `over patients too` is for other patients as well; `bootstrap` is the plain percentile interval over seeds, "
    "which is too narrow for few of them. The t-test is the paper's two-sample test; the paired one is corrected by "
    "Holm over all lines of the table; the sign-flip test is exact and paired. The intervals are not corrected. g: "
    "Hedges' effect size."
)
HOW_CHOSEN = (
    "Every arm begins with the same network, has as many labelled cases and updates, and is scored on the same test "
    "patients, who were used for no choice: the arms differ in which cases they learn from. `random` draws them "
    "without looking at anything, not even at classes, as one must who has no labels yet. Cases are chosen in rounds: "
    "those of the smallest budget first, for every larger one more beside them, with what was learned from those "
    "before; a way that asks a trained network draws its first round like `random`. Differences are paired by seed, "
    "with Student's 95 % interval over seeds, for these test cases only; `over patients too` is for other patients as "
    "well. The paired t-test is corrected by Holm over all lines of the table; the intervals are not."
)
SAVED = (
    "A saving is the share of the reference's labels that an arm does without, read off a monotone learning curve; it "
    "is claimed only where its whole 95 % interval, {scope}, is above zero. These intervals are not "
    "corrected for the number of lines: of {lines} lines without any effect, {wrong:.1f} would be claimed by chance."
)
FLAT = (
    "From {first} to {last} labelled cases {reference} itself is not shown to get better ({gain:+.3f}, "
    "{interval} over seeds): in so few updates more labels are of no use to it. A saving read off so "
    "flat a curve says that an arm learns faster, and little of how many labels a longer training would need."
)
FEW = "With so few seeds no sign-flip test can fall below {least:.3f}, however great a difference is."
PAIRS = (
    "Each line above joins the runs of one seed: {reference} in grey, the arm in its colour. Below, a point is the "
    "difference of such a pair; the bar is the mean, with Student's 95 % interval over {seeds}, for these test "
    "cases only, cut where it is much longer than the differences."
)
SEEDS_ONLY = (
    "Of {metric} there is no interval over patients here: {why}. Every interval and test is over seeds, for these "
    "test cases only, and other patients might turn a difference round."
)
PUBLISHED = (
    "Published scores are of other patients, networks and schedules than ours: they show what to expect, not who is "
    "better."
)


def how_words(found: Findings) -> str:
    """Explain how the arms were trained and are compared."""
    return HOW_CHOSEN if found.by_choice else HOW


def saved_words(found: Findings) -> str:
    """Explain what a label saving is, and how many would be claimed by chance."""
    lines = len(found.savings)
    return SAVED.format(scope=found.scope, lines=lines, wrong=BY_CHANCE * lines)


def few_words(found: Findings) -> list[str]:
    """The remark for when seeds are too few for the exact test to show anything."""
    least = min((one.sign_flip.least for one in found.comparisons if not one.sign_flip.can_reach), default=None)
    return [] if least is None else [FEW.format(least=least)]


def flat_words(found: Findings) -> list[str]:
    """The remark for when the reference does not get better with more labels; otherwise nothing."""
    table, gain = found.table, gain_from_labels(found.table, found.reference)
    low, high = sorted((found.sign * gain.low95, found.sign * gain.high95))
    gained = found.sign * gain.value
    if not (low <= 0 or gained <= 0):  # NaN too: of one budget nothing is known
        return []
    interval = f"95 % interval {low:+.3f} to {high:+.3f}" if low <= high else "without an interval"
    first, last = table.budgets[0], table.budgets[-1]
    return [FLAT.format(first=first, last=last, reference=found.reference, gain=gained, interval=interval)]


def seeds_words(found: Findings) -> str:
    """Name the seeds and their number."""
    seeds = found.table.seeds
    if len(seeds) == 1:
        return f"one seed ({seeds[0]})"
    whole = all(map(math.isfinite, found.table.values.ravel().tolist()))
    one_by_one = list(seeds) != list(range(seeds[0], seeds[-1] + 1)) or len(seeds) <= FEW_SEEDS
    named = ", ".join(map(str, seeds)) if one_by_one else f"{seeds[0]} to {seeds[-1]}"
    return f"{many(len(seeds), 'seed')} ({named})" + ("" if whole else ", as far as they are run")


def scored_words(folder: Path, found: Findings) -> str:
    """Explain what a run's score is the mean of."""
    better = "more is better" if found.sign > 0 else "less is better"
    tested = tested_on(folder, found)
    of = (
        f"{many(len(tested), 'test case')} of {many(len(set(tested.values())), 'patient')}"
        if tested
        else "all test cases"
    )
    return f"{found.title} is {f'the mean over {of}' if found.by_case else f'of {of} together'}; {better}."


def tested_on(folder: Path, found: Findings) -> dict[str, str]:
    """The test cases, each with its patient; none where neither their scores nor a run are here."""
    if found.by_case:
        return {one.case: one.patient for one in found.by_case}
    table = found.table
    places = (place_of(folder, table.arms[0], table.budgets[0], seed) / "run" / TEST for seed in table.seeds)
    return next(({row["id"]: row["patient"] for row in read_rows(place)} for place in places if place.is_file()), {})


def headline(folder: Path, findings: Sequence[Findings], ran: Sequence[Ran]) -> list[Headline]:
    """The large numbers at the top of the page."""
    how = "choosing" if all(each.by_choice for each in findings) else "pre-training"
    bought = [one.shown for each in findings for one in each.savings if not has_more_updates(one.arm)]
    num, counted = sum(bought), f"{sum(bought)} of {len(bought)}"
    patients = max(len(set(tested_on(folder, each).values())) for each in findings)
    return [
        (str(len(ran)), "runs", ""),
        (str(len({arm for each in findings for arm in each.table.arms})), "arms", ""),
        (str(max(len(each.table.budgets) for each in findings)), "numbers of labelled cases", ""),
        (str(max(len(each.table.seeds) for each in findings)), "seeds", ""),
        *([(str(patients), "test patients", "")] if patients else []),
        *([(counted, f"savings of labels by {how} shown", "good" if num else "bad")] if bought else []),
    ]


def lead(findings: Sequence[Findings]) -> str:
    """The summary of a benchmark in a few sentences."""
    if not any(each.savings for each in findings):
        return "One arm alone: nothing to compare yet."
    return " ".join(_found(each) for each in findings)


def _found(found: Findings) -> str:
    """Describe the savings by pre-training, by longer schedules, by both, and where more labels do not help."""
    arms = {one.arm for one in found.savings}
    trained = {arm for arm in arms if not has_more_updates(arm)}
    longer = {arm for arm in arms if is_longer(arm)}
    both = arms - trained - longer
    how = "by choosing" if found.by_choice else "by pre-training"
    sentences = [
        *([f"{found.table.task}: {_shown(found, trained, how)}"] if trained else []),
        *([f"{found.table.task}, without pre-training: {_shown(found, longer, 'by more updates')}"] if longer else []),
        *([f"{found.table.task}, with more updates too: {_shown(found, both, 'by both')}"] if both else []),
    ]
    return " ".join([*sentences, *(flat_words(found) if any(one.shown for one in found.savings) else [])])


def _shown(found: Findings, arms: Collection[str], how: str) -> str:
    """Describe how many savings of these arms are shown, which is the surest, and the shown differences."""
    savings = [one for one in found.savings if one.arm in arms]
    ends = [
        sorted((found.sign * estimate.low95, found.sign * estimate.high95))
        for one in found.comparisons
        if one.arm in arms
        for estimate in [one.over_patients or one.difference]
    ]
    better, worse = sum(low > 0 for low, _ in ends), sum(high < 0 for _, high in ends)
    counted = (
        f"Of {many(len(ends), 'comparison')} with {found.reference}, the 95 % interval ({found.scope}) is on the "
        f"better side in {better} and on the worse side in {worse}."
    )
    shown = [one for one in savings if one.shown]
    if not shown:
        return f"no saving of labels {how} is shown: no interval of one is above zero. {counted}"
    best = max(shown, key=lambda one: one.saving.low95)
    return (
        f"{len(shown)} of {len(savings)} savings of labels {how} are shown; the surest: {best.arm} {best.claim} where "
        f"{best.reference} has {best.cases} cases. {counted}"
    )
