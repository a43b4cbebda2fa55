"""The image is made of what an install needs, and of nothing else that lies in a clone."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"


def is_sent(path: str) -> bool:
    """Whether Docker sends a path: the last line that fits it or a folder of it decides, "!" letting it in."""
    sent = True
    parents = [path, *(str(parent) for parent in Path(path).parents)]
    for line in (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        places = [Path(each).name for each in parents] if "**/" in line else parents
        if line and not line.startswith("#") and any(fnmatch(each, pattern) for each in places):
            sent = line.startswith("!")
    return sent


def test_image_gets_what_the_install_names() -> None:
    """The package, its metadata's files and the constraints; the extras exist."""
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    install = re.search(r"^RUN pip install .* -c /src/(\S+) .*\"/src\[(.*)\]\"", text, re.MULTILINE)
    assert install is not None
    assert set(install.group(2).split(",")) <= set(project["project"]["optional-dependencies"])
    needed = [project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml", install.group(1)]
    needed += project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    for path in [*needed, "src/modelsgenesis/weights/box/genesis-small-ct.safetensors"]:
        assert (ROOT / path).exists()
        assert is_sent(path), path


def test_image_gets_no_scan_and_no_run() -> None:
    """Whatever lies in the clone beside the code."""
    for path in ("scans/ct.nii.gz", "store/salt", "runs/small/model.safetensors", ".git/config", ".venv/bin/python",
                 "src/modelsgenesis/core/__pycache__/errors.pyc"):  # fmt: skip
        assert not is_sent(path), path
