"""The notebooks run as they stand, and become what Jupyter opens."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.py"))
RUN = "import runpy, sys\nfor path in sys.argv[1:]: runpy.run_path(path, run_name='__main__')"  # one start for all


@pytest.mark.slow
def test_notebooks_run_from_top_to_bottom(tmp_path: Path) -> None:
    """Each as a script in an empty folder, its training cut to two steps."""
    assert len(NOTEBOOKS) == 3
    for notebook in NOTEBOOKS:
        text, cut = re.subn(r"(steps ?= ?)\d+", r"\g<1>2", notebook.read_text(encoding="utf-8"))
        assert cut, f"{notebook.name} trains for as long as it says"
        (tmp_path / notebook.name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, *(notebook.name for notebook in NOTEBOOKS)],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert (tmp_path / "first-steps" / "report.html").is_file()
    assert "132 of 136 tensors come from the pre-training" in done.stdout
    scores = (tmp_path / "pretrain-probe-finetune" / "probe" / "scores.csv").read_text(encoding="utf-8")
    assert {"genesis", "random", "raw"} <= set(re.findall(r"[a-z]+", scores))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_notebook_is_text_that_jupyter_opens(notebook: Path, tmp_path: Path) -> None:
    """Cells of words and of code, no outputs, valid by nbformat; turned back, it is the same text."""
    jupytext = pytest.importorskip("jupytext", reason="the extra docs is not installed")
    nbformat = pytest.importorskip("nbformat")
    jupytext.write(jupytext.read(notebook), tmp_path / "notebook.ipynb")
    opened = nbformat.read(tmp_path / "notebook.ipynb", as_version=4)
    nbformat.validate(opened)
    assert {cell.cell_type for cell in opened.cells} == {"markdown", "code"}
    assert len(opened.cells) > 6
    assert not any(cell.get("outputs") for cell in opened.cells)

    def code(text: str) -> str:
        return text[text.index("# %%") :]

    again = jupytext.writes(opened, fmt="py:percent")
    assert code(again) == code(notebook.read_text(encoding="utf-8"))
