"""Every file and folder of ours that a page names is there."""

import re
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
ROOTS = (HOME, HOME / "src" / "modelsgenesis", HOME / "docs")
PAGES = [*HOME.glob("*.md"), *sorted((HOME / "docs").rglob("*.md"))]
NAMED = re.compile(r"(?<![\w./:-])((?:[\w-]+/)+[\w-]+\.py|(?:tests|src)/(?:[\w-]+/)*)(?!\w)")
MADE_BY_READERS = {"src/modelsgenesis/deformations/quantise.py"}  # the how-to lets its reader write it
HISTORY = {"CHANGELOG.md"}  # says what was


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in HISTORY], ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    """By their path in the repository, or in the package."""
    named = set(NAMED.findall(page.read_text(encoding="utf-8"))) - MADE_BY_READERS
    assert sorted(name for name in named if not any((root / name).exists() for root in ROOTS)) == []
