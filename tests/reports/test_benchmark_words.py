"""What a benchmark's page says in words."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from modelsgenesis.reports.benchmark_words import seeds_words


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ([4], "one seed (4)"),
        ([0, 1, 2], "3 seeds (0, 1, 2)"),
        (list(range(50)), "50 seeds (0 to 49)"),
        ([*range(10), 20], "11 seeds (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20)"),
    ],
)
def test_many_seeds_in_a_row_are_named_by_their_ends(seeds: list[int], words: str) -> None:
    """Few, and those with gaps, one by one."""
    found: Any = SimpleNamespace(table=SimpleNamespace(seeds=seeds, values=np.ones((1, 1, len(seeds)))))
    assert seeds_words(found) == words
