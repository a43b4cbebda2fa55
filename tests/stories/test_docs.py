"""Every code block of the README and the docs does what it says, on made-up scans."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import SimpleITK as sitk
from tests.conftest import write_blobs
from tests.warm import start

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str]]:
    """The code blocks of a page, in order, with training cut to a few steps and cubes so that it takes seconds."""
    text = re.sub(r"(--steps |steps=)\d+", r"\g<1>2", page.read_text(encoding="utf-8"))
    text = re.sub(r" --val-cubes \d+", "", text)
    text = re.sub(r"^(genesis pretrain) ", r"\1 --val-cubes 4 ", text, flags=re.MULTILINE)
    text = re.sub(r"(mg\.pretrain\(.*)\)$", r"\1, val_cubes=4)", text, flags=re.MULTILINE)
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


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for the front of a PATH, whose genesis and python need not import."""
    with start(tmp_path_factory.mktemp("warm")) as folder:
        yield folder


def test_warm_programs_do_as_the_real_ones(warm: Path, tmp_path: Path) -> None:
    """Streams, status, folder, environment and the end by a signal; a failure in a page would be hidden otherwise."""
    script = (
        "genesis --version; genesis trian || echo $?\n"
        "echo 'import os; print(os.getcwd(), os.environ[\"WORD\"], input())' > file.py\n"
        "echo given | WORD=passed python file.py\n"
        "python - <<< 'raise SystemExit(3)' || echo $?\n"
        "python - <<< 'import os; os.kill(os.getpid(), 9)' || echo $?\n"
    )
    path = os.pathsep.join([str(warm), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, encoding="utf-8", check=False, timeout=100,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        f"genesis {version('modelsgenesis')}", "2", f"{tmp_path} passed given", "3", "137",
    ]  # fmt: skip
    assert "no verb 'trian'" in done.stderr


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem)
def test_code_blocks_run(page: Path, warm: Path, tmp_path: Path) -> None:
    """One after the other in one folder, as a reader would, with scans/ and labelled/ at hand.

    The README's commands start from nothing; those of the other pages have imported already (`tests/warm.py`).
    """
    for folder in ("scans", "labelled/images", "labelled/labels"):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(3):
        scan = tmp_path / "scans" / f"ct-{number}.nii.gz"
        write_blobs(scan, number, size=(64, 64, 64))
        shutil.copy(scan, tmp_path / "labelled" / "images")
        sitk.WriteImage(sitk.ReadImage(scan) > 200, tmp_path / "labelled" / "labels" / scan.name)
    first = [] if page.stem == "README" else [str(warm)]
    path = os.pathsep.join([*first, str(Path(sys.executable).parent), os.environ["PATH"]])
    for language, code in blocks(page):
        (tmp_path / "block").write_text(code, encoding="utf-8")
        command = ["bash", "-eu", "block"] if language == "sh" else [shutil.which("python", path=path), "block"]
        done = subprocess.run(
            command, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, encoding="utf-8", check=False
        )
        assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
