"""The choice of a few example cases out of many."""

from collections.abc import Sequence

from modelsgenesis.core.target import Finding

MOST_SHOWN = 4


def extremes(found: Sequence[Finding], ranked: Sequence[Finding], least: str, most: str) -> list[tuple[Finding, str]]:
    """The first case, the two ends of a ranking and its middle, each once.

    Args:
        found: all cases, in their order.
        ranked: some of them, the least first.
        least: what the least is, in words.
        most: what the greatest is, in words.
    """
    ranked = ranked or list(found)
    named = [
        (found[0], "the first"),
        (ranked[0], least),
        (ranked[-1], most),
        (ranked[len(ranked) // 2], "in the middle"),
    ]
    chosen: dict[str, tuple[Finding, str]] = {}
    for finding, why in named:
        chosen.setdefault(finding.id, (finding, why))
    return list(chosen.values())


def one_of_each(words: Sequence[str], found: Sequence[Finding]) -> list[tuple[Finding, str]]:
    """The first case of each wording, in the wordings' order.

    Args:
        words: what each case is labelled.
        found: the cases.
    """
    first = dict(reversed(list(zip(words, found, strict=True))))
    return [(one, each) for each, one in sorted(first.items(), key=lambda pair: pair[0])[:MOST_SHOWN]]
