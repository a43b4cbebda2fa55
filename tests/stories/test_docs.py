"""Every code block of the README and the docs does what it says, on made-up scans."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import SimpleITK as sitk
from tests.conftest import write_blobs

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str]]:
    """The code blocks of a page, in order, with training cut to a few steps so that it takes seconds."""
    text = re.sub(r"(--steps |steps=)\d+", r"\g<1>2", page.read_text(encoding="utf-8"))
    return BLOCK.findall(text)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.stem)
def test_promise_not_to_unpickle_names_its_exception(page: Path) -> None:
    """Wherever it is said that no file's code is run, `--trust`, by which one is, is said too."""
    parts = re.split(r"\n\n|\n(?=- )", page.read_text(encoding="utf-8"))
    promises = [part for part in parts if re.search(r"unpickl|executing", part)]
    assert [part for part in promises if "--trust" not in part] == []


@pytest.mark.parametrize("page", [*PAGES, *sorted((ROOT / "src").rglob("*.py"))], ids=lambda page: page.stem)
def test_every_install_of_this_package_goes_by_the_constraints(page: Path) -> None:
    """The versions that were tested together, from a clone: no index has the package under its name."""
    installs = re.findall(r"pipx? install[^\n`]*", page.read_text(encoding="utf-8"))
    own = [line for line in installs if re.search(r"\s['\"]?\.(\[|[\s'\"]|$)|modelsgenesis\[", line)]
    assert [line for line in own if "-c constraints.txt" not in line.replace("$PWD/", "")] == []


def test_readme_installs_first_and_then_activates() -> None:
    """Whoever goes on after `make demo` finds the command genesis."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^## .*$", text, re.MULTILINE)[0] == "## Install"
    assert text.index(". .venv/bin/activate`.") > text.index("make demo    #")
    assert text.index(". .venv/bin/activate`.") < text.index("genesis prepare scans/")


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem)
def test_code_blocks_run(page: Path, tmp_path: Path) -> None:
    """One after the other in one folder, as a reader would, with scans/ and labelled/ at hand."""
    for folder in ("scans", "labelled/images", "labelled/labels"):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(3):
        scan = tmp_path / "scans" / f"ct-{number}.nii.gz"
        write_blobs(scan, number, size=(72, 72, 72))
        shutil.copy(scan, tmp_path / "labelled" / "images")
        sitk.WriteImage(sitk.ReadImage(scan) > 200, tmp_path / "labelled" / "labels" / scan.name)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for language, code in blocks(page):
        (tmp_path / "block").write_text(code, encoding="utf-8")
        command = ["bash", "-eu", "block"] if language == "sh" else [sys.executable, "block"]
        done = subprocess.run(
            command, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, encoding="utf-8", check=False
        )
        assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
